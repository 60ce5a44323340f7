"""Multibroken: hunt several evaders while up to two pursuers break (AACFT, arXiv 2412.00534).

The paper's task of that name on real bodies: five pursuers and two evaders anywhere in the arena,
one working pursuer within the capture radius is enough, who is caught stays caught, and an
episode is only long enough to cross half of the arena four times (the e-puck: three times, in an
arena that has room for fifty). Everybody sees all evaders. The reward is that of `pursuit`; the
paper gives the bonus to each pursuer and grows it with the number of the catch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.sim.scenarios.base import Layout, headings, spaced
from swarmhold.sim.scenarios.hunt import Ground, Hunt


class MultiBroken(Hunt):
    """Catch all evaders, a touch for each."""

    name = "multibroken"
    title = "touch all evaders within a short time, though pursuers break"
    episode_s = 8.0
    grounds: ClassVar[Mapping[str, Ground]] = {
        "crazyflie": Ground(half=2.0, capture=0.25, speed=0.75, sight=1.5, gap=0.5, reach=0.9),
        "epuck": Ground(half=0.4, capture=0.06, speed=0.125, sight=0.3, gap=0.11, reach=0.2),
    }
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 5,
        "min_robots": 3,
        "teams": 24,
        "warm_start": 16,
        "iterations": 12,
    }

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Everybody anywhere, nobody in reach of anybody."""
        ground, count = self.grounds[robot], self.slots(robots)
        places = spaced(rng, robots + count, 0.95 * ground.half, 1.3 * ground.capture)
        yaw = headings(rng, robots, robot)
        return Layout(places[:robots], yaw, places[robots:], np.ones(count))
