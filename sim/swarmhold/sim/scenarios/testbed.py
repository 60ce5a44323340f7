"""What the tasks of JaxRobotarium (arXiv 2505.06771) share: the arena, start cells, observations.

Lengths are those of the GRITSBot's arena, 3.2 m x 2.0 m, times a scale for other robots. Whatever
is compared with the peer is computed at scale 1. The peer's penalty for collisions and for leaving
the arena has weight 0 by default, so no reward here has one. Episodes last the peer's default
number of steps at 30 ticks of 33 ms, which its published runs use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import Scenario, TeamView, go_to
from swarmhold.sim.scenarios.steer import way_round

ARENA = (1.6, 1.0)  # m, half widths
STEP_S = 30 * 0.033  # s, a step of the peer
SCALE = {"gritsbot": 1.0, "epuck": 1.0, "crazyflie": 4.0}
START = (2.5, 1.5)  # m, width and height of the area in which the peer starts robots
_FLOOR = (2.9, 1.7)  # m, of the area in which larger teams start
_LEAST = 0.22  # m, smallest spacing of start cells
_GAP = {"gritsbot": 0.36, "epuck": 0.1, "crazyflie": 0.45}  # m, between bodies
_REACH = {"gritsbot": 0.6, "epuck": 0.2, "crazyflie": 0.9}  # m, looked ahead


class Testbed(Scenario):
    """A task in the Robotarium's arena."""

    robots: ClassVar[tuple[str, ...]] = ("gritsbot", "epuck", "crazyflie")
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 4,
        "min_robots": 2,
        "teams": 16,
        "warm_start": 16,
        "iterations": 8,
    }

    def half_width(self, robot: str) -> float:
        """Half the longer side of the arena, m."""
        return ARENA[0] * SCALE[robot]


def start_cells(
    rng: np.random.Generator, count: int, spacing: float, area: tuple[float, float] = START
) -> Float:
    """Distinct cells of a grid, drawn as the peer does; more of them where its grid is too small.

    Args:
        rng: source of randomness.
        count: number of points.
        spacing: m, of the grid.
        area: m, width and height of the grid.

    Returns:
        (count, 2) m, at scale 1.

    Raises:
        ConfigError: they do not fit at any safe spacing.
    """
    x, y = (np.arange(-side / 2, side / 2, spacing) for side in area)
    if x.size * y.size < count:
        x, y = _widest(count)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return grid[rng.choice(len(grid), count, replace=False)]


def _widest(count: int) -> tuple[Float, Float]:
    """Axes of the widest grid over the whole floor that has `count` cells."""
    for spacing in np.arange(1.5, _LEAST, -0.01):
        sizes = [int(side / spacing) + 1 for side in _FLOOR]
        if sizes[0] * sizes[1] >= count:
            x, y = (spacing * (np.arange(size) - (size - 1) / 2) for size in sizes)
            return x, y
    raise ConfigError(f"{count} start places do not fit into the arena; {sizes[0] * sizes[1]} do")


def drive_to(spec: PolicySpec, seen: Observation, weights: Float, target: Float) -> Float:
    """Set-point towards a target (..., 2) m in the yaw frame, past whoever is in the way."""
    way = way_round(seen, weights, target, _GAP[spec.robot], _REACH[spec.robot])
    return ahead_to(spec, way) if spec.robot == "gritsbot" else go_to(spec, way)


def ahead_to(spec: PolicySpec, target: Float) -> Float:
    """`go_to` that never backs up: the barrier guards a point ahead of the axle."""
    bound = np.asarray(spec.action_bound)
    distance = np.linalg.norm(target, axis=-1)
    bearing = np.arctan2(target[..., 1], target[..., 0])
    forward = np.minimum(bound[0], 2.0 * distance) * np.maximum(np.cos(bearing), 0.0) ** 2
    turn = np.clip(3.0 * bearing, -bound[1], bound[1]) * np.minimum(1.0, distance / 0.06)
    return np.stack([forward, turn], axis=-1)


def poses(view: TeamView) -> Float:
    """(E, N, 3) x and y (m) and yaw (rad); zeros for absent robots."""
    pose = np.concatenate([view.position, view.yaw[..., None]], axis=-1)
    return np.where(view.present[..., None], pose, 0.0)


def from_own(rows: Float) -> Float:
    """(E, N, N F): for every robot the rows (E, N, F) of all, its own first, then cyclically."""
    robots = rows.shape[1]
    order = (np.arange(robots)[:, None] + np.arange(robots)) % robots
    return rows[:, order].reshape(len(rows), robots, -1)


def to_all(rows: Float, robots: int) -> Float:
    """(E, N, ...): (E, ...) flattened and repeated for every robot."""
    flat = rows.reshape(len(rows), 1, -1)
    return np.broadcast_to(flat, (len(rows), robots, flat.shape[-1]))
