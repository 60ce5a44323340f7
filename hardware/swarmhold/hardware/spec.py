"""The written contract between training, export and robot: token layouts, units, bounds, rates.

A bundle carries the digest of this contract in its manifest; a robot refuses another one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from swarmhold.hardware.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Field:
    """One named stretch of a token.

    Attributes:
        name: field-standard word.
        size: number of values.
        unit: SI unit, or "1".
        frame: "body" (yaw frame of the robot), "world", or "-" where no frame applies.
        scale: the graph divides by this before it clips to +-5.
    """

    name: str
    size: int
    unit: str
    frame: str
    scale: float


@dataclass(frozen=True, slots=True)
class ActionField:
    """One action component: a velocity set-point for the on-board controller.

    Attributes:
        name: field-standard word.
        unit: SI unit.
        frame: "body" (yaw frame).
        bound: the graph's output lies in [-bound, bound].
    """

    name: str
    unit: str
    frame: str
    bound: float


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Everything that a policy graph and its robot must agree on.

    Attributes:
        robot: robot class, a key of `ROBOTS`.
        rate_hz: rate at which the policy decides.
        self_fields: layout of the self token.
        team_fields: layout of one teammate token.
        obstacle_fields: layout of one landmark, obstacle or body token.
        action_fields: layout of the action.
        radius_m: radius of the robot's body.
    """

    robot: str
    rate_hz: float
    self_fields: tuple[Field, ...]
    team_fields: tuple[Field, ...]
    obstacle_fields: tuple[Field, ...]
    action_fields: tuple[ActionField, ...]
    radius_m: float

    @property
    def self_size(self) -> int:
        """Width Ds of the self token."""
        return sum(field.size for field in self.self_fields)

    @property
    def team_size(self) -> int:
        """Width Dt of a teammate token."""
        return sum(field.size for field in self.team_fields)

    @property
    def obstacle_size(self) -> int:
        """Width Do of an obstacle token."""
        return sum(field.size for field in self.obstacle_fields)

    @property
    def action_size(self) -> int:
        """Number of action components Da."""
        return len(self.action_fields)

    @property
    def action_bound(self) -> tuple[float, ...]:
        """Symmetric bound of each action component."""
        return tuple(field.bound for field in self.action_fields)

    @property
    def drives(self) -> bool:
        """Whether it is a differential drive, which turns to where it goes; else it hovers."""
        return self.action_fields[0].name == "forward_speed"

    @property
    def loop_hz(self) -> float:
        """Rate of the control loop: two ticks to a decision."""
        return 2.0 * self.rate_hz

    def digest(self) -> str:
        """sha256 of the canonical JSON form, as hexadecimal text."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _spec(
    robot: str,
    radius_m: float,
    speed: float,
    action: tuple[ActionField, ...],
    rate_hz: float = 10.0,
) -> PolicySpec:
    length = 2.0  # m: about the half width of the arenas the scenarios use
    return PolicySpec(
        robot=robot,
        rate_hz=rate_hz,
        self_fields=(
            Field("velocity", 2, "m/s", "body", speed),
            Field("yaw_rate", 1, "rad/s", "body", 5.0),
            Field("last_action", 2, "1", "body", 1.0),
            Field("home", 2, "m", "body", length),
        ),
        team_fields=(
            Field("position", 3, "m", "body", length),
            Field("velocity", 3, "m/s", "body", speed),
            Field("heading", 2, "1", "body", 1.0),
            Field("age", 1, "s", "-", 1.0),
        ),
        obstacle_fields=(
            Field("position", 3, "m", "body", length),
            Field("radius", 1, "m", "-", 0.1),
            Field("kind", 3, "1", "-", 1.0),
            Field("value", 1, "1", "-", 1.0),
            Field("rank", 1, "1", "-", 1.0),
        ),
        action_fields=action,
        radius_m=radius_m,
    )


# e-puck: wheel speed 15.07 cm/s, axle 5.69 cm, hence 5.30 rad/s turning on the spot; body 7 cm.
# Crazyflie 2.x: hover set-point (planar velocity at a height that the on-board controller holds),
# 9.2 cm rotor to rotor; the speed bound is the one its high-level commander uses by default.
# GRITSBot X of the Robotarium: wheels of 1.6 cm at up to 12.5 rad/s, axle 10.5 cm, collision circle
# of 13.5 cm; a decision every three of its ticks of 33 ms (Pickem et al., ICRA 2017).
ROBOTS: dict[str, PolicySpec] = {
    "epuck": _spec(
        "epuck",
        0.035,
        0.1507,
        (
            ActionField("forward_speed", "m/s", "body", 0.1507),
            ActionField("yaw_rate", "rad/s", "body", 5.301),
        ),
    ),
    "crazyflie": _spec(
        "crazyflie",
        0.065,
        1.0,
        (
            ActionField("velocity_x", "m/s", "body", 1.0),
            ActionField("velocity_y", "m/s", "body", 1.0),
        ),
    ),
    "gritsbot": _spec(
        "gritsbot",
        0.0675,
        0.2,
        (
            ActionField("forward_speed", "m/s", "body", 0.2),
            ActionField("yaw_rate", "rad/s", "body", 3.81),
        ),
        rate_hz=1.0 / 0.099,
    ),
}


def policy_spec(robot: str) -> PolicySpec:
    """The contract of a robot class.

    Args:
        robot: a key of `ROBOTS`.

    Raises:
        ConfigError: the robot class is unknown.
    """
    if robot not in ROBOTS:
        known = ", ".join(sorted(ROBOTS))
        raise ConfigError(f"unknown robot class {robot!r}; choose one of: {known}")
    return ROBOTS[robot]
