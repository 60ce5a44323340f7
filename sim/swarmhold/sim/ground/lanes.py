"""The ground swarm without its barrier, for many teams: teams side by side in registers.

Arrays are (N, LANES): what one robot has in each of LANES teams lies side by side, so that the
compiler moves several teams with every instruction. The formulas are `engine`'s. With the barrier
this gains nothing, for there the solver takes the time, and it works on one team.
"""

from __future__ import annotations

import math

import numpy as np

from swarmhold.sim.ground.barrier import COMMAND_LIMIT, PROJECTION, SLANT, SPEED_LIMIT
from swarmhold.sim.ground.solver import compiled
from swarmhold.sim.ground.unicycle import (
    ANGULAR_GAIN,
    COLLISION_DIAMETER,
    LINEAR_GAIN,
    TICK,
    TURN,
    turned,
)

LANES = 16
_turned = compiled(forceinline=True)(turned)


@compiled(forceinline=True)
def _wish(x, y, c, s, a, b, to_goal, v, w):
    """Nominal (v, l omega), cut to what the wheels can do."""
    for i in range(x.shape[0]):
        for k in range(LANES):
            dx, dy = a[i, k] - x[i, k], b[i, k] - y[i, k]
            ahead = LINEAR_GAIN * (dx * c[i, k] + dy * s[i, k])
            aside = ANGULAR_GAIN * (dy * c[i, k] - dx * s[i, k])
            ahead, aside = (ahead if to_goal else a[i, k]), (aside if to_goal else b[i, k])
            v[i, k] = min(max(ahead, -COMMAND_LIMIT), COMMAND_LIMIT)
            w[i, k] = min(max(PROJECTION * aside, -COMMAND_LIMIT), COMMAND_LIMIT)
    for i in range(x.shape[0]):
        for k in range(LANES):
            left = min(max(v[i, k] - SLANT * w[i, k], -SPEED_LIMIT), SPEED_LIMIT)
            right = min(max(v[i, k] + SLANT * w[i, k], -SPEED_LIMIT), SPEED_LIMIT)
            v[i, k], w[i, k] = 0.5 * (left + right), 0.5 * (right - left) / SLANT


@compiled(forceinline=True)
def _move(x, y, c, s, yaw, here, v, w):
    """One Euler step of the unicycles; `here` is 1 for robots that are there, else 0."""
    for i in range(x.shape[0]):
        for k in range(LANES):
            step, angle = TICK * v[i, k] * here[i, k], TICK / PROJECTION * w[i, k] * here[i, k]
            x[i, k] += step * c[i, k]
            y[i, k] += step * s[i, k]
            c[i, k], s[i, k] = _turned(c[i, k], s[i, k], angle)
            ahead = yaw[i, k] + angle
            ahead = ahead - TURN if ahead > math.pi else ahead
            yaw[i, k] = ahead + TURN if ahead < -math.pi else ahead


@compiled(forceinline=True)
def _judge(x, y, here, half, hit, out, near):
    """Add to `hit` and `out` (N, LANES) of robots that met another or left the arena."""
    n = x.shape[0]
    for k in range(LANES):
        near[k] = 0.0
    for i in range(n):
        for k in range(LANES):
            beyond = 1.0 if abs(x[i, k]) > half[0] else 0.0
            beyond += 1.0 if abs(y[i, k]) > half[1] else 0.0
            out[i, k] += beyond * here[i, k]
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(LANES):
                dx, dy = x[i, k] - x[j, k], y[i, k] - y[j, k]
                near[k] += 1.0 if dx * dx + dy * dy < COLLISION_DIAMETER**2 else 0.0
    for k in range(LANES):
        if near[k] > 0.0:
            _meet(k, x, y, here, hit)


@compiled()
def _meet(k, x, y, here, hit):
    """Mark who met whom in one lane."""
    for i in range(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            dx, dy = x[i, k] - x[j, k], y[i, k] - y[j, k]
            if dx * dx + dy * dy < COLLISION_DIAMETER**2 and here[i, k] * here[j, k] > 0.0:
                hit[i, k], hit[j, k] = 1.0, 1.0


@compiled(forceinline=True)
def _load(first, size, poses, present, target, x, y, c, s, yaw, a, b, here):
    """Teams from `first` on into the lanes; lanes that are left over stay empty."""
    for i in range(poses.shape[1]):
        for k in range(LANES):
            here[i, k] = 0.0
        for k in range(size):
            e = first + k
            x[i, k], y[i, k], yaw[i, k] = poses[e, i, 0], poses[e, i, 1], poses[e, i, 2]
            a[i, k], b[i, k] = target[e, i, 0], target[e, i, 1]
            c[i, k], s[i, k] = math.cos(yaw[i, k]), math.sin(yaw[i, k])
            here[i, k] = 1.0 if present[e, i] else 0.0


@compiled(forceinline=True)
def _store(first, size, poses, present, marks, x, y, yaw, hit, out):
    """The lanes back to the teams."""
    for k in range(size):
        e = first + k
        for i in range(poses.shape[1]):
            if present[e, i]:
                poses[e, i, 0], poses[e, i, 1], poses[e, i, 2] = x[i, k], y[i, k], yaw[i, k]
                marks[0][e, i] = marks[0][e, i] or hit[i, k] > 0.0
                marks[1][e, i] = marks[1][e, i] or out[i, k] > 0.0


@compiled()
def open_lanes(poses, present, target, to_goal, ticks, half, marks):
    """`engine.advance_teams` without the barrier, arguments as there."""
    n = poses.shape[1]
    x, y, c, s, yaw, a, b = [np.zeros((n, LANES)) for _ in range(7)]
    v, w, here, hit, out = [np.zeros((n, LANES)) for _ in range(5)]
    near = np.zeros(LANES)
    for first in range(0, poses.shape[0], LANES):
        size = min(LANES, poses.shape[0] - first)
        _load(first, size, poses, present, target, x, y, c, s, yaw, a, b, here)
        hit[:], out[:] = 0.0, 0.0
        for _ in range(ticks):
            _wish(x, y, c, s, a, b, to_goal, v, w)
            _move(x, y, c, s, yaw, here, v, w)
            _judge(x, y, here, half, hit, out, near)
        _store(first, size, poses, present, marks, x, y, yaw, hit, out)
