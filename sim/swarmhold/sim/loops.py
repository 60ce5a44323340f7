"""The laws compiled by numba into loops over blocks; imported only where numba is installed.

Indices are flat with compile-time strides: that is what lets the inner loops vectorise (some
fifteen times faster than two-dimensional indexing). No `prange`, which loses it again; processes
scale better.

Constants come as one array, because numba takes microseconds to look at a tuple of forty.
"""

from __future__ import annotations

import numba
from numba.np.unsafe.ndarray import to_fixed_tuple

from swarmhold.sim.arithmetic import FAST, compiled
from swarmhold.sim.blocks import LANES, ROWS, Row
from swarmhold.sim.drive import DRIVE_LAWS, DriveConstants
from swarmhold.sim.quad import QUAD_LAWS, QuadConstants

_velocity, _rotors, _wrench, _force, _motion = compiled(*QUAD_LAWS)
_drive_force, _drive_motion = compiled(*DRIVE_LAWS)

W = LANES
BLOCK = ROWS * W
Z, ATTITUDE, VELOCITY, SPIN = 2 * W, Row.ATTITUDE * W, Row.VELOCITY * W, Row.SPIN * W
MOTOR, COMMAND, GAIN, BIAS = Row.MOTOR * W, Row.COMMAND * W, Row.GAIN * W, Row.BIAS * W
WIND, MASS, INERTIA, DRAG = Row.WIND * W, Row.MASS * W, Row.INERTIA * W, Row.DRAG * W
BLEND, FORCE, TORQUE = Row.BLEND * W, Row.FORCE * W, Row.TORQUE * W
QUAD_NUMBERS, DRIVE_NUMBERS = len(QuadConstants._fields), len(DriveConstants._fields)


@numba.njit(forceinline=True)
def quad_numbers(packed):
    """The constants of a quadrotor from their array."""
    return QuadConstants(*to_fixed_tuple(packed, QUAD_NUMBERS))


@numba.njit(forceinline=True)
def three(d, j):
    """Three consecutive rows of one body."""
    return d[j], d[j + W], d[j + 2 * W]


@numba.njit(forceinline=True)
def four(d, j):
    """Four consecutive rows of one body."""
    return d[j], d[j + W], d[j + 2 * W], d[j + 3 * W]


@numba.njit(fastmath=FAST, error_model="numpy")
def quad_loop(d, steps, rotors, move, packed):
    """Advance every block of quadrotors.

    Args:
        d: flat view of (blocks, ROWS, LANES).
        steps: physics steps.
        rotors: commands are rotor thrusts, else velocities.
        move: integrate; else only motors and forces.
        packed: constants of the working precision.
    """
    c = quad_numbers(packed)
    for block in range(d.size // BLOCK):
        o = block * BLOCK
        for _ in range(steps):
            if rotors:
                _rotor_block(d, o, c)
            else:
                _velocity_block(d, o, c)
            _force_block(d, o, c)
            if move:
                _motion_block(d, o, c)


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _rotor_block(d, o, c):
    for i in range(W):
        j = o + i
        f = _rotors(
            *four(d, j + COMMAND),
            *four(d, j + MOTOR),
            *four(d, j + GAIN),
            *four(d, j + BIAS),
            d[j + BLEND],
            c,
        )
        d[j + MOTOR], d[j + MOTOR + W], d[j + MOTOR + 2 * W], d[j + MOTOR + 3 * W] = f


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _velocity_block(d, o, c):
    for i in range(W):
        j = o + i
        u = _velocity(
            d[j + COMMAND],
            d[j + COMMAND + W],
            d[j + Z],
            *four(d, j + ATTITUDE),
            *three(d, j + VELOCITY),
            *three(d, j + SPIN),
            c,
        )
        f = _rotors(
            *u, *four(d, j + MOTOR), *four(d, j + GAIN), *four(d, j + BIAS), d[j + BLEND], c
        )
        d[j + MOTOR], d[j + MOTOR + W], d[j + MOTOR + 2 * W], d[j + MOTOR + 3 * W] = f


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _force_block(d, o, c):
    for i in range(W):
        j = o + i
        thrust, tx, ty, tz = _wrench(*four(d, j + MOTOR), c)
        fx, fy, fz = _force(
            thrust,
            *four(d, j + ATTITUDE),
            *three(d, j + VELOCITY),
            *three(d, j + WIND),
            d[j + DRAG],
            d[j + MASS],
            c,
        )
        d[j + FORCE], d[j + FORCE + W], d[j + FORCE + 2 * W] = fx, fy, fz
        d[j + TORQUE], d[j + TORQUE + W], d[j + TORQUE + 2 * W] = tx, ty, tz


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _motion_block(d, o, c):
    for i in range(W):
        j = o + i
        x, y, z, qx, qy, qz, qw, vx, vy, vz, wx, wy, wz = _motion(
            *three(d, j),
            *four(d, j + ATTITUDE),
            *three(d, j + VELOCITY),
            *three(d, j + SPIN),
            *three(d, j + FORCE),
            *three(d, j + TORQUE),
            d[j + MASS],
            d[j + INERTIA],
            c,
        )
        d[j], d[j + W], d[j + Z] = x, y, z
        k = j + ATTITUDE
        d[k], d[k + W], d[k + 2 * W], d[k + 3 * W] = qx, qy, qz, qw
        k = j + VELOCITY
        d[k], d[k + W], d[k + 2 * W] = vx, vy, vz
        k = j + SPIN
        d[k], d[k + W], d[k + 2 * W] = wx, wy, wz


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def spin_up(d, j, c):
    """One step of the rotors of one body: thrust (N) and body torque (3, N m) that follow."""
    u = four(d, j + COMMAND)
    f = _rotors(*u, *four(d, j + MOTOR), *four(d, j + GAIN), *four(d, j + BIAS), d[j + BLEND], c)
    d[j + MOTOR], d[j + MOTOR + W], d[j + MOTOR + 2 * W], d[j + MOTOR + 3 * W] = f
    return _wrench(*f, c)


@numba.njit(fastmath=FAST, error_model="numpy")
def drive_loop(d, steps, move, packed):
    """Advance every block of ground robots; arguments as in `quad_loop`."""
    c = DriveConstants(*to_fixed_tuple(packed, DRIVE_NUMBERS))
    for block in range(d.size // BLOCK):
        o = block * BLOCK
        for _ in range(steps):
            for i in range(W):
                _drive(d, o + i, move, c)


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _drive(d, j, move, c):
    qz, qw = d[j + ATTITUDE + 2 * W], d[j + ATTITUDE + 3 * W]
    vx, vy, wz = d[j + VELOCITY], d[j + VELOCITY + W], d[j + SPIN + 2 * W]
    mass, inertia = d[j + MASS], d[j + INERTIA]
    fx, fy, tz = _drive_force(
        *(d[j + COMMAND], d[j + COMMAND + W], d[j + GAIN], d[j + GAIN + W]),
        *(d[j + BIAS], d[j + BIAS + W], qz, qw, vx, vy, wz, mass, inertia, c),
    )
    d[j + FORCE], d[j + FORCE + W], d[j + TORQUE + 2 * W] = fx, fy, tz
    if move:
        x, y, qz, qw, vx, vy, wz = _drive_motion(
            d[j], d[j + W], qz, qw, vx, vy, wz, fx, fy, tz, mass, inertia, c
        )
        d[j], d[j + W] = x, y
        d[j + ATTITUDE + 2 * W], d[j + ATTITUDE + 3 * W] = qz, qw
        d[j + VELOCITY], d[j + VELOCITY + W], d[j + SPIN + 2 * W] = vx, vy, wz
