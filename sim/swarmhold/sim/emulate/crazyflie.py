"""A Crazyflie as its clients see it: CRTP, one packet a datagram, and what the firmware does.

Emulated: tables, log blocks, parameters, the supervisor with arming, hover, world velocity and
position set-points, take-off and landing of the high-level commander, the set-point watchdog, and
the application channel as a place to order faults. Not emulated: attitude and full-state
set-points, trajectories, memories, yaw (the heading is held).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from swarmhold.hardware.drivers.faultapp import read_order
from swarmhold.sim.emulate.tables import LOG_TABLE, PARAM_TABLE, Logs, Parameters, table
from swarmhold.sim.emulate.vehicle import OFF, Body, Steer

PROTOCOL = 12  # the first with the supervisor's port
LEVEL_S, SHUTDOWN_S = 0.5, 2.0  # without set-point (commander.c of the firmware)
TUMBLED, TUMBLED_S = 0.3, 1.0  # cosine of the tilt, and for how long
APPROACH_HZ, LIMIT_MPS = 1.0, 1.0  # of position set-points
RESTING_M = 0.10  # above ground, below which it counts as landed
PARAM, COMMANDER, MEMORY, LOG, GENERIC, HIGH_LEVEL = 2, 3, 4, 5, 7, 8
SUPERVISOR, PLATFORM, LINK = 9, 13, 15
VELOCITY_WORLD, POSITION, HOVER = 8, 7, 10
TAKEOFF, LAND, HL_STOP = 7, 8, 3
ARM, RECOVER, EMERGENCY, BITS = 1, 2, 3, 0x0C


class Crazyflie:
    """One emulated Crazyflie."""

    def __init__(self) -> None:
        """Switched on, not armed."""
        self._booted: float | None = None
        self._logs, self._parameters = Logs(), Parameters()
        self._armed = self._locked = self._crashed = False
        self._steer: Callable[[Body, float], Steer] | None = None
        self._heard_at, self._height = -math.inf, 0.0
        self._ticked_at = self._upright_at = -math.inf
        self._autonomous = False  # the high-level commander flies, without a watchdog
        self._orders: list[tuple[str, float, float, int]] = []

    def address(self, host: str, port: int) -> str:
        """The URI that clients of cflib open; see `Vehicle`."""
        return f"crazyflie:udp://{host}:{port}"

    def orders(self) -> list[tuple[str, float, float, int]]:
        """Faults ordered on the application channel; see `Vehicle`."""
        found, self._orders = self._orders, []
        return found

    def hear(self, datagram: bytes, body: Body, now: float) -> list[bytes]:
        """One packet; see `Vehicle`."""
        self._booted = now if self._booted is None else self._booted
        if not datagram:
            return []
        header, data = datagram[0], datagram[1:]
        port, channel = header >> 4, header & 0x03
        if header == 0xFF:  # a null packet asks who is there
            return [b"\xff"]
        try:
            answer = self._answer(port, channel, data, body, now)
        except (struct.error, IndexError):  # too short for what it claims to be
            return []
        return [] if answer is None else [bytes([header]) + answer]

    def _answer(self, port: int, channel: int, data: bytes, body: Body, now: float) -> bytes | None:
        if port == LINK:
            return data if channel == 0 else b"Bitcraze Crazyflie\0" if channel == 1 else None
        if port == PLATFORM:
            return self._platform(channel, data)
        if port == MEMORY:
            return bytes([1, 0]) if channel == 0 and data[:1] == b"\x01" else None
        if port == LOG:
            return table(data, LOG_TABLE) if channel == 0 else self._logs.order(data, now)
        if port == PARAM:
            ways = {0: lambda d: table(d, PARAM_TABLE), 1: self._parameters.read,
                    2: self._parameters.write}  # fmt: skip
            return ways[channel](data) if channel in ways else None
        if port == SUPERVISOR:
            return self._supervise(channel, data, body)
        if port == COMMANDER:
            *_, thrust = struct.unpack("<fffH", data)
            if thrust == 0:
                self._follow(None, now)
        elif port == GENERIC and channel == 0 and data:
            self._follow(self._setpoint(data), now)
        elif port == HIGH_LEVEL and data:
            self._high_level(data, body, now)
        return None

    def _platform(self, channel: int, data: bytes) -> bytes | None:
        if channel == 1 and data[:1] == b"\x00":
            return bytes([0, PROTOCOL])
        if channel == 2:
            order, answer = read_order(data)
            if order is not None:
                self._orders.append(order)
            return answer
        return None

    def _supervise(self, channel: int, data: bytes, body: Body) -> bytes | None:
        command = data[0]
        if channel == 0 and command == BITS:
            return struct.pack("<BH", BITS | 0x80, self.info(body))
        if command == ARM:
            wanted = bool(data[1])
            refused = wanted and not self._armed and not self._can_arm(body)
            if not refused:
                self._armed = wanted
                if not wanted:
                    self._steer = None
            return bytes([ARM | 0x80, not refused, self._armed])
        if command == RECOVER:
            self._crashed = self._crashed and body.up < TUMBLED
            return bytes([RECOVER | 0x80, not self._crashed, not self._crashed])
        if command == EMERGENCY:
            self._locked, self._armed, self._steer = True, False, None
        return None

    def _can_arm(self, body: Body) -> bool:
        return not self._locked and not self._crashed and body.up > TUMBLED

    def info(self, body: Body) -> int:
        """State bits of the supervisor."""
        flying = self._armed and self._steer is not None and body.position[2] > RESTING_M
        bits = (
            self._can_arm(body) and not self._armed, self._armed, False,
            self._armed and not self._locked, flying, body.up < TUMBLED, self._locked,
            self._crashed, self._autonomous,
        )  # fmt: skip
        return sum(1 << place for place, on in enumerate(bits) if on)

    def _follow(self, steer: Callable[[Body, float], Steer] | None, now: float) -> None:
        self._steer, self._heard_at, self._autonomous = steer, now, False

    def _setpoint(self, data: bytes) -> Callable[[Body, float], Steer] | None:
        """What a packet of the generic commander asks for; None for stop, and what is unknown."""
        kind = data[0]
        if kind == HOVER:
            vx, vy, _, height = struct.unpack("<ffff", data[1:17])
            return lambda body, step: Steer((vx, vy), height, True)
        if kind == VELOCITY_WORLD:
            wx, wy, wz, _ = struct.unpack("<ffff", data[1:17])
            return lambda body, step: self._towards(body, wx, wy, self._height + wz * step)
        if kind == POSITION:
            x, y, z, _ = struct.unpack("<ffff", data[1:17])
            return lambda body, step: self._approach(body, x, y, z)
        return None

    def _approach(self, body: Body, x: float, y: float, z: float) -> Steer:
        ex, ey = APPROACH_HZ * (x - body.position[0]), APPROACH_HZ * (y - body.position[1])
        share = min(1.0, LIMIT_MPS / max(math.hypot(ex, ey), 1e-9))
        return self._towards(body, share * ex, share * ey, z)

    def _towards(self, body: Body, vx: float, vy: float, height: float) -> Steer:
        """From a velocity in world axes."""
        cos, sin = math.cos(body.yaw), math.sin(body.yaw)
        return Steer((cos * vx + sin * vy, cos * vy - sin * vx), height, True)

    def _high_level(self, data: bytes, body: Body, now: float) -> None:
        if data[0] in (TAKEOFF, LAND):
            goal, _, _, seconds = struct.unpack("<ff?f", data[2:15])
            start, x, y = float(body.position[2]), *map(float, body.position[:2])
            pace = (goal - start) / max(seconds, 0.1)

            def climb(body: Body, step: float) -> Steer:
                ahead = self._height + pace * step
                return self._approach(
                    body, x, y, min(ahead, goal) if pace > 0 else max(ahead, goal)
                )

            self._follow(climb, now)
            self._height, self._autonomous = start, True
        elif data[0] == HL_STOP:
            self._follow(None, now)

    def speak(self, body: Body, now: float) -> list[bytes]:
        """Log packets; see `Vehicle`."""
        if self._booted is None:
            return []
        header = bytes([LOG << 4 | 0x0C | 2])
        return [header + data for data in self._logs.due(body, self.info(body), now, self._booted)]

    def steer(self, body: Body, now: float) -> Steer:
        """What the firmware makes of the last set-point; see `Vehicle`."""
        step = min(now - self._ticked_at, 0.1)
        self._ticked_at = now
        self._watch_attitude(body, now)
        age = 0.0 if self._autonomous else now - self._heard_at
        if age > SHUTDOWN_S:
            self._steer = None
        if not self._armed or self._locked or self._steer is None:
            self._height = float(body.position[2])
            return OFF
        wanted = self._steer(body, step)
        if age > LEVEL_S:
            wanted = Steer((0.0, 0.0), self._height, True)
        self._height = wanted.height
        return wanted

    def _watch_attitude(self, body: Body, now: float) -> None:
        """Who lies on his back for a while switches himself off."""
        if body.up > TUMBLED or self._upright_at == -math.inf:
            self._upright_at = now
        elif now - self._upright_at > TUMBLED_S and not self._crashed:
            self._crashed, self._armed, self._steer = True, False, None
