"""The same equations of motion on torch tensors, with gradients: for attacks and planners.

Every law is the very function that numba compiles and numpy runs (`swarmhold.sim.quad`,
`swarmhold.sim.drive`); only the arithmetic differs. Nothing touches anything here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from swarmhold.sim.arithmetic import over_tensors
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.drive import DRIVE_LAWS, drive_constants
from swarmhold.sim.quad import QUAD_LAWS, quad_constants
from swarmhold.sim.robots import DriveModel, Model

_velocity, _rotors, _wrench, _force, _motion = over_tensors(*QUAD_LAWS)
_drive_force, _drive_motion = over_tensors(*DRIVE_LAWS)


class DifferentiableBodies:
    """Advances bodies by physics steps of 1/240 s.

    A state is a tensor (..., 17): position (3, m), quaternion x y z w, velocity (3, m/s), angular
    velocity (3, rad/s), all in world axes, and rotor thrusts (4, N; unused by a differential
    drive). Commands are as in `Row.COMMAND`.
    """

    def __init__(self, model: Model, rotors: bool = False, dtype: torch.dtype = torch.float64):
        """Args: robot, whether a quadrotor obeys rotor thrusts (else velocities), precision."""
        self.model, self.rotors, self.dtype = model, rotors, dtype
        make = drive_constants if isinstance(model, DriveModel) else quad_constants
        self._constants = make(model, lambda value: torch.tensor(value, dtype=dtype))
        usual = Blocks(model, 1, 1, compiled=False).data[0, :, 0]
        self._usual = torch.tensor(usual, dtype=dtype)

    def advance(
        self,
        state: Tensor,
        command: Tensor,
        steps: int,
        factors: dict[Row, Tensor] | None = None,
    ) -> Tensor:
        """Hold a command for some steps.

        Args:
            state: (..., 17).
            command: (..., C): 4 rotor thrusts (N), 2 velocities (m/s), or 2 wheel speeds (m/s).
            steps: physics steps.
            factors: rows of `Blocks` that differ from the model's, such as `Row.GAIN` (..., 4)
                or `Row.WIND` (..., 3).

        Returns:
            (..., 17); gradients reach state, command and factors.
        """
        given = factors or {}

        def row(name: Row, size: int) -> tuple[Tensor, ...]:
            usual = self._usual[name : name + size].expand(*state.shape[:-1], size)
            return given.get(name, usual).unbind(-1)

        move = self._drive if isinstance(self.model, DriveModel) else self._quad
        rows, held = state.unbind(-1), command.unbind(-1)
        for _ in range(steps):
            rows = move(rows, held, row)
        return torch.stack(rows, dim=-1)

    def _quad(self, s, command, row):
        c = self._constants
        wish = command if self.rotors else _velocity(*command, s[2], *s[3:13], c)
        gain, bias = row(Row.GAIN, 4), row(Row.BIAS, 4)
        (mass,), (inertia,) = row(Row.MASS, 1), row(Row.INERTIA, 1)
        motors = _rotors(*wish, *s[13:17], *gain, *bias, *row(Row.BLEND, 1), c)
        thrust, *torque = _wrench(*motors, c)
        force = _force(thrust, *s[3:10], *row(Row.WIND, 3), *row(Row.DRAG, 1), mass, c)
        return (*_motion(*s[:13], *force, *torque, mass, inertia, c), *motors)

    def _drive(self, s, command, row):
        c = self._constants
        gain, bias = row(Row.GAIN, 2), row(Row.BIAS, 2)
        (mass,), (inertia,) = row(Row.MASS, 1), row(Row.INERTIA, 1)
        moving = (*s[5:9], s[12])  # attitude z and w, velocity x and y, turn rate
        push = _drive_force(*command, *gain, *bias, *moving, mass, inertia, c)
        x, y, qz, qw, vx, vy, wz = _drive_motion(s[0], s[1], *moving, *push, mass, inertia, c)
        return (x, y, *s[2:5], qz, qw, vx, vy, *s[9:12], wz, *s[13:STATE])
