"""What a team costs before it is started: messages on the air between hosts, and cores.

Between hosts every participant is reached by datagrams of its own (multicast is off there), so that
a robot's state goes out once for every node elsewhere that listens. A test holds the figure against
what passes on the cable between hosts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmhold.hardware.fleet.compose import default_processes
from swarmhold.hardware.fleet.file import FleetFile
from swarmhold.hardware.fleet.hosts import ANNOUNCE_S, most_participants, participants

LOOP_HZ = 20.0  # of every node
# IP 20, UDP 8, RTPS header 20, time stamp 12, data submessage 24 (DDSI-RTPS 2.2), and 60 of
# statistics, which Fast DDS adds to every datagram.
OVERHEAD = 144
# Measured, whole datagrams with the wheels' Fast DDS 2.14: a participant's announcement, the
# heartbeat and its acknowledgement that go with every reliable message to every reader, and
# diagnostics, whose length depends on what there is to say.
ANNOUNCEMENT, HEARTBEAT, ACKNOWLEDGEMENT, DIAGNOSTICS = 500, 126, 138, 450
ROOM = 0.7  # share of the air and of the cores that may be planned with
# Cores of a node in a team of N on a busy AMD EPYC of 2024, at 20 Hz: `swarmhold bench many`. A
# policy node that shares its process costs the same in teams of 8 to 32.
POLICY_CORES = (0.075, 0.008)
SHARED_CORES = 0.05
SUPERVISOR_CORES = (0.1, 0.006)


@dataclass(frozen=True, slots=True)
class Flow:
    """One kind of message.

    Attributes:
        topic: name, with * for every robot.
        hz: messages of one sender per second.
        bytes: of a message on the wire.
        copies: datagrams that leave a host for another one each time that all have sent.
    """

    topic: str
    hz: float
    bytes: int
    copies: int

    @property
    def bytes_per_s(self) -> float:
        """On the air."""
        return self.hz * self.bytes * self.copies


@dataclass(frozen=True, slots=True)
class Budget:
    """What a plan needs, and what there is.

    Attributes:
        flows: kinds of messages.
        air: bytes per second between hosts, of all flows.
        air_room: what may be planned with.
        cores: by host, needed and what may be planned with.
    """

    flows: tuple[Flow, ...]
    air: float
    air_room: float
    cores: Mapping[str, tuple[float, float]]

    def beyond(self) -> list[str]:
        """What does not fit, one line each with the cure."""
        lines = []
        if self.air > self.air_room:
            lines.append(
                f"{self.air / 1e3:.0f} kB/s between hosts, and {self.air_room / 1e3:.0f} kB/s are "
                "to be had; fewer robots, fewer standbys, or a better radio (radio_bytes_per_s)"
            )
        for host, (needed, room) in self.cores.items():
            if needed > room:
                lines.append(
                    f"{host}: its nodes need {needed:.1f} cores, and {room:.1f} are to be had; "
                    "move some to another host"
                )
        return lines


def budget_of(fleet: FleetFile) -> Budget:
    """What a fleet file asks for."""
    n, robots = len(fleet.robots), [robot.host for robot in fleet.robots]
    flows = _flows(fleet)
    cores = {
        host: (
            cores_of(
                *(n, robots.count(host), fleet.supervisors.count(host)),
                default_processes(robots.count(host), int(fleet.hosts[host].cores)),
            ),
            ROOM * fleet.hosts[host].cores,
        )
        for host in fleet.hosts
    }
    air = sum(flow.bytes_per_s for flow in flows)
    return Budget(tuple(flows), air, ROOM * fleet.radio_bytes_per_s, cores)


def _flows(fleet: FleetFile) -> list[Flow]:
    n, robots = len(fleet.robots), [robot.host for robot in fleet.robots]
    supervisors, world = [*fleet.supervisors], [fleet.world_host]
    confirmed = HEARTBEAT + ACKNOWLEDGEMENT
    flows = [
        Flow("/robot_*/state", LOOP_HZ, state_bytes(n), away(robots, robots + supervisors + world)),
        Flow("/robot_*/status", LOOP_HZ, status_bytes(n), away(robots, world)),
        Flow("/robot_*/cmd_vel", LOOP_HZ, twist_bytes(), away(robots, world + world)),
        Flow("/robot_*/sense", LOOP_HZ, frame_bytes(n), away(world, robots)),
        Flow("/diagnostics", 1.0, DIAGNOSTICS + confirmed, away(robots + supervisors, world)),
    ]
    if supervisors:
        others = away(supervisors[:1], robots + supervisors + world)
        size = table_bytes(n, len("supervisor")) + confirmed
        flows.append(Flow("/swarm/health", LOOP_HZ, size, others))
    # To every port where a participant may be, and once more to all that were found there.
    copies = sum(
        participants(fleet, here) * (most_participants(fleet, there) + participants(fleet, there))
        for here in fleet.used_hosts
        for there in fleet.used_hosts
        if here != there
    )
    return [*flows, Flow("discovery", 1.0 / ANNOUNCE_S, ANNOUNCEMENT, copies)]


def away(senders: Sequence[str], listeners: Sequence[str]) -> int:
    """Datagrams between hosts when every sender (by its host) speaks to every listener once."""
    return sum(there != here for here in senders for there in listeners)


def cores_of(n: int, robots: int, supervisors: int, processes: int) -> float:
    """What so many policy nodes, in so many processes, and supervisors of a team of n need."""
    alone, supervisor = (a + n * b for a, b in (POLICY_CORES, SUPERVISOR_CORES))
    policy = alone if processes >= robots else min(alone, SHARED_CORES)
    return robots * policy + supervisors * supervisor


class _Cdr:
    """Length of a message in CDR (OMG): every value is aligned to its own size."""

    def __init__(self) -> None:
        self.size = 0

    def put(self, width: int, count: int = 1) -> _Cdr:
        self.size += -self.size % width + width * count
        return self

    def text(self, length: int) -> _Cdr:
        self.put(4).size += length + 1
        return self

    def header(self, frame: str) -> _Cdr:
        return self.put(4, 2).text(len(frame))

    def sequence(self, width: int, count: int) -> _Cdr:
        self.put(4)
        return self.put(width, count) if count else self

    def on_wire(self) -> int:
        return 4 + self.put(4, 0).size + OVERHEAD  # and the encapsulation header


def state_bytes(n: int) -> int:
    """`RobotState` in a team of n."""
    cdr = _Cdr().header("world").put(1, 2).put(4, 3).put(8, 3).put(4, 6).put(1).put(8)
    return cdr.sequence(2, n).on_wire()


def table_bytes(n: int, issuer: int) -> int:
    """`HealthTable`, of an issuer with a name of that length."""
    cdr = _Cdr().header("").put(4, 2).text(issuer).put(4)
    return cdr.sequence(4, n).sequence(1, n).sequence(2, n).on_wire()


def status_bytes(n: int) -> int:
    """`PolicyStatus`."""
    cdr = _Cdr().header("").put(1).sequence(4, n).sequence(4, n).sequence(1, n)
    return cdr.put(1, 2).put(4, 3).put(1).on_wire()


def frame_bytes(n: int) -> int:
    """`SensorFrame` of a robot that has all others about it."""
    cdr = _Cdr().header("world").put(8, 3).put(4, 6)
    cdr.sequence(1, n - 1).sequence(4, 3 * (n - 1)).sequence(4, 3 * (n - 1))
    return cdr.put(1).on_wire()


def twist_bytes() -> int:
    """`TwistStamped`."""
    return _Cdr().header("base_link").put(8, 6).on_wire()
