"""N robots of one world in real time, each behind a UDP socket of its own.

One thread does it all: it waits for datagrams until the next tick is due, then lets the vehicles
speak and the bodies move. Faults of the plan count from the moment when the first motors turn.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from swarmhold.hardware.drivers.faultapp import ORDERED
from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.hidden import Hidden
from swarmhold.hardware.types import Bool
from swarmhold.sim.emulate.vehicle import Body, Vehicle
from swarmhold.sim.world import World

TICK_S = 0.01
CATCH_UP_S = 0.2  # after a longer stall the world skips time instead of racing
HOST = "127.0.0.1"
DATAGRAM = 2048  # bytes, more than any protocol here sends
Address = tuple[str, int]


class Link:
    """One vehicle's socket, and whom it talks to."""

    def __init__(self, vehicle: Vehicle, port: int, peer: Address | None) -> None:
        """Bind it.

        Args:
            vehicle: that answers.
            port: UDP port; 0: a free one.
            peer: whom to talk to before anybody has spoken; None: nobody.

        Raises:
            NotReadyError: the port is taken.
        """
        self.vehicle, self.peer = vehicle, peer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        try:
            self.socket.bind((HOST, port))
        except OSError as error:
            self.socket.close()
            raise NotReadyError(
                f"UDP port {port} cannot be bound ({error.strerror}); choose others with --port"
            ) from error
        self.silent = False

    @property
    def port(self) -> int:
        """That it is bound to."""
        return int(self.socket.getsockname()[1])

    def receive(self) -> list[bytes]:
        """All datagrams that wait; those that come in while the link is silent are lost."""
        out: list[bytes] = []
        while True:
            try:
                data, self.peer = self.socket.recvfrom(DATAGRAM)
            except BlockingIOError:
                return [] if self.silent else out
            except OSError:  # whom it last spoke to is gone
                continue
            out.append(data)

    def send(self, packets: Sequence[bytes]) -> None:
        """To whoever spoke last, unless the link is silent."""
        if self.peer is None or self.silent:
            return
        for packet in packets:
            try:
                self.socket.sendto(packet, self.peer)
            except OSError:  # nobody listens, or the buffer is full: a datagram is lost
                return


class Emulator:
    """A team of emulated robots; a context manager that leaves no socket and no thread."""

    def __init__(
        self,
        world: World,
        vehicles: Sequence[Vehicle],
        ports: Sequence[int],
        peer: Address | None = None,
        faults: Sequence[FaultSpec] = (),
    ) -> None:
        """Bind all sockets.

        Args:
            world: with its robots landed; belongs to the emulator from now on.
            vehicles: one per robot.
            ports: UDP port of each; 0: a free one.
            peer: whom they talk to before anybody has spoken.
            faults: times count from the first motors that turn.

        Raises:
            NotReadyError: a port is taken.
            ConfigError: a fault cannot be emulated, or names no robot.
        """
        self.world, self._n = world, len(vehicles)
        check_faults(faults, self._n)
        self._plan, self._cuts = list(faults), list[tuple[int, float, float]]()
        self._took_off: float | None = None
        self._time = 0.0  # s of the world
        self._idle: Bool = np.ones(self._n, bool)
        self.links: list[Link] = []
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            for vehicle, port in zip(vehicles, ports, strict=True):
                self.links.append(Link(vehicle, port, peer))
                self._selector.register(self.links[-1].socket, selectors.EVENT_READ, self.links[-1])
        except NotReadyError:
            self._free()
            raise
        self._bodies = [self._body(robot) for robot in range(self._n)]

    @property
    def addresses(self) -> list[str]:
        """Of all robots, as fleet files have them."""
        return [link.vehicle.address(HOST, link.port) for link in self.links]

    @property
    def flying(self) -> Bool:
        """(N) robots whose motors turn."""
        return ~self._idle

    def __enter__(self) -> Emulator:
        self._thread = threading.Thread(target=self.serve, name="emulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self) -> None:
        """Let `serve` return after this tick."""
        self._stop.set()

    def close(self) -> None:
        """End the thread, close the sockets and free the world; safe to call twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._free()

    def _free(self) -> None:
        for link in self.links:
            link.socket.close()
        self._selector.close()
        if self.links:
            self.world.close()
        self.links = []

    def serve(self, beat: Callable[[Emulator], None] | None = None) -> None:
        """Answer and fly until `close`; `beat` is called in every tick."""
        due = moved = time.monotonic()
        while not self._stop.is_set():
            left = due - time.monotonic()
            for key, _ in self._selector.select(max(left, 0.0)):
                self._hear(key.data)
            now = time.monotonic()
            if now < due:
                continue
            due = max(due + TICK_S, now)
            moved = now - self.world.tick if now - moved > CATCH_UP_S else moved
            seconds = int((now - moved) / self.world.tick) * self.world.tick
            moved += seconds
            self.tick(now, seconds)
            if beat is not None:
                beat(self)

    def _hear(self, link: Link) -> None:
        robot, now = self.links.index(link), time.monotonic()
        for datagram in link.receive():
            link.send(link.vehicle.hear(datagram, self._bodies[robot], now))
        for kind, severity, duration, seed in link.vehicle.orders():
            if duration > 0.0:
                self.inject(FaultSpec(kind, robot, 0.0, duration, severity, seed))
            else:
                self.world.mend(robot, kind)

    def tick(self, now: float, seconds: float) -> None:
        """Let the world move on by `seconds` (a multiple of its tick), and all speak."""
        setpoint, idle = np.zeros((self._n, 2)), np.zeros(self._n, bool)
        for robot, link in enumerate(self.links):
            steer = link.vehicle.steer(self._bodies[robot], now)
            setpoint[robot], idle[robot] = steer.velocity, not steer.powered
            self.world.power(robot, steer.powered)
            self.world.hover_at(robot, steer.height)
        self._idle = idle
        if self._took_off is None and not idle.all():
            self._took_off = self._time
            for fault in self._plan:
                self.inject(fault)
        if seconds > 0.0:
            self.world.advance(seconds, setpoint, idle)
            self._time += seconds
        for robot, link in enumerate(self.links):
            self._bodies[robot] = self._body(robot)
            link.silent = any(
                who == robot and start <= self._time < end for who, start, end in self._cuts
            )
            link.send(link.vehicle.speak(self._bodies[robot], now))

    def inject(self, fault: FaultSpec) -> Injected:
        """Break a robot; `start_s` counts from here."""
        if fault.kind in BODY_KINDS:
            return self.world.inject(fault)
        if fault.kind == "link_loss":
            self._cuts.append((fault.robot, self._time + fault.start_s, self._time + fault.end_s))
            return Injected.APPLIED
        return Injected.UNSUPPORTED

    def _body(self, robot: int) -> Body:
        position, velocity, attitude, spin = self.world.pose(robot)
        x, y, z, w = attitude
        yaw = float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
        up = float(1.0 - 2.0 * (x * x + y * y))
        return Body(position.copy(), velocity.copy(), attitude.copy(), yaw, spin.copy(), up, 1.0)


def check_faults(faults: Sequence[FaultSpec], robots: int) -> None:
    """Whether emulated robots can be broken like that.

    Raises:
        ConfigError: not.
    """
    for fault in faults:
        if fault.kind not in ORDERED:
            raise ConfigError(
                f"{fault.kind} is not done to emulated hardware but to its node; here: "
                f"{', '.join(ORDERED)}"
            )
        if fault.robot >= robots:
            raise ConfigError(f"fault names robot {fault.robot} of {robots}; they count from 0")


def crazyflies(
    scenario: str,
    robots: int,
    seed: int = 0,
    faults: Sequence[FaultSpec] = (),
    ports: Sequence[int] | None = None,
    hidden: Hidden | None = None,
) -> Emulator:
    """Emulated Crazyflies, landed at the places where the scenario begins.

    Args:
        scenario: by name.
        robots: N.
        seed: of the places.
        faults: see `Emulator`.
        ports: UDP port of each; None: free ones.
        hidden: what they have that nobody knows of.
    """
    from swarmhold.sim.emulate.crazyflie import Crazyflie

    check_faults(faults, robots)
    world = World(scenario, "crazyflie", robots, seed, landed=True, hidden=hidden)
    vehicles = [Crazyflie() for _ in range(robots)]
    return Emulator(world, vehicles, ports or [0] * robots, None, faults)


def mavlink_vehicles(
    scenario: str,
    robots: int,
    seed: int = 0,
    faults: Sequence[FaultSpec] = (),
    ground: int | None = None,
    hidden: Hidden | None = None,
) -> Emulator:
    """Emulated MAVLink vehicles with system ids from 1 on; arguments as of `crazyflies`.

    Args:
        scenario: by name.
        robots: N.
        seed: of the places.
        faults: see `Emulator`.
        ground: UDP port of this machine that all of them speak to; None: a free one.
        hidden: what they have that nobody knows of.

    Raises:
        MissingExtraError: pymavlink is not installed.
    """
    need("pymavlink", "emulate")
    from swarmhold.sim.emulate.mavlink import MavlinkVehicle

    check_faults(faults, robots)
    world = World(scenario, "crazyflie", robots, seed, landed=True, hidden=hidden)
    if ground is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HOST, 0))
            ground = int(probe.getsockname()[1])
    vehicles = [MavlinkVehicle(robot + 1, ground) for robot in range(robots)]
    return Emulator(world, vehicles, [0] * robots, (HOST, ground), faults)
