"""What every node can be told at start: one class per node, which ROS parameters are declared from.

All of it is fixed while a node runs. Descriptions, ranges and choices are those of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.messages import MOST_ROBOTS

T = TypeVar("T", bound=BaseModel)


class FaultParameters(BaseModel):
    """Of a node that can break robots on purpose; see `injection.gate`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    allow_faults: bool = False
    """Whether it obeys fault commands; it needs an installation that was built for that."""
    faults_token: str = ""
    """File with the operator's token, which a fault command must be signed with."""


class OrderParameters(BaseModel):
    """Of `fault_node`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    faults_token: str = Field(min_length=1)
    """File with the operator's token, with which it signs."""


class RobotOptions(BaseModel):
    """What can be said of one robot, in a fleet file or to its node."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    reweight: bool = True
    """Whether it uses health weights."""
    entities: Entities = "none"
    """Whom it attends to in a team larger than any of training; see `EntityBudget`."""
    allow_faults: bool = False
    """Whether it obeys fault commands."""


class NodeParameters(BaseModel):
    """Of a node for a team."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    team_size: int = Field(1, ge=1, le=MOST_ROBOTS)
    """Robots in the roster."""


class BundleParameters(NodeParameters):
    """Of a node that opens the team's bundle."""

    bundle: str = Field(min_length=1)
    """Policy bundle: folder, archive, slot, or the name of one that ships."""
    keys: str = ""
    """Public keys or folders of them, as in PATH, one of which must have signed the bundle."""


class PolicyParameters(BundleParameters, RobotOptions, FaultParameters):
    """Of `policy_node`."""

    robot: int = Field(0, ge=0, le=MOST_ROBOTS - 1)
    """Roster index."""
    shadow: str = ""
    """Bundle that looks on and is never obeyed; empty: none."""
    autostart: bool = True
    """Whether it configures and activates itself; without, it waits for a lifecycle manager."""

    @model_validator(mode="after")
    def _is_in_its_roster(self) -> PolicyParameters:
        if self.robot >= self.team_size:
            raise ValueError(f"robot {self.robot} is not in a roster of {self.team_size}")
        return self


class SupervisorParameters(BundleParameters):
    """Of `supervisor_node`."""

    rank: int = Field(0, ge=0, le=15)
    """0 speaks, 1 and more stand by in this order."""


class JumpedParameters(SupervisorParameters):
    """Of `jumped_supervisor`."""

    jump_after_s: float = Field(0.0, ge=0.0)
    """S after which its wall clock is wrong."""


class RogueParameters(NodeParameters):
    """Of `rogue_node`."""

    way: Literal["replay", "lie", "absurd"] = "lie"
    """What it does, see `Rogue`."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Of what it makes up."""


class EstopParameters(NodeParameters):
    """Of `estop_node`."""

    team_size: int = Field(0, ge=0, le=MOST_ROBOTS)
    """Robots in the roster; 0: those that are found."""


class ConsoleParameters(EstopParameters):
    """Of `console_node`."""


class WorldParameters(NodeParameters, FaultParameters):
    """Of `world_node`."""

    scenario: str = "rendezvous"
    """Scenario by name."""
    robot: str = "epuck"
    """Robot class by name."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Of start poses, landmarks and sensing noise."""
    spares: int = Field(0, ge=0, le=MOST_ROBOTS)
    """Bodies beyond those of the roster, that can take a lost robot's place."""
    hidden: str = ""
    """What robots have that nobody knows of, as NAME=VALUE with spaces between; see `Hidden`."""
    awaited: int = Field(0, ge=0, le=MOST_ROBOTS)
    """Robots whose nodes must be there before any of them senses anything."""
    wait_s: float = Field(0.0, ge=0.0)
    """S after which the others are no longer waited for."""


class FieldParameters(NodeParameters):
    """Of `field_node`."""

    scenario: str = "rendezvous"
    """Scenario by name."""
    robot: str = "crazyflie"
    """Robot class by name."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Of landmarks and posts."""
    awaited: int = Field(0, ge=0, le=MOST_ROBOTS)
    """Robots that must have sent a command before the task begins."""


class BasesParameters(NodeParameters):
    """Of `bases_node`."""

    scenario: str = "coverage"
    """Scenario at whose places they stand."""
    robot: str = "epuck"
    """Robot class by name; one that drives."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Of the places."""
    prefix: str = Field("/base_", min_length=1)
    """Of their namespaces; the index follows."""


class DriverParameters(NodeParameters, FaultParameters):
    """Of `driver_node`."""

    links: str = Field(min_length=1)
    """Its robots, as ROBOT=KIND:ADDRESS with spaces between them."""
    robot: str = "crazyflie"
    """Robot class by name."""
    hardware: bool = False
    """Whether real robots may be at the other end of a link."""
    arm: bool = False
    """Whether robots are armed once all nodes are there; without, nothing moves."""
    height: float = Field(1.0, gt=0.2, le=5.0)
    """M at which fliers fly."""
    awaited: int = Field(0, ge=0, le=MOST_ROBOTS)
    """Robots whose nodes must be there before any of them is armed or senses anything."""
    wait_s: float = Field(0.0, ge=0.0)
    """S after which the others are no longer waited for."""


class RecorderParameters(NodeParameters):
    """Of `recorder`."""

    folder: str = Field(min_length=1)
    """New folder to record to."""
    around_s: int = Field(0, ge=0, le=600)
    """Record only around events, from so many s before each; 0: the whole flight."""
    after_s: int = Field(5, ge=1, le=600)
    """And until so many s after it."""
    ring_mb: int = Field(256, ge=1, le=65536)
    """MiB of messages that wait in memory for an event; the oldest make room."""
    most_files: int = Field(50, ge=1, le=1000)
    """Events that get a file."""


def checked(kind: type[T], values: Mapping[str, Any]) -> T:
    """Parameters from their values.

    Args:
        kind: class of the node.
        values: by name; what is left out has its default.

    Raises:
        ConfigError: a value is wrong or missing; the message names the parameter.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        raise ConfigError(f"parameter {name} is missing; give it: -p {name}:=VALUE")
    message = first["msg"].removeprefix("Value error, ")
    raise ConfigError(f"parameter {name} = {first['input']!r}: {message}" if name else message)


def bounds_of(field: FieldInfo) -> tuple[int, int] | None:
    """Least and largest value of a field that has both."""
    least = [item.ge for item in field.metadata if hasattr(item, "ge")]
    most = [item.le for item in field.metadata if hasattr(item, "le")]
    return (int(least[0]), int(most[0])) if least and most else None


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Words that a field may hold; none where any will do."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
