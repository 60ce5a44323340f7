"""Tables of a Crazyflie: what can be logged and set, and the log blocks that clients ask for.

Type codes, commands and layouts are those of CRTP from protocol version 4 on.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from swarmhold.sim.emulate.vehicle import Body

LOG_TYPES = {1: "B", 2: "H", 3: "L", 4: "b", 5: "h", 6: "i", 7: "f", 8: "e"}
PARAM_TYPES = {0x08: "B", 0x09: "H", 0x0A: "L", 0x06: "f"}
READ_ONLY = 0x40
FLOAT_LOG, SHORT_LOG = 7, 2
ITEM, INFO = 2, 3  # commands of a table's channel
CREATE, APPEND, DELETE, START, STOP, RESET = 6, 7, 2, 3, 4, 5
NOT_FOUND = 2  # ENOENT
LONGEST = 26  # bytes of a log packet

LOGGED: dict[str, Callable[[Body], float]] = {
    "stateEstimate.x": lambda body: body.position[0],
    "stateEstimate.y": lambda body: body.position[1],
    "stateEstimate.z": lambda body: body.position[2],
    "stateEstimate.vx": lambda body: body.velocity[0],
    "stateEstimate.vy": lambda body: body.velocity[1],
    "stateEstimate.vz": lambda body: body.velocity[2],
    "stateEstimate.yaw": lambda body: math.degrees(body.yaw),
    "gyro.z": lambda body: math.degrees(body.spin[2]),
    "pm.vbat": lambda body: 3.0 + 1.2 * body.battery,
}
INFO_WORD = "supervisor.info"  # state bits, which are not the body's
PARAMETERS: dict[str, tuple[int, float]] = {
    "sim.emulated": (0x08 | READ_ONLY, 1),
    "stabilizer.estimator": (0x08, 2),
    "stabilizer.controller": (0x08, 1),
    "commander.enHighLevel": (0x08, 1),
    "kalman.resetEstimation": (0x08, 0),
}


def table(command: bytes, entries: Mapping[str, int]) -> bytes | None:
    """Answer on a table's channel.

    Args:
        command: payload of the request.
        entries: type code by full name, in the order of their ids.
    """
    names = list(entries)
    if command[:1] == bytes([INFO]):
        return struct.pack("<BHLBB", INFO, len(names), zlib.crc32(repr(entries).encode()), 16, 128)
    if command[:1] == bytes([ITEM]) and len(command) >= 3:
        (index,) = struct.unpack_from("<H", command, 1)
        if index < len(names):
            group, name = names[index].split(".")
            text = f"{group}\0{name}\0".encode()
            return struct.pack("<BHB", ITEM, index, entries[names[index]]) + text
    return None


LOG_TABLE = {**dict.fromkeys(LOGGED, FLOAT_LOG), INFO_WORD: SHORT_LOG}
PARAM_TABLE = {name: code for name, (code, _) in PARAMETERS.items()}


@dataclass(slots=True)
class Parameters:
    """Values that can be read and, mostly, written."""

    values: dict[str, float] = field(
        default_factory=lambda: {name: value for name, (_, value) in PARAMETERS.items()}
    )

    def read(self, request: bytes) -> bytes:
        """Answer to a read: id, status, value."""
        index, name = self._named(request)
        if name is None:
            return struct.pack("<HB", index, NOT_FOUND)
        return struct.pack(f"<HB{self._code(name)}", index, 0, self._typed(name))

    def write(self, request: bytes) -> bytes:
        """Answer to a write: id and the value that holds now."""
        index, name = self._named(request)
        if name is None:
            return struct.pack("<HB", index, NOT_FOUND)
        code = self._code(name)
        if not PARAM_TABLE[name] & READ_ONLY and len(request) >= 2 + struct.calcsize(f"<{code}"):
            (self.values[name],) = struct.unpack_from(f"<{code}", request, 2)
        return struct.pack(f"<H{code}", index, self._typed(name))

    def _named(self, request: bytes) -> tuple[int, str | None]:
        (index,) = struct.unpack_from("<H", request)
        names = list(PARAM_TABLE)
        return index, names[index] if index < len(names) else None

    def _code(self, name: str) -> str:
        return PARAM_TYPES[PARAM_TABLE[name] & 0x0F]

    def _typed(self, name: str) -> float:
        return self.values[name] if self._code(name) == "f" else int(self.values[name])


@dataclass(slots=True)
class Block:
    """Variables that are sent together.

    Attributes:
        variables: (name, type code as it is sent).
        period_s: None while it is not started.
        due: s, monotonic.
    """

    variables: list[tuple[str, int]]
    period_s: float | None = None
    due: float = 0.0


class Logs:
    """Log blocks of one client."""

    def __init__(self) -> None:
        """None yet."""
        self._blocks: dict[int, Block] = {}

    def order(self, request: bytes, now: float) -> bytes:
        """Answer to a request on the settings channel: command, block, error."""
        command, block = request[0], request[1] if len(request) > 1 else 0
        error = 0
        if command == RESET:
            self._blocks.clear()
        elif command in (CREATE, APPEND):
            error = self._extend(command, block, request[2:])
        elif block not in self._blocks:
            error = NOT_FOUND
        elif command == DELETE:
            del self._blocks[block]
        elif command == START and len(request) > 2:
            self._blocks[block].period_s = max(request[2], 1) * 0.01
            self._blocks[block].due = now
        elif command == STOP:
            self._blocks[block].period_s = None
        return bytes([command, block, error])

    def _extend(self, command: int, block: int, listed: bytes) -> int:
        names, variables = list(LOG_TABLE), []
        for code, index in struct.iter_unpack("<BH", listed[: len(listed) // 3 * 3]):
            if index >= len(names) or code & 0x0F not in LOG_TYPES:
                return NOT_FOUND
            variables.append((names[index], code & 0x0F))
        if command == CREATE:
            self._blocks[block] = Block(variables)
        elif block in self._blocks:
            self._blocks[block].variables += variables
        else:
            return NOT_FOUND
        return 0

    def due(self, body: Body, info: int, now: float, booted: float) -> list[bytes]:
        """Data packets whose time has come."""
        out = []
        for number, block in self._blocks.items():
            if block.period_s is None or now < block.due:
                continue
            block.due = max(block.due + block.period_s, now)
            stamp = int((now - booted) * 1e3) & 0xFFFFFF
            values = b"".join(self._value(name, code, body, info) for name, code in block.variables)
            out.append(bytes([number]) + struct.pack("<L", stamp)[:3] + values[:LONGEST])
        return out

    def _value(self, name: str, code: int, body: Body, info: int) -> bytes:
        value = info if name == INFO_WORD else float(LOGGED[name](body))
        kind = LOG_TYPES[code]
        return struct.pack(f"<{kind}", value if kind in "ef" else int(value))
