"""What every link to a robot offers."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, SensorFrame


class Injected(Enum):
    """What became of a request to break something."""

    APPLIED = "applied"
    UNSUPPORTED = "unsupported"
    NO_EFFECT = "no effect"


class RobotDriver(Protocol):
    """A link to one robot, simulated or real.

    A driver brings its robot to rest on its own when commands stay away or ask for a stop; see
    `Watchdog`.
    """

    def connect(self) -> None:
        """Open the link; raises `NotReadyError` if the robot does not answer."""

    def read(self) -> SensorFrame:
        """What the robot senses now."""

    def command(self, command: Command) -> Command:
        """Pass on a set-point; returns what was really applied."""

    def hold(self) -> None:
        """Zero velocity, keep height."""

    def land(self) -> None:
        """Come down where it is."""

    def stop(self) -> None:
        """Motors off, until the driver is started anew."""

    def inject(self, fault: FaultSpec) -> Injected:
        """Break something on purpose."""

    def close(self) -> None:
        """Leave the robot holding or landed, and free the link."""
