"""Crazyflie 2.x over cflib: hover set-points out, its own state estimate in.

cflib is GPL and an extra; it is loaded when a driver connects. The Crazyflie must know where it is
in the frame that the team shares (base stations, motion capture, loco positioning): the estimate's
x, y, z and yaw are taken for world ENU.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from swarmhold.hardware.drivers.faultapp import ORDERED, read_answer, write_order
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.pilot import Phase, Pilot
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.safety import SafetyConfig

CONNECT_S, ARMED_S, CLIMB_S, DOWN_S = 10.0, 2.0, 10.0, 8.0
LOOK_S = 0.02
KEEP_ALIVE_S = 0.05  # between set-points; the firmware levels after 0.5 s without
HEARD_S = 0.3  # age of the estimate after which the robot counts as not heard
CUT_S = 2.0  # of silence after which the firmware has switched the motors off
LOG_MS = 30
LONGEST_FAULT_S = 30.0  # on hardware
ANSWER_S = 0.5
TUMBLED, CRASHED, ARMED = 1 << 5, 1 << 7, 1 << 1  # bits of supervisor.info
EMULATED = "sim.emulated"  # a parameter that only emulated Crazyflies have
LOGGED = {
    "stateEstimate.x": "float", "stateEstimate.y": "float", "stateEstimate.z": "float",
    "stateEstimate.vx": "FP16", "stateEstimate.vy": "FP16", "stateEstimate.vz": "FP16",
    "stateEstimate.yaw": "FP16", "gyro.z": "FP16", "pm.vbat": "FP16",
    "supervisor.info": "uint16_t",
}  # fmt: skip
EMPTY_V, FULL_V = 3.0, 4.2


class CrazyflieDriver:
    """Link to one Crazyflie; see `RobotDriver`."""

    def __init__(
        self,
        uri: str,
        robot: int,
        limits: SafetyConfig,
        localisation: Localisation,
        height: float = 1.0,
        hardware: bool = False,
    ) -> None:
        """Nothing is opened yet.

        Args:
            uri: as cflib has it, e.g. `radio://0/80/2M/E7E7E7E701` or `udp://127.0.0.1:19850`.
            robot: roster index.
            limits: of its robot class.
            localisation: that it reports to, and learns from where the others are.
            height: m, at which it flies.
            hardware: whether a real robot may be at the other end.
        """
        self._uri, self._robot, self._hardware = uri, robot, hardware
        self._localisation = localisation
        self._pilot = Pilot(limits, height)
        self._lock = threading.Lock()
        self._cf: Any = None
        self._reality = Reality.HARDWARE
        self._known: dict[str, float] = {}
        self._heard_at, self._stamp = -math.inf, 0.0
        self._answer: Injected | None = None
        self._answered, self._ended = threading.Event(), threading.Event()
        self._keeper: threading.Thread | None = None
        self._arming = False

    @property
    def reality(self) -> Reality:
        """Simulated only if it says so itself."""
        return self._reality

    def connect(self) -> None:
        """Open the link and wait for the first estimate.

        Raises:
            MissingExtraError: cflib is not installed.
            NotReadyError: the robot does not answer.
            ConfigError: it is hardware, and `hardware` was not given.
        """
        need("cflib", "crazyflie")
        import cflib.crtp
        from cflib.crazyflie import Crazyflie

        logging.getLogger("cflib").setLevel(logging.CRITICAL)  # it warns of what is said below
        if not cflib.crtp.CLASSES:
            cflib.crtp.init_drivers()
        ready, failed = threading.Event(), threading.Event()
        cf = Crazyflie()
        cf.fully_connected.add_callback(lambda _: ready.set())
        for caller in (cf.connection_failed, cf.connection_lost):
            caller.add_callback(lambda *_: failed.set())
        self._cf = cf
        cf.open_link(self._uri)
        _within(CONNECT_S, lambda: ready.is_set() or failed.is_set())
        if not ready.is_set():
            self._release()
            raise NotReadyError(f"no Crazyflie answers at {self._uri}; is it on, and in range?")
        self._look_whether_real()
        self._start_log()
        self._ended.clear()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        self._keeper.start()

    def _look_whether_real(self) -> None:
        emulated = self._cf.param.toc.get_element_by_complete_name(EMULATED) is not None
        self._reality = Reality.SIM if emulated else Reality.HARDWARE
        if self._reality is Reality.HARDWARE and not self._hardware:
            self._release()
            raise ConfigError(f"{self._uri} is a real Crazyflie; say that it may be: --hardware")

    def _start_log(self) -> None:
        from cflib.crazyflie.log import LogConfig

        block = LogConfig("swarmhold", LOG_MS)
        for name, kind in LOGGED.items():
            block.add_variable(name, kind)
        block.data_received_cb.add_callback(self._on_log)
        self._cf.appchannel.packet_received.add_callback(self._on_answer)
        try:
            self._cf.log.add_config(block)
        except KeyError as error:
            self._release()
            raise NotReadyError(
                f"{self._uri}: {error.args[0]}; update the Crazyflie's firmware"
            ) from error
        block.start()
        if not _within(CONNECT_S, lambda: bool(self._known)):
            self._release()
            raise NotReadyError(f"{self._uri} connects, but sends no state estimate")

    def _on_log(self, _: int, values: dict[str, float], block: object) -> None:
        with self._lock:
            self._known, self._heard_at, self._stamp = values, time.monotonic(), time.time()

    def _on_answer(self, data: bytes) -> None:
        self._answer = read_answer(bytes(data))
        self._answered.set()

    def arm(self) -> None:
        """Arm, climb to the flight height and hold there.

        Raises:
            NotReadyError: it refuses to be armed, or does not get up in time.
        """
        cf = self._check()
        self.read()
        if self._pilot.stopped:
            raise NotReadyError(f"robot {self._robot} was stopped; start its driver anew")
        self._arming = True
        try:
            cf.supervisor.send_arming_request(True)
            if not _within(ARMED_S, lambda: self._bits() & ARMED != 0):
                raise NotReadyError(f"{self._uri} refuses to be armed; look at its supervisor")
            with self._lock:
                self._pilot.take_off(self._known["stateEstimate.z"], time.monotonic())
        finally:
            self._arming = False
        _within(CLIMB_S, lambda: self._pilot.phase is not Phase.CLIMB)
        if self._pilot.phase is not Phase.FLY:
            self.land()
            raise NotReadyError(f"{self._uri} does not get up to {self._pilot.height:g} m")

    def read(self) -> SensorFrame:
        """Its own estimate, and what the team's localisation knows of the others."""
        self._check()
        now = time.monotonic()
        with self._lock:
            known, age, stamp = dict(self._known), now - self._heard_at, self._stamp
        if not age <= HEARD_S:
            raise NotReadyError(f"robot {self._robot} ({self._uri}) was not heard for {age:.1f} s")
        position = tuple(known[f"stateEstimate.{axis}"] for axis in "xyz")
        velocity = tuple(known[f"stateEstimate.v{axis}"] for axis in "xyz")
        yaw = math.radians(known["stateEstimate.yaw"])
        self._localisation.report(self._robot, position, now)  # type: ignore[arg-type]
        around = self._localisation.around(self._robot, position, yaw, now)  # type: ignore[arg-type]
        return SensorFrame(
            stamp=stamp,
            position=position,  # type: ignore[arg-type]
            velocity=velocity,  # type: ignore[arg-type]
            yaw=yaw,
            yaw_rate=math.radians(known["gyro.z"]),
            battery=float(np.clip((known["pm.vbat"] - EMPTY_V) / (FULL_V - EMPTY_V), 0.0, 1.0)),
            sighted=around.sighted,
            sightings=around.sightings,
            bodies=around.bodies,
            stopped=self._pilot.stopped,
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
        self._cf.commander.send_stop_setpoint()

    def inject(self, fault: FaultSpec) -> Injected:
        """Ask an application on board to break something; see `faultapp`.

        Raises:
            ConfigError: on hardware, it would last for too long.
        """
        cf = self._check()
        if fault.kind not in ORDERED:
            return Injected.UNSUPPORTED
        if self._reality is Reality.HARDWARE and fault.duration_s > LONGEST_FAULT_S:
            raise ConfigError(f"a fault of a real robot lasts at most {LONGEST_FAULT_S:g} s")
        self._answer = None
        self._answered.clear()
        cf.appchannel.send_packet(write_order(fault))
        self._answered.wait(ANSWER_S)
        return self._answer or Injected.UNSUPPORTED

    def close(self) -> None:
        """Land if it flies, and free the link; safe to call twice."""
        if self._cf is None:
            return
        if self._pilot.airborne:
            self.land()
            _within(DOWN_S, lambda: not self._pilot.airborne)
            self._send()
        self._release()

    def _release(self) -> None:
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        cf, self._cf = self._cf, None
        if cf is not None:
            cf.close_link()

    def _keep_alive(self) -> None:
        """Set-points at a fixed rate, whatever the policy does; in a thread of its own."""
        while not self._ended.wait(KEEP_ALIVE_S):
            with contextlib.suppress(AttributeError, OSError):  # the link went while it was sent
                self._send()

    def _send(self) -> None:
        now = time.monotonic()
        with self._lock:
            bits, silent = int(self._known["supervisor.info"]), now - self._heard_at
            if self._pilot.airborne and (bits & (TUMBLED | CRASHED) or silent > CUT_S):
                self._pilot.fell()
            wish = self._pilot.step(self._known["stateEstimate.z"], now)
        if wish.motors:
            self._cf.commander.send_hover_setpoint(*wish.velocity, 0.0, wish.height)
        elif bits & ARMED and not self._arming:
            self._cf.commander.send_stop_setpoint()
            self._cf.supervisor.send_arming_request(False)

    def _ask(self, mode: Mode) -> None:
        self._check()
        with self._lock:
            self._pilot.ask(mode, time.monotonic())

    def _bits(self) -> int:
        with self._lock:
            return int(self._known["supervisor.info"])

    def _check(self) -> Any:
        if self._cf is None:
            raise NotReadyError(f"robot {self._robot} is not connected; call connect() first")
        return self._cf


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until something holds; whether it does in the end."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True
