"""Faults of a live robot: what a `FaultSpec` does to its frames, commands and messages.

Off unless a node is started with faults allowed. Crash and freeze are not here: they are real
signals to a real process.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.controller import Tick, addressed
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import RobotState
from swarmhold.hardware.spec import PolicySpec

LIVE_KINDS = ("runaway", "slow", "link_loss", "spoof", "nan")
SUPERVISOR = 254  # roster index under which the supervisor listens


class Injector:
    """Acts on what one robot sends out."""

    def __init__(self, spec: PolicySpec, robot: int, team_size: int, half_width: float) -> None:
        """Nothing injected yet.

        Args:
            spec: contract of the robot.
            robot: roster index.
            team_size: N.
            half_width: m, scale of false positions.
        """
        self._spec, self._robot, self._n, self._half = spec, robot, team_size, half_width
        self._faults: list[tuple[FaultSpec, float]] = []

    def add(self, fault: FaultSpec, now: float) -> None:
        """Start a fault now; its `start_s` counts from here.

        Raises:
            ConfigError: the kind cannot be injected into a running node.
        """
        if fault.kind not in LIVE_KINDS:
            raise ConfigError(
                f"{fault.kind!r} is not injected into a node; a node takes: "
                f"{', '.join(LIVE_KINDS)} (crash, freeze and reboot are signals to its process)"
            )
        self._faults.append((fault, now))

    def active(self, now: float) -> dict[str, FaultSpec]:
        """Kinds that act now."""
        self._faults = [(f, at) for f, at in self._faults if now - at < f.end_s]
        return {f.kind: f for f, at in self._faults if f.active(now - at)}

    def apply(self, tick: Tick, yaw: float, now: float) -> tuple[Tick, list[RobotState]]:
        """Bend the outcome of a tick.

        Args:
            tick: what the controller wants to do and say.
            yaw: rad, heading of the robot.
            now: s, monotonic.

        Returns:
            The tick with the command that goes out, and the messages that go out.
        """
        acting = self.active(now)
        command, states = tick.command, [tick.state]
        bound = np.asarray(self._spec.action_bound)
        if "runaway" in acting:
            bearing = np.random.default_rng(acting["runaway"].seed).uniform(-np.pi, np.pi) - yaw
            if self._spec.drives:
                turn = np.clip(4.0 * np.arctan2(np.sin(bearing), np.cos(bearing)), -1, 1)
                wild = np.array([1.0, turn]) * bound
            else:
                wild = np.array([np.cos(bearing), np.sin(bearing)]) * bound
            command = replace(command, action=tuple(wild.tolist()))
        if "slow" in acting:
            gain = 1.0 - 0.8 * acting["slow"].severity
            command = replace(command, action=tuple(gain * v for v in command.action))
        if "spoof" in acting:
            states = self._lies(tick.state, acting["spoof"])
        if "nan" in acting:
            states = [replace(s, position=(float("nan"),) * 3) for s in states]
        if "link_loss" in acting:
            states = []
        return replace(tick, command=command), states

    def _lies(self, state: RobotState, fault: FaultSpec) -> list[RobotState]:
        """One message per receiver, each with another constant offset; all within the arena."""
        offset = np.random.default_rng(fault.seed).uniform(-1, 1, (self._n, 2))
        offset *= fault.severity * self._half
        lies = []
        for receiver in range(self._n):
            if receiver != self._robot:
                false = np.array(state.position, float)
                false[:2] = np.clip(false[:2] + offset[receiver], -self._half, self._half)
                lies.append(addressed(state, receiver, false))
        lies.append(replace(state, recipient=SUPERVISOR))
        return lies
