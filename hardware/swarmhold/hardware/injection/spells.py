"""Good and bad spells of one direction between two ends (Gilbert, 1960; Elliott, 1963)."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.faults import BAD_S, GOOD_S


class Spells:
    """Loses in bursts: a share of what comes while it is bad."""

    def __init__(self) -> None:
        """Good, for a time that is drawn when it is first used."""
        self._bad, self._until = True, -np.inf

    def lose(self, share: float, draws: np.random.Generator, now: float) -> bool:
        """Whether what comes at `now` (s) is lost."""
        while now >= self._until:
            self._bad = not self._bad
            start = now if self._until == -np.inf else self._until
            self._until = start + draws.exponential(BAD_S if self._bad else GOOD_S)
        return self._bad and bool(draws.random() < share)
