"""`swarmhold estop`: stop every robot, and count who confirms it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import tyro

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.fleet.environment import ALONE, Network, environment
from swarmhold.hardware.fleet.file import FleetFile, load_fleet
from swarmhold.hardware.fleet.hosts import be_the_host, part_of
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.process import Child, end_all, node_command
from swarmhold.hardware.fleet.stop import check_stop, stoppable
from swarmhold.hardware.network.air import BASE
from swarmhold.hardware.network.hosts import entrance_of, inside
from swarmhold.hardware.report.recording import about, events_of
from swarmhold.hardware.security.access import OPERATOR
from swarmhold.hardware.security.middleware import secured

SEARCH_S = 2.0  # for robots on the graph, where nobody says how many there are, and for drivers
LOOK_S = 0.02


@dataclass(frozen=True)
class EstopArgs:
    """Stop all robots of a team; they stay stopped until they are restarted."""

    flight: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of the flight that is to end."""
    fleet: Path | None = None
    """Fleet file, which must name its ROS domain."""
    domain: int | None = None
    """ROS domain; the robots are those that are found there, or --robots."""
    robots: int | None = None
    """Team size, so that who is silent is named too."""
    seconds: float = 5.0
    """How long to wait for confirmations."""
    hold: bool = False
    """Go on saying stop until Ctrl-C, to whoever is started or comes within reach."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to say it.

    Attributes:
        domain: ROS domain.
        robots: team size; 0: not known.
        profile: discovery profile (XML) of the robots; None: all networks of this computer.
        security: environment of a process that is let in; empty: everybody is.
        namespace: path of the network namespace that one joins them in; None: of this process.
    """

    domain: int
    robots: int
    profile: str | None
    security: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None


@dataclass(slots=True)
class Heard:
    """What was heard of one robot since the stop was given.

    Attributes:
        mode: in its last state message; None: no message.
        driver: whether its last sensor frame says that the driver is stopped too; None: no frame.
    """

    mode: str | None = None
    driver: bool | None = None

    @property
    def confirmed(self) -> bool:
        """Policy and driver are stopped; a driver of which nothing is heard cannot object."""
        return self.mode == "STOP" and self.driver is not False


class Confirmations:
    """Who is on the graph, and what they say; filled by the node's status lines."""

    def __init__(self, robots: int) -> None:
        """Args: team size; 0: whoever is found."""
        self._lock = threading.Lock()
        self._heard = {robot: Heard() for robot in range(robots)}
        self._known = robots > 0

    def take(self, _: str, values: dict[str, Any]) -> None:
        """A status line."""
        if values["event"] != "robot":
            return
        with self._lock:
            heard = self._heard.setdefault(int(values["robot"]), Heard())
            heard.mode = values.get("mode", heard.mode)
            heard.driver = values.get("driver", heard.driver)

    @property
    def robots(self) -> dict[int, Heard]:
        """By robot."""
        with self._lock:
            return {robot: replace(heard) for robot, heard in sorted(self._heard.items())}

    @property
    def everybody(self) -> bool:
        """Whether somebody is there, and all of them have confirmed."""
        robots = self.robots.values()
        return bool(robots) and all(heard.confirmed for heard in robots)

    def complete(self, waited_s: float) -> bool:
        """Whether nothing is to be waited for: robots and drivers that are unheard are searched."""
        if not self.everybody:
            return False
        sure = self._known and all(heard.driver for heard in self.robots.values())
        return sure or waited_s > SEARCH_S


def main(argv: list[str]) -> int:
    """Say stop until all have confirmed; 1 if somebody has not."""
    args = parse(EstopArgs, argv, "swarmhold estop")
    place = place_of(args)
    for module, extra in (("rclpy", "ros"), ("swarmhold_msgs", None)):
        need(module, extra)
    with stoppable(), TemporaryDirectory() as folder:
        return _stop(args, place, Path(folder))


def operator_node(
    node: str,
    place: Place,
    folder: Path,
    take: Callable[[str, dict[str, Any]], None],
    parameters: Mapping[str, Any] | None = None,
) -> Child:
    """Start a node with the operator's rights.

    Args:
        node: module of `swarmhold_nodes`.
        place: of the robots.
        folder: for its log and its discovery profile.
        take: gets its status lines, from a thread.
        parameters: of the node; None: the team size.
    """
    told = dict(parameters or {"team_size": place.robots})
    enclave = OPERATOR if place.security else None
    command = node_command(node, told, OPERATOR[1:], "", enclave)
    if place.namespace is not None:
        command = inside(place.namespace, *command)
    env = {**_environment(place, folder), **place.security}
    return Child(node, command, env, folder / f"{node}.log", take)


def _stop(args: EstopArgs, place: Place, folder: Path) -> int:
    found = Confirmations(place.robots)
    child = operator_node("estop_node", place, folder, found.take)
    began = time.monotonic()
    try:
        _wait(child, lambda waited: found.complete(waited) or waited > args.seconds)
        _tell(args, place, found.robots, time.monotonic() - began)
        if args.hold:
            _wait(child, lambda _: False)
    except KeyboardInterrupt:
        if not args.hold:
            raise
    finally:
        end_all([child])
    return 0 if found.everybody else 1


def _wait(child: Child, done: Callable[[float], bool]) -> None:
    began = time.monotonic()
    while not done(time.monotonic() - began):
        check_stop()
        if not child.running:
            raise NotReadyError(f"the node that says stop ended: {child.last_words()}")
        time.sleep(LOOK_S)


def _tell(args: EstopArgs, place: Place, robots: Mapping[int, Heard], waited: float) -> None:
    confirmed = [robot for robot, heard in robots.items() if heard.confirmed]
    if args.json:
        about_them = {robot: asdict(heard) for robot, heard in robots.items()}
        said = {"domain": place.domain, "seconds": waited, "confirmed": confirmed}
        print_json({**said, "robots": about_them})
        return
    for robot, heard in robots.items():
        if heard.mode is None:
            say(f"robot {robot}: NOT HEARD; only its driver's own watchdog holds it")
        elif heard.mode != "STOP":
            say(f"robot {robot}: NOT CONFIRMED, {heard.mode} when last heard")
        elif heard.driver is False:
            say(f"robot {robot}: NOT CONFIRMED by its driver; do not restart its policy")
        elif heard.driver is None:
            say(f"robot {robot}: confirmed by its policy alone; no driver is heard")
    if not robots:
        say(f"NOBODY was found on ROS domain {place.domain}; check domain and network")
    else:
        who = f"{len(confirmed)} of {len(robots)} robots"
        say(f"{who} confirmed the stop, {waited:.1f} s after it was given")


def place_of(args: EstopArgs) -> Place:
    """Where the robots are.

    Raises:
        ConfigError: none or several places are given, or one that does not say its domain.
        NotReadyError: this machine is none of the fleet file's hosts, or the flight's are gone.
    """
    given = [args.flight is not None, args.fleet is not None, args.domain is not None]
    if sum(given) != 1 or args.seconds <= 0 or (args.robots is not None and args.robots < 1):
        raise ConfigError(
            "give one of a flight folder, --fleet and --domain; --seconds and --robots above 0"
        )
    if args.flight is not None:
        return _of_flight(args.flight)
    if args.fleet is not None:
        fleet = load_fleet(args.fleet)
        if fleet.domain is None:
            raise ConfigError(
                f"{args.fleet} names no domain; give the folder of its flight, or --domain"
            )
        security = {}
        if fleet.security is not None:
            security = secured(fleet.security, {OPERATOR: fleet.access[OPERATOR]})
        network = _network(fleet)
        return Place(fleet.domain, len(fleet.robots), network.profile(fleet.domain), security)
    assert args.domain is not None
    return Place(args.domain, args.robots or 0, None)


def _of_flight(folder: Path) -> Place:
    """Where the robots of a flight are; on hosts of its own one joins them at their base."""
    info = about(folder, events_of(folder))
    hosts, namespace = entrance_of(info)
    if hosts and not namespace:
        raise NotReadyError(f"{folder}: the flight has ended, and its hosts with it")
    profile = (folder / "hosts" / BASE if hosts else folder) / "discovery.xml"
    told = profile.read_text() if profile.exists() else None
    return Place(int(info["domain"]), int(info["robots"]), told, namespace=namespace or None)


def _network(fleet: FleetFile) -> Network:
    """How this machine finds the robots: as one of the hosts, whichever it is.

    Raises:
        NotReadyError: it is none of them.
    """
    if fleet.on_one_host:
        return ALONE
    for host in fleet.used_hosts:
        part = part_of(fleet, host)
        with contextlib.suppress(NotReadyError):
            be_the_host(part)
            return part.network
    raise NotReadyError(
        f"this machine is none of {', '.join(fleet.used_hosts)} by its addresses; stop the team "
        "from one of them"
    )


def _environment(place: Place, folder: Path) -> dict[str, str]:
    """Variables of the node: with the robots' own profile, or that of this shell if it has one."""
    env = environment(folder, place.domain, ALONE)
    if place.profile is not None:
        Path(env["FASTRTPS_DEFAULT_PROFILES_FILE"]).write_text(place.profile)
        return env
    own = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE")
    env.pop("FASTRTPS_DEFAULT_PROFILES_FILE")
    return env if own is None else {**env, "FASTRTPS_DEFAULT_PROFILES_FILE": own}
