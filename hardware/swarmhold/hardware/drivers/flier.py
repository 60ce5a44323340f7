"""What drivers of fliers share: estimate in, wishes of the pilot out, in a thread of their own."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.drivers.localisation import Localisation, Point
from swarmhold.hardware.drivers.pilot import Phase, Pilot, Wish
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FIELD_S, FaultSpec
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.safety import SafetyConfig

KEEP_ALIVE_S = 0.05  # between set-points
HEARD_S = 0.3  # age of the estimate after which the robot counts as not heard
FIRST_S, ARMED_S, CLIMB_S, DOWN_S = 10.0, 3.0, 10.0, 8.0
OFF_AGAIN_S = 0.3  # between two requests to switch off
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a robot says of itself.

    Attributes:
        heard_at: s, monotonic.
        stamp: s, wall clock.
        position: m, world ENU.
        velocity: m/s, world ENU.
        yaw: rad.
        yaw_rate: rad/s.
        battery: 0 to 1.
        armed: whether its motors may turn.
        upset: whether it has crashed, or lies upside down.
        obeys: whether it follows this driver, and nobody else.
    """

    heard_at: float
    stamp: float
    position: Point
    velocity: Point
    yaw: float
    yaw_rate: float
    battery: float
    armed: bool
    upset: bool
    obeys: bool = True


class Flier(ABC):
    """Base of links to fliers; see `RobotDriver`."""

    patience_s = 2.0  # of silence after which the firmware flies on its own, or no more

    def __init__(
        self,
        name: str,
        robot: int,
        limits: SafetyConfig,
        localisation: Localisation,
        height: float,
        hardware: bool,
    ) -> None:
        """Nothing is opened yet.

        Args:
            name: its address, for people.
            robot: roster index.
            limits: of its robot class.
            localisation: that it reports to, and learns from where the others are.
            height: m, at which it flies.
            hardware: whether a real robot may be at the other end.
        """
        self._name, self._robot, self._hardware = name, robot, hardware
        self._localisation, self._limits = localisation, limits
        self._pilot, self._lock = Pilot(limits, height), threading.Lock()
        self._reality, self._open = Reality.HARDWARE, False
        self._arming, self._off_at = False, -float("inf")
        self._ended = threading.Event()
        self._keeper: threading.Thread | None = None

    @abstractmethod
    def _connect(self) -> Reality:
        """Open the link, and ask what is at the other end."""

    @abstractmethod
    def _estimate(self) -> Estimate | None:
        """The last one; None before the first."""

    @abstractmethod
    def _request(self, armed: bool) -> None:
        """Ask it to arm or to disarm; on the ground only."""

    @abstractmethod
    def _fly(self, wish: Wish, now: Estimate) -> None:
        """Send a set-point."""

    @abstractmethod
    def _cut(self) -> None:
        """Motors off, wherever it is."""

    @abstractmethod
    def _order(self, fault: FaultSpec) -> Injected:
        """Break something."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Free the link; safe to call twice."""

    @property
    def reality(self) -> Reality:
        """Simulated only if it says so itself."""
        return self._reality

    def connect(self) -> None:
        """Open the link and wait for the first estimate; see `RobotDriver`."""
        self._open = True
        try:
            self._reality = self._connect()
            if self._reality is Reality.HARDWARE and not self._hardware:
                raise ConfigError(f"{self._name} is a real robot; say that it may be: --hardware")
            if not within(FIRST_S, lambda: self._estimate() is not None):
                raise NotReadyError(f"{self._name} connects, but sends no state estimate")
        except BaseException:
            self._release()
            raise
        self._ended.clear()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        self._keeper.start()

    def arm(self) -> None:
        """Arm, climb to the flight height and hold there; see `RobotDriver`."""
        self._check()
        self.read()
        if self._pilot.stopped:
            raise NotReadyError(f"robot {self._robot} was stopped; start its driver anew")
        self._arming = True
        try:
            self._request(True)
            if not within(ARMED_S, lambda: self._heard().armed and self._heard().obeys):
                raise NotReadyError(f"{self._name} refuses to be armed; look at what it says")
            with self._lock:
                self._pilot.take_off(self._heard().position[2], time.monotonic())
        finally:
            self._arming = False
        within(CLIMB_S, lambda: self._pilot.phase is not Phase.CLIMB)
        if self._pilot.phase is not Phase.FLY:
            self.land()
            raise NotReadyError(f"{self._name} does not get up to {self._pilot.height:g} m")

    def read(self) -> SensorFrame:
        """Its own estimate, and what the team's localisation knows of the others."""
        self._check()
        own, now = self._heard(), time.monotonic()
        if not (age := now - own.heard_at) <= HEARD_S:
            raise NotReadyError(f"robot {self._robot} ({self._name}) was not heard for {age:.1f} s")
        self._localisation.report(self._robot, own.position, now)
        around = self._localisation.around(self._robot, own.position, own.yaw, now)
        return SensorFrame(
            stamp=own.stamp,
            position=own.position,
            velocity=own.velocity,
            yaw=own.yaw,
            yaw_rate=own.yaw_rate,
            battery=float(np.clip(own.battery, 0.0, 1.0)),
            sighted=around.sighted,
            sightings=around.sightings,
            bodies=around.bodies,
            stopped=self._pilot.grounded,
        )

    def command(self, command: Command) -> Command:
        """Pass on a planar velocity; the keep-alive sends it on from here."""
        self._check()
        with self._lock:
            return self._pilot.command(command, time.monotonic())

    def hold(self) -> None:
        """Zero velocity at its height."""
        self._ask(Mode.HOLD)

    def land(self) -> None:
        """Come down where it is; then the motors are off until it is armed again."""
        self._ask(Mode.LAND)

    def stop(self) -> None:
        """Motors off at once, for good: in the air it falls."""
        self._ask(Mode.STOP)
        self._cut()

    def inject(self, fault: FaultSpec) -> Injected:
        """Break something; raises `ConfigError` if a real robot would be broken for too long."""
        self._check()
        if self._reality is Reality.HARDWARE and fault.duration_s > FIELD_S:
            raise ConfigError(f"a fault of a real robot lasts at most {FIELD_S:g} s")
        return self._order(fault)

    def close(self) -> None:
        """Land if it flies, and free the link; safe to call twice."""
        if self._open and self._pilot.airborne:
            self.land()
            within(DOWN_S, lambda: not self._pilot.airborne)
            within(1.0, lambda: not self._heard().armed)
        self._release()

    def _release(self) -> None:
        self._open = False
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        self._disconnect()

    def _keep_alive(self) -> None:
        """Set-points at a fixed rate, whatever the policy does."""
        while not self._ended.wait(KEEP_ALIVE_S):
            self._keep()

    def _keep(self) -> None:
        own, now = self._heard(), time.monotonic()
        with self._lock:
            if self._pilot.airborne:
                if own.upset or not own.armed or now - own.heard_at > self.patience_s:
                    self._pilot.fell()
                elif not own.obeys:
                    self._pilot.let_go()
            wish = self._pilot.step(own.position[2], now)
            phase = self._pilot.phase
        if wish.motors or self._arming:
            self._fly(wish, own)
        elif own.armed and now - self._off_at > OFF_AGAIN_S:
            self._off_at = now
            if phase is Phase.DOWN:
                self._cut()
            elif phase is Phase.GROUND:
                self._request(False)

    def _ask(self, mode: Mode) -> None:
        self._check()
        with self._lock:
            self._pilot.ask(mode, time.monotonic())

    def _heard(self) -> Estimate:
        own = self._estimate()
        assert own is not None  # connect() waits for the first
        return own

    def _check(self) -> None:
        if not self._open:
            raise NotReadyError(f"robot {self._robot} is not connected; call connect() first")


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until something holds; whether it does in the end."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True
