"""A kinematic robot in memory: the driver for tests and first steps, without any simulator."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.surroundings import sideways
from swarmhold.hardware.types import Float


@dataclass(slots=True)
class LoopbackWorld:
    """Ideal robots on a plane that share one clock.

    Attributes:
        spec: contract of the robots.
        position: (N, 3) m, world ENU.
        yaw: (N) rad.
        peer_range: m, identified sensing.
        near_range: m, proximity sensing.
        time: s.
        velocity: (N, 3) m/s, world ENU.
        yaw_rate: (N) rad/s.
        setpoint: (N, Da) physical units, followed while a robot's watchdog lets it.
        watchdogs: one per robot.
    """

    spec: PolicySpec
    position: Float
    yaw: Float
    peer_range: float = 1.5
    near_range: float = 0.3
    time: float = 0.0
    velocity: Float = field(init=False)
    yaw_rate: Float = field(init=False)
    setpoint: Float = field(init=False)
    watchdogs: list[Watchdog] = field(init=False)

    def __post_init__(self) -> None:
        robots = len(self.yaw)
        self.velocity = np.zeros((robots, 3))
        self.yaw_rate = np.zeros(robots)
        self.setpoint = np.zeros((robots, self.spec.action_size))
        limits = safety_config(self.spec, np.inf)
        self.watchdogs = [Watchdog(limits) for _ in range(robots)]

    def advance(self, seconds: float) -> None:
        """Let every robot follow its set-point, unless its watchdog holds it."""
        for robot, watchdog in enumerate(self.watchdogs):
            if watchdog.stage(self.time) is not Mode.ACTIVE:
                self.setpoint[robot] = 0.0
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        forward = self.setpoint[:, 0]
        if self.spec.drives:
            sideways, self.yaw_rate = np.zeros_like(forward), self.setpoint[:, 1].copy()
        else:
            sideways, self.yaw_rate = self.setpoint[:, 1], np.zeros_like(forward)
        self.velocity[:, 0] = cos * forward - sin * sideways
        self.velocity[:, 1] = sin * forward + cos * sideways
        self.position += self.velocity * seconds
        self.yaw = self.yaw + self.yaw_rate * seconds
        self.time += seconds


class LoopbackDriver:
    """Link to one robot of a `LoopbackWorld`."""

    def __init__(self, world: LoopbackWorld, robot: int) -> None:
        """Args: the world, and the robot's roster index."""
        self._world, self._robot, self._connected = world, robot, False

    def connect(self) -> None:
        """Open the link."""
        if not 0 <= self._robot < len(self._world.yaw):
            raise NotReadyError(f"robot {self._robot} is not in this world of loopback robots")
        self._connected = True

    @property
    def reality(self) -> Reality:
        """Always simulated."""
        return Reality.SIM

    def arm(self) -> None:
        """There are no motors to switch on."""
        self._check()

    def read(self) -> SensorFrame:
        """What the robot senses now."""
        self._check()
        world, own = self._world, self._robot
        offset = to_body(world.position - world.position[own], np.asarray(world.yaw[own]))
        distance = np.linalg.norm(offset, axis=-1)
        distance[own] = np.inf
        sighted = np.flatnonzero(distance < world.peer_range)
        around = sideways(offset)
        around[own] = np.inf
        near = np.flatnonzero(around < world.near_range)
        return SensorFrame(
            stamp=world.time,
            position=_triple(world.position[own]),
            velocity=_triple(world.velocity[own]),
            yaw=float(world.yaw[own]),
            yaw_rate=float(world.yaw_rate[own]),
            battery=1.0,
            sighted=tuple(int(robot) for robot in sighted),
            sightings=tuple(_triple(offset[robot]) for robot in sighted),
            bodies=tuple(_triple(offset[robot]) for robot in near),
            stopped=world.watchdogs[own].stopped,
        )

    def command(self, command: Command) -> Command:
        """Follow a set-point, within the bounds of the contract."""
        self._check()
        watchdog = self._world.watchdogs[self._robot]
        watchdog.hear(command.mode, self._world.time)
        mode = watchdog.stage(self._world.time)
        bound = np.asarray(self._world.spec.action_bound)
        wanted = np.nan_to_num(np.asarray(command.action, float), nan=0.0)
        applied = np.clip(wanted, -bound, bound) * (mode is Mode.ACTIVE)
        self._world.setpoint[self._robot] = applied
        return Command(command.stamp, tuple(float(value) for value in applied), mode)

    def hold(self) -> None:
        """Zero velocity."""
        self._check()
        self._world.setpoint[self._robot] = 0.0

    def land(self) -> None:
        """There is no height to lose: the same as hold."""
        self.hold()

    def stop(self) -> None:
        """At rest for good."""
        self.hold()
        self._world.watchdogs[self._robot].stop()

    def inject(self, fault: FaultSpec) -> Injected:
        """An ideal robot cannot be broken."""
        return Injected.UNSUPPORTED

    def close(self) -> None:
        """Hold and disconnect."""
        if self._connected:
            self.hold()
        self._connected = False

    def _check(self) -> None:
        if not self._connected:
            raise NotReadyError(f"robot {self._robot} is not connected; call connect() first")


def _triple(values: Float) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
