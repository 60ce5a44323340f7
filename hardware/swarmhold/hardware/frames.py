"""What one robot's sensor frame says, in the world's frame."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.messages import SensorFrame
from swarmhold.hardware.surroundings import BODY_SLOTS, Scene
from swarmhold.hardware.types import Float, Int, Kinematics, Surroundings, TokenKind


def kinematics_of(frame: SensorFrame) -> Kinematics:
    """Of the robot itself, world ENU."""
    return Kinematics(
        np.asarray(frame.position, float),
        np.asarray(frame.velocity, float),
        np.asarray(frame.yaw),
        np.asarray(frame.yaw_rate),
    )


def to_world(frame: SensorFrame, relative: tuple[tuple[float, float, float], ...]) -> Float:
    """(K, 3) m, world ENU, from the yaw frame."""
    points = np.asarray(relative, float).reshape(-1, 3)
    cos, sin = np.cos(frame.yaw), np.sin(frame.yaw)
    turned = np.stack(
        [
            cos * points[:, 0] - sin * points[:, 1],
            sin * points[:, 0] + cos * points[:, 1],
            points[:, 2],
        ],
        axis=-1,
    )
    return np.asarray(turned + np.asarray(frame.position, float))


def seen_by(
    robot: int, frame: SensorFrame, scene: Scene, rank: Float | Int, radius: float
) -> Surroundings:
    """Landmarks of the task that are one's own, posts, then the nearest sensed bodies.

    Args:
        robot: roster index.
        frame: what it senses.
        scene: of the task, one environment.
        rank: (L) of the landmarks.
        radius: m, of a body.
    """
    owners, posts, height = scene.owners[0], scene.posts[0], frame.position[2]
    mine = (owners < 0) | (owners == robot)
    spots = np.concatenate([scene.landmarks.position[0, mine], posts[:, :2]])
    spots = np.concatenate([spots, np.full((len(spots), 1), height)], axis=-1)
    bodies = to_world(frame, frame.bodies)
    near = np.argsort(np.linalg.norm(bodies - np.asarray(frame.position), axis=-1))
    bodies = bodies[near[:BODY_SLOTS]]
    counts = int(mine.sum()), len(posts), len(bodies)
    kinds = (TokenKind.LANDMARK, TokenKind.OBSTACLE, TokenKind.BODY)
    none = np.zeros(counts[1] + counts[2])
    sizes = np.zeros(counts[0]), posts[:, 2], np.full(counts[2], radius)
    return Surroundings(
        position=np.concatenate([spots, bodies]),
        radius=np.concatenate(sizes),
        kind=np.repeat(np.array(kinds, int), counts),
        value=np.concatenate([scene.landmarks.value[0, mine], none]),
        rank=np.concatenate([rank[mine], none]),
        mask=np.ones(sum(counts), bool),
    )
