"""Fault specifications: the same value drives the simulator, the ROS 2 graph and hardware.

A fault is unit x type. Both vocabularies follow PX4's failure command where it has a word,
and add units for what a learned team policy can lose beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from swarmhold.hardware.errors import ConfigError


class FaultUnit(str, Enum):
    """Which part fails."""

    AGENT = "agent"
    POLICY = "policy"
    MOTOR = "motor"
    LINK = "link"
    OBSERVATION = "observation"


class FaultType(str, Enum):
    """How it fails."""

    OFF = "off"
    STUCK = "stuck"
    WRONG = "wrong"
    SLOW = "slow"
    GARBAGE = "garbage"
    INTERMITTENT = "intermittent"


# The names people use, with their unit and type.
KINDS: dict[str, tuple[FaultUnit, FaultType]] = {
    "crash": (FaultUnit.AGENT, FaultType.OFF),  # process and radio gone, motors hold then stop
    "freeze": (FaultUnit.AGENT, FaultType.STUCK),  # control loop stopped, nothing is sent
    "reboot": (FaultUnit.AGENT, FaultType.INTERMITTENT),  # crash, back with a new boot id
    "runaway": (FaultUnit.POLICY, FaultType.WRONG),  # drives off at full speed, radio is honest
    "slow": (FaultUnit.MOTOR, FaultType.SLOW),  # actuator gain below one
    "link_loss": (FaultUnit.LINK, FaultType.OFF),  # radio dead, body and control go on
    "spoof": (FaultUnit.LINK, FaultType.WRONG),  # tells each receiver another false pose
    "nan": (FaultUnit.OBSERVATION, FaultType.GARBAGE),  # sends values that are not finite
}


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of one robot.

    Attributes:
        kind: a key of `KINDS`.
        robot: index of the robot in the roster.
        start_s: onset, s after the start of the episode or flight.
        duration_s: how long it lasts; infinity for the rest of the run.
        severity: 0 to 1. "slow": lost share of the gain. "spoof": offset as a share of the
            arena's half width. Ignored by the rest.
        seed: drives whatever is random in the fault.

    Raises:
        ConfigError: a value is out of range.
    """

    kind: str
    robot: int
    start_s: float = 0.0
    duration_s: float = float("inf")
    severity: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"unknown fault kind {self.kind!r}; choose one of: {', '.join(KINDS)}"
            )
        if self.robot < 0:
            raise ConfigError(f"fault robot is {self.robot}; it must be a roster index from 0")
        if not self.start_s >= 0.0 or not self.duration_s > 0.0:
            raise ConfigError(
                f"fault times are start {self.start_s} s, duration {self.duration_s} s; "
                "start must be at least 0 and duration above 0"
            )
        if not 0.0 <= self.severity <= 1.0:
            raise ConfigError(f"fault severity is {self.severity}; it must lie in [0, 1]")

    @property
    def end_s(self) -> float:
        """Time at which the fault clears, s."""
        return self.start_s + self.duration_s

    def active(self, now: float) -> bool:
        """Whether the fault acts at `now` (s after the start)."""
        return self.start_s <= now < self.end_s
