"""Which driver a robot is reached by: `KIND:ADDRESS`, as fleet files and nodes have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from swarmhold.hardware.drivers.crazyflie import CrazyflieDriver
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.mavlink import MavlinkDriver, read_address
from swarmhold.hardware.drivers.protocol import RobotDriver
from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.faults import BODY_KINDS
from swarmhold.hardware.safety import SafetyConfig

# Kinds, what is installed for them, and by which extra.
KINDS = {
    "crazyflie": ("cflib", "crazyflie"),
    "mavlink": ("mavsdk", "mavlink"),
    "twist": ("nav_msgs", "ros"),
}
TWIST = "twist"  # its driver is part of a ROS node
# Faults of its body that a link has no way to order, and why.
LACKS: dict[str, dict[str, str]] = {
    TWIST: dict.fromkeys(BODY_KINDS, "a twist says nothing of motors and batteries"),
}
# m, identified and proximity sensing that policies of a robot class are trained with; from a
# shared localisation robots get as much, and no more.
RANGES = {"epuck": (1.5, 0.3), "crazyflie": (6.0, 1.0), "gritsbot": (1.5, 0.4)}


@dataclass(frozen=True, slots=True)
class Link:
    """Where one robot is reached.

    Attributes:
        kind: a key of `KINDS`.
        address: as the driver has it.
    """

    kind: str
    address: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.address}"


def parse_link(text: str) -> Link:
    """`KIND:ADDRESS`, e.g. `crazyflie:radio://0/80/2M/E7E7E7E701`.

    Raises:
        ConfigError: it does not fit, or there is no such kind.
    """
    kind, colon, address = text.partition(":")
    if not colon or not address or any(c.isspace() for c in text):
        raise ConfigError(f"link {text!r} is not of the form KIND:ADDRESS; kinds: {_known()}")
    if kind not in KINDS:
        raise ConfigError(f"link {text!r} is of no known kind; {hint(kind, KINDS)}")
    if kind == "mavlink":
        read_address(address)
    if kind == TWIST:
        read_namespace(address)
    return Link(kind, address)


def read_namespace(address: str) -> tuple[str, bool]:
    """Namespace of a ROS robot, and whether it wants stamped twists, of `/NAME` or `/NAME#stamped`.

    Raises:
        ConfigError: it does not fit, or is one of ours.
    """
    name, mark, stamped = address.partition("#")
    named = re.fullmatch(r"(/[A-Za-z_]\w*)+", name)
    if not named or (mark and stamped != "stamped") or re.match(r"/(robot_\d+|swarm)(/|$)", name):
        raise ConfigError(
            f"twist address {address!r} is not of the form /NAME or /NAME#stamped; /robot_0 and so "
            "on, and /swarm, are taken"
        )
    return name, bool(mark)


def write_links(links: Mapping[int, Link]) -> str:
    """All links of a process in one word, for its parameters."""
    return " ".join(f"{robot}={link}" for robot, link in links.items())


def read_links(text: str) -> dict[int, Link]:
    """The reverse of `write_links`.

    Raises:
        ConfigError: it does not fit, or a robot has two.
    """
    out: dict[int, Link] = {}
    for word in text.split():
        robot, _, link = word.partition("=")
        if not robot.isdecimal() or int(robot) in out:
            raise ConfigError(f"links {word!r}: give ROBOT=KIND:ADDRESS, once for each robot")
        out[int(robot)] = parse_link(link)
    if not out:
        raise ConfigError("no links; give ROBOT=KIND:ADDRESS for at least one robot")
    return out


def driver_of(
    link: Link,
    robot: int,
    limits: SafetyConfig,
    localisation: Localisation,
    height: float,
    hardware: bool,
) -> RobotDriver:
    """A driver that is not connected yet.

    Args:
        link: where the robot is reached.
        robot: roster index.
        limits: of its robot class.
        localisation: of the team.
        height: m, at which fliers fly.
        hardware: whether it may be a real robot.

    Raises:
        ConfigError: its driver is part of a ROS node.
    """
    if link.kind == TWIST:
        raise ConfigError(f"{link}: robots that speak ROS are driven by driver_node")
    make = {"crazyflie": CrazyflieDriver, "mavlink": MavlinkDriver}[link.kind]
    return make(link.address, robot, limits, localisation, height, hardware)


def _known() -> str:
    return ", ".join(KINDS)
