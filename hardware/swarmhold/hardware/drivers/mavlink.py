"""MAVLink vehicles over MAVSDK, PX4 first: offboard velocity out, its local position in.

MAVSDK is an extra, loaded when a driver connects; vehicles behind one port share one instance of
it. The vehicle's local frame must be the one that the team shares (motion capture, or one origin
for all): its north, east and down are taken for y, x and -z of the world. This module alone knows
of NED.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from swarmhold.hardware.drivers.flier import Estimate, Flier
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.pilot import Wish
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.safety import SafetyConfig

FIND_S = 6.0
CLIMB_HZ, CLIMB_MPS = 1.5, 1.0  # towards the wished height
EMULATED = "SIM_EMULATED"  # a parameter that only emulated vehicles have
RATE_HZ = 30.0  # of position and attitude
MOTORS = 4


class Ground:
    """One MAVSDK instance for each connection of this process, shared by who needs it."""

    _all: dict[str, Ground] = {}  # noqa: RUF012 - a registry on purpose
    _lock = threading.Lock()

    def __init__(self, url: str) -> None:
        """Open the connection; `open` does it where it is not yet.

        Raises:
            NotReadyError: the port cannot be bound.
        """
        from mavsdk import ComponentType, Configuration, ConnectionResult, Mavsdk, log_subscribe

        log_subscribe(lambda *_: True)  # what it logs is said below
        self.url, self._users = url, 0
        configuration = Configuration.create_with_component_type(ComponentType.GROUND_STATION)
        self.mavsdk = Mavsdk(configuration)
        result = self.mavsdk.add_any_connection(url)
        if result != ConnectionResult.SUCCESS:
            self.mavsdk.destroy()
            raise NotReadyError(f"{url}: {result.name.lower().replace('_', ' ')}")

    @classmethod
    def open(cls, url: str) -> Ground:
        """The one for this connection."""
        with cls._lock:
            ground = cls._all.get(url) or Ground(url)
            ground._users += 1
            cls._all[url] = ground
            return ground

    def leave(self) -> None:
        """The last one to leave closes it."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                del self._all[self.url]
                self.mavsdk.destroy()

    def system(self, number: int) -> Any:
        """The vehicle with this system id; None if it was not heard for a while."""
        deadline = time.monotonic() + FIND_S
        while time.monotonic() < deadline:
            for system in self.mavsdk.get_systems():
                if system.get_system_id() == number and system.has_autopilot():
                    return system
            time.sleep(0.05)
        return None


def read_address(address: str) -> tuple[str, int]:
    """Connection and system id of `URL#ID`.

    Raises:
        ConfigError: it does not fit.
    """
    url, _, number = address.partition("#")
    if not url or not number.isdecimal() or not 1 <= int(number) <= 255:
        raise ConfigError(
            f"mavlink address {address!r} is not of the form URL#SYSTEM, e.g. "
            "udpin://0.0.0.0:14540#3"
        )
    return url, int(number)


class MavlinkDriver(Flier):
    """Link to one vehicle; see `RobotDriver`."""

    patience_s = 1.0  # PX4 leaves offboard mode after that (COM_OF_LOSS_T)

    def __init__(
        self,
        address: str,
        robot: int,
        limits: SafetyConfig,
        localisation: Localisation,
        height: float = 1.0,
        hardware: bool = False,
    ) -> None:
        """Nothing is opened yet; arguments as of `Flier`.

        Args:
            address: MAVSDK's connection URL and the system id, `udpin://0.0.0.0:14540#3`.
            robot: roster index.
            limits: of its robot class.
            localisation: of the team.
            height: m, at which it flies.
            hardware: whether a real robot may be at the other end.
        """
        super().__init__(address, robot, limits, localisation, height, hardware)
        self._url, self._number = read_address(address)
        self._ground: Ground | None = None
        self._plugins: dict[str, Any] = {}
        self._heard_of: dict[str, Any] = {}
        self._heard_at, self._stamp = -math.inf, 0.0
        self._heading = 0.0  # rad, NED, kept while it flies
        self._timers: list[threading.Timer] = []

    def _connect(self) -> Reality:
        need("mavsdk", "mavlink")
        self._ground = Ground.open(self._url)
        system = self._ground.system(self._number)
        if system is None:
            raise NotReadyError(f"no vehicle {self._number} is heard at {self._url}; is it on?")
        self._subscribe(system)
        try:
            emulated = self._plugins["param"].get_param_int(EMULATED) == 1
        except Exception:  # MAVSDK's own, for a parameter that is not there
            emulated = False
        return Reality.SIM if emulated else Reality.HARDWARE

    def _subscribe(self, system: Any) -> None:
        from mavsdk.plugins.action import Action
        from mavsdk.plugins.failure import Failure
        from mavsdk.plugins.offboard import Offboard
        from mavsdk.plugins.param import Param
        from mavsdk.plugins.telemetry import Telemetry

        makers = {"action": Action, "failure": Failure, "offboard": Offboard, "param": Param}
        self._plugins = {name: make(system) for name, make in makers.items()}
        telemetry = self._plugins["telemetry"] = Telemetry(system)
        for name in ("attitude_euler", "attitude_angular_velocity_body", "battery", "armed",
                     "flight_mode"):  # fmt: skip
            getattr(telemetry, f"subscribe_{name}")(self._keeps(name))
        telemetry.subscribe_position_velocity_ned(self._on_position)
        telemetry.set_rate_position_velocity_ned_async(RATE_HZ, _ignored)

    def _keeps(self, name: str) -> Callable[[Any, Any], None]:
        return lambda value, _: self._heard_of.__setitem__(name, value)

    def _on_position(self, value: Any, _: Any) -> None:
        self._heard_of["position"] = value
        stamp = time.time()
        self._heard_at, self._stamp = time.monotonic(), stamp

    def _estimate(self) -> Estimate | None:
        known = self._heard_of
        if not {"position", "attitude_euler", "armed", "flight_mode"} <= set(known):
            return None
        place, speed = known["position"].position, known["position"].velocity
        euler, rates = known["attitude_euler"], known.get("attitude_angular_velocity_body")
        tilt = math.radians(euler.roll_deg), math.radians(euler.pitch_deg)
        return Estimate(
            heard_at=self._heard_at,
            stamp=self._stamp,
            position=(place.east_m, place.north_m, -place.down_m),
            velocity=(speed.east_m_s, speed.north_m_s, -speed.down_m_s),
            yaw=math.remainder(math.pi / 2 - math.radians(euler.yaw_deg), 2 * math.pi),
            yaw_rate=0.0 if rates is None else -rates.yaw_rad_s,
            battery=_share(known.get("battery")),
            armed=bool(known["armed"]),
            upset=math.cos(tilt[0]) * math.cos(tilt[1]) < 0.0,
            obeys=known["flight_mode"].name == "OFFBOARD",
        )

    def _request(self, armed: bool) -> None:
        action = self._plugins["action"]
        if not armed:
            action.disarm_async(_ignored)
            return
        self._heading = math.pi / 2 - self._heard().yaw
        self._set(0.0, 0.0, 0.0)
        with contextlib.suppress(Exception):  # what it refuses shows in what it says of itself
            action.arm()
            self._plugins["offboard"].start()

    def _fly(self, wish: Wish, now: Estimate) -> None:
        forward, left = wish.velocity
        cos, sin = math.cos(now.yaw), math.sin(now.yaw)
        climb = CLIMB_HZ * (wish.height - now.position[2]) if wish.motors else 0.0
        up = float(np.clip(climb, -CLIMB_MPS, CLIMB_MPS))
        self._set(cos * forward - sin * left, sin * forward + cos * left, up)

    def _set(self, east: float, north: float, up: float) -> None:
        from mavsdk.plugins.offboard import VelocityNedYaw

        heading = math.degrees(math.remainder(self._heading, 2 * math.pi))
        self._plugins["offboard"].set_velocity_ned(VelocityNedYaw(north, east, -up, heading))

    def _cut(self) -> None:
        self._plugins["action"].kill_async(_ignored)

    def _order(self, fault: FaultSpec) -> Injected:
        """By MAV_CMD_INJECT_FAILURE; after its duration the failure is taken back.

        PX4 knows no severities: a motor is off or stuck, a battery empty. It obeys only with the
        parameter SYS_FAILURE_EN, and has no failure of the link.
        """
        from mavsdk.plugins.failure import FailureError, FailureType, FailureUnit

        kinds = {
            "motor_off": (FailureUnit.SYSTEM_MOTOR, FailureType.OFF),
            "motor_stuck": (FailureUnit.SYSTEM_MOTOR, FailureType.STUCK),
            "battery": (FailureUnit.SYSTEM_BATTERY, FailureType.OFF),
        }
        if fault.kind not in kinds:
            return Injected.UNSUPPORTED
        unit, kind = kinds[fault.kind]
        motor = 1 + fault.seed % MOTORS if unit is FailureUnit.SYSTEM_MOTOR else 0
        try:
            self._plugins["failure"].inject(unit, kind, motor)
        except FailureError:
            return Injected.UNSUPPORTED
        if math.isfinite(fault.duration_s):
            last = min(fault.duration_s, threading.TIMEOUT_MAX)
            timer = threading.Timer(last, self._take_back, (unit, FailureType.OK, motor))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()
        return Injected.APPLIED

    def _take_back(self, *failure: Any) -> None:
        with contextlib.suppress(Exception):  # it may be out of reach
            self._plugins["failure"].inject(*failure)

    def _disconnect(self) -> None:
        for timer in self._timers:
            pending = timer.is_alive()
            timer.cancel()
            timer.join()
            if pending:  # no failure outlasts the link that ordered it
                self._take_back(*timer.args)
        self._timers = []
        for plugin in self._plugins.values():
            plugin.destroy()
        self._plugins = {}
        ground, self._ground = self._ground, None
        if ground is not None:
            ground.leave()


def _share(battery: Any) -> float:
    """Of a battery message; 0 without one, or without a figure in it."""
    return 0.0 if battery is None else float(np.nan_to_num(battery.remaining_percent)) / 100.0


def _ignored(*_: object) -> None:
    """Of answers that show in what the vehicle says of itself."""
