"""A MAVLink vehicle in the manner of PX4: what ground stations and companion computers see of it.

Emulated: heartbeat, local position, attitude, battery and landed state as streams; arming, modes,
offboard velocity with its loss of signal, take-off and landing, parameters, and failures by
MAV_CMD_INJECT_FAILURE for motors and battery. Not emulated: missions, global position, manual
control, turning (the heading is held). pymavlink (LGPL, an extra) packs and reads the messages.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

from swarmhold.sim.emulate.vehicle import OFF, Body, Steer

OFFBOARD, AUTO, POSCTL = 6, 4, 3  # main modes of PX4, in the custom mode's third byte
TAKEOFF, LOITER, LAND = 2, 3, 6  # sub-modes of AUTO, in the fourth
LOST_S = 1.0  # without set-point in offboard (COM_OF_LOSS_T), after which it lands
FRESH_S = 0.5  # set-points must be that fresh for offboard to be accepted
TILTED, TILTED_S = 0.5, 0.3  # cosine of the tilt, and for how long (FD_FAIL_P, FD_FAIL_P_TTRI)
RESTING_M = 0.1
DESCENT_MPS, CLIMB_MPS, TAKEOFF_M = 0.5, 0.7, 1.0
FORCE = 21196  # disarms in the air
FAST_S, SLOW_S = 1.0 / 30.0, 0.5
PARAMETERS = {"SIM_EMULATED": 1, "SYS_FAILURE_EN": 1, "MIS_TAKEOFF_ALT": 1}
IGNORE_VELOCITY = 0b111000  # of a set-point's type mask
MOTOR, BATTERY = mavlink.FAILURE_UNIT_SYSTEM_MOTOR, mavlink.FAILURE_UNIT_SYSTEM_BATTERY
FAILURES = {
    (MOTOR, mavlink.FAILURE_TYPE_OFF): "motor_off",
    (MOTOR, mavlink.FAILURE_TYPE_STUCK): "motor_stuck",
    (BATTERY, mavlink.FAILURE_TYPE_OFF): "battery",
}
ACCEPTED, DENIED = mavlink.MAV_RESULT_ACCEPTED, mavlink.MAV_RESULT_DENIED
UNSUPPORTED, LATER = mavlink.MAV_RESULT_UNSUPPORTED, mavlink.MAV_RESULT_TEMPORARILY_REJECTED


class MavlinkVehicle:
    """One emulated vehicle."""

    def __init__(self, system: int, ground: int) -> None:
        """Switched on, not armed.

        Args:
            system: MAVLink system id, from 1.
            ground: UDP port of the ground station, for the address.
        """
        self._system, self._ground = system, ground
        self._mav = mavlink.MAVLink(None, system, mavlink.MAV_COMP_ID_AUTOPILOT1)
        self._mav.robust_parsing = True
        self._armed, self._mode = False, (AUTO, LOITER)
        self._velocity, self._heard_at = (0.0, 0.0, 0.0), -math.inf
        self._height = 0.0
        self._booted = self._ticked_at = self._upright_at = -math.inf
        self._fast_at = self._slow_at = -math.inf
        self._orders: list[tuple[str, float, float, int]] = []

    def address(self, host: str, port: int) -> str:
        """The ground station's port, and which system it is; see `Vehicle`."""
        return f"mavlink:udpin://{host}:{self._ground}#{self._system}"

    def orders(self) -> list[tuple[str, float, float, int]]:
        """Failures that were injected; see `Vehicle`. A duration of 0 ends one."""
        found, self._orders = self._orders, []
        return found

    def hear(self, datagram: bytes, body: Body, now: float) -> list[bytes]:
        """Messages for this system, or for all; see `Vehicle`."""
        out: list[bytes] = []
        for message in self._mav.parse_buffer(datagram) or []:
            target = getattr(message, "target_system", 0)
            answer = getattr(self, f"_on_{message.get_type().lower()}", None)
            if answer is not None and target in (0, self._system):
                out += [self._pack(reply) for reply in answer(message, body, now)]
        return out

    def _pack(self, message: Any) -> bytes:
        packed = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return packed

    def _on_command_long(self, told: Any, body: Body, now: float) -> list[Any]:
        act = {
            mavlink.MAV_CMD_COMPONENT_ARM_DISARM: self._arm,
            mavlink.MAV_CMD_DO_SET_MODE: self._set_mode,
            mavlink.MAV_CMD_NAV_TAKEOFF: lambda *_: self._go(TAKEOFF),
            mavlink.MAV_CMD_NAV_LAND: lambda *_: self._go(LAND),
            mavlink.MAV_CMD_SET_MESSAGE_INTERVAL: lambda *_: ACCEPTED,
            mavlink.MAV_CMD_INJECT_FAILURE: self._fail,
        }.get(told.command, lambda *_: UNSUPPORTED)
        extra: list[Any] = []
        if told.command == mavlink.MAV_CMD_REQUEST_MESSAGE and told.param1 == 148:
            act, extra = (lambda *_: ACCEPTED), [self._version()]
        result = act(told, body, now)
        ack = mavlink.MAVLink_command_ack_message(told.command, result)
        ack.target_system, ack.target_component = told.get_srcSystem(), told.get_srcComponent()
        return [ack, *extra]

    def _version(self) -> Any:
        able = mavlink.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_LOCAL_NED
        able |= mavlink.MAV_PROTOCOL_CAPABILITY_MAVLINK2
        nought = [0] * 8
        return mavlink.MAVLink_autopilot_version_message(
            able, 0, 0, 0, 0, nought, nought, nought, 0, 0, self._system
        )

    def _arm(self, told: Any, body: Body, now: float) -> int:
        wanted, forced = told.param1 > 0.5, told.param2 == FORCE
        if wanted and body.up < TILTED:
            return int(DENIED)
        if not wanted and body.position[2] > RESTING_M and not forced:
            return int(DENIED)
        self._armed = wanted
        return int(ACCEPTED)

    def _set_mode(self, told: Any, body: Body, now: float) -> int:
        main, sub = int(told.param2), int(told.param3)
        if main == OFFBOARD and now - self._heard_at > FRESH_S:
            return int(LATER)
        if main not in (OFFBOARD, AUTO, POSCTL):
            return int(DENIED)
        self._mode = (main, sub)
        return int(ACCEPTED)

    def _go(self, sub: int) -> int:
        self._mode = (AUTO, sub)
        return int(ACCEPTED)

    def _fail(self, told: Any, body: Body, now: float) -> int:
        unit, kind, motor = int(told.param1), int(told.param2), max(int(told.param3), 1)
        if kind == mavlink.FAILURE_TYPE_OK:
            ended = {name for (what, _), name in FAILURES.items() if what == unit}
            self._orders += [(name, 1.0, 0.0, 0) for name in sorted(ended)]
            return int(ACCEPTED if ended else UNSUPPORTED)
        if (unit, kind) not in FAILURES:
            return int(UNSUPPORTED)
        self._orders.append((FAILURES[unit, kind], 1.0, math.inf, motor - 1))
        return int(ACCEPTED)

    def _on_set_position_target_local_ned(self, told: Any, body: Body, now: float) -> list[Any]:
        if not told.type_mask & IGNORE_VELOCITY:
            self._velocity, self._heard_at = (told.vx, told.vy, told.vz), now
        return []

    def _on_param_request_read(self, told: Any, body: Body, now: float) -> list[Any]:
        name = told.param_id.rstrip("\0")
        if told.param_index >= 0:
            name = next(iter(list(PARAMETERS)[told.param_index : told.param_index + 1]), "")
        return self._values([name] if name in PARAMETERS else [])

    def _on_param_request_list(self, told: Any, body: Body, now: float) -> list[Any]:
        return self._values(list(PARAMETERS))

    def _values(self, names: list[str]) -> list[Any]:
        """As PX4 does: the bytes of an integer stand where the message has a float."""
        known = list(PARAMETERS)
        return [
            mavlink.MAVLink_param_value_message(
                name.encode(), _as_float(PARAMETERS[name]), mavlink.MAV_PARAM_TYPE_INT32,
                len(known), known.index(name),
            )
            for name in names
        ]  # fmt: skip

    def speak(self, body: Body, now: float) -> list[bytes]:
        """Streams; see `Vehicle`."""
        out: list[Any] = []
        if self._booted == -math.inf:
            self._booted = now
        if now - self._fast_at >= FAST_S:
            self._fast_at = now
            out += self._motion(body, int((now - self._booted) * 1e3))
        if now - self._slow_at >= SLOW_S:
            self._slow_at = now
            out += self._status(body)
        return [self._pack(message) for message in out]

    def _motion(self, body: Body, stamp: int) -> list[Any]:
        (x, y, z), (vx, vy, vz) = body.position, body.velocity
        qx, qy, qz, qw = map(float, body.attitude)
        roll = math.atan2(2 * (qw * qx + qy * qz), 1 - 2 * (qx * qx + qy * qy))
        pitch = math.asin(max(-1.0, min(1.0, 2 * (qw * qy - qz * qx))))
        yaw = math.remainder(math.pi / 2 - body.yaw, 2 * math.pi)
        rates = float(body.spin[0]), -float(body.spin[1]), -float(body.spin[2])
        return [
            mavlink.MAVLink_local_position_ned_message(stamp, y, x, -z, vy, vx, -vz),
            mavlink.MAVLink_attitude_message(stamp, roll, -pitch, yaw, *rates),
        ]

    def _status(self, body: Body) -> list[Any]:
        base = mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        base |= mavlink.MAV_MODE_FLAG_SAFETY_ARMED if self._armed else 0
        custom = self._mode[0] << 16 | self._mode[1] << 24
        state = mavlink.MAV_STATE_ACTIVE if self._armed else mavlink.MAV_STATE_STANDBY
        landed = (
            mavlink.MAV_LANDED_STATE_IN_AIR
            if body.position[2] > RESTING_M
            else mavlink.MAV_LANDED_STATE_ON_GROUND
        )
        share = int(100 * body.battery)
        return [
            mavlink.MAVLink_heartbeat_message(
                mavlink.MAV_TYPE_QUADROTOR, mavlink.MAV_AUTOPILOT_PX4, base, custom, state, 3
            ),
            mavlink.MAVLink_extended_sys_state_message(0, landed),
            mavlink.MAVLink_sys_status_message(
                0, 0, 0, 200, 15000, -1, share, 0, 0, 0, 0, 0, 0
            ),
            mavlink.MAVLink_battery_status_message(
                0, 0, 0, 32767, [15000, *[65535] * 9], -1, -1, -1, share
            ),
        ]  # fmt: skip

    def steer(self, body: Body, now: float) -> Steer:
        """What the autopilot does in its mode; see `Vehicle`."""
        step = min(now - self._ticked_at, 0.1)
        self._ticked_at = now
        self._watch_attitude(body, now)
        if not self._armed:
            self._height = float(body.position[2])
            return OFF
        if self._mode[0] == OFFBOARD and now - self._heard_at > LOST_S:
            self._change((AUTO, LAND))
        if self._mode[0] == OFFBOARD:
            north, east, down = self._velocity
            self._height = max(self._height - down * step, 0.0)
            cos, sin = math.cos(body.yaw), math.sin(body.yaw)
            planar = (cos * east + sin * north, cos * north - sin * east)
            return Steer(planar, self._height, True)
        if self._mode == (AUTO, TAKEOFF):
            self._height = min(self._height + CLIMB_MPS * step, TAKEOFF_M)
        elif self._mode == (AUTO, LAND):
            self._height -= DESCENT_MPS * step
            if body.position[2] < RESTING_M and self._height < 0.0:
                self._armed = False
        return Steer((0.0, 0.0), max(self._height, 0.0), True)

    def _change(self, mode: tuple[int, int]) -> None:
        """To another mode on its own; the next heartbeat comes at once."""
        self._mode, self._slow_at = mode, -math.inf

    def _watch_attitude(self, body: Body, now: float) -> None:
        """Who is tilted too far for a while is terminated."""
        if body.up > TILTED or self._upright_at == -math.inf:
            self._upright_at = now
        elif now - self._upright_at > TILTED_S:
            self._armed = False


def _as_float(value: int) -> float:
    """The float with the bytes of an integer."""
    found: float = struct.unpack("<f", struct.pack("<i", value))[0]
    return found
