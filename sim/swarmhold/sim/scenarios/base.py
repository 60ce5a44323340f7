"""The scenario contract: four methods over arrays (env, robot, feature)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Observation

EPISODE_STEPS = 200  # 20 s at 10 Hz


@dataclass(frozen=True, slots=True)
class Layout:
    """How an episode starts.

    Attributes:
        position: (N, 2) m, world.
        yaw: (N) rad.
        landmarks: (L, 2) m, world; L may be 0.
        values: (L) importance of the landmarks in (0, 1].
    """

    position: Float
    yaw: Float
    landmarks: Float
    values: Float


@dataclass(frozen=True, slots=True)
class TeamView:
    """What rewards and scores are computed from: the truth, E episodes at once.

    Attributes:
        position: (E, N, 2) m.
        effort: (E, N) mean squared actuator command in [0, 1].
        healthy: (E, N) present and without a fault acting.
        landmarks: (E, L, 2) m.
        values: (E, L).
        landmark_mask: (E, L) True where the landmark exists.
        half_width: m, half the side of the arena.
    """

    position: Float
    effort: Float
    healthy: Bool
    landmarks: Float
    values: Float
    landmark_mask: Bool
    half_width: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scenario figures of one step.

    Attributes:
        reward: (E) shared reward.
        score: (E) in [0, 1], higher is better.
        error: (E) m, what is still missing.
        success: (E) whether the task counts as done now.
    """

    reward: Float
    score: Float
    error: Float
    success: Bool


class Scenario(Protocol):
    """A task for a team. Implementations hold no state of an episode."""

    name: str
    has_landmarks: bool
    contacts: bool

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Draw the start of an episode."""

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Reward, score, error and success of every episode."""

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """A scripted policy that solves the task from what a robot sees.

        Args:
            spec: the contract.
            seen: (..., ) observation tokens in SI units.
            weights: (..., M) health weights of the teammates.

        Returns:
            (..., Da) set-points in physical units.
        """


def spaced(
    rng: np.random.Generator, count: int, half: float, gap: float, tries: int = 400
) -> Float:
    """Uniform points in a square, each at least `gap` from the others where that is possible.

    Args:
        rng: source of randomness.
        count: number of points.
        half: m, half the side of the square.
        gap: m, wanted distance.
        tries: draws per point before the gap is given up for it.

    Returns:
        (count, 2) m.
    """
    points = np.zeros((count, 2))
    for index in range(count):
        for _ in range(tries):
            points[index] = rng.uniform(-half, half, 2)
            if index == 0 or np.linalg.norm(points[:index] - points[index], axis=-1).min() >= gap:
                break
    return points


def go_to(spec: PolicySpec, target: Float) -> Float:
    """Set-point that drives to a point given in the yaw frame.

    A differential drive turns towards the target, or backs up when it lies behind.

    Args:
        spec: robot class and bounds.
        target: (..., 2) m, yaw frame.

    Returns:
        (..., 2) set-points in physical units.
    """
    bound = np.asarray(spec.action_bound)
    distance = np.linalg.norm(target, axis=-1)
    if spec.robot != "epuck":
        speed = np.minimum(bound[0], 1.2 * distance)
        return target * (speed / np.maximum(distance, 1e-9))[..., None]
    sign = np.where(target[..., 0] < 0.0, -1.0, 1.0)
    bearing = np.arctan2(sign * target[..., 1], np.abs(target[..., 0]))
    forward = sign * np.minimum(bound[0], 4.0 * distance) * np.maximum(np.cos(bearing), 0.0) ** 2
    turn = np.clip(4.0 * bearing, -bound[1], bound[1]) * np.minimum(1.0, distance / 0.06)
    return np.stack([forward, turn], axis=-1)


def believed(seen: Observation, weights: Float) -> Float:
    """(..., M, 2) m, yaw frame: positions of the trusted teammates, zero for all others.

    Zero times NaN is NaN, so what is not trusted has to be taken out before any sum.
    """
    position = seen.team[..., :2]
    trusted = (weights > 0.05)[..., None] & np.isfinite(position)
    return np.where(trusted, position, 0.0)


def keep_apart(seen: Observation, target: Float, gap: float) -> Float:
    """Shift a target away from sensed bodies that are nearer than `gap`.

    Args:
        seen: observation tokens.
        target: (..., 2) m, yaw frame.
        gap: m, centre to centre.

    Returns:
        (..., 2) m, yaw frame.
    """
    position = seen.obstacles[..., :2]
    is_body = (seen.obstacles[..., 6] > 0.5) & (seen.obstacle_mask > 0.5)
    distance = np.maximum(np.linalg.norm(position, axis=-1), 1e-6)
    push = np.where(is_body, np.maximum(gap - distance, 0.0), 0.0) / distance
    return target - 2.0 * np.sum(position * push[..., None], axis=-2)


def scenario_of(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        ConfigError: there is none.
    """
    from swarmhold.sim.scenarios.coverage import Coverage
    from swarmhold.sim.scenarios.rendezvous import Rendezvous

    known: dict[str, type[Scenario]] = {"rendezvous": Rendezvous, "coverage": Coverage}
    if name not in known:
        raise ConfigError(f"unknown scenario {name!r}; choose one of: {', '.join(known)}")
    return known[name]()
