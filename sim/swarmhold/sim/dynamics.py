"""Rigid-body states as people read them, and what leads from set-points to motor commands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.sim.robots import DriveModel, Model


@dataclass(slots=True)
class Bodies:
    """Rigid bodies, arrays with leading dimensions (E, N).

    Attributes:
        position: (E, N, 3) m, world ENU.
        velocity: (E, N, 3) m/s, world ENU.
        attitude: (E, N, 4) quaternion x, y, z, w (Bullet's order), body to world.
        spin: (E, N, 3) rad/s, world.
    """

    position: Float
    velocity: Float
    attitude: Float
    spin: Float

    def yaw(self) -> Float:
        """(E, N) rad, heading of the body's x axis."""
        x, y, z, w = np.moveaxis(self.attitude, -1, 0)
        return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def upright(yaw: Float) -> Float:
    """(..., 4) quaternion of a body that stands upright, from its heading (...) rad."""
    zero = np.zeros_like(yaw)
    return np.stack([zero, zero, np.sin(yaw / 2), np.cos(yaw / 2)], axis=-1)


def wheel_commands(model: DriveModel, setpoint: Float) -> tuple[Float, Float]:
    """Left and right wheel commands in [-1, 1] for (forward speed, yaw rate) set-points."""
    mean = setpoint[..., 0] / model.wheel_speed
    half = setpoint[..., 1] * model.axle / 2 / model.wheel_speed
    return np.clip(mean - half, -1, 1), np.clip(mean + half, -1, 1)


def effort(model: Model, setpoint: Float, bound: Float) -> Float:
    """(...) mean squared actuator command in [0, 1] of set-points (..., Da) within their bound."""
    if isinstance(model, DriveModel):
        left, right = wheel_commands(model, setpoint)
        return np.asarray((left**2 + right**2) / 2)
    return np.asarray(np.mean((setpoint / bound) ** 2, axis=-1))
