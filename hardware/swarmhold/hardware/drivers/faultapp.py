"""Faults over a Crazyflie's application channel: what an application on board may answer.

The firmware has no command that breaks a motor, but a channel for applications of one's own. An
order is `F`, severity, duration (s) and seed, then the kind as text; the answer is `F` and what
became of it. Emulated Crazyflies answer; one without such an application says nothing.
"""

from __future__ import annotations

import struct

from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec

MARK = b"F"
ORDERED = (*BODY_KINDS, "link_loss")
_CODES = {Injected.APPLIED: 0, Injected.UNSUPPORTED: 1, Injected.NO_EFFECT: 2}
LONGEST_S = 1e6  # stands for a fault without an end


def write_order(fault: FaultSpec) -> bytes:
    """The packet that orders a fault, which begins at once."""
    head = struct.pack("<ffI", fault.severity, min(fault.duration_s, LONGEST_S), fault.seed)
    return MARK + head + fault.kind.encode()


def read_order(data: bytes) -> tuple[tuple[str, float, float, int] | None, bytes | None]:
    """What a packet orders, and the answer to it.

    Returns:
        Kind, severity, duration (s) and seed, or None; and the answer, None to what is no order.
    """
    if data[:1] != MARK or len(data) <= 13:
        return None, None
    severity, duration, seed = struct.unpack_from("<ffI", data, 1)
    kind = bytes(data[13:]).decode(errors="replace")
    if kind not in ORDERED or not (0.0 <= severity <= 1.0 and duration > 0.0):
        return None, MARK + bytes([_CODES[Injected.UNSUPPORTED]])
    return (kind, severity, duration, seed), MARK + bytes([_CODES[Injected.APPLIED]])


def read_answer(data: bytes) -> Injected | None:
    """What an application says has become of an order; None if that is no answer."""
    if len(data) != 2 or data[:1] != MARK:
        return None
    known = {code: result for result, code in _CODES.items()}
    return known.get(data[1])
