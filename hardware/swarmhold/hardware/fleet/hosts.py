"""What each host of a fleet runs, and how its nodes find those of the other hosts."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.errors import ConfigError, NotReadyError, hint
from swarmhold.hardware.fleet.environment import ALONE, Network, environment
from swarmhold.hardware.fleet.file import FleetFile
from swarmhold.hardware.network.air import Air

SPARE = 1  # participants of a host beyond those of the fleet file: the fault node, a tool
# Slower than on one host, since every announcement goes to every participant elsewhere, and more
# patient: five must be lost in a row before a host is given up and has to be found again.
ANNOUNCE_S, LEASE_S = 2.0, 10.0
MOST_ON_AIR = 6  # participants of a host of a simulated radio, the base being the fullest


@dataclass(frozen=True, slots=True)
class Part:
    """What one host runs of a fleet.

    Attributes:
        robots: roster indices.
        ranks: of its supervisors; 0 speaks first.
        world: whether it runs the world and the recorder.
        network: how its nodes find the others.
        host: its name; None: there are no others.
        lead: name of the host that runs the world.
    """

    robots: tuple[int, ...]
    ranks: tuple[int, ...]
    world: bool = True
    network: Network = ALONE
    host: str | None = None
    lead: str | None = None

    def runs(self, robot: int) -> bool:
        """Whether the robot's node is one of this host's."""
        return robot in self.robots

    def present(self, absent: Collection[int]) -> tuple[int, ...]:
        """Its robots that are there from the start."""
        return tuple(robot for robot in self.robots if robot not in absent)

    @property
    def idle(self) -> str:
        """What keeps robots from acting whose nodes are all ready."""
        if self.world:
            return "some robot sends no commands"
        return f"no sensor frames from {self.lead}: is its part started?"

    def __str__(self) -> str:
        robots = f"robots {', '.join(map(str, self.robots))}" if self.robots else ""
        supervisors = [f"supervisor {rank}" for rank in self.ranks]
        return ", ".join(filter(None, [robots, *supervisors, "world" if self.world else ""]))


def part_of(fleet: FleetFile, host: str) -> Part:
    """What a host of a fleet file runs.

    Raises:
        ConfigError: there is no such host, nothing runs on it, or the fleet has no domain.
    """
    if host not in fleet.hosts:
        raise ConfigError(f"no host {host!r} in the fleet file; {hint(host, list(fleet.hosts))}")
    if host not in fleet.used_hosts:
        raise ConfigError(f"nothing of the fleet runs on {host}; on {', '.join(fleet.used_hosts)}")
    return Part(
        robots=tuple(i for i, robot in enumerate(fleet.robots) if robot.host == host),
        ranks=tuple(rank for rank, name in enumerate(fleet.supervisors) if name == host),
        world=host == fleet.world_host,
        network=ALONE if fleet.on_one_host else network_of(fleet, host),
        host=None if fleet.on_one_host else host,
        lead=fleet.world_host,
    )


def network_of(fleet: FleetFile, host: str) -> Network:
    """Discovery on a host of a fleet that spans several: no multicast, and all are named.

    Raises:
        ConfigError: the fleet has no domain.
    """
    if fleet.domain is None:
        raise ConfigError("hosts meet on one ROS domain; name it in the fleet file (domain: 42)")
    peers = tuple(
        (str(fleet.hosts[name].address), most_participants(fleet, name))
        for name in fleet.used_hosts
    )
    return Network(str(fleet.hosts[host].address), peers, ANNOUNCE_S, LEASE_S)


def at_home(
    air: Air, folder: Path, domain: int, name: str, command: list[str], env: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process on its host of a simulated radio.

    Args:
        air: with all hosts.
        folder: of the flight.
        domain: ROS domain.
        name: of the process.
        command: program and arguments.
        env: as it were on one host.
    """
    host, addresses = air.home(name), air.hosts.addresses
    peers = tuple((address, MOST_ON_AIR) for address in addresses.values())
    place = folder / "hosts" / host
    place.mkdir(parents=True, exist_ok=True)
    own = environment(place, domain, Network(addresses[host], peers, ANNOUNCE_S, LEASE_S))
    return air.hosts.on(host, *command), {**env, **own, "ROS_LOG_DIR": env["ROS_LOG_DIR"]}


def participants(fleet: FleetFile, host: str) -> int:
    """How many participants the nodes of a host have."""
    robots = sum(robot.host == host for robot in fleet.robots)
    world = 2 if host == fleet.world_host else 0
    return robots + fleet.supervisors.count(host) + world


def most_participants(fleet: FleetFile, host: str) -> int:
    """How many participants of a host are looked for."""
    return participants(fleet, host) + SPARE


def be_the_host(part: Part) -> None:
    """Check that this machine is the one that the fleet file means; on one host any is.

    Raises:
        NotReadyError: it does not have the host's address.
    """
    address = part.network.address
    if address is None:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise NotReadyError(
                f"this machine has no address {address}, by which the fleet file knows "
                f"{part.host}; start --host {part.host} there, or mend hosts.{part.host}.address"
            ) from error
