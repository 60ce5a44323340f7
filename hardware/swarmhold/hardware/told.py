"""What one robot was told of the team: the supervisor's last table, and for how long it holds."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import HealthTable
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.office import supersedes
from swarmhold.hardware.types import Bool, Float


class Told:
    """The last table that counts."""

    def __init__(self, n: int, lease_s: float) -> None:
        """Nothing yet.

        Args:
            n: robots in the roster.
            lease_s: s for which a table holds.
        """
        self._n, self._lease_s = n, lease_s
        self._table: HealthTable | None = None
        self._at = -np.inf
        self.weights: Float = np.ones(n)  # of the last table

    def hear(self, table: HealthTable, now: float) -> None:
        """A table arrived at `now` (s); older terms and replays are dropped."""
        if len(table.weights) == self._n and supersedes(table, self._table, self.age(now)):
            self._table, self._at = table, now
            weights = np.asarray(table.weights, float)
            self.weights = np.clip(np.where(np.isnan(weights), 0.0, weights), 0.0, 1.0)

    def age(self, now: float) -> float:
        """S since it arrived; infinity if none did."""
        return now - self._at

    @property
    def lost(self) -> Bool:
        """(N) robots that are lost to the supervisor."""
        if self._table is None:
            return np.zeros(self._n, bool)
        lost: Bool = np.asarray(self._table.states) == HealthState.LOST
        return lost

    def warned(self, now: float) -> bool:
        """Whether a common cause is suspected, in a table that holds."""
        if self._table is None or self.age(now) > self._lease_s:
            return False
        return any(reason & Accusation.COMMON for reason in self._table.reasons)
