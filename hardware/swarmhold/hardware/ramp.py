"""How a robot begins to move: from rest to what its policy wants, never in one jump."""

from __future__ import annotations

import math
from dataclasses import dataclass

RAMP_S = 1.0  # from rest to the whole set-point


@dataclass(frozen=True, slots=True)
class Ramp:
    """A robot that acts, and since when.

    Attributes:
        since: s, when it began to act; NaN while it is at rest.
    """

    since: float = math.nan

    def step(self, acts: bool, now: float) -> Ramp:
        """Whether it acts at `now` (s)."""
        if not acts:
            return Ramp()
        return Ramp(now) if math.isnan(self.since) else self

    def share(self, now: float) -> float:
        """Of the set-point that may be followed at `now` (s), 0 to 1.

        The speed that is commanded grows by no more than bound / `RAMP_S` per second, whatever
        the policy wants.
        """
        if math.isnan(self.since):
            return 0.0
        return min(max((now - self.since) / RAMP_S, 0.0), 1.0)
