"""Fault specifications: the same value drives the simulator, the ROS 2 graph and hardware.

A fault is unit x type. Both vocabularies follow PX4's failure command where it has a word,
and add units for what a learned team policy can lose beyond it, and one type for what networks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from swarmhold.hardware.errors import ConfigError


class FaultUnit(str, Enum):
    """Which part fails."""

    AGENT = "agent"
    POLICY = "policy"
    COMPUTE = "compute"
    MOTOR = "motor"
    BATTERY = "battery"
    SENSOR = "sensor"
    LINK = "link"
    CLOCK = "clock"
    OBSERVATION = "observation"


class FaultType(str, Enum):
    """How it fails."""

    OFF = "off"
    STUCK = "stuck"
    WRONG = "wrong"
    SLOW = "slow"
    GARBAGE = "garbage"
    INTERMITTENT = "intermittent"
    REORDERED = "reordered"  # netem's word; PX4 has none


# The names people use, with their unit and type.
KINDS: dict[str, tuple[FaultUnit, FaultType]] = {
    "crash": (FaultUnit.AGENT, FaultType.OFF),  # process and radio gone, motors hold then stop
    "freeze": (FaultUnit.AGENT, FaultType.STUCK),  # control loop stopped, nothing is sent
    "reboot": (FaultUnit.AGENT, FaultType.INTERMITTENT),  # crash, back with a new boot id
    "duplicate": (FaultUnit.AGENT, FaultType.WRONG),  # a second sender under the same name
    "runaway": (FaultUnit.POLICY, FaultType.WRONG),  # drives off at full speed, radio is honest
    "adversary": (FaultUnit.POLICY, FaultType.GARBAGE),  # makes for the nearest teammate
    "overrun": (FaultUnit.COMPUTE, FaultType.SLOW),  # decisions come late, the last one is held
    "slow": (FaultUnit.MOTOR, FaultType.SLOW),  # actuator gain below one
    "motor_off": (FaultUnit.MOTOR, FaultType.OFF),  # one motor loses its gain
    "motor_stuck": (FaultUnit.MOTOR, FaultType.STUCK),  # one motor holds what it last did
    "battery": (FaultUnit.BATTERY, FaultType.SLOW),  # sags, and all motors with it
    "sensor_bias": (FaultUnit.SENSOR, FaultType.WRONG),  # own position is off
    "sensor_drift": (FaultUnit.SENSOR, FaultType.SLOW),  # and more so with time
    "sensor_freeze": (FaultUnit.SENSOR, FaultType.STUCK),  # own state repeats
    "sensor_noise": (FaultUnit.SENSOR, FaultType.INTERMITTENT),  # own position is noisy
    "sensor_nan": (FaultUnit.SENSOR, FaultType.GARBAGE),  # own state is not finite
    "link_loss": (FaultUnit.LINK, FaultType.OFF),  # radio dead, body and control go on
    "partition": (FaultUnit.LINK, FaultType.STUCK),  # those that have it hear only each other
    "delay": (FaultUnit.LINK, FaultType.SLOW),  # messages arrive late, with jitter
    "drop": (FaultUnit.LINK, FaultType.INTERMITTENT),  # messages get lost in bursts
    "reorder": (FaultUnit.LINK, FaultType.REORDERED),  # later messages overtake some of them
    "spoof": (FaultUnit.LINK, FaultType.WRONG),  # tells each receiver another false pose
    "replay": (FaultUnit.LINK, FaultType.GARBAGE),  # sends the state of the onset again and again
    "clock": (FaultUnit.CLOCK, FaultType.WRONG),  # stamps are off
    "nan": (FaultUnit.OBSERVATION, FaultType.GARBAGE),  # sends values that are not finite
}

# What severity 1 amounts to, wherever it is injected.
FULL: dict[str, float] = {
    "slow": 0.8,  # share of the gain of all motors that is lost
    "battery": 0.6,  # the same, once it has sagged
    "sensor_bias": 0.5,  # m
    "sensor_drift": 0.1,  # m/s
    "sensor_noise": 0.2,  # m, standard deviation
    "delay": 1.0,  # s, mean
    "reorder": 0.5,  # share of the messages that are kept back
    "clock": 1.0,  # s
    "overrun": 0.9,  # share of the decisions
}
FIELD_S = 30.0  # most that a fault lasts outside simulation
SAG_S = 10.0  # s until a failing battery has sagged
GOOD_S, BAD_S = 2.0, 0.3  # mean lengths of a link's spells; "drop" loses messages in the bad ones
JITTER = 0.5  # spread of the logarithm of a "delay"
BEHIND_S = 0.15  # s for which "reorder" keeps a message back, and later ones overtake it
SIGNAL_KINDS = ("crash", "freeze", "reboot")  # on a live robot: signals to its process
BODY_KINDS = ("motor_off", "motor_stuck", "battery")  # to be injected where the motors are


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of one robot.

    Attributes:
        kind: a key of `KINDS`.
        robot: index of the robot in the roster.
        start_s: onset, s after the start of the episode or flight.
        duration_s: how long it lasts; infinity for the rest of the run.
        severity: 0 to 1, of the largest effect: `FULL`, and "motor_off" the gain of one motor,
            "spoof" the arena's half width, "drop" all messages of a burst. Ignored by the rest.
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
