"""Faults of a live robot: what a `FaultSpec` does to what it senses, does, sends and hears.

Off unless a node is started with faults allowed. Crash, freeze and reboot are not here: they are
real signals to a real process. Nor are broken motors: they belong where the motors are.
"""

from __future__ import annotations

from dataclasses import replace

from swarmhold.hardware.controller import Tick
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import BODY_KINDS, KINDS, SIGNAL_KINDS, FaultSpec
from swarmhold.hardware.injection.commands import Commands
from swarmhold.hardware.injection.radio import Radio
from swarmhold.hardware.injection.schedule import Schedule
from swarmhold.hardware.injection.senses import Senses
from swarmhold.hardware.messages import SUPERVISOR, RobotState, SensorFrame
from swarmhold.hardware.spec import PolicySpec

NODE_KINDS = tuple(kind for kind in KINDS if kind not in (*SIGNAL_KINDS, *BODY_KINDS))


class Injector:
    """Acts on one robot's node, between its driver, its controller and its radio."""

    def __init__(self, spec: PolicySpec, robot: int, team_size: int, half_width: float) -> None:
        """Nothing injected yet.

        Args:
            spec: contract of the robot.
            robot: roster index.
            team_size: N.
            half_width: m, scale of false positions.
        """
        self._robot = robot
        self._faults, self._cuts = Schedule(), [Schedule() for _ in range(team_size)]
        self._senses, self._commands = Senses(), Commands(spec)
        self._radio = Radio(robot, team_size, half_width)

    def add(self, fault: FaultSpec, now: float) -> bool:
        """Order a fault at `now` (s); its `start_s` counts from here.

        Returns:
            Whether it is one of this robot. Of others only a partition is of interest.

        Raises:
            ConfigError: the kind cannot be injected into a running node.
        """
        if fault.kind == "partition" and fault.robot < len(self._cuts):
            self._cuts[fault.robot].add(fault, now)
        if fault.robot != self._robot or fault.kind in BODY_KINDS:
            return False
        if fault.kind not in NODE_KINDS:
            raise ConfigError(
                f"{fault.kind!r} is not injected into a node; a node takes: "
                f"{', '.join(NODE_KINDS)} ({', '.join(SIGNAL_KINDS)} are signals to its process)"
            )
        self._faults.add(fault, now)
        return True

    def hears(self, sender: int | None, now: float) -> bool:
        """Whether a message of a robot, or of a supervisor (None), comes in at `now` (s)."""
        acting = self._faults.acting(now)
        if not acting:
            return True
        end = SUPERVISOR if sender is None else sender
        return self._radio.hears(end, acting, self._cut(now), now)

    def acts(self, now: float) -> bool:
        """Whether any fault of this robot acts."""
        return bool(self._faults.acting(now))

    def sense(self, frame: SensorFrame, now: float) -> SensorFrame:
        """What the robot believes to sense."""
        return self._senses.read(frame, self._faults.acting(now))

    def apply(self, tick: Tick, frame: SensorFrame, now: float) -> tuple[Tick, list[RobotState]]:
        """Bend the outcome of a tick.

        Args:
            tick: what the controller wants to do and say.
            frame: what the robot really senses.
            now: s, monotonic.

        Returns:
            The tick with the command that goes out, and the messages that go out.
        """
        acting = self._faults.acting(now)
        decided = tick.status.inference_s > 0.0
        command = self._commands.send(tick.command, frame, decided, acting)
        states = self._radio.send(tick.state, acting, self._cut(now), now)
        status = replace(tick.status, inference_s=0.0) if self._commands.late else tick.status
        return replace(tick, command=command, status=status), states

    def _cut(self, now: float) -> set[int]:
        """Robots on the cut side of a partition."""
        return {robot for robot, faults in enumerate(self._cuts) if faults.acting(now)}
