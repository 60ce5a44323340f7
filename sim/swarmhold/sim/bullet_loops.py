"""Loops in numba that call PyBullet's C functions; see `swarmhold.sim.bullet_native`.

All forces of a step travel in few commands. Bullet's client stores the vector of entry i from
place i on, while its server reads it from place 3 i. So the values of n entries are written by
3 n calls, each of which puts one number where it belongs and two that the next calls overwrite;
the calls beyond the n-th name no body.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numba
import numpy as np

from swarmhold.sim.flight_loops import close_by, command, judge, lane, store
from swarmhold.sim.loops import quad_numbers, spin_up

MOVED, NEAR, ENDED = 0, 1, 2  # what a tick says
CLEAR = 0.05  # m between surfaces: nothing touched within the last physics step


def make_loops(c: dict[str, Any], group: int, world: int, link: int) -> SimpleNamespace:
    """Compile the loops for a loaded library.

    Args:
        c: C functions by name, without their prefix.
        group: bodies per command.
        world: flag of forces in world axes.
        link: flag of forces in body axes.
    """
    submit, new_forces = c["SubmitClientCommandAndWaitStatus"], c["ApplyExternalForceCommandInit"]
    push, turn = c["ApplyExternalForce"], c["ApplyExternalTorque"]
    new_step, new_pose = c["InitStepSimulationCommand"], c["CreatePoseCommandInit"]
    set_place = c["CreatePoseCommandSetBasePosition"]
    set_attitude = c["CreatePoseCommandSetBaseOrientation"]
    set_velocity = c["CreatePoseCommandSetBaseLinearVelocity"]
    set_spin = c["CreatePoseCommandSetBaseAngularVelocity"]
    ask_state, get_state = c["RequestActualStateCommandInit"], c["GetStatusActualState"]

    @numba.njit
    def send(client, ids, first, last, values, places, frame):
        """Entries: a torque for each body, then a force for each; values and places (6 n)."""
        n = last - first
        vector, place = np.zeros(3), np.zeros(3)
        at, at_place = vector.ctypes.data, place.ctypes.data
        command = new_forces(client)
        for k in range(6 * n):
            vector[0] = values[k]
            if k < n:
                turn(command, ids[first + k], -1, at, frame)
                continue
            place[0] = places[k]
            body = ids[first + k - n] if k < 2 * n else np.int32(-1)
            push(command, body, -1, at, at_place, frame)
        submit(client, command)

    @numba.njit
    def step(client, ids, force, torque, place):
        values, places = np.zeros(6 * group), np.zeros(6 * group)
        for first in range(0, len(ids), group):
            last = min(first + group, len(ids))
            n = last - first
            for k in range(n):
                for axis in range(3):
                    values[3 * k + axis] = torque[first + k, axis]
                    values[3 * (n + k) + axis] = force[first + k, axis]
                    places[3 * (n + k) + axis] = place[first + k, axis]
            send(client, ids, first, last, values, places, world)
        submit(client, new_step(client))

    @numba.njit
    def fly(client, ids, thrust, torque):
        values, places = np.zeros(6 * group), np.zeros(6 * group)
        for s in range(len(thrust)):
            for first in range(0, len(ids), group):
                last = min(first + group, len(ids))
                n = last - first
                for k in range(n):
                    for axis in range(3):
                        values[3 * k + axis] = torque[s, first + k, axis]
                        values[3 * (n + k) + axis] = 0.0
                    values[3 * (n + k) + 2] = thrust[s, first + k]
                send(client, ids, first, last, values, places, link)
            submit(client, new_step(client))

    @numba.njit
    def read(client, ids, offset):
        out = np.empty((len(ids), 13))
        sizes, pointers = np.zeros(3, np.int32), np.zeros(4, np.uint64)
        size_at, at = sizes.ctypes.data, pointers.ctypes.data
        for k in range(len(ids)):
            status = submit(client, ask_state(client, ids[k]))
            get_state(status, size_at, size_at + 4, size_at + 8, at, at + 8, at + 16, at + 24)
            q = numba.carray(address_as_double(pointers[1]), 7)
            u = numba.carray(address_as_double(pointers[2]), 6)
            for j in range(3):
                out[k, j] = q[j] - offset[k, j]
            for j in range(4):
                out[k, 3 + j] = q[3 + j]
            for j in range(6):
                out[k, 7 + j] = u[j]
        return out

    @numba.njit
    def hop(client, ids, offset, d, teams, n, steps, values, places, packed):
        """Motors, forces, steps and states of quadrotors in the blocks, all in one go."""
        c = quad_numbers(packed)
        for _ in range(steps):
            for first in range(0, len(ids), group):
                last = min(first + group, len(ids))
                size = last - first
                for k in range(size):
                    lift, tx, ty, tz = spin_up(d, lane(first + k, teams * n), c)
                    values[3 * k], values[3 * k + 1], values[3 * k + 2] = tx, ty, tz
                    values[3 * (size + k)], values[3 * (size + k) + 1] = 0.0, 0.0
                    values[3 * (size + k) + 2] = lift
                send(client, ids, first, last, values, places, link)
            submit(client, new_step(client))
        store(d, teams, n, read(client, ids, offset))

    @numba.njit
    def tick(
        client, ids, offset, values, places, steps, d, action, hover, packed, teams, n, *judging
    ):
        """A control step in one call; the rest as in `judge`, starting at its goal.

        Where something is near, contacts have to be asked for, so nothing is judged yet.
        """
        command(d, action, teams, n, hover, packed)
        hop(client, ids, offset, d, teams, n, steps, values, places, packed)
        if close_by(d, teams, n, judging[1].size, judging[5] + CLEAR, judging[6] + CLEAR):
            return NEAR
        judge(d, teams, n, *judging)
        for e in range(judging[1].size):
            if judging[14][e] or judging[15][e]:
                return ENDED
        return MOVED

    @numba.njit
    def teleport(client, ids, rows, state, offset):
        speed, spin = np.zeros(3), np.zeros(3)
        for k in rows:
            s = state[k]
            command = new_pose(client, ids[k])
            set_place(command, s[0] + offset[k, 0], s[1] + offset[k, 1], s[2] + offset[k, 2])
            set_attitude(command, s[3], s[4], s[5], s[6])
            submit(client, command)
            command = new_pose(client, ids[k])
            speed[:], spin[:] = s[7:10], s[10:13]
            set_velocity(command, speed.ctypes.data)
            set_spin(command, spin.ctypes.data)
            submit(client, command)

    return SimpleNamespace(step=step, fly=fly, hop=hop, tick=tick, read=read, teleport=teleport)


@numba.extending.intrinsic
def address_as_double(typing_context, address):
    """A number as a pointer to doubles."""

    def generate(context, builder, signature, arguments):
        pointer = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], pointer)

    return numba.types.CPointer(numba.types.float64)(numba.types.uint64), generate
