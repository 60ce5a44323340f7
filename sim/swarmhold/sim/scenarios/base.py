"""The scenario contract: a few methods over arrays (env, robot, feature)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float, Int, Observation

EVERYBODY = -1  # owner of a landmark that all robots see


def _no_posts() -> Float:
    return np.zeros((0, 3))


@dataclass(frozen=True, slots=True)
class Layout:
    """How an episode starts.

    Attributes:
        position: (N, 2) m, world.
        yaw: (N) rad.
        landmarks: (L, 2) m, world; L may be 0.
        values: (L) importance of the landmarks in (0, 1].
        owners: (L) robot that alone sees the landmark, or `EVERYBODY`; None: all see all.
        posts: (K, 3) upright cylinders in the way: x, y and radius, m.
        shown: (L) landmarks that are in sight from the start; None: all.
    """

    position: Float
    yaw: Float
    landmarks: Float
    values: Float
    owners: Int | None = None
    posts: Float = field(default_factory=_no_posts)
    shown: Bool | None = None


@dataclass(frozen=True, slots=True)
class TeamView:
    """What rewards and scores are computed from: the truth, E episodes at once.

    Attributes:
        position: (E, N, 2) m.
        effort: (E, N) mean squared actuator command in [0, 1].
        healthy: (E, N) present and without a fault acting.
        landmarks: (E, L, 2) m; `advance` may move them.
        values: (E, L); `advance` may change them.
        landmark_mask: (E, L) True where the landmark exists; `advance` may change it.
        half_width: m, half the side of the arena.
        owners: (E, L) robot that alone sees the landmark, or `EVERYBODY`.
        present: (E, N) robots that are there now.
        touched: (E, N) in contact during the last decision.
        yaw: (E, N) rad.
        time_s: (E) s since the start of the episode.
        memory: what the scenario keeps of an episode, arrays (E, ...); changed in place.
        members: (E, N) robots of the team; those that are not present join later, or have left.
        posts: (E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none.
    """

    position: Float
    effort: Float
    healthy: Bool
    landmarks: Float
    values: Float
    landmark_mask: Bool
    half_width: float
    owners: Int | None = None
    present: Bool | None = None
    touched: Bool | None = None
    yaw: Float | None = None
    time_s: Float | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)
    members: Bool | None = None
    posts: Float | None = None

    def own_landmark(self) -> Float:
        """(E, N, 2) m, the landmark that each robot owns; scenarios that give everyone one."""
        return self.landmarks[:, : self.position.shape[1]]


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


class Scenario:
    """A task for a team. Instances hold no state of an episode; `TeamView.memory` does.

    Attributes:
        name: by which users ask for it.
        title: one line for lists.
        robots: classes it is made for; the first one is the default.
        contacts: whether bodies touch.
        episode_s: s, length of an episode.
        train: hyper-parameters that differ from the defaults of `swarmhold train`.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    robots: ClassVar[tuple[str, ...]] = ("epuck", "crazyflie")
    contacts: ClassVar[bool] = True
    episode_s: ClassVar[float] = 20.0
    train: ClassVar[Mapping[str, Any]] = {}

    def slots(self, robots: int) -> int:
        """Landmarks of a team of that size, at most."""
        return 0

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        raise NotImplementedError

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Draw the start of an episode."""
        raise NotImplementedError

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """What to remember of an episode from its start: arrays (E, ...)."""
        return {}

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """After the robots have moved: change memory, landmarks, values and mask in place."""

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Reward, score, error and success of every episode."""
        raise NotImplementedError

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """A scripted policy that solves the task from what a robot sees.

        Args:
            spec: the contract.
            seen: (..., ) observation tokens in SI units.
            weights: (..., M) health weights of the teammates.

        Returns:
            (..., Da) set-points in physical units.
        """
        raise NotImplementedError


def spaced(
    rng: np.random.Generator,
    count: int,
    half: float,
    gap: float,
    tries: int = 400,
    posts: Float | None = None,
) -> Float:
    """Uniform points in a square, each at least `gap` from the others where that is possible.

    Args:
        rng: source of randomness.
        count: number of points.
        half: m, half the side of the square.
        gap: m, wanted distance.
        tries: draws per point before the gap is given up for it.
        posts: (K, 3) m, upright cylinders to stay clear of by half the gap; None: none.

    Returns:
        (count, 2) m.
    """
    posts, points = _no_posts() if posts is None else posts, np.zeros((count, 2))
    keep = np.concatenate([posts[:, 2] + 0.5 * gap, np.full(count, gap)])
    for index in range(count):
        taken = np.concatenate([posts[:, :2], points[:index]])
        for batch in (1, tries - 1):  # most fit at once; where hardly any does, many at a time
            state = rng.bit_generator.state
            drawn = rng.uniform(-half, half, (batch, 2))
            apart = np.linalg.norm(taken - drawn[:, None], axis=-1) >= keep[: len(taken)]
            fits = np.flatnonzero(apart.all(axis=-1))
            last = int(fits[0]) if len(fits) else batch - 1
            points[index] = drawn[last]
            if last + 1 < batch:  # go on as if nothing had been drawn beyond it
                rng.bit_generator.state = state
                rng.uniform(-half, half, (last + 1, 2))
            if len(fits):
                break
    return points


def headings(rng: np.random.Generator, robots: int, robot: str) -> Float:
    """(N) rad: uniform for robots that drive, 0 for those that hover."""
    return rng.uniform(-np.pi, np.pi, robots) if robot != "crazyflie" else np.zeros(robots)


def mean_of(values: Float, who: Float) -> Float:
    """(E) mean of (E, N) over the robots that `who` marks; 0 where it marks none."""
    return np.where(who, values, 0.0).sum(axis=1) / np.maximum(who.sum(axis=1), 1)


def distances(position: Float, points: Float) -> Float:
    """(E, N, L) m between robots (E, N, 2) and points (E, L, 2)."""
    return np.linalg.norm(position[:, :, None] - points[:, None], axis=-1)


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
    if not spec.drives:
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


def landmarks_of(seen: Observation) -> tuple[Float, Float, Bool]:
    """Positions (..., O, 2) m in the yaw frame, values and mask of the landmarks one sees."""
    real = (seen.obstacle_mask > 0.5) & (seen.obstacles[..., 4] > 0.5)
    return seen.obstacles[..., :2], seen.obstacles[..., 7], real


def nearest_landmark(seen: Observation, wanted: Bool | None = None) -> tuple[Float, Bool]:
    """(..., 2) m, yaw frame: the nearest landmark, and whether there is one.

    Args:
        seen: observation tokens.
        wanted: (..., O) landmarks to choose from; None: all that one sees.
    """
    place, _, real = landmarks_of(seen)
    real = real if wanted is None else wanted
    if not place.shape[-2]:
        lead = seen.self_token.shape[:-1]
        return np.zeros((*lead, 2)), np.zeros(lead, bool)
    distance = np.where(real, np.linalg.norm(place, axis=-1), np.inf)
    best = np.argmin(distance, axis=-1)[..., None]
    found = real.any(axis=-1)
    spot = np.take_along_axis(place, best[..., None], axis=-2)[..., 0, :]
    return np.where(found[..., None], spot, 0.0), found
