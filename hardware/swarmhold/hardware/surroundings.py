"""Landmarks of a task and bodies near by, as the robots of whole teams have them about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.messages import Task
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.types import Bool, Float, Int, Surroundings, TokenKind

BODY_SLOTS = 4  # nearest sensed bodies that enter the observation


class Body(Protocol):
    """What of a robot class decides what its robots have about them."""

    @property
    def near_range(self) -> float:
        """m, reach of unidentified proximity sensing."""

    @property
    def radius(self) -> float:
        """m, of the body."""

    @property
    def height(self) -> float:
        """m, of the body's centre above ground."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Landmarks of E episodes, padded to L.

    Attributes:
        position: (E, L, 2) m, world.
        value: (E, L).
        mask: (E, L) True where the landmark exists.
    """

    position: Float
    value: Float
    mask: Bool

    def rank(self) -> Float:
        """(E, L) share of landmarks that matter more; ties go to the lower index."""
        value = np.where(self.mask, self.value, -1.0)
        count = value.shape[-1]
        above = value[:, None, :] > value[:, :, None]
        earlier = np.tril(np.ones((count, count), bool), -1)
        above |= (value[:, None, :] == value[:, :, None]) & earlier
        share: Float = above.sum(axis=-1) / np.maximum(self.mask.sum(axis=-1, keepdims=True), 1)
        return share


@dataclass(frozen=True, slots=True)
class Scene:
    """What the task tells everybody, of E teams.

    Attributes:
        landmarks: (E, L).
        owners: (E, L) robot that alone sees the landmark, or -1.
        posts: (E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none.
        home: (3) m, world ENU.
        half_width: m, half the side of the square geofence around home.
    """

    landmarks: Landmarks
    owners: Int
    posts: Float
    home: Float
    half_width: float = np.inf


def sideways(offset: Float) -> Float:
    """(...) m, how far bodies at an offset (..., 3) m are for proximity sensing.

    It tells nothing of heights: who has come down is in the way as it was in training.
    """
    distance: Float = np.sqrt(np.sum(offset[..., :2] ** 2, axis=-1))
    return distance


def scene_of(task: Task) -> Scene:
    """A live task, as of one team (E = 1)."""
    marks = np.asarray(task.landmarks, float).reshape(-1, 3)
    there = Landmarks(marks[None, :, :2], marks[None, :, 2], np.ones((1, len(marks)), bool))
    owners = np.asarray(task.owners or (-1,) * len(marks), int)
    posts = np.asarray(task.posts, float).reshape(1, -1, 3)
    home = np.asarray(task.home, float)
    return Scene(there, owners[None], posts, home, task.half_width)


def as_bodies(posts: Float, position: Float, yaw: float, radius: float) -> Float:
    """Posts (K, 3) as bodies (K, 3) m in the yaw frame, so far that they touch where posts do.

    Args:
        posts: x, y and radius, m, world.
        position: (3) m, world.
        yaw: rad.
        radius: m, of a body.
    """
    if not len(posts):
        return np.zeros((0, 3))
    offset = np.zeros((len(posts), 3))
    offset[:, :2] = posts[:, :2] - position[:2]
    distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-6)
    near = np.maximum(distance - posts[:, 2] + radius, 1e-3)
    return to_body(offset * (near / distance)[:, None], np.asarray(yaw))


def surroundings_of(
    position: Float, present: Bool, landmarks: Landmarks, owners: Int, posts: Float, body: Body
) -> Surroundings:
    """Landmarks, then posts, then the nearest bodies within proximity range.

    Args:
        position: (E, N, 3) m.
        present: (E, N) robots that exist; broken ones exist.
        landmarks: of the episodes.
        owners: (E, L) robot that alone sees the landmark, or -1.
        posts: (E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none.
        body: of the robots.

    Returns:
        Arrays with leading dimensions (E, N).
    """
    n_envs, robots = present.shape
    count, poles = landmarks.mask.shape[1], posts.shape[1]
    distance = sideways(position[:, None, :, :2] - position[:, :, None, :2])
    seen = present[:, None, :] & present[:, :, None] & (distance < body.near_range)
    seen[:, np.arange(robots), np.arange(robots)] = False
    slots = min(BODY_SLOTS, robots)
    near = np.argsort(np.where(seen, distance, np.inf), axis=-1, kind="stable")[..., :slots]
    body_mask = np.take_along_axis(seen, near, axis=-1)
    env = np.arange(n_envs)[:, None, None]
    bodies = position[env, near]

    def spread(array: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(array[:, None], (n_envs, robots, *array.shape[1:]))

    spots = np.full((n_envs, count + poles, 3), body.height)
    spots[:, :count, :2], spots[:, count:, :2] = landmarks.position, posts[..., :2]
    zeros = np.zeros((n_envs, robots, slots))
    no_poles = np.zeros((n_envs, poles))
    radius = np.concatenate([np.zeros((n_envs, count)), posts[..., 2]], axis=-1)
    kind = np.concatenate(
        [
            np.full((n_envs, robots, count), TokenKind.LANDMARK),
            np.full((n_envs, robots, poles), TokenKind.OBSTACLE),
            zeros + TokenKind.BODY,
        ],
        axis=-1,
    )
    mine = (owners[:, None] < 0) | (owners[:, None] == np.arange(robots)[:, None])
    value = np.concatenate([landmarks.value, no_poles], axis=-1)
    rank = np.concatenate([landmarks.rank(), no_poles], axis=-1)
    mark_mask = spread(landmarks.mask) & mine
    return Surroundings(
        position=np.concatenate([spread(spots), bodies], axis=2),
        radius=np.concatenate([spread(radius), zeros + body.radius], axis=-1),
        kind=kind.astype(int),
        value=np.concatenate([spread(value), zeros], axis=-1),
        rank=np.concatenate([spread(rank), zeros], axis=-1),
        mask=np.concatenate([mark_mask, spread(posts[..., 2] > 0), body_mask], axis=-1),
    )
