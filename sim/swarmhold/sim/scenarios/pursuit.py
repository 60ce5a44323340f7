"""Pursuit: the team hunts evaders that flee, and pursuers may break (AACFT, arXiv 2412.00534).

After the paper's task of several targets: two evaders for five pursuers, which flee from the
pursuers that work and pay no heed to broken ones; who is caught stays caught, and the reward is
minus the distance to the nearest free evader, with a bonus for every catch. Here it takes two
pursuers within the capture radius, so that a head-count of one short matters. An evader is a
landmark that moves, and goes out of sight when it is caught.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.noise import mix, uniform
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    Scenario,
    TeamView,
    distances,
    go_to,
    headings,
    mean_of,
    nearest_landmark,
    spaced,
)
from swarmhold.sim.scenarios.steer import way_round

HUNTERS = 2  # healthy pursuers that a catch takes, where there are as many
CATCH_REWARD = 10.0  # for all evaders together
_HALF = {"crazyflie": 4.0, "epuck": 1.0}  # m, half the side of the arena
_CAPTURE = {"crazyflie": 0.8, "epuck": 0.2}  # m
_SPEED = {"crazyflie": 0.7, "epuck": 0.1}  # m/s of a fleeing evader
_SIGHT = {"crazyflie": 2.0, "epuck": 0.5}  # m, at which an evader minds a pursuer
_STROLL = 0.4  # share of its speed at which an evader wanders that sees nobody
_WHIM_S = 2.0  # s, after which its whim changes
_GAP = {"crazyflie": 0.5, "epuck": 0.11}  # m, kept between bodies by the heuristic
_REACH = {"crazyflie": 0.9, "epuck": 0.2}  # m, looked ahead by it


class Pursuit(Scenario):
    """Catch all evaders."""

    name = "pursuit"
    title = "catch evaders that flee, two pursuers for each"
    robots: ClassVar[tuple[str, ...]] = ("crazyflie", "epuck")
    episode_s = 40.0
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 6,
        "min_robots": 3,
        "teams": 24,
        "warm_start": 16,
        "iterations": 12,
    }

    def slots(self, robots: int) -> int:
        """Two evaders for five pursuers, at least one."""
        return max(1, 2 * robots // 5)

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return _HALF[robot]

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Pursuers in the middle, evaders out of their reach near the walls."""
        half, count = _HALF[robot], self.slots(robots)
        position = spaced(rng, robots, 0.5 * half, 0.1 * half)
        evaders = rng.uniform(-1.0, 1.0, (count, 2))
        radius = rng.uniform(0.5 * half + _CAPTURE[robot], 0.95 * half, count)
        evaders *= (radius / np.abs(evaders).max(axis=1))[:, None]
        return Layout(position, headings(rng, robots, robot), evaders, np.ones(count))

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """Nobody is caught; the whims of an evader follow from where it starts."""
        bits = np.ascontiguousarray(view.landmarks).view(np.uint64)
        return {
            "whim": mix(bits[..., 0], bits[..., 1]),
            "evaders": view.landmark_mask.sum(axis=1),
            "caught": np.zeros(len(view.position)),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Move the free evaders; take away those that are caught."""
        free = view.landmark_mask
        step = seconds * _flight(robot, view)
        limit = 0.97 * view.half_width
        moved = np.clip(view.landmarks + step, -limit, limit)
        view.landmarks[free] = moved[free]
        caught = free & (_hunter_distance(view) < _CAPTURE[robot])
        view.memory["caught"][:] = caught.sum(axis=1)
        view.landmark_mask[caught] = False

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the evaders that are caught."""
        free, span = view.landmark_mask, 2.0 * view.half_width
        evaders = np.maximum(view.memory["evaders"], 1)
        far = distances(view.position, view.landmarks)
        distance = np.where(free[:, None], far, np.inf).min(axis=2, initial=np.inf)
        there = free.any(axis=1)
        chase = mean_of(np.minimum(distance, span), view.healthy)
        reward = CATCH_REWARD * view.memory["caught"] / evaders - np.where(there, chase, 0.0) / span
        missing = np.where(free, np.minimum(_hunter_distance(view), span), 0.0).sum(axis=1)
        left = free.sum(axis=1)
        return Outcome(reward, 1.0 - left / evaders, missing / np.maximum(left, 1), ~there)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Chase the nearest evader, round whoever is in the way."""
        target, _ = nearest_landmark(seen)
        way = way_round(seen, weights, target, _GAP[spec.robot], _REACH[spec.robot])
        return go_to(spec, way)


def _hunter_distance(view: TeamView) -> Float:
    """(E, L) m from an evader to the last pursuer that its capture takes; inf without any."""
    far = distances(view.position, view.landmarks)
    distance = np.sort(np.where(view.healthy[..., None], far, np.inf), axis=1)
    last = np.clip(view.healthy.sum(axis=1), 1, HUNTERS) - 1
    return distance[np.arange(len(distance)), last]


def _flight(robot: str, view: TeamView) -> Float:
    """(E, L, 2) m/s of the evaders: away from working pursuers and walls, with a whim."""
    sight, half = _SIGHT[robot], view.half_width
    offset = view.landmarks[:, None] - view.position[:, :, None]
    distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-6)
    minded = view.healthy[..., None] & (distance < sight)
    push = np.where(minded, sight / distance**2, 0.0)[..., None] * offset
    room = np.maximum(half - np.abs(view.landmarks), 0.02 * half)
    inward = -np.sign(view.landmarks) * np.minimum(0.15 * half / room, 3.0)
    turn = (view.time_s[:, None] / _WHIM_S).astype(np.uint64)
    angle = uniform(mix(view.memory["whim"], turn), (1,), -np.pi, np.pi)[..., 0]
    whim = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    aim = push.sum(axis=1) + inward + 0.5 * whim
    speed = _SPEED[robot] * np.where(minded.any(axis=1), 1.0, _STROLL)
    return aim * (speed / np.maximum(np.linalg.norm(aim, axis=-1), 1e-6))[..., None]
