"""The fleet file: one description of a team for simulation, nodes, launch files and checks.

What is said of all robots yields to what is said of their type, and that to what one says itself;
docs/ros2.md has an example.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarmhold.hardware.cli.config import read_mapping
from swarmhold.hardware.drivers.links import parse_link
from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.messages import MOST_ROBOTS
from swarmhold.hardware.parameters import RobotOptions
from swarmhold.hardware.security.access import Access, team_access
from swarmhold.hardware.shipped import shipped

HERE = "localhost"


class Options(RobotOptions):
    """What can be said of all robots, of a type, or of a single one."""

    host: str = HERE
    """Where its node runs."""
    link: str = ""
    """How its driver reaches it, as KIND:ADDRESS; empty: it is simulated."""


class Robot(Options):
    """One robot, complete."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$")
    """Unique; for people, topics go by the roster index."""
    type: str | None = None
    """A key of `types`."""


class Host(BaseModel):
    """A computer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: IPv4Address = IPv4Address("127.0.0.1")
    """By which the others reach it."""
    cores: float = Field(2.0, gt=0)
    """That nodes may use."""


class FleetFile(BaseModel):
    """A checked fleet file, its levels resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path
    """Bundle or slot."""
    keys: tuple[Path, ...] = ()
    """Public keys, one of which must have signed the bundle."""
    security: Path | None = None
    """SROS 2 keystore, without which no process joins; None: everybody may."""
    shadow: Path | None = None
    """Bundle that looks on in every robot, and is never obeyed."""
    domain: int | None = Field(None, ge=0, le=232)
    """ROS domain; None: a free one."""
    faults_token: Path | None = None
    """File with the operator's token, the same on every host; robots that allow faults obey it."""
    seed: int = Field(0, ge=0)
    """Of a simulated world."""
    radio_bytes_per_s: float = Field(500_000.0, gt=0)
    """What the air carries between hosts."""
    hosts: dict[str, Host] = {HERE: Host.model_validate({})}
    """By name."""
    supervisors: tuple[str, ...] = (HERE,)
    """Hosts of the supervisors; the first speaks, the others stand by."""
    world: str | None = None
    """Host of the simulated world and the recorder; None: of the first supervisor or robot."""
    robots: tuple[Robot, ...] = Field(min_length=1, max_length=MOST_ROBOTS)
    """In roster order."""

    @property
    def world_host(self) -> str:
        """Where world and recorder run."""
        return self.world or next(iter((*self.supervisors, self.robots[0].host)))

    @property
    def used_hosts(self) -> tuple[str, ...]:
        """Hosts on which something runs, in the order of the file."""
        used = {robot.host for robot in self.robots} | {*self.supervisors, self.world_host}
        return tuple(host for host in self.hosts if host in used)

    @property
    def on_one_host(self) -> bool:
        """Whether everything runs on one computer."""
        return len(self.used_hosts) <= 1

    @property
    def access(self) -> dict[str, Access]:
        """Who may publish and hear what, by enclave."""
        return team_access([robot.allow_faults for robot in self.robots], len(self.supervisors))


def load_fleet(path: Path) -> FleetFile:
    """Read a fleet file.

    Raises:
        ConfigError: something in it is wrong; the message names the key.
    """
    values = read_mapping(path)
    levels = {key: values.pop(key, None) or {} for key in ("all", "types")}
    if not isinstance(levels["types"], dict):
        raise ConfigError(f"{path}: types must be a mapping of names to options")
    for where, options in (("all", levels["all"]), *_of_types(levels["types"])):
        _checked(Options, options, path, where)
    robots = values.get("robots")
    if not isinstance(robots, list) or not all(isinstance(robot, dict) for robot in robots):
        raise ConfigError(f"{path}: robots must be a list of mappings, each with a name")
    values["robots"] = [_resolved(robot, levels, path, i) for i, robot in enumerate(robots)]
    fleet: FleetFile = _checked(FleetFile, values, path, "")
    _agree(fleet, path)
    base = path.parent
    return fleet.model_copy(
        update={
            "bundle": _bundle(base, fleet.bundle),
            "keys": tuple(base / key for key in fleet.keys),
            "shadow": fleet.shadow and _bundle(base, fleet.shadow),
            "security": fleet.security and base / fleet.security,
            "faults_token": fleet.faults_token and base / fleet.faults_token,
        }
    )


def _bundle(base: Path, bundle: Path) -> Path:
    """What lies beside the file, or else the name of a bundle that ships."""
    beside = base / bundle
    return bundle if str(bundle) in shipped() and not beside.exists() else beside


def _of_types(types: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f"types.{name}", options) for name, options in types.items()]


def _resolved(robot: dict[str, Any], levels: dict[str, Any], path: Path, index: int) -> Any:
    """One robot with what its type and all robots have, where it says nothing itself."""
    kind = robot.get("type")
    if kind is not None and kind not in list(levels["types"]):
        known = ", ".join(map(str, levels["types"])) or "none"
        raise ConfigError(f"{path}: robots.{index}.type is {kind!r}; types in this file: {known}")
    inherited = {**levels["all"], **(levels["types"].get(kind) or {})}
    return _checked(Robot, {**inherited, **robot}, path, f"robots.{index}").model_dump()


def _checked(kind: type[Any], values: Any, path: Path, where: str) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        told = " ".join(_first(error, kind, where).split())  # names may hold whatever YAML can
        raise ConfigError(f"{path}: {told}") from error


def _first(error: ValidationError, kind: type[BaseModel], where: str) -> str:
    first = error.errors()[0]
    place = ".".join(part for part in (where, *map(str, first["loc"])) if part)
    if first["type"] == "extra_forbidden":
        known = [*kind.model_fields, *(("all", "types") if kind is FleetFile else ())]
        return f"unknown key {place!r}; {hint(first['loc'][-1], known)}"
    if first["type"] == "missing":
        return f"{place} is missing"
    return f"{place or 'the file'} = {first['input']!r}: {first['msg']}"


def _agree(fleet: FleetFile, path: Path) -> None:
    names = [robot.name for robot in fleet.robots]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: robots named {', '.join(twice)} more than once")
    for where, host in (
        *((f"robots.{i}.host", robot.host) for i, robot in enumerate(fleet.robots)),
        *((f"supervisors.{i}", host) for i, host in enumerate(fleet.supervisors)),
        ("world", fleet.world_host),
    ):
        if host not in fleet.hosts:
            known = ", ".join(fleet.hosts)
            raise ConfigError(f"{path}: {where} is {host!r}; hosts in this file: {known}")
    for i, robot in enumerate(fleet.robots):
        try:
            _ = parse_link(robot.link) if robot.link else None
        except ConfigError as error:
            raise ConfigError(f"{path}: robots.{i}: {error}") from error
    bare = [robot.name for robot in fleet.robots if not robot.link]
    if 0 < len(bare) < len(fleet.robots):
        raise ConfigError(f"{path}: {', '.join(bare)} have no link; give all robots one, or none")
    addresses = [fleet.hosts[host].address for host in fleet.used_hosts]
    shared = [h for h in fleet.used_hosts if addresses.count(fleet.hosts[h].address) > 1]
    if shared:
        raise ConfigError(
            f"{path}: hosts {', '.join(shared)} have the same address "
            f"{fleet.hosts[shared[0]].address}; give each one its own (hosts.{shared[0]}.address)"
        )
