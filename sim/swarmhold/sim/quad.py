"""Quadrotor: rotors, on-board controller, drag, and the free rigid body in Bullet's own order.

Rows of a body are scalars here; `swarmhold.sim.arithmetic` says how they are run. Constants come
in one tuple of the working precision, because a bare literal would make float32 arithmetic
double.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from swarmhold.sim.arithmetic import maximum, minimum, sqrt
from swarmhold.sim.robots import GRAVITY, PHYSICS_HZ, SPIN_MAX, QuadModel


class QuadConstants(NamedTuple):
    """Numbers of one model, all of the working precision; SI units."""

    dt: Any
    zero: Any
    half: Any
    one: Any
    two: Any
    tiny: Any
    s3: Any  # series of sin and cos for the exponential map
    s5: Any
    s7: Any
    s9: Any
    c2: Any
    c4: Any
    c6: Any
    c8: Any
    c10: Any
    gravity: Any
    mass: Any
    jx: Any
    jy: Any
    jz: Any
    lever: Any  # m, rotor to body axis
    swirl: Any  # m, reaction torque per thrust
    rotor_max: Any  # N
    drag_x: Any
    drag_y: Any
    drag_z: Any
    height: Any
    slope: Any  # tangent of the largest tilt
    quarter: Any
    per_lever: Any  # 1 / (4 lever)
    per_swirl: Any  # 1 / (4 swirl)
    k_velocity: Any
    k_height: Any
    k_climb: Any
    k_tilt: Any
    k_rate: Any
    k_yaw: Any
    torque_x: Any
    torque_y: Any
    torque_z: Any
    least_lift: Any
    spin_max: Any  # rad/s, per axis of the world


def quad_constants(model: QuadModel, dtype: Any) -> QuadConstants:
    """Constants of a model.

    Args:
        model: quadrotor.
        dtype: np.float32 or np.float64.
    """
    lever = model.arm / math.sqrt(2.0)
    values = (
        *(1.0 / PHYSICS_HZ, 0.0, 0.5, 1.0, 2.0, 1e-9),
        *(-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880),
        *(-0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800),
        *(GRAVITY, model.mass, *model.inertia, lever, model.swirl, model.thrust_max / 4),
        *(*model.drag, model.height, math.tan(model.tilt_max)),
        *(0.25, 0.25 / lever, 0.25 / model.swirl),
        # Gains of the on-board cascade: velocity -> attitude -> body rate, height -> climb rate.
        *(3.0, 2.0, 6.0, 12.0, 30.0, 2.0),
        *(*model.torque_max, 0.3 * GRAVITY, SPIN_MAX),
    )
    return QuadConstants(*(dtype(value) for value in values))


def quad_velocity(gx, gy, z, qx, qy, qz, qw, vx, vy, vz, wx, wy, wz, c):
    """Rotor thrusts (N) that the on-board controller wants for a planar velocity (m/s, yaw frame).

    Cascade of velocity, attitude and body rate; holds `c.height` and yaw 0.
    """
    # Columns of the rotation matrix: body x and z in world axes, and what of y is needed.
    xx, xy = c.one - c.two * (qy * qy + qz * qz), c.two * (qx * qy + qw * qz)
    xz = c.two * (qx * qz - qw * qy)
    zx, zy = c.two * (qx * qz + qw * qy), c.two * (qy * qz - qw * qx)
    zz = c.one - c.two * (qx * qx + qy * qy)
    yx, yy, yz = zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx
    planar = maximum(sqrt(xx * xx + xy * xy), c.tiny)
    cos, sin = xx / planar, xy / planar
    ax = c.k_velocity * (cos * gx - sin * gy - vx)
    ay = c.k_velocity * (sin * gx + cos * gy - vy)
    climb = minimum(maximum(c.k_height * (c.height - z), -c.one), c.one)
    az = maximum(c.k_climb * (climb - vz) + c.gravity, c.least_lift)
    size = maximum(sqrt(ax * ax + ay * ay), c.tiny)
    share = minimum(c.one, c.slope * az / size)
    ax, ay = ax * share, ay * share
    thrust = maximum(c.mass * (ax * zx + ay * zy + az * zz), c.zero)
    norm = sqrt(ax * ax + ay * ay + az * az)
    ex, ey, ez = (zy * az - zz * ay) / norm, (zz * ax - zx * az) / norm, (zx * ay - zy * ax) / norm
    p = xx * wx + xy * wy + xz * wz
    q = yx * wx + yy * wy + yz * wz
    r = zx * wx + zy * wy + zz * wz
    tx = c.jx * c.k_rate * (c.k_tilt * (xx * ex + xy * ey + xz * ez) - p)
    ty = c.jy * c.k_rate * (c.k_tilt * (yx * ex + yy * ey + yz * ez) - q)
    tz = c.jz * c.k_rate * (-c.k_yaw * sin - r)
    tx = minimum(maximum(tx, -c.torque_x), c.torque_x) * c.per_lever
    ty = minimum(maximum(ty, -c.torque_y), c.torque_y) * c.per_lever
    tz = minimum(maximum(tz, -c.torque_z), c.torque_z) * c.per_swirl
    base = thrust * c.quarter
    return base - tx - ty - tz, base - tx + ty + tz, base + tx + ty - tz, base + tx - ty + tz


def quad_rotors(u0, u1, u2, u3, f0, f1, f2, f3, g0, g1, g2, g3, b0, b1, b2, b3, blend, c):
    """Rotor thrusts after one step: first-order lag towards gain times command plus bias.

    Rotors in the order front right, rear right, rear left, front left.
    """
    f0 = f0 + blend * (g0 * minimum(maximum(u0, c.zero), c.rotor_max) + b0 - f0)
    f1 = f1 + blend * (g1 * minimum(maximum(u1, c.zero), c.rotor_max) + b1 - f1)
    f2 = f2 + blend * (g2 * minimum(maximum(u2, c.zero), c.rotor_max) + b2 - f2)
    f3 = f3 + blend * (g3 * minimum(maximum(u3, c.zero), c.rotor_max) + b3 - f3)
    return f0, f1, f2, f3


def quad_wrench(f0, f1, f2, f3, c):
    """Thrust (N) along body z and torque (N m) in the body frame, X configuration."""
    tx = c.lever * (f2 + f3 - f0 - f1)
    ty = c.lever * (f1 + f2 - f0 - f3)
    tz = c.swirl * (f1 + f3 - f0 - f2)
    return f0 + f1 + f2 + f3, tx, ty, tz


def quad_force(thrust, qx, qy, qz, qw, vx, vy, vz, nx, ny, nz, kd, km, c):
    """World force (N): thrust, gravity and linear rotor drag against the air.

    Drag follows Faessler, Franchi and Scaramuzza (RA-L 2018, eq. 3): -m R D R^T (v - wind).
    """
    xx, xy = c.one - c.two * (qy * qy + qz * qz), c.two * (qx * qy + qw * qz)
    xz = c.two * (qx * qz - qw * qy)
    zx, zy = c.two * (qx * qz + qw * qy), c.two * (qy * qz - qw * qx)
    zz = c.one - c.two * (qx * qx + qy * qy)
    yx, yy, yz = zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx
    ax, ay, az = vx - nx, vy - ny, vz - nz
    m = kd * c.mass
    dx = m * c.drag_x * (xx * ax + xy * ay + xz * az)
    dy = m * c.drag_y * (yx * ax + yy * ay + yz * az)
    dz = m * c.drag_z * (zx * ax + zy * ay + zz * az)
    fx = thrust * zx - (xx * dx + yx * dy + zx * dz)
    fy = thrust * zy - (xy * dx + yy * dy + zy * dz)
    fz = thrust * zz - (xz * dx + yz * dy + zz * dz) - km * c.mass * c.gravity
    return fx, fy, fz


def quad_motion(x, y, z, qx, qy, qz, qw, vx, vy, vz, wx, wy, wz, fx, fy, fz, tx, ty, tz, km, kj, c):
    """One step of a free rigid body, as Bullet takes it.

    Semi-implicit Euler; gyroscopic term at the old attitude; quaternion multiplied on the left by
    the exponential of the new angular velocity and normalised. Force in world, torque in body
    axes, angular velocity in world axes. Angular velocity is capped, because the explicit
    gyroscopic term is unstable beyond about 150 rad/s; Bullet gets the same cap.
    """
    push = c.dt / (km * c.mass)
    vx, vy, vz = vx + push * fx, vy + push * fy, vz + push * fz
    xx, xy = c.one - c.two * (qy * qy + qz * qz), c.two * (qx * qy + qw * qz)
    xz = c.two * (qx * qz - qw * qy)
    zx, zy = c.two * (qx * qz + qw * qy), c.two * (qy * qz - qw * qx)
    zz = c.one - c.two * (qx * qx + qy * qy)
    yx, yy, yz = zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx
    jx, jy, jz = kj * c.jx, kj * c.jy, kj * c.jz
    p = xx * wx + xy * wy + xz * wz
    q = yx * wx + yy * wy + yz * wz
    r = zx * wx + zy * wy + zz * wz
    ap = c.dt * (tx - (jz - jy) * q * r) / jx
    aq = c.dt * (ty - (jx - jz) * r * p) / jy
    ar = c.dt * (tz - (jy - jx) * p * q) / jz
    wx = wx + xx * ap + yx * aq + zx * ar
    wy = wy + xy * ap + yy * aq + zy * ar
    wz = wz + xz * ap + yz * aq + zz * ar
    wx = minimum(maximum(wx, -c.spin_max), c.spin_max)
    wy = minimum(maximum(wy, -c.spin_max), c.spin_max)
    wz = minimum(maximum(wz, -c.spin_max), c.spin_max)
    x, y, z = x + c.dt * vx, y + c.dt * vy, z + c.dt * vz
    h = c.half * c.dt
    hx, hy, hz = h * wx, h * wy, h * wz
    h2 = hx * hx + hy * hy + hz * hz
    sinc = c.one + h2 * (c.s3 + h2 * (c.s5 + h2 * (c.s7 + h2 * c.s9)))
    cos = c.one + h2 * (c.c2 + h2 * (c.c4 + h2 * (c.c6 + h2 * (c.c8 + h2 * c.c10))))
    sx, sy, sz = sinc * hx, sinc * hy, sinc * hz
    nx = cos * qx + sx * qw + sy * qz - sz * qy
    ny = cos * qy - sx * qz + sy * qw + sz * qx
    nz = cos * qz + sx * qy - sy * qx + sz * qw
    nw = cos * qw - sx * qx - sy * qy - sz * qz
    norm = c.one / sqrt(nx * nx + ny * ny + nz * nz + nw * nw)
    return x, y, z, nx * norm, ny * norm, nz * norm, nw * norm, vx, vy, vz, wx, wy, wz


QUAD_LAWS = (quad_velocity, quad_rotors, quad_wrench, quad_force, quad_motion)
