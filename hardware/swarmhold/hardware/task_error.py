"""What is still missing from a task, in metres; one definition for simulation and reports."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Float


def rendezvous_error(position: Float, healthy: Bool) -> Float:
    """Mean distance over the pairs of healthy robots.

    Args:
        position: (..., N, 2) m.
        healthy: (..., N).

    Returns:
        (...) m; 0 with fewer than two healthy robots.
    """
    offset = position[..., :, None, :] - position[..., None, :, :]
    distance = np.sqrt(np.sum(offset**2, axis=-1))
    pairs = healthy[..., :, None] & healthy[..., None, :]
    pairs = pairs & ~np.eye(position.shape[-2], dtype=bool)
    count = np.maximum(pairs.sum(axis=(-1, -2)), 1)
    total: Float = np.where(pairs, distance, 0.0).sum(axis=(-1, -2))
    return np.asarray(total / count)


def wanted_landmarks(values: Float, mask: Bool, healthy: Bool) -> Bool:
    """The H most valuable landmarks for H healthy robots.

    Args:
        values: (..., L).
        mask: (..., L) landmarks that exist.
        healthy: (..., N).

    Returns:
        (..., L).
    """
    order = np.argsort(-np.where(mask, values, -1.0), axis=-1, kind="stable")
    heads = healthy.sum(axis=-1)[..., None]
    wanted = np.zeros(mask.shape, bool)
    np.put_along_axis(wanted, order, np.arange(mask.shape[-1]) < heads, axis=-1)
    return wanted & mask


def nearest_healthy(position: Float, healthy: Bool, landmarks: Float) -> Float:
    """(..., L) m, distance of each landmark to the nearest healthy robot; infinite if none.

    Args:
        position: (..., N, 2) m.
        healthy: (..., N).
        landmarks: (..., L, 2) m.
    """
    offset = landmarks[..., :, None, :] - position[..., None, :, :]
    distance = np.sqrt(np.sum(offset**2, axis=-1))
    out: Float = np.where(healthy[..., None, :], distance, np.inf).min(axis=-1, initial=np.inf)
    return out


def coverage_error(
    position: Float, healthy: Bool, landmarks: Float, values: Float, mask: Bool, span: float
) -> Float:
    """Mean distance from the wanted landmarks to the nearest healthy robot.

    Args:
        position: (..., N, 2) m.
        healthy: (..., N).
        landmarks: (..., L, 2) m.
        values: (..., L).
        mask: (..., L).
        span: m, distances are capped here.

    Returns:
        (...) m; 0 without healthy robots.
    """
    wanted = wanted_landmarks(values, mask, healthy)
    gap = np.minimum(nearest_healthy(position, healthy, landmarks), span)
    count = np.maximum(wanted.sum(axis=-1), 1)
    total: Float = np.where(wanted, gap, 0.0).sum(axis=-1)
    return np.asarray(total / count)
