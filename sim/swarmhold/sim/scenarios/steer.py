"""Find a way round sensed bodies and posts; what scripted policies steer with."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import believed

DETOUR = 20.0  # rad of a turn that spares coming nearer by the whole gap
NEAREST = 8  # bodies and posts that are looked at
# Turns from the straight way, the smaller first; right before left, so that two who meet agree.
TURNS = np.radians([0.0, *(sign * turn for turn in range(15, 166, 15) for sign in (-1, 1)), 180.0])


def way_round(seen: Observation, weights: Float, target: Float, gap: float, reach: float) -> Float:
    """A point straight ahead on the way to a target, past all that is sensed or trusted.

    Of the directions in `TURNS`, the first one is taken whose next stretch stays clear; whoever
    is too near already counts as clear where one does not get nearer.

    Args:
        seen: observation tokens.
        weights: (..., M) health weights of the teammates.
        target: (..., 2) m, yaw frame.
        gap: m, wanted between the centres of two robots.
        reach: m, length of the stretch.

    Returns:
        (..., 2) m, yaw frame; one's own place where every direction is blocked.
    """
    place, radius = _obstacles(seen, weights, gap)
    distance = np.linalg.norm(target, axis=-1)
    bearing = np.arctan2(target[..., 1], target[..., 0])[..., None] + TURNS
    ahead = np.stack([np.cos(bearing), np.sin(bearing)], axis=-1)
    stretch = np.minimum(distance, reach)[..., None, None]
    along = np.clip(np.einsum("...ad,...od->...ao", ahead, place), 0.0, stretch)
    miss = np.linalg.norm(place[..., None, :, :] - along[..., None] * ahead[..., None, :], axis=-1)
    clear = np.minimum(radius, 0.98 * np.linalg.norm(place, axis=-1))
    breach = np.maximum(clear[..., None, :] - miss, 0.0).max(axis=-1)
    cost = np.abs(TURNS) + DETOUR / gap * breach
    first = np.argmin(cost, axis=-1)[..., None, None]
    return np.take_along_axis(ahead, first, axis=-2)[..., 0, :] * stretch[..., 0]


def _obstacles(seen: Observation, weights: Float, gap: float) -> tuple[Float, Float]:
    """The nearest bodies, posts and mates: (..., K, 2) m, and (..., K) m to keep from each."""
    token = seen.obstacles
    real = (seen.obstacle_mask > 0.5) & (token[..., 4] < 0.5)
    mates = believed(seen, weights)
    place = np.concatenate([token[..., :2], mates], axis=-2)
    real = np.concatenate([real, (mates != 0.0).any(axis=-1)], axis=-1)
    keep = np.where(token[..., 5] > 0.5, token[..., 3] + 0.5 * gap, gap)
    keep = np.concatenate([keep, np.full(mates.shape[:-1], gap)], axis=-1)
    distance = np.where(real, np.linalg.norm(place, axis=-1), np.inf)
    near = np.argsort(distance - keep, axis=-1, kind="stable")[..., :NEAREST]
    place, keep, real = (
        np.take_along_axis(place, near[..., None], axis=-2),
        np.take_along_axis(keep, near, axis=-1),
        np.take_along_axis(real, near, axis=-1),
    )
    return np.where(real[..., None], place, 1e3), np.where(real, keep, 0.0)
