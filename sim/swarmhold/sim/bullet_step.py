"""Bodies in blocks, moved by a PyBullet server under the forces of their laws."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.blocks import Blocks, Row
from swarmhold.sim.bullet import TILT_INERTIA, BulletServer
from swarmhold.sim.bullet_native import NativeServer
from swarmhold.sim.quad import QuadConstants
from swarmhold.sim.robots import DriveModel


class BulletStepper:
    """Keeps a server and blocks of the same shape in step.

    Where forces depend on nothing but the motors (rotor commands, no drag, no wind), those of
    several steps are worked out beforehand and nothing is read in between: that is what makes
    PyBullet fast.
    """

    def __init__(self, server: BulletServer, blocks: Blocks, open_loop: bool) -> None:
        """Args: server with gravity if `open_loop`, blocks, and whether forces are known ahead."""
        blocks.narrow()
        self.server, self.blocks, self._open_loop = server, blocks, open_loop
        self._shape = (blocks.n_envs, blocks.n_robots)
        self._factors = np.ones((*self._shape, 2))
        c = blocks.constants
        if isinstance(c, QuadConstants):
            lever, swirl = float(c.lever), float(c.swirl)
            self._rotor_max = float(c.rotor_max)
            self._mix = np.array(
                [
                    [1.0, -lever, -lever, -swirl],
                    [1.0, -lever, lever, swirl],
                    [1.0, lever, lever, -swirl],
                    [1.0, lever, -lever, swirl],
                ]
            )

    def push(self, chosen: Bool | None = None) -> None:
        """Teleport the teams (E), or all, to where the blocks have them."""
        rows = None if chosen is None else np.repeat(chosen, self._shape[1])
        self.server.teleport(self.blocks.get(0, 13).reshape(-1, 13), rows)

    def advance(self, steps: int) -> None:
        """Move on, and bring the states back into the blocks."""
        if self.blocks.varied:
            self._sync_inertia()
        if self._open_loop:
            if isinstance(self.server, NativeServer) and self.blocks.compiled:
                self.server.hop(self.blocks, steps)
            else:
                self.server.fly(*self._plan(steps))
                self._pull()
            return
        quad = not isinstance(self.blocks.model, DriveModel)
        for _ in range(steps):
            self.blocks.forces()
            state = self.blocks.get(0, 13).reshape(-1, 13)
            force = self.blocks.get(Row.FORCE, 3).reshape(-1, 3)
            torque = self.blocks.get(Row.TORQUE, 3).reshape(-1, 3)
            if quad:
                torque = rotate(state[:, 3:7], torque)
            self.server.step(force, torque, state[:, :3])
            self._pull()

    def find_contacts(self, out: Bool) -> None:
        """Fill (E, N) with who touched something in the last step."""
        out[:] = self.server.touching().reshape(self._shape)

    def close(self) -> None:
        """Disconnect from the server."""
        self.server.close()

    def _pull(self) -> None:
        state = self.server.read()
        if self.blocks.compiled:
            from swarmhold.sim.flight_loops import store

            store(self.blocks.data.reshape(-1), self.blocks.teams, self._shape[1], state)
        else:
            state = state.reshape(*self._shape, 13)
            same = np.sum(self.blocks.get(Row.ATTITUDE, 4) * state[..., 3:7], axis=-1)
            state[..., 3:7] *= np.where(same < 0.0, -1.0, 1.0)[..., None]  # the nearer sign
            self.blocks.put(0, state)

    def _plan(self, steps: int) -> tuple[Float, Float]:
        """Thrust (S, B) N and body torque (S, B, 3) N m: the motors' lag in closed form."""
        blocks = self.blocks
        if blocks.compiled:
            from swarmhold.sim.flight_loops import plan

            bodies = self._shape[0] * self._shape[1]
            thrust, torque = np.empty((steps, bodies)), np.empty((steps, bodies, 3))
            plan(
                *(blocks.data.reshape(-1), blocks.teams, self._shape[1], thrust, torque),
                blocks.packed,
            )
            return thrust, torque
        rows = blocks.get(Row.MOTOR, Row.BLEND + 1 - Row.MOTOR).reshape(-1, 23)
        motor, command, gain, bias = rows[:, :4], rows[:, 4:8], rows[:, 8:12], rows[:, 12:16]
        goal = gain * np.clip(command, 0.0, self._rotor_max) + bias
        left = (1.0 - rows[:, 22]) ** np.arange(1, steps + 1)[:, None]
        motors = goal + (motor - goal) * left[..., None]
        wrench = motors @ self._mix
        blocks.put(Row.MOTOR, motors[-1].reshape(*self._shape, 4))
        return wrench[..., 0], wrench[..., 1:]

    def _sync_inertia(self) -> None:
        """Bodies whose mass or inertia has been changed in the blocks get it in Bullet too."""
        factors = self.blocks.get(Row.MASS, 2)
        if np.array_equal(factors, self._factors):
            return
        self._factors = factors
        model: Any = self.blocks.model
        for k, (mass, inertia) in enumerate(factors.reshape(-1, 2).tolist()):
            if isinstance(model, DriveModel):
                diagonal = [TILT_INERTIA, TILT_INERTIA, inertia * model.inertia]
            else:
                diagonal = [inertia * value for value in model.inertia]
            self.server.set_inertia(k, mass * model.mass, diagonal)


def rotate(attitude: Float, vector: Float) -> Float:
    """Body to world: q v q* by the two-cross-product form; quaternion x, y, z, w."""
    axis, w = attitude[..., :3], attitude[..., 3:]
    twice = 2.0 * np.cross(axis, vector)
    return np.asarray(vector + w * twice + np.cross(axis, twice))
