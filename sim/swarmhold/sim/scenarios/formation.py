"""Formation: follow a virtual leader in rings around it, through a gap between two posts.

The leader moves along x from one side to the other at constant speed, then waits. The healthy
robots share the slots of a regular polygon around it; teams of more than six stand in several
rings, of 6, 12, 18, ... slots. A robot's slot is a landmark that it alone sees; when a robot
breaks, the others close ranks, and two robots swap slots when that shortens their ways. The gap
is narrower than the formation of a large team, so the team has to give way to it and form again
behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Int, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    Scenario,
    TeamView,
    go_to,
    headings,
    landmarks_of,
    mean_of,
    nearest_landmark,
)
from swarmhold.sim.scenarios.steer import way_round

# All lengths but the body's follow from the spacing, m, of neighbours in the formation.
_SPACING = {"crazyflie": 0.7, "epuck": 0.16}
_HALF, _START = 10.0, 5.5  # spacings: half width of the arena; the leader goes from -5.5 to 5.5
_GAP, _POST = 3.2, 0.25  # spacings: between the centres of the posts; their radius
_NEAR = 0.35  # spacings, a robot this near is in its slot
_SPEED = {"crazyflie": 0.35, "epuck": 0.06}  # m/s of the leader
_KEEP = {"crazyflie": 0.55, "epuck": 0.12}  # m, kept between bodies by the heuristic
AHEAD, BESIDE = (
    0.5,
    0.1,
)  # values of a slot while the gap lies ahead, and once it was missed; then 1
_SWAP = 0.25  # spacings squared, by which a swap of slots has to pay
_RING = 6  # slots of the innermost ring; ring k has k times as many


class Formation(Scenario):
    """Through the gap together."""

    name = "formation"
    title = "keep a formation around a moving leader, through a gap"
    robots: ClassVar[tuple[str, ...]] = ("crazyflie", "epuck")
    episode_s = 50.0
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 6,
        "min_robots": 3,
        "teams": 24,
        "warm_start": 16,
        "iterations": 12,
    }

    def slots(self, robots: int) -> int:
        """One slot per robot."""
        return robots

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return _HALF * _SPACING[robot]

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Robots near their slots; the leader's lane differs, the posts stand in the middle."""
        unit = _SPACING[robot]
        everybody = np.ones((1, robots), bool)
        slot = _slots(everybody, np.arange(robots)[None])[0]
        slot = slot + np.array([-_START, rng.uniform(-1.5, 1.5)])
        position = slot + rng.uniform(-0.15, 0.15, (robots, 2))
        posts = np.array([[0.0, 0.5 * _GAP, _POST], [0.0, -0.5 * _GAP, _POST]])
        return Layout(
            position * unit,
            headings(rng, robots, robot),
            slot * unit,
            np.full(robots, AHEAD),
            owners=np.arange(robots),
            posts=posts * unit,
        )

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """Who takes slots first; the leader's lane, m; who is through; x, m."""
        shape = view.healthy.shape
        nobody = np.zeros(shape, bool)
        order = np.broadcast_to(np.arange(shape[1]), shape).copy()
        first = _slots(view.members, order)[:, 0, 1] * _SPACING[robot]
        return {
            "order": order,
            "lane": view.own_landmark()[:, 0, 1] - first,
            "through": nobody,
            "x": view.position[..., 0].copy(),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Move the slots on, keep count of who went through the gap."""
        unit, memory = _SPACING[robot], view.memory
        travelled = np.minimum(_SPEED[robot] * view.time_s, 2.0 * _START * unit)
        leader = np.stack([travelled - _START * unit, memory["lane"]], axis=-1)
        _swap(memory["order"], view.healthy, view.position / unit)
        slots = _slots(view.healthy, memory["order"])
        view.own_landmark()[:] = leader[:, None] + unit * slots
        x, y = view.position[..., 0], view.position[..., 1]
        between = (memory["x"] <= 0.0) & (np.abs(y) < 0.5 * _GAP * unit)
        memory["through"][:] = (x > 0.0) & (memory["through"] | between)
        view.values[:, : x.shape[1]] = np.where(
            x < 0.0, AHEAD, np.where(memory["through"], 1.0, BESIDE)
        )
        memory["x"][:] = x

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the healthy robots that are through the gap and in their slots."""
        unit, memory = _SPACING[robot], view.memory
        distance = np.linalg.norm(view.own_landmark() - view.position, axis=-1)
        score = mean_of(memory["through"] & (distance < _NEAR * unit), view.healthy)
        error = mean_of(distance, view.healthy)
        reward = score - 1.0 - error / view.half_width - mean_of(view.touched, view.healthy)
        return Outcome(reward, score, error, score > 1.0 - 1e-9)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Drive to the slot, by way of the gap where that lies between."""
        slot, _ = nearest_landmark(seen)
        keep, unit = _KEEP[spec.robot], _SPACING[spec.robot]
        middle, across, along, half, radius = _gate(seen)
        lane = np.maximum(half - radius - 0.5 * keep - 0.1 * unit, 0.1 * half)
        mine, aside = -np.sum(along * middle, axis=-1), -np.sum(across * middle, axis=-1)
        missed = (landmarks_of(seen)[1] * seen.obstacles[..., 4]).max(axis=-1) < 2.0 * BESIDE
        wanted = np.where(missed, -mine, np.sum(along * (slot - middle), axis=-1))
        other = mine * wanted < 0.0
        lined_up = np.abs(aside) < 1.1 * lane
        depth = 0.5 * half * np.where(lined_up, np.sign(wanted), np.sign(mine))
        inner = np.clip(aside, -0.8 * lane, 0.8 * lane)
        gate = middle + across * inner[..., None] + along * depth[..., None]
        target = np.where(other[..., None], gate, slot)
        way = way_round(seen, weights, target, keep, 1.5 * keep)
        ahead = np.sign(mine) * (mine + np.sum(along * way, axis=-1))
        back = np.where(other & ~lined_up, np.maximum(0.4 * half - ahead, 0.0), 0.0) * np.sign(mine)
        return go_to(spec, way + along * back[..., None])


def _slots(healthy: Bool, order: Int) -> Float:
    """(E, N, 2) spacings from the leader, of the healthy robots (E, N), the first in order first.

    Args:
        healthy: (E, N).
        order: (E, N) robots by their place in the order.
    """
    heads = healthy.sum(axis=1, keepdims=True)
    in_order = np.take_along_axis(healthy, order, axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.maximum(np.cumsum(in_order, axis=1) - 1, 0), axis=1)
    ring = np.ceil((np.sqrt(9.0 + 12.0 * (rank + 1)) - 3.0) / 6.0).astype(int)
    inside = _RING // 2 * ring * (ring - 1)
    count = np.clip(heads - inside, 1, _RING * ring)
    polygon = np.where(count > 1, 0.5 / np.sin(np.pi / np.maximum(count, 2)), 0.0)
    radius = np.where(heads <= _RING, polygon, ring)
    angle = 2.0 * np.pi * (rank - inside) / count
    place = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.where(healthy[..., None], place, 0.0)


def _swap(order: Int, healthy: Bool, position: Float) -> None:
    """Swap, in place, the two healthy robots of each team whose slots lie most crosswise.

    Slots s of robots at p are exchanged where that makes the sum of squared distances smaller,
    by -2 (p_i - p_j) (s_i - s_j); positions (E, N, 2) in spacings.
    """
    slots, env = _slots(healthy, order), np.arange(len(order))
    apart = position[:, :, None] - position[:, None]
    gain = -2.0 * np.sum(apart * (slots[:, :, None] - slots[:, None]), axis=-1)
    gain[~(healthy[:, :, None] & healthy[:, None])] = 0.0
    first, second = np.divmod(gain.reshape(len(env), -1).argmax(axis=1), order.shape[1])
    pays = gain[env, first, second] > _SWAP
    place = np.argsort(order, axis=1)
    one, other = place[env, first], place[env, second]
    order[env[pays], one[pays]], order[env[pays], other[pays]] = second[pays], first[pays]


def _gate(seen: Observation) -> tuple[Float, Float, Float, Float, Float]:
    """Where the posts are: middle (..., 2) m, axes across and along the gap, half width, radius."""
    token = seen.obstacles
    post = (seen.obstacle_mask > 0.5) & (token[..., 5] > 0.5)
    first = np.argmax(post, axis=-1)[..., None, None]
    count = np.maximum(post.sum(axis=-1), 1)[..., None]
    middle = np.where(post[..., None], token[..., :2], 0.0).sum(axis=-2) / count
    edge = np.take_along_axis(token, first, axis=-2)[..., 0, :]
    across = edge[..., :2] - middle
    half = np.maximum(np.linalg.norm(across, axis=-1), 1e-6)
    across = across / half[..., None]
    along = np.stack([-across[..., 1], across[..., 0]], axis=-1)
    return middle, across, along, half, edge[..., 3]
