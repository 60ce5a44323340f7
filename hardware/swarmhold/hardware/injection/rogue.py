"""A supervisor that is broken or bad: it repeats what others said, or makes verdicts up."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import WORD, HealthTable

WAYS = ("replay", "lie", "absurd")
ABSURD = (float("nan"), float("inf"), -float("inf"), -1e9, 1e9, 0.0, 1.0)
AHEAD = 1000  # terms by which a forged table is above all that was heard
KEPT = 200  # tables that can be repeated
LEASE_S = 1e6  # s, that a forged table claims to be valid
ISSUER = "a"  # sorts before any honest name


class Rogue:
    """Publishes on the supervisors' topic whatever does most harm.

    `replay`: tables that were heard before, as they were. `lie`: with a term above all others, any
    weights and states. `absurd`: the same with the last term that counts as later, and no
    weights at all.
    """

    def __init__(self, way: str, team_size: int, seed: int) -> None:
        """Args: one of `WAYS`; N; of what is made up."""
        self._way, self._n = way, team_size
        self._rng = np.random.default_rng(seed)
        self._heard: list[HealthTable] = []
        self._term, self._seq = 0, 0

    def hear(self, table: HealthTable) -> None:
        """Somebody's table; one's own come back too and are not kept."""
        if table.issuer != ISSUER:
            self._heard = [*self._heard[1 - KEPT :], table]
            self._term = table.term

    def say(self, stamp: float) -> HealthTable | None:
        """What to publish now, if anything; `stamp` in s, wall clock."""
        if self._way == "replay":
            if not self._heard:
                return None
            return self._heard[int(self._rng.integers(len(self._heard)))]
        self._seq += 1
        rng, n = self._rng, self._n
        ahead = WORD // 2 - 1 if self._way == "absurd" else AHEAD
        term = (self._term + ahead) % WORD
        weights = rng.choice(ABSURD, n) if self._way == "absurd" else rng.integers(0, 2, n)
        states = rng.integers(0, len(HealthState), n)
        return HealthTable(
            *(stamp, term, self._seq, ISSUER, LEASE_S),
            weights=tuple(float(weight) for weight in weights),
            states=tuple(int(state) for state in states),
            reasons=(0,) * n,
        )
