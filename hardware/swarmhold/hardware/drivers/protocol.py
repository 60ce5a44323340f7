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


class Reality(Enum):
    """What is at the other end of a link. Who does not say that it is simulated is hardware."""

    SIM = "SIM"
    HARDWARE = "HARDWARE"


class RobotDriver(Protocol):
    """A link to one robot, simulated or real.

    A driver brings its robot to rest on its own when commands stay away or ask for a stop; see
    `Watchdog`. Nothing but `arm` makes it ready to move, and nothing but a person calls that.
    """

    @property
    def reality(self) -> Reality:
        """What is at the other end; known once it is connected."""

    def connect(self) -> None:
        """Open the link.

        Raises:
            NotReadyError: the robot does not answer.
            ConfigError: it is hardware, and nobody has said that it may be.
        """

    def arm(self) -> None:
        """Make it ready to move: motors on, and what flies at its height, holding.

        Raises:
            NotReadyError: it refuses, or does not get there.
        """

    def read(self) -> SensorFrame:
        """What the robot senses now; raises `NotReadyError` while it is not heard."""

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
