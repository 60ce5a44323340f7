"""Differential drive: tyres pull the body towards the wheels' speeds, within their grip."""

from __future__ import annotations

from typing import Any, NamedTuple

from swarmhold.sim.arithmetic import maximum, minimum, sqrt, where
from swarmhold.sim.robots import PHYSICS_HZ, DriveModel


class DriveConstants(NamedTuple):
    """Numbers of one model, all of the working precision; SI units."""

    dt: Any
    rate: Any  # 1 / dt
    zero: Any
    half: Any
    one: Any
    two: Any
    s3: Any
    s5: Any
    s7: Any
    c2: Any
    c4: Any
    c6: Any
    c8: Any
    grip: Any  # m/s^2
    pull: Any  # m/s^2, motors
    twist: Any  # rad/s^2, grip at the wheels
    per_axle: Any
    mass: Any
    inertia: Any


def drive_constants(model: DriveModel, dtype: Any) -> DriveConstants:
    """Constants of a model.

    Args:
        model: differential drive.
        dtype: np.float32 or np.float64.
    """
    values = (
        *(1.0 / PHYSICS_HZ, PHYSICS_HZ, 0.0, 0.5, 1.0, 2.0),
        *(-1.0 / 6, 1.0 / 120, -1.0 / 5040, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320),
        *(model.grip, model.drive * model.grip),
        *(model.grip * model.axle / 2 / (model.inertia / model.mass), 1.0 / model.axle),
        *(model.mass, model.inertia),
    )
    return DriveConstants(*(dtype(value) for value in values))


def drive_force(left, right, gl, gr, bl, br, qz, qw, vx, vy, wz, km, kj, c):
    """World force (N) and torque about z (N m).

    Wheels run at gain times their commanded speed (m/s) plus bias.
    """
    wl, wr = gl * left + bl, gr * right + br
    speed, turn = c.half * (wl + wr), (wr - wl) * c.per_axle
    cos, sin = c.one - c.two * qz * qz, c.two * qz * qw
    along, across = cos * vx + sin * vy, cos * vy - sin * vx
    limit = where(left + right == c.zero, c.grip, c.pull)
    push = minimum(maximum((speed - along) * c.rate, -limit), limit)
    hold = minimum(maximum(-across * c.rate, -c.grip), c.grip)
    spin = minimum(maximum((turn - wz) * c.rate, -c.twist), c.twist)
    m = km * c.mass
    return m * (cos * push - sin * hold), m * (sin * push + cos * hold), kj * c.inertia * spin


def drive_motion(x, y, qz, qw, vx, vy, wz, fx, fy, tz, km, kj, c):
    """One step of a planar body, in Bullet's order (see `quad_motion`)."""
    push = c.dt / (km * c.mass)
    vx, vy = vx + push * fx, vy + push * fy
    wz = wz + c.dt * tz / (kj * c.inertia)
    x, y = x + c.dt * vx, y + c.dt * vy
    h = c.half * c.dt * wz
    h2 = h * h
    sin = h * (c.one + h2 * (c.s3 + h2 * (c.s5 + h2 * c.s7)))
    cos = c.one + h2 * (c.c2 + h2 * (c.c4 + h2 * (c.c6 + h2 * c.c8)))
    nz, nw = cos * qz + sin * qw, cos * qw - sin * qz
    norm = c.one / sqrt(nz * nz + nw * nw)
    return x, y, nz * norm, nw * norm, vx, vy, wz


DRIVE_LAWS = (drive_force, drive_motion)
