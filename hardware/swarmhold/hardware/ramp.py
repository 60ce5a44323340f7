"""How a robot begins to move: from rest to what its policy wants, never in one jump."""

from __future__ import annotations

import math
from dataclasses import dataclass

RAMP_S = 1.0  # from rest to the whole set-point


@dataclass(frozen=True, slots=True)
class Ramp:
    """How much of its set-point a robot follows.

    Attributes:
        share: 0 at rest, 1 for all of it.
        at: s, of the last step; NaN before the first.
    """

    share: float = 0.0
    at: float = math.nan

    def step(self, limit: float, now: float) -> Ramp:
        """Down to the limit at once, up to it by no more than 1 / `RAMP_S` per second.

        So the speed that is commanded grows no faster than bound / `RAMP_S`, whatever the policy
        wants.

        Args:
            limit: share that may be followed; 0 while the robot holds.
            now: s, monotonic.
        """
        rise = 0.0 if math.isnan(self.at) else max(now - self.at, 0.0) / RAMP_S
        return Ramp(min(limit, self.share + rise), now)
