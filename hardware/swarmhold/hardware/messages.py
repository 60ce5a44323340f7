"""What travels between robots, supervisor and world; ROS messages mirror these one to one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from swarmhold.hardware.errors import ConfigError

EVERYBODY = 255  # recipient of a broadcast
SUPERVISOR = 254  # recipient of what only supervisors are to hear
WORD = 2**32  # counters have 32 bits on the wire
MOST_ROBOTS = 64  # of a live team: what the messages' arrays hold; simulations take any number


def later(new: int, old: int) -> bool:
    """Whether a counter of 32 bits has passed another one, across its wrap (RFC 1982).

    So that nobody can end all succession by naming the last term there is.
    """
    return 0 < (new - old) % WORD < WORD // 2


class Mode(IntEnum):
    """What a robot is doing, in rising order of urgency; the highest request wins."""

    ACTIVE = 0
    HOLD = 1
    LAND = 2
    STOP = 3


@dataclass(frozen=True, slots=True)
class RobotState:
    """A robot's state message; it is the heartbeat as well.

    Attributes:
        robot: roster index.
        recipient: roster index of the addressee, or `EVERYBODY`.
        boot_id: changes with every start of the process.
        seq: counts messages.
        control_seq: counts finished control callbacks.
        stamp: s, sender's clock.
        position: (3) m, world ENU.
        velocity: (3) m/s, world ENU.
        yaw: rad.
        yaw_rate: rad/s.
        battery: 0 to 1.
        mode: `Mode`.
        bundle: first eight bytes of the bundle's digest.
        accusations: `Accusation` bits, two bytes per robot, the low one first.
    """

    robot: int
    recipient: int
    boot_id: int
    seq: int
    control_seq: int
    stamp: float
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    yaw: float
    yaw_rate: float
    battery: float
    mode: int
    bundle: int
    accusations: bytes


@dataclass(frozen=True, slots=True)
class SensorFrame:
    """What a driver reads from one robot in one tick.

    Attributes:
        stamp: s, driver's clock.
        position: (3) m, world ENU, own localisation.
        velocity: (3) m/s, world ENU.
        yaw: rad.
        yaw_rate: rad/s.
        battery: 0 to 1.
        sighted: roster indices of the teammates seen by identified sensing.
        sightings: (3) m each, relative position in the yaw frame.
        bodies: (3) m each, unidentified bodies within proximity range, yaw frame.
        stopped: whether the driver holds the robot stopped until it is started anew.
    """

    stamp: float
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    yaw: float
    yaw_rate: float
    battery: float
    sighted: tuple[int, ...]
    sightings: tuple[tuple[float, float, float], ...]
    bodies: tuple[tuple[float, float, float], ...]
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """Set-point for the on-board controller.

    Attributes:
        stamp: s, of the frame it answers.
        action: (Da) physical units, yaw frame.
        mode: `Mode`.
    """

    stamp: float
    action: tuple[float, ...]
    mode: int


@dataclass(frozen=True, slots=True)
class HealthTable:
    """The supervisor's verdict: full state, idempotent, leased.

    Attributes:
        stamp: s, supervisor's clock.
        term: the highest term wins.
        seq: counts tables of a term.
        issuer: name of the supervisor.
        lease_s: s for which the table is valid after it was received.
        weights: one per robot, in [0, 1].
        states: `HealthState` per robot.
        reasons: `Accusation` bits per robot.
    """

    stamp: float
    term: int
    seq: int
    issuer: str
    lease_s: float
    weights: tuple[float, ...]
    states: tuple[int, ...]
    reasons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """What a robot's controller did in one tick, for recording and display.

    Attributes:
        robot: roster index.
        stamp: s, own clock.
        weights: weight given to every robot; own entry 1.
        attention: share of every robot in the policy's attention; the own entry holds the
            null token's share. Empty until the policy has run.
        states: local `HealthState` per robot.
        source: `WeightSource`.
        mode: `Mode`.
        period_s: s since the previous tick.
        inference_s: s that the policy took; 0 on ticks without a decision.
        missed: ticks missed since the start.
        limited: bits of `safety.Limit` that changed the set-point.
    """

    robot: int
    stamp: float
    weights: tuple[float, ...]
    attention: tuple[float, ...]
    states: tuple[int, ...]
    source: int
    mode: int
    period_s: float
    inference_s: float
    missed: int
    limited: int


@dataclass(frozen=True, slots=True)
class Task:
    """What the team is to do, the same for everybody.

    Attributes:
        landmarks: (x, y, value) m, world ENU; those that are there and in sight now.
        home: (3) m, world ENU.
        half_width: m, half the side of the square geofence around home.
        owners: roster index of the robot that alone sees a landmark, or -1, one for each.
        posts: (x, y, radius) m, upright cylinders in the way.
    """

    landmarks: tuple[tuple[float, float, float], ...]
    home: tuple[float, float, float]
    half_width: float
    owners: tuple[int, ...] = ()
    posts: tuple[tuple[float, float, float], ...] = ()


def check_team(robots: int) -> None:
    """Whether messages can carry what is said of a team of that size.

    Raises:
        ConfigError: it is too large, or empty.
    """
    if not 1 <= robots <= MOST_ROBOTS:
        raise ConfigError(
            f"{robots} robots; a live team has 1 to {MOST_ROBOTS}, as many as messages carry "
            "(in simulation there is no such limit)"
        )
