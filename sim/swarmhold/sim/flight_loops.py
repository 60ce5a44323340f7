"""Step, judgement and new starts of `FlightSim` in one compiled loop per team (numba).

`judge_of(N)` is `judge` compiled for one team size: its short loops unroll, which is worth a third.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np

from swarmhold.sim.arithmetic import FAST
from swarmhold.sim.loops import (
    ATTITUDE,
    BLOCK,
    COMMAND,
    MOTOR,
    SPIN,
    VELOCITY,
    W,
    Z,
    quad_numbers,
    spin_up,
)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@numba.njit(forceinline=True)
def _mixed(state, part):
    """One round of `swarmhold.sim.noise.mix`."""
    state = (state ^ np.uint64(part)) + _GOLDEN
    state = (state ^ (state >> _S30)) * _M1
    state = (state ^ (state >> _S27)) * _M2
    return state ^ (state >> _S31)


@numba.njit(forceinline=True)
def _share(key, index):
    """Number `index` of `swarmhold.sim.noise.uniform` in [0, 1)."""
    bits = _mixed(_mixed(np.uint64(0), key), index)
    return float(bits >> _S11) * 2.0**-53


@numba.njit(fastmath=FAST, error_model="numpy")
def command(d, action, teams, n, hover, packed):
    """Write actions (E, N, 4) into the blocks as rotor thrusts; what is no number hovers."""
    c = quad_numbers(packed)
    values, held, bodies = action.reshape(-1), teams * n, action.shape[0] * n
    for block in range((bodies + held - 1) // held):
        first, o = block * held, block * BLOCK + COMMAND
        for m in range(4):
            for j in range(min(held, bodies - first)):
                a = values[4 * (first + j) + m]
                a = a if a == a else c.zero
                d[o + m * W + j] = hover * (c.one + min(max(a, -c.one), c.one))


@numba.njit(forceinline=True)
def lane(b, held):
    """Where body b starts in the flat blocks, which hold `held` bodies each."""
    return (b // held) * BLOCK + b % held


@numba.njit(fastmath=FAST, error_model="numpy")
def plan(d, teams, n, thrust, torque, packed):
    """Motors' lag over S steps; thrust (S, B) N and body torque (S, B, 3) N m are filled."""
    c = quad_numbers(packed)
    for b in range(thrust.shape[1]):
        j = lane(b, teams * n)
        for s in range(thrust.shape[0]):
            lift, tx, ty, tz = spin_up(d, j, c)
            thrust[s, b] = lift
            torque[s, b, 0], torque[s, b, 1], torque[s, b, 2] = tx, ty, tz


@numba.njit(fastmath=FAST, error_model="numpy")
def store(d, teams, n, state):
    """Put states (B, 13) into the blocks; of the two signs of a quaternion the nearer one."""
    for b in range(state.shape[0]):
        j = lane(b, teams * n)
        same = 0.0
        for m in range(4):
            same += d[j + ATTITUDE + m * W] * state[b, 3 + m]
        sign = -1.0 if same < 0.0 else 1.0
        for row in range(13):
            d[j + row * W] = state[b, row] * sign if 3 <= row < 7 else state[b, row]


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _cost(d, o, places, cost, apart):
    """Reward without contact, and distance from one's place (m), of a block's lanes."""
    for j in range(W):
        i = o + j
        dx, dy, dz = places[0, j] - d[i], places[1, j] - d[i + W], places[2, j] - d[i + Z]
        vx, vy, vz = d[i + VELOCITY], d[i + VELOCITY + W], d[i + VELOCITY + 2 * W]
        apart[j] = math.sqrt(dx * dx + dy * dy + dz * dz)
        cost[j] = -apart[j] - 0.05 * math.sqrt(vx * vx + vy * vy + vz * vz)


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def judge(
    d,
    teams,
    n,
    goal,
    clock,
    episode,
    seed,
    limit,
    reach_body,
    floor,
    reach,
    spread,
    hover,
    end_on_touch,
    auto_reset,
    observation,
    reward,
    terminated,
    truncated,
    touched,
    contact,
):
    """Collisions, reward, ends, new starts and observations.

    Args:
        d: flat view of the blocks.
        teams: teams per block.
        n: N.
        goal: (N, 3) m.
        clock: (E) steps of the episode, advanced.
        episode: (E) number, advanced on a new start.
        seed: (E).
        limit: steps of an episode.
        reach_body: m, distance of two bodies that touch.
        floor: m.
        reach: m.
        spread: m.
        hover: N, thrust of a rotor.
        end_on_touch: see `FlightTask`.
        auto_reset: start anew at once.
        observation: (E, N, ...) filled, like the rest.
        reward: (E, N).
        terminated: (E).
        truncated: (E).
        touched: (E, N).
        contact: (E, N) bodies known to be in contact already.
    """
    places, cost = np.zeros((3, W), d.dtype), np.zeros(W, d.dtype)
    apart = np.zeros(W, d.dtype)
    for j in range(teams * n):
        for axis in range(3):
            places[axis, j] = goal[j % n, axis]
    for e in range(clock.size):
        o = (e // teams) * BLOCK + (e % teams) * n
        first = (e % teams) * n
        if first == 0:
            _cost(d, o, places, cost, apart)
        clock[e] += 1
        for k in range(n):
            touched[e, k] = contact[e, k] or d[o + k + Z] < floor
        _meet(d, o, n, reach_body, touched[e])
        ended = False
        for k in range(n):
            reward[e, k] = cost[first + k] - touched[e, k]
            if not apart[first + k] <= reach or (end_on_touch and touched[e, k]):
                ended = True
        terminated[e] = ended
        truncated[e] = (not ended) and clock[e] >= limit
        if auto_reset and (ended or truncated[e]):
            episode[e] += 1
            clock[e] = 0
            _respawn(d, o, n, goal, seed[e], episode[e], e, spread, hover)
        _look(d, o, n, goal, hover, observation[e])


@functools.cache
def judge_of(size: int) -> Any:
    """`judge` for teams of one size, with the arguments that follow it there."""
    teams = W // size

    @numba.njit(fastmath=FAST, error_model="numpy")
    def run(d, *rest):
        judge(d, teams, size, *rest)

    return run


@numba.njit(fastmath=FAST, error_model="numpy")
def close_by(d, teams, n, envs, reach_body, floor):
    """Whether two bodies of a team are nearer than `reach_body`, or one is below `floor` (m)."""
    for e in range(envs):
        o = (e // teams) * BLOCK + (e % teams) * n
        for k in range(n):
            x, y, z = d[o + k], d[o + k + W], d[o + k + Z]
            if z < floor:
                return True
            for m in range(k + 1, n):
                dx, dy, dz = d[o + m] - x, d[o + m + W] - y, d[o + m + Z] - z
                if dx * dx + dy * dy + dz * dz < reach_body * reach_body:
                    return True
    return False


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _meet(d, o, n, reach_body, touched):
    """Mark the bodies of a team that are nearer than `reach_body` (m) to one another."""
    for k in range(n):
        x, y, z = d[o + k], d[o + k + W], d[o + k + Z]
        for m in range(k + 1, n):
            dx, dy, dz = d[o + m] - x, d[o + m + W] - y, d[o + m + Z] - z
            if dx * dx + dy * dy + dz * dz < reach_body * reach_body:
                touched[k] = True
                touched[m] = True


@numba.njit(error_model="numpy")
def _respawn(d, o, n, goal, seed, episode, env, spread, hover):
    key = _mixed(_mixed(_mixed(np.uint64(0), seed), episode), env)
    for k in range(n):
        j = o + k
        for axis in range(3):
            share = _share(key, 3 * k + axis)
            d[j + axis * W] = goal[k, axis] + (-spread + (spread - -spread) * share)
        for row in range(10):
            d[j + ATTITUDE + row * W] = 0.0
        d[j + ATTITUDE + 3 * W] = 1.0
        for m in range(4):
            d[j + MOTOR + m * W] = hover


@numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)
def _look(d, o, n, goal, hover, out):
    per_hover = 1 / hover
    for k in range(n):
        j, row = o + k, out[k]
        x, y, z = d[j], d[j + W], d[j + Z]
        vx, vy, vz = d[j + VELOCITY], d[j + VELOCITY + W], d[j + VELOCITY + 2 * W]
        row[0], row[1], row[2] = goal[k, 0] - x, goal[k, 1] - y, goal[k, 2] - z
        for m in range(4):
            row[3 + m] = d[j + ATTITUDE + m * W]
            row[13 + m] = d[j + MOTOR + m * W] * per_hover
        row[7], row[8], row[9] = vx, vy, vz
        for m in range(3):
            row[10 + m] = d[j + SPIN + m * W]
        at = 17
        for m in range(n):
            if m != k:
                i = o + m
                row[at], row[at + 1], row[at + 2] = d[i] - x, d[i + W] - y, d[i + Z] - z
                row[at + 3] = d[i + VELOCITY] - vx
                row[at + 4] = d[i + VELOCITY + W] - vy
                row[at + 5] = d[i + VELOCITY + 2 * W] - vz
                at += 6
