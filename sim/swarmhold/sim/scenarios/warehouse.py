"""Warehouse: carry goods from one side to the other (JaxRobotarium, arXiv 2505.06771).

Green robots load at the lower right and unload at the upper left, red ones load at the upper
right and unload at the lower left, so their ways cross. A robot sees where it has to go next as a
landmark of its own, the nearest point of its zone; its value is `EMPTY` or `LADEN`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    TeamView,
    headings,
    mean_of,
    nearest_landmark,
)
from swarmhold.sim.scenarios.testbed import (
    ARENA,
    SCALE,
    STEP_S,
    Testbed,
    drive_to,
    from_own,
    poses,
    start_cells,
)

ZONE = 0.5  # m, width of the zones
EMPTY, LADEN = 0.5, 1.0
_INSIDE = 0.15  # m, by which a robot aims into its zone


def warehouse_reward(loaded: Float, delivered: Float) -> Float:
    """The peer's shared reward of a step: (E) from the robots (E) that loaded and delivered."""
    return 1.0 * loaded + 3.0 * delivered


def peer_observation(view: TeamView) -> Float:
    """What the peer's policies see, (E, N, 3 N + 2): poses, one's own first, and one's class."""
    green = _green(view.position.shape[1])
    kind = np.stack([green, ~green], axis=-1).astype(float)
    kind = np.broadcast_to(kind, (len(view.position), *kind.shape))
    return np.concatenate([from_own(poses(view)), kind], axis=-1)


def _green(robots: int) -> Bool:
    """(N) robots of the first class: every other one, so that any team has both."""
    return np.arange(robots) % 2 == 0


class Warehouse(Testbed):
    """Deliver."""

    name = "warehouse"
    title = "carry goods across each other's ways"
    episode_s = 70 * STEP_S

    def slots(self, robots: int) -> int:
        """The next zone of every robot."""
        return robots

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Robots on cells, as with the peer; everybody has to load first."""
        position = start_cells(rng, robots, 0.3)
        goal = _goal(position, np.zeros(robots, bool))
        return Layout(
            position * SCALE[robot],
            headings(rng, robots, robot),
            goal * SCALE[robot],
            np.full(robots, EMPTY),
            owners=np.arange(robots),
        )

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """Who is laden, deliveries so far, and who loaded and delivered in the last step."""
        teams = len(view.position)
        return {
            "laden": np.zeros(view.healthy.shape, bool),
            "deliveries": np.zeros(teams),
            "news": np.zeros((teams, 2)),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Load and unload the working robots that stand in their zones."""
        memory, place = view.memory, view.position / SCALE[robot]
        upper = _green(place.shape[1])
        x, y = place[..., 0], np.where(upper, place[..., 1], -place[..., 1])
        laden = memory["laden"]
        delivered = view.healthy & laden & (x < ZONE - ARENA[0]) & (y > 0.0)
        loaded = view.healthy & ~laden & (x > ARENA[0] - ZONE) & (y < 0.0)
        laden[:] = (laden & ~delivered) | loaded
        memory["news"][:, 0], memory["news"][:, 1] = loaded.sum(axis=1), delivered.sum(axis=1)
        memory["deliveries"] += delivered.sum(axis=1)
        view.own_landmark()[:] = _goal(place, laden) * SCALE[robot]
        view.values[:, : laden.shape[1]] = np.where(laden, LADEN, EMPTY)

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Deliveries per working robot, up to one."""
        heads = np.maximum(view.healthy.sum(axis=1), 1)
        score = np.minimum(view.memory["deliveries"] / heads, 1.0)
        far = np.linalg.norm(view.own_landmark() - view.position, axis=-1)
        reward = warehouse_reward(*view.memory["news"].T)
        return Outcome(reward, score, mean_of(far, view.healthy), score >= 1.0)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """To the zone, round whoever is in the way."""
        target, _ = nearest_landmark(seen)
        return drive_to(spec, seen, weights, target)


def _goal(place: Float, laden: Bool) -> Float:
    """(..., N, 2) m at scale 1: the nearest point well inside the zone where one has to go."""
    side = np.where(laden, -1.0, 1.0)
    up = np.where(_green(place.shape[-2]), -side, side)
    x = side * np.clip(side * place[..., 0], ARENA[0] - ZONE + _INSIDE, ARENA[0] - _INSIDE)
    y = up * np.clip(up * place[..., 1], _INSIDE, ARENA[1] - _INSIDE)
    return np.stack([x, y], axis=-1)
