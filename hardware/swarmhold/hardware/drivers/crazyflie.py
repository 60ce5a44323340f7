"""Crazyflie 2.x over cflib: hover set-points out, its own state estimate in.

cflib is GPL and an extra; it is loaded when a driver connects. The Crazyflie must know where it is
in the frame that the team shares (base stations, motion capture, loco positioning): the estimate's
x, y, z and yaw are taken for world ENU.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Any

from swarmhold.hardware.drivers.faultapp import ORDERED, read_answer, write_order
from swarmhold.hardware.drivers.flier import Estimate, Flier, within
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.pilot import Wish
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.safety import SafetyConfig

CONNECT_S = 10.0
LOG_MS = 30
ANSWER_S = 0.5
ARMED, TUMBLED, CRASHED = 1 << 1, 1 << 5, 1 << 7  # bits of supervisor.info
EMULATED = "sim.emulated"  # a parameter that only emulated Crazyflies have
LOGGED = {
    "stateEstimate.x": "float", "stateEstimate.y": "float", "stateEstimate.z": "float",
    "stateEstimate.vx": "FP16", "stateEstimate.vy": "FP16", "stateEstimate.vz": "FP16",
    "stateEstimate.yaw": "FP16", "gyro.z": "FP16", "pm.vbat": "FP16",
    "supervisor.info": "uint16_t",
}  # fmt: skip
EMPTY_V, FULL_V = 3.0, 4.2


class CrazyflieDriver(Flier):
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
        """Nothing is opened yet; arguments as of `Flier`.

        Args:
            uri: as cflib has it, e.g. `radio://0/80/2M/E7E7E7E701` or `udp://127.0.0.1:19850`.
            robot: roster index.
            limits: of its robot class.
            localisation: of the team.
            height: m, at which it flies.
            hardware: whether a real robot may be at the other end.
        """
        super().__init__(uri, robot, limits, localisation, height, hardware)
        self._cf: Any = None
        self._last: Estimate | None = None
        self._answer: Injected | None = None
        self._answered = threading.Event()

    def _connect(self) -> Reality:
        need("cflib", "crazyflie")
        import cflib.crtp
        from cflib.crazyflie import Crazyflie

        logging.getLogger("cflib").setLevel(logging.CRITICAL)  # it warns of what is said below
        if not cflib.crtp.CLASSES:
            cflib.crtp.init_drivers()
        ready, failed = threading.Event(), threading.Event()
        cf = self._cf = Crazyflie()
        cf.fully_connected.add_callback(lambda _: ready.set())
        for caller in (cf.connection_failed, cf.connection_lost):
            caller.add_callback(lambda *_: failed.set())
        cf.open_link(self._name)
        within(CONNECT_S, lambda: ready.is_set() or failed.is_set())
        if not ready.is_set():
            raise NotReadyError(f"no Crazyflie answers at {self._name}; is it on, and in range?")
        cf.appchannel.packet_received.add_callback(self._on_answer)
        self._start_log(cf)
        emulated = cf.param.toc.get_element_by_complete_name(EMULATED) is not None
        return Reality.SIM if emulated else Reality.HARDWARE

    def _start_log(self, cf: Any) -> None:
        from cflib.crazyflie.log import LogConfig

        block = LogConfig("swarmhold", LOG_MS)
        for name, kind in LOGGED.items():
            block.add_variable(name, kind)
        block.data_received_cb.add_callback(self._on_log)
        try:
            cf.log.add_config(block)
        except KeyError as error:
            raise NotReadyError(f"{self._name}: {error.args[0]}; update its firmware") from error
        block.start()

    def _on_log(self, _: int, values: dict[str, float], block: object) -> None:
        x, y, z = (values[f"stateEstimate.{axis}"] for axis in "xyz")
        vx, vy, vz = (values[f"stateEstimate.v{axis}"] for axis in "xyz")
        bits = int(values["supervisor.info"])
        self._last = Estimate(
            heard_at=time.monotonic(),
            stamp=time.time(),
            position=(x, y, z),
            velocity=(vx, vy, vz),
            yaw=math.radians(values["stateEstimate.yaw"]),
            yaw_rate=math.radians(values["gyro.z"]),
            battery=(values["pm.vbat"] - EMPTY_V) / (FULL_V - EMPTY_V),
            armed=bool(bits & ARMED),
            upset=bool(bits & (TUMBLED | CRASHED)),
        )

    def _on_answer(self, data: bytes) -> None:
        self._answer = read_answer(bytes(data))
        self._answered.set()

    def _estimate(self) -> Estimate | None:
        return self._last

    def _request(self, armed: bool) -> None:
        if not armed:
            self._cf.commander.send_stop_setpoint()
        self._cf.supervisor.send_arming_request(armed)

    def _fly(self, wish: Wish, now: Estimate) -> None:
        if wish.motors:
            self._cf.commander.send_hover_setpoint(*wish.velocity, 0.0, wish.height)

    def _cut(self) -> None:
        self._request(False)

    def _order(self, fault: FaultSpec) -> Injected:
        """Ask an application on board to break something; see `faultapp`."""
        if fault.kind not in ORDERED:
            return Injected.UNSUPPORTED
        self._answer = None
        self._answered.clear()
        self._cf.appchannel.send_packet(write_order(fault))
        self._answered.wait(ANSWER_S)
        return self._answer or Injected.UNSUPPORTED

    def _disconnect(self) -> None:
        cf, self._cf = self._cf, None
        if cf is not None:
            cf.close_link()
