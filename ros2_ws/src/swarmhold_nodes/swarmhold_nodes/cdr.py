"""The state message from its bytes: what a team hears most, decoded without ROS's own objects.

In a team of N every process decodes N of them per tick, which with those objects costs more than
all else that it does. Whatever does not look as our nodes send it is left to the middleware.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from rclpy.serialization import deserialize_message
from swarmhold_msgs.msg import RobotState

_LITTLE = b"\x00\x01"  # plain CDR, little endian
_FRAME = b"world\x00"
# header (stamp, length and text of the frame), robot, recipient, boot_id, seq, control_seq,
# position, velocity, yaw, yaw_rate, battery, mode, bundle, number of accusations
_STATE = struct.Struct("<4xiII6sBBIII3d6fB7xQI")


class Stamp(NamedTuple):
    """As `builtin_interfaces/Time`."""

    sec: int
    nanosec: int


class Header(NamedTuple):
    """As `std_msgs/Header`."""

    stamp: Stamp
    frame_id: str


class State(NamedTuple):
    """As `swarmhold_msgs/RobotState`."""

    header: Header
    robot: int
    recipient: int
    boot_id: int
    seq: int
    control_seq: int
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    yaw: float
    yaw_rate: float
    battery: float
    mode: int
    bundle: int
    accusations: np.ndarray


def state_message(data: bytes) -> Any:
    """What the bytes of a state message say; None if they are no such message.

    Args:
        data: as it came, with the encapsulation header.

    Returns:
        A `State`, or the message as the middleware decodes it.
    """
    if data[:2] == _LITTLE and len(data) >= _STATE.size:
        sec, nanosec, length, frame, *ids, x, y, z, u, v, w, yaw, rate, battery, mode, bundle, n = (
            _STATE.unpack_from(data)
        )
        if length == len(_FRAME) and frame == _FRAME and len(data) >= _STATE.size + 2 * n:
            said = np.frombuffer(data, "<u2", n, _STATE.size)
            header = Header(Stamp(sec, nanosec), "world")
            place, moving = (x, y, z), (u, v, w)
            return State(header, *ids, place, moving, yaw, rate, battery, mode, bundle, said)
    try:
        return deserialize_message(data, RobotState)
    except Exception:  # the middleware has no public base of its errors
        return None
