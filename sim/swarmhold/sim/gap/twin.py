"""The twin in open loop: recorded set-points through the simulator's own laws, window by window.

Many windows under many candidate parameters are bodies side by side. A latency need not be a
multiple of the step: within each step motors get the mean of what was asked for that much earlier.
"""

from __future__ import annotations

import copy
from enum import Enum

import numpy as np

from swarmhold.hardware.report.motion import Motion
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.dynamics import upright, wheel_commands
from swarmhold.sim.gap.windows import HORIZONS_S, STEP_S, Windows, seen_from_the_first
from swarmhold.sim.robots import GRAVITY, GRITSBOT, PHYSICS_HZ, DriveModel, QuadModel, model_of

LONGEST = 1 << 18  # bodies side by side, so that memory stays small


class Parameter(str, Enum):
    """What of a robot may differ from its model."""

    LATENCY = "latency"  # s, from the frame that a set-point answers to the motors that obey it
    LINEAR = "linear"  # factor on the forward speed
    ANGULAR = "angular"  # factor on the turn rate
    DRAG = "drag"  # factor on the rotor drag


GROUND = (Parameter.LATENCY, Parameter.LINEAR, Parameter.ANGULAR)
FLIER = (Parameter.LATENCY, Parameter.DRAG)
PLAIN = {Parameter.LATENCY: 0.0, Parameter.LINEAR: 1.0, Parameter.ANGULAR: 1.0, Parameter.DRAG: 1.0}


class OpenLoop:
    """One robot's windows, ready to be simulated."""

    def __init__(self, robot: str, motion: Motion, windows: Windows) -> None:
        """Args: robot class, what it was told, and when it moved on its own."""
        self.model, self.windows = model_of(robot), windows
        drives = isinstance(self.model, DriveModel)
        self.parameters: tuple[Parameter, ...] = GROUND if drives else FLIER
        bound = np.asarray(policy_spec(robot).action_bound)
        told = np.clip(np.nan_to_num(motion.told), -bound, bound)
        if isinstance(self.model, DriveModel):
            told = _within_wheels(self.model, told)
        self._times, self._sums = _summed(motion.told_t - motion.decides_s, told)
        self._ticks = round((windows.warm_s + HORIZONS_S[-1]) / STEP_S)
        self._marks = [round((windows.warm_s + h) / STEP_S) for h in (0.0, *HORIZONS_S)]

    def over(self, windows: Windows) -> OpenLoop:
        """The same with other windows."""
        other = copy.copy(self)
        other.windows = windows
        return other

    @property
    def plain(self) -> Float:
        """(P) the parameters of the model as it is."""
        return np.array([PLAIN[name] for name in self.parameters])

    def asked(self) -> Float:
        """(W, H, 3) where set-points would lead a robot that does at once what it is told."""
        told = self._told(np.zeros(1))
        if isinstance(self.model, DriveModel):
            return seen_from_the_first(self._roll(told))
        sums = STEP_S * np.pad(np.cumsum(told, axis=1), [(0, 0), (1, 0), (0, 1)])
        return seen_from_the_first(sums[:, self._marks])

    def ways(self, candidates: Float) -> Float:
        """(K, W, H, 3) where the twin gets from each start, as `Windows.way`.

        Args:
            candidates: (K, P) values of `parameters`.
        """
        at_once = max(LONGEST // max(len(self.windows) * self._ticks // 100, 1), 1)
        parts = [
            self._ways(candidates[k : k + at_once]) for k in range(0, len(candidates), at_once)
        ]
        return np.concatenate(parts)

    def _ways(self, candidates: Float) -> Float:
        count, width = len(candidates), len(self.windows)
        told = self._told(candidates[:, 0])
        begins = np.broadcast_to(self.windows.begins, (count, width, 3)).reshape(-1, 3)
        more = np.repeat(candidates[:, 1:], width, axis=0)
        if isinstance(self.model, QuadModel):
            poses = self._fly(told, begins, more[:, 0])
        else:
            told *= more[:, None]
            poses = self._roll(told) if self.model is GRITSBOT else self._drive(told, begins)
        poses = poses.reshape(count, width, -1, 3)
        return seen_from_the_first(poses)

    def _told(self, latency: Float) -> Float:
        """(K W, steps, 2) means of the set-points within each step."""
        begin = self.windows.start - self.windows.warm_s
        edges = begin[:, None] + STEP_S * np.arange(self._ticks + 1)
        late = edges[None] - latency[:, None, None]
        sums = np.stack([np.interp(late, self._times, self._sums[:, k]) for k in (0, 1)], axis=-1)
        means = np.diff(sums, axis=2) / STEP_S
        return np.asarray(means.reshape(-1, self._ticks, 2))

    def _drive(self, told: Float, begins: Float) -> Float:
        """(B, 1 + H, 3) poses of differential drives on their tyres."""
        model = self.model
        assert isinstance(model, DriveModel)
        blocks = Blocks(model, len(told), 1)
        state = np.zeros((len(told), 1, STATE))
        state[:, 0, 2], state[:, 0, Row.ATTITUDE + 3] = model.height, 1.0
        state[:, 0, Row.VELOCITY : Row.VELOCITY + 2] = begins[:, :2]
        state[:, 0, Row.SPIN + 2] = begins[:, 2]
        blocks.put(0, state)
        half = model.axle / 2.0 * told[..., 1]
        wheels = np.stack([told[..., 0] - half, told[..., 0] + half], axis=-1)
        return self._march(blocks, wheels)

    def _fly(self, told: Float, begins: Float, drag: Float) -> Float:
        """(B, 1 + H, 3) poses of quadrotors, which level out at their height at first."""
        model = self.model
        assert isinstance(model, QuadModel)
        blocks = Blocks(model, len(told), 1)
        state = np.zeros((len(told), 1, STATE))
        state[:, 0, 2], state[:, 0, Row.ATTITUDE : Row.VELOCITY] = (
            model.height,
            upright(np.zeros(1)),
        )
        state[:, 0, Row.VELOCITY : Row.VELOCITY + 2] = begins[:, :2]
        state[:, 0, Row.MOTOR :] = model.mass * GRAVITY / 4
        blocks.put(0, state)
        blocks.put(Row.DRAG, drag[:, None])
        return self._march(blocks, told)

    def _march(self, blocks: Blocks, commands: Float) -> Float:
        out = []
        for tick in range(self._ticks + 1):
            if tick in self._marks:
                out.append(_poses(blocks))
            if tick < self._ticks:
                blocks.put(Row.COMMAND, commands[:, None, tick])
                blocks.advance(round(STEP_S * PHYSICS_HZ))
        return np.stack(out, axis=1)

    def _roll(self, told: Float) -> Float:
        """(B, 1 + H, 3) poses of unicycles that do at once what they are told."""
        turn = STEP_S * told[..., 1]
        yaw = np.cumsum(turn, axis=1) - turn / 2.0
        ahead = STEP_S * told[..., 0]
        steps = np.stack([ahead * np.cos(yaw), ahead * np.sin(yaw), turn], axis=-1)
        poses = np.concatenate([np.zeros((len(told), 1, 3)), np.cumsum(steps, axis=1)], axis=1)
        return np.asarray(poses[:, self._marks])


def _poses(blocks: Blocks) -> Float:
    """(B, 3) x, y and yaw."""
    state = blocks.get(0, Row.VELOCITY)[:, 0]
    yaw = 2.0 * np.arctan2(state[:, Row.ATTITUDE + 2], state[:, Row.ATTITUDE + 3])
    return np.column_stack([state[:, :2], yaw])


def _within_wheels(model: DriveModel, told: Float) -> Float:
    """Set-points (K, 2) as far as the wheels can turn."""
    left, right = wheel_commands(model, told)
    ahead, turn = (left + right) / 2.0, (right - left) / model.axle
    return model.wheel_speed * np.stack([ahead, turn], axis=-1)


def _summed(times: Float, told: Float) -> tuple[Float, Float]:
    """Integral of set-points that hold until the next one: corners (K + 2), and values there."""
    ends = np.array([*times[1:], times[-1] + 10.0])
    pieces = told * (ends - times)[:, None]
    sums = np.concatenate([np.zeros((2, 2)), np.cumsum(pieces, axis=0)])
    return np.array([times[0] - 100.0, *times, ends[-1]]), sums
