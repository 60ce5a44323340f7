"""Pursuit: the team hunts evaders that flee, and pursuers may break (AACFT, arXiv 2412.00534).

After the paper's task of several targets: two evaders for five pursuers, which flee from the
pursuers that work and pay no heed to broken ones; who is caught stays caught, and the reward is
minus the distance to the nearest free evader, with a bonus for every catch. Here it takes two
pursuers within the capture radius, so that a head-count of one short matters; `multibroken` is
nearer to the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import Layout, go_to, headings, nearest_landmark, spaced
from swarmhold.sim.scenarios.hunt import Ground, Hunt
from swarmhold.sim.scenarios.steer import way_round


class Pursuit(Hunt):
    """Catch all evaders, two pursuers for each."""

    name = "pursuit"
    title = "catch evaders that flee, two pursuers for each"
    hunters = 2
    episode_s = 40.0
    grounds: ClassVar[Mapping[str, Ground]] = {
        "crazyflie": Ground(half=4.0, capture=0.8, speed=0.7, sight=2.0, gap=0.5, reach=0.9),
        "epuck": Ground(half=1.0, capture=0.2, speed=0.1, sight=0.5, gap=0.11, reach=0.2),
    }
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 6,
        "min_robots": 3,
        "teams": 24,
        "warm_start": 16,
        "iterations": 12,
    }

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Pursuers in the middle, evaders out of their reach near the walls."""
        ground, count = self.grounds[robot], self.slots(robots)
        half = ground.half
        position = spaced(rng, robots, 0.5 * half, 0.1 * half)
        evaders = rng.uniform(-1.0, 1.0, (count, 2))
        radius = rng.uniform(0.5 * half + ground.capture, 0.95 * half, count)
        evaders *= (radius / np.abs(evaders).max(axis=1))[:, None]
        return Layout(position, headings(rng, robots, robot), evaders, np.ones(count))

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Close in on the nearest evader, round whoever is in the way."""
        target, _ = nearest_landmark(seen)
        ground = self.grounds[spec.robot]
        return go_to(spec, way_round(seen, weights, target, ground.gap, ground.reach))
