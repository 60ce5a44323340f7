"""Numbers of the ground swarm's tick, and how a heading is turned without trigonometry."""

from __future__ import annotations

import math

TICK = 0.033  # s
COLLISION_DIAMETER = 0.135  # m, between centres
LINEAR_GAIN, ANGULAR_GAIN = 0.8, 3.0  # 1/s and rad/(m s), of the position controller
TURN = 2.0 * math.pi


def turned(c, s, angle):
    """(c, s) of a yaw increased by `angle`, |angle| < 0.13 rad, to rounding; norm kept at one."""
    q = angle * angle
    sine = angle * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))))
    cosine = 1.0 - q / 2.0 * (
        1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0)))
    )
    c, s = c * cosine - s * sine, s * cosine + c * sine
    fix = 1.5 - 0.5 * (c * c + s * s)
    return c * fix, s * fix
