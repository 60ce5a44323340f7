"""Bodies in blocks: the state of the batched twin, and the loops that advance it.

State is one array (blocks, ROWS, lanes): a row holds one quantity of `lanes` bodies side by side,
so that a block stays in the first-level cache and the loop over its lanes vectorises. Teams share a
block and none straddles two; one larger than a block has some to itself. Without numba there is one
block as wide as all bodies, and numpy runs the same laws over its rows.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Float, Int
from swarmhold.sim.arithmetic import numba, over_rows
from swarmhold.sim.drive import DRIVE_LAWS, drive_constants
from swarmhold.sim.quad import QUAD_LAWS, quad_constants
from swarmhold.sim.robots import GRAVITY, PHYSICS_HZ, DriveModel, Model

LANES = 64  # bodies side by side; a compile-time constant of the loops


class Row(IntEnum):
    """Where a quantity starts in a block; SI units, world frame unless said otherwise."""

    POSITION = 0  # 3
    ATTITUDE = 3  # 4, quaternion x, y, z, w
    VELOCITY = 7  # 3
    SPIN = 10  # 3, rad/s
    MOTOR = 13  # 4, rotor thrust, N
    COMMAND = 17  # 4: rotor thrusts (N), or planar velocity (yaw frame), or wheel speeds (m/s)
    GAIN = 21  # 4, of each motor
    BIAS = 25  # 4, of each motor, in the unit of the command that it obeys
    WIND = 29  # 3, m/s
    MASS = 32  # factors on the model's numbers
    INERTIA = 33
    DRAG = 34
    BLEND = 35  # share of the way to its command that a rotor goes in one step
    FORCE = 36  # 3, N, of the last step
    TORQUE = 39  # 3, N m, of the last step; a quadrotor's in the body frame


ROWS = 42
MOTOR_ROWS = {True: Row.MOTOR, False: Row.COMMAND}  # of a quadrotor, else: what motors do now
STATE = 17  # rows that are state proper


class Blocks:
    """E teams of N bodies of one model."""

    def __init__(
        self,
        model: Model,
        n_envs: int,
        n_robots: int,
        dtype: Any = np.float64,
        rotors: bool = False,
        compiled: bool | None = None,
    ) -> None:
        """Everything at rest at the origin.

        Args:
            model: robot class.
            n_envs: E.
            n_robots: N.
            dtype: np.float32 or np.float64.
            rotors: a quadrotor obeys rotor thrusts instead of velocities.
            compiled: use numba; None: where it is installed.

        Raises:
            ConfigError: numba is asked for and missing.
        """
        if compiled and numba is None:
            raise ConfigError("numba is missing; install it: pip install 'swarmhold[sim]'")
        self.model, self.n_envs, self.n_robots = model, n_envs, n_robots
        self.dtype, self.rotors = np.dtype(dtype), rotors
        self.compiled = numba is not None if compiled is None else compiled
        lanes = LANES if self.compiled else n_envs * n_robots
        self.teams = max(lanes // n_robots, 1)  # per block
        self.parts = -(-n_robots // lanes)  # blocks of a team
        self.count = -(-n_envs // self.teams) * self.parts
        self.data = np.zeros((self.count, ROWS, lanes), self.dtype)
        self._spans = self._cut()
        self.varied = False  # whether masses or inertias were ever set
        scalar = self.dtype.type
        constants = drive_constants if isinstance(model, DriveModel) else quad_constants
        self.constants = constants(model, scalar)
        self.packed = np.array(self.constants, self.dtype)  # the same for compiled loops
        self.data[:, Row.ATTITUDE + 3] = 1.0
        self.data[:, Row.GAIN : Row.GAIN + 4] = 1.0
        self.data[:, Row.MASS : Row.BLEND] = 1.0
        if not isinstance(model, DriveModel):
            self.data[:, Row.BLEND] = blend_of(model.motor_lag)
            self.data[:, Row.MOTOR : Row.MOTOR + 4] = model.mass * GRAVITY / 4

    def get(self, row: int, size: int = 1) -> Float:
        """(E, N, size) float64 copy of a quantity; (E, N) for size 1."""
        out = np.empty((self.count // self.parts, self.teams * self.n_robots, size))
        for part, lanes in self._spans:
            out[:, lanes] = part[:, row : row + size].transpose(0, 2, 1)
        out = out.reshape(-1, self.n_robots, size)[: self.n_envs]
        return out if size > 1 else out[..., 0]

    def put(self, row: int, value: Float) -> None:
        """Set a quantity from (E, N, size), or (E, N) for one row."""
        value = np.asarray(value)
        if value.ndim == 2:
            value = value[..., None]
        size, held = value.shape[-1], self.teams * self.n_robots
        self.varied |= row <= Row.INERTIA and row + size > Row.MASS
        full = self.count // self.parts * self.teams
        if full != self.n_envs:
            padded = np.zeros((full, self.n_robots, size), self.dtype)
            padded[: self.n_envs] = value
            padded[self.n_envs :] = value[-1:]
            value = padded
        value = value.reshape(-1, held, size)
        for part, lanes in self._spans:
            part[:, row : row + size] = value[:, lanes].transpose(0, 2, 1)

    def _cut(self) -> list[tuple[Float, slice]]:
        """Blocks with the same part of their teams, as far as used, and which lanes that is."""
        held, width = self.teams * self.n_robots, self.data.shape[-1]
        bounds = [(at, min(at + width, held)) for at in range(0, held, width)]
        return [
            (self.data[part :: self.parts, :, : end - start], slice(start, end))
            for part, (start, end) in enumerate(bounds)
        ]

    def narrow(self) -> None:
        """Of backends that look into blocks themselves: a team has to fit into one.

        Raises:
            ConfigError: it does not.
        """
        if self.parts > 1:
            raise ConfigError(
                f"{self.n_robots} robots in a team; this backend moves at most {LANES}, and "
                "batched or numpy any number"
            )

    def take(self, envs: Int) -> Float:
        """(T, N, ROWS) copy of everything of some teams (T)."""
        block, lane = self._places(envs)
        return self.data[block, :, lane]

    def give(self, envs: Int, rows: Float) -> None:
        """Set everything of some teams (T) from (T, N, ROWS)."""
        block, lane = self._places(envs)
        self.data[block, :, lane] = rows

    def _places(self, envs: Int) -> tuple[Int, Int]:
        lane = (envs % self.teams)[:, None] * self.n_robots + np.arange(self.n_robots)
        first, width = (envs // self.teams)[:, None] * self.parts, self.data.shape[-1]
        return first + lane // width, lane % width

    def advance(self, steps: int) -> None:
        """Advance by physics steps, the command held."""
        if isinstance(self.model, DriveModel):
            self._run(drive_rows, steps, True)
        else:
            self._run(quad_rows, steps, self.rotors, True)

    def forces(self) -> None:
        """Fill FORCE and TORQUE for the next step and advance the motors, but move nothing."""
        if isinstance(self.model, DriveModel):
            self._run(drive_rows, 1, False)
        else:
            self._run(quad_rows, 1, self.rotors, False)

    def _run(self, rows: Any, *options: Any) -> None:
        if self.compiled:
            from swarmhold.sim import loops

            loop = loops.drive_loop if rows is drive_rows else loops.quad_loop
            loop(self.data.reshape(-1), *options, self.packed)
        else:
            rows(self.data, *options, self.constants)


def blend_of(lag: Float | float) -> Any:
    """Share of the way that a first-order lag (s) goes in one physics step."""
    return 1.0 - np.exp(-1.0 / PHYSICS_HZ / lag)


_velocity, _rotors, _wrench, _force, _motion = over_rows(*QUAD_LAWS)
_drive_force, _drive_motion = over_rows(*DRIVE_LAWS)


def quad_rows(data: Float, steps: int, rotors: bool, move: bool, c: Any) -> None:
    """Quadrotors over whole rows.

    Args:
        data: (blocks, ROWS, lanes).
        steps: physics steps.
        rotors: commands are rotor thrusts.
        move: integrate; else only motors and forces.
        c: constants.
    """
    for s in data:
        for _ in range(steps):
            u = s[17:21] if rotors else _velocity(s[17], s[18], s[2], *s[3:13], c)
            s[13:17] = _rotors(*u, *s[13:17], *s[21:29], s[35], c)
            thrust, *s[39:42] = _wrench(*s[13:17], c)
            s[36:39] = _force(thrust, *s[3:10], *s[29:32], s[34], s[32], c)
            if move:
                s[0:13] = _motion(*s[0:13], *s[36:42], s[32], s[33], c)


def drive_rows(data: Float, steps: int, move: bool, c: Any) -> None:
    """Ground robots over whole rows; arguments as in `quad_rows`."""
    for s in data:
        for _ in range(steps):
            s[36], s[37], s[41] = _drive_force(
                s[17], s[18], s[21], s[22], s[25], s[26], *s[5:9], s[12], s[32], s[33], c
            )
            if move:
                s[0], s[1], s[5], s[6], s[7], s[8], s[12] = _drive_motion(
                    s[0], s[1], *s[5:9], s[12], s[36], s[37], s[41], s[32], s[33], c
                )
