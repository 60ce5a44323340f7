"""Two robots carry a bar to a goal: the coupled task by which offline learning is compared.

The bar is what the reward says of two free robots: its middle is to come to the goal, and it
slips as soon as the robots are not a bar's length apart. Whoever drives on alone loses it, so that
each robot's best action hangs on what the other one does at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    Scenario,
    TeamView,
    believed,
    go_to,
    headings,
    landmarks_of,
)

HALF = 1.0  # m, half width of the arena
BAR = 0.4  # m
SLIP = 0.08  # m, by which the distance may differ from the bar's length
NEAR = 0.1  # m, from the goal


class Carry(Scenario):
    """A bar to a goal, in two pairs of hands."""

    name = "carry"
    title = "two robots carry a bar to a goal"
    robots: ClassVar[tuple[str, ...]] = ("epuck",)
    contacts = False
    episode_s = 15.0
    train: ClassVar[Mapping[str, Any]] = {"robots": 2, "min_robots": 2}

    def slots(self, robots: int) -> int:
        """One goal."""
        return 1

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return HALF

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """The bar somewhere, its ends in the robots' hands; the goal at least 0.6 m away."""
        while True:
            middle, goal = rng.uniform(-0.75 * HALF, 0.75 * HALF, (2, 2))
            if np.linalg.norm(goal - middle) > 0.6 * HALF:
                break
        angle = rng.uniform(-np.pi, np.pi) + np.pi * np.arange(robots)
        ends = middle + 0.5 * BAR * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return Layout(ends, headings(rng, robots, robot), goal[None], np.ones(1))

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Middle to goal, and how far the hands are from where the bar ends."""
        first, second = view.position[:, 0], view.position[:, -1]
        middle = np.linalg.norm(0.5 * (first + second) - view.landmarks[:, 0], axis=-1)
        slipped = np.abs(np.linalg.norm(first - second, axis=-1) - BAR)
        held = slipped < SLIP
        reward = -middle - 2.0 * np.minimum(slipped, BAR) - 0.5 * ~held
        score = np.clip(1.0 - middle / HALF, 0.0, 1.0) * held
        return Outcome(reward, score, middle + slipped, held & (middle < NEAR))

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Go where the goal asks the middle to be, at the pace that keeps the length."""
        place, _, real = landmarks_of(seen)
        goal = np.where(real[..., None], place, 0.0).sum(axis=-2)
        mate = believed(seen, weights).sum(axis=-2)
        far = np.maximum(np.linalg.norm(mate, axis=-1, keepdims=True), 1e-6)
        way = goal - 0.5 * mate
        pull = mate / far * (far - BAR)
        away = np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
        return go_to(spec, way / away * np.minimum(away, 0.15) + pull)
