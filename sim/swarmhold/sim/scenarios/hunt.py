"""What the hunts after AACFT (arXiv 2412.00534) share: evaders that flee, and who chases them.

An evader is a landmark that moves, and goes out of sight when it is caught. It flees from the
pursuers that work and pays no heed to broken ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Observation
from swarmhold.sim.noise import Keys, mix, uniform
from swarmhold.sim.scenarios.base import (
    Outcome,
    Scenario,
    TeamView,
    distances,
    go_to,
    mean_of,
    nearest_landmark,
)
from swarmhold.sim.scenarios.steer import way_round

CATCH_REWARD = 10.0  # for all evaders together
_STROLL = 0.4  # share of its speed at which an evader wanders that sees nobody
_WHIM_S = 2.0  # s, after which its whim changes


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a robot class hunts, and whom.

    Attributes:
        half: m, half the side of the arena.
        capture: m, within which a pursuer counts for a catch.
        speed: m/s of a fleeing evader.
        sight: m, at which an evader minds a pursuer.
        gap: m, kept between bodies by the heuristic.
        reach: m, looked ahead by it.
    """

    half: float
    capture: float
    speed: float
    sight: float
    gap: float
    reach: float


class Hunt(Scenario):
    """Catch all evaders.

    Attributes:
        grounds: by robot class.
        hunters: healthy pursuers that a catch takes, where there are as many.
    """

    robots: ClassVar[tuple[str, ...]] = ("crazyflie", "epuck")
    grounds: ClassVar[Mapping[str, Ground]] = {}
    hunters: ClassVar[int] = 1

    def slots(self, robots: int) -> int:
        """Two evaders for five pursuers, at least one."""
        return max(1, 2 * robots // 5)

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return self.grounds[robot].half

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """Nobody is caught; the whims of an evader follow from where it starts."""
        return {
            "whim": whims(view.landmarks),
            "evaders": view.landmark_mask.sum(axis=1),
            "caught": np.zeros(len(view.position)),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Move the free evaders; take away those that are caught."""
        ground, free = self.grounds[robot], view.landmark_mask
        moved = flee(ground, view, view.landmarks, view.memory["whim"], seconds)
        view.landmarks[free] = moved[free]
        near = hunter_distance(view, view.landmarks, self.hunters) < ground.capture
        caught = free & near
        view.memory["caught"][:] = caught.sum(axis=1)
        view.landmark_mask[caught] = False

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the evaders that are caught."""
        free, evaders = view.landmark_mask, np.maximum(view.memory["evaders"], 1)
        reward = CATCH_REWARD * view.memory["caught"] / evaders - chase(view, free)
        score = 1.0 - free.sum(axis=1) / evaders
        return Outcome(reward, score, missing(view, free, self.hunters), ~free.any(axis=1))

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Rush at the nearest evader, round whoever is in the way."""
        target, _ = nearest_landmark(seen)
        return rush(self.grounds[spec.robot], spec, seen, weights, target)


def rush(
    ground: Ground, spec: PolicySpec, seen: Observation, weights: Float, target: Float
) -> Float:
    """Set-point that drives at a target, and on past it, so as not to slow down before it.

    Args:
        ground: lengths of the way.
        spec: the contract.
        seen: observation tokens.
        weights: (..., M) health weights of the teammates.
        target: (..., 2) m, yaw frame.

    Returns:
        (..., Da) set-points in physical units.
    """
    distance = np.maximum(np.linalg.norm(target, axis=-1, keepdims=True), 1e-6)
    beyond = target * np.maximum(ground.reach / distance, 1.0)
    return go_to(spec, way_round(seen, weights, beyond, ground.gap, ground.reach))


def whims(evaders: Float) -> Keys:
    """(E, K) keys of the whims of evaders that start at (E, K, 2) m."""
    bits = np.ascontiguousarray(evaders).view(np.uint64)
    return mix(bits[..., 0], bits[..., 1])


def hunter_distance(view: TeamView, points: Float, hunters: int) -> Float:
    """(E, L) m from points (E, L, 2) to the last pursuer that each takes; inf without any.

    Args:
        view: the truth.
        points: (E, L, 2) m.
        hunters: healthy pursuers that it takes, where there are as many.
    """
    far = distances(view.position, points)
    distance = np.sort(np.where(view.healthy[..., None], far, np.inf), axis=1)
    last = np.clip(view.healthy.sum(axis=1), 1, hunters) - 1
    return distance[np.arange(len(distance)), last]


def missing(view: TeamView, wanted: Bool, hunters: int) -> Float:
    """(E) m, mean of `hunter_distance` over the landmarks (E, L) that are wanted; 0 for none."""
    span = 2.0 * view.half_width
    far = np.minimum(hunter_distance(view, view.landmarks, hunters), span)
    return np.where(wanted, far, 0.0).sum(axis=1) / np.maximum(wanted.sum(axis=1), 1)


def chase(view: TeamView, wanted: Bool) -> Float:
    """(E) how far the healthy pursuers are from what is wanted.

    Args:
        view: the truth.
        wanted: (E, L) landmarks.

    Returns:
        (E) mean distance to the nearest one, as a share of the arena's side; 0 without any.
    """
    span = 2.0 * view.half_width
    far = distances(view.position, view.landmarks)
    distance = np.where(wanted[:, None], far, np.inf).min(axis=2, initial=np.inf)
    mean = mean_of(np.minimum(distance, span), view.healthy)
    return np.where(wanted.any(axis=1), mean, 0.0) / span


def flee(ground: Ground, view: TeamView, evaders: Float, whim: Keys, seconds: float) -> Float:
    """Where evaders get to: away from working pursuers and walls, round posts.

    Args:
        ground: speed and sight.
        view: the truth.
        evaders: (E, K, 2) m.
        whim: (E, K) keys.
        seconds: how long they move.

    Returns:
        (E, K, 2) m.
    """
    limit = 0.97 * view.half_width
    moved = np.clip(evaders + seconds * _flight(ground, view, evaders, whim), -limit, limit)
    for post in np.moveaxis(view.posts, 1, 0) if view.posts is not None else ():
        offset, radius = moved - post[:, None, :2], post[:, None, 2]
        distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-6)
        outward = np.maximum(radius / distance - 1.0, 0.0)
        moved = moved + outward[..., None] * offset
    return moved


def _flight(ground: Ground, view: TeamView, evaders: Float, whim: Keys) -> Float:
    """(E, K, 2) m/s of the evaders: away from working pursuers and walls, with a whim."""
    sight, half = ground.sight, view.half_width
    offset = evaders[:, None] - view.position[:, :, None]
    distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-6)
    minded = view.healthy[..., None] & (distance < sight)
    push = np.where(minded, sight / distance**2, 0.0)[..., None] * offset
    room = np.maximum(half - np.abs(evaders), 0.02 * half)
    inward = -np.sign(evaders) * np.minimum(0.15 * half / room, 3.0)
    turn = (view.time_s[:, None] / _WHIM_S).astype(np.uint64)
    angle = uniform(mix(whim, turn), (1,), -np.pi, np.pi)[..., 0]
    wish = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    aim = push.sum(axis=1) + inward + 0.5 * wish
    speed = ground.speed * np.where(minded.any(axis=1), 1.0, _STROLL)
    return aim * (speed / np.maximum(np.linalg.norm(aim, axis=-1), 1e-6))[..., None]
