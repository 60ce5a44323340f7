"""Decisions that are wrong, late or weak: what a robot does instead of what it was told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.injection.schedule import Kinds
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float


class Commands:
    """What goes to the motors."""

    def __init__(self, spec: PolicySpec) -> None:
        """Args: contract of the robot."""
        self._spec, self._bound = spec, np.asarray(spec.action_bound)
        self._held: tuple[float, ...] = (0.0,) * spec.action_size
        self._late = False

    @property
    def late(self) -> bool:
        """Whether the last decision did not come in time."""
        return self._late

    def send(self, command: Command, frame: SensorFrame, decided: bool, acting: Kinds) -> Command:
        """Bend a command; a robot that is to hold, land or stop does so with any fault.

        Args:
            command: what the controller wants.
            frame: what the robot really sees.
            decided: whether the policy has just been asked.
            acting: faults.
        """
        if command.mode != Mode.ACTIVE:
            return command
        action = command.action
        self._late &= "overrun" in acting
        if "overrun" in acting:
            found = acting["overrun"]
            if decided:
                self._late = bool(found.draws.random() < found.size)
            action = self._held if self._late else action
        self._held = action
        if "runaway" in acting:
            action = self._towards(acting["runaway"].bearing - frame.yaw)
        if "adversary" in acting and frame.sightings:
            x, y = min((np.hypot(s[0], s[1]), s[:2]) for s in frame.sightings)[1]
            action = self._towards(float(np.arctan2(y, x)))
        if "slow" in acting:
            action = tuple((1.0 - acting["slow"].size) * value for value in action)
        return replace(command, action=action)

    def _towards(self, bearing: float) -> tuple[float, ...]:
        """Full speed in a direction of the yaw frame, rad."""
        wild: Float
        if self._spec.drives:
            turn = np.clip(4.0 * np.arctan2(np.sin(bearing), np.cos(bearing)), -1.0, 1.0)
            wild = np.array([1.0, turn]) * self._bound
        else:
            wild = np.array([np.cos(bearing), np.sin(bearing)]) * self._bound
        return tuple(float(value) for value in wild)
