"""What robots sense of their teammates by themselves."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.noise import Keys, normal
from swarmhold.sim.robots import Model


def sightings_of(keys: Keys, position: Float, present: Bool, blind: Bool, model: Model) -> Float:
    """Where each robot sees each teammate, world frame.

    Args:
        keys: (...) of the noise, without the robots' dimension.
        position: (..., N, 3) m, true positions.
        present: (..., N) robots that exist.
        blind: (..., N) observers that sense nothing.
        model: range and noise.

    Returns:
        (..., N, N, 3) observer x subject, NaN where out of range, absent or oneself.
    """
    robots = position.shape[-2]
    offset = position[..., None, :, :] - position[..., :, None, :]
    seen = np.sqrt(np.sum(offset**2, axis=-1)) < model.peer_range
    seen &= present[..., None, :] & (present & ~blind)[..., :, None]
    seen[..., np.arange(robots), np.arange(robots)] = False
    noisy = position[..., None, :, :] + model.peer_noise * normal(keys, (robots, robots, 3))
    return np.where(seen[..., None], noisy, np.nan)
