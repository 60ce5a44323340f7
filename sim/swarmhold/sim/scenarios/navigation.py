"""Navigation: every robot to a goal of its own (JaxRobotarium, arXiv 2505.06771).

Robots and goals start on cells 0.5 m apart; a robot's goal is a landmark that it alone sees. The
peer rewards every robot with minus its distance to its goal; the team's reward is the mean of that
over the healthy robots.
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
    TeamView,
    headings,
    mean_of,
    nearest_landmark,
)
from swarmhold.sim.scenarios.testbed import (
    SCALE,
    STEP_S,
    Testbed,
    drive_to,
    poses,
    start_cells,
)

SPACING = 0.5  # m, of the start cells
GOAL_RADIUS = 0.1  # m, a robot this near is on its goal


def navigation_reward(position: Float, goal: Float, pos_shaping: float = -1.0) -> Float:
    """The peer's reward of every robot.

    Args:
        position: (..., N, 2) m.
        goal: (..., N, 2) m.
        pos_shaping: per metre of distance.

    Returns:
        (..., N).
    """
    return pos_shaping * np.linalg.norm(goal - position, axis=-1)


def peer_observation(view: TeamView) -> Float:
    """What the peer's policies see, (E, N, 5): own x, y, yaw, and the vector to the goal."""
    return np.concatenate([poses(view), view.own_landmark() - view.position], axis=-1)


class Navigation(Testbed):
    """Everybody to a goal of one's own."""

    name = "navigation"
    title = "every robot to a goal of its own"
    episode_s = 50 * STEP_S
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 3,
        "min_robots": 2,
        "warm_start": 6,
        "iterations": 8,
    }

    def slots(self, robots: int) -> int:
        """One goal per robot."""
        return robots

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Starts and goals on cells; where they do not fit together, each on cells of its own."""
        if robots <= 7:
            start, goal = np.split(start_cells(rng, 2 * robots, SPACING), 2)
        else:
            start, goal = (start_cells(rng, robots, SPACING, (0.0, 0.0)) for _ in range(2))
        return Layout(
            start * SCALE[robot],
            headings(rng, robots, robot),
            goal * SCALE[robot],
            np.ones(robots),
            owners=np.arange(robots),
        )

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the healthy robots on their goals."""
        goal, scale = view.own_landmark(), SCALE[robot]
        distance = np.linalg.norm(goal - view.position, axis=-1)
        on_goal = distance < GOAL_RADIUS * scale
        reward = navigation_reward(view.position / scale, goal / scale)
        score = mean_of(on_goal, view.healthy)
        return Outcome(
            mean_of(reward, view.healthy), score, mean_of(distance, view.healthy), score > 1 - 1e-9
        )

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Drive to the goal, round whoever is in the way."""
        target, _ = nearest_landmark(seen)
        return drive_to(spec, seen, weights, target)
