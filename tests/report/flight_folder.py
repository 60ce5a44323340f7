"""Flight folders as `swarmhold fly` leaves them, written without any live node."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

ROOT, BEGAN = Path(__file__).resolve().parents[2], 1.7e9
MSGS = {
    "sense": "swarmhold_msgs/msg/SensorFrame",
    "state": "swarmhold_msgs/msg/RobotState",
    "status": "swarmhold_msgs/msg/PolicyStatus",
    "cmd_vel": "geometry_msgs/msg/TwistStamped",
    "/swarm/task": "swarmhold_msgs/msg/Task",
    "/swarm/health": "swarmhold_msgs/msg/HealthTable",
    "/swarm/truth": "swarmhold_msgs/msg/Truth",
    "/swarm/estop": "std_msgs/msg/Bool",
}
Row = tuple[str, float, Any]  # topic, s since the beginning, what it says


@cache
def typestore() -> Any:
    """Message definitions, from their sources."""
    types: dict[str, Any] = {}
    for file in (ROOT / "ros2_ws/src/swarmhold_msgs/msg").glob("*.msg"):
        types.update(get_types_from_msg(file.read_text(), f"swarmhold_msgs/msg/{file.stem}"))
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(types)
    return store


def write_events(
    folder: Path,
    info: Mapping[str, Any],
    seconds: float,
    faults: Iterable[tuple[str, int, float]] = (),
    began: float = BEGAN,
) -> None:
    """What the launcher notes of a flight.

    Args:
        folder: of the flight.
        info: robots, robot, scenario, name, digest, seed and bundle; the rest is added.
        seconds: it lasted.
        faults: kind, robot and s since the beginning of what was broken.
        began: s, wall clock.
    """
    lines = [
        {"event": "flight", "t": began - 1.0, "reweight": True, "entities": "none", **info},
        {"event": "started", "t": began},
        *({"event": "fault", "kind": k, "robot": i, "t": began + t} for k, i, t in faults),
        {"event": "ended", "t": began + seconds},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@contextmanager
def recording(folder: Path) -> Iterator[Any]:
    """An MCAP; yields `send(topic, name, received, message)`; s of the wall clock, or raw bytes."""
    links: dict[str, Any] = {}
    with Writer(folder / "mcap", version=9, storage_plugin=StoragePlugin.MCAP) as out:

        def send(topic: str, name: str, received: float, message: Any) -> None:
            if topic not in links:
                links[topic] = out.add_connection(topic, name, typestore=typestore())
            raw = isinstance(message, bytes)
            data = message if raw else bytes(typestore().serialize_cdr(message, name))
            out.write(links[topic], round(received * 1e9), data)

        yield send


def write_rows(folder: Path, rows: Iterable[Row], drives: bool, scenario: str = "") -> None:
    """A recording of messages as `swarmhold.hardware.messages` has them.

    Args:
        folder: of the flight.
        rows: in any order.
        drives: whether robots drive, or fly.
        scenario: named in the task.
    """
    with recording(folder) as send:
        for topic, t, said in sorted(rows, key=lambda row: row[1]):
            name = MSGS.get(topic) or MSGS[topic.rpartition("/")[2]]
            send(topic, name, BEGAN + t, _message(name, BEGAN + t, said, drives, scenario))


def twist(forward: float, other: float, drives: bool) -> Any:
    """Set-points: of a robot that drives the second is its turn rate, else its sideways speed."""
    kind = typestore().types
    three = kind["geometry_msgs/msg/Vector3"]
    across, turn = (0.0, other) if drives else (other, 0.0)
    return kind["geometry_msgs/msg/Twist"](three(forward, across, 0.0), three(0.0, 0.0, turn))


def header(at: float) -> Any:
    """Args: s, wall clock."""
    kind = typestore().types
    stamp = kind["builtin_interfaces/msg/Time"](int(at), int(at % 1 * 1e9))
    return kind["std_msgs/msg/Header"](stamp, "")


def flat(values: Any, dtype: Any) -> Any:
    """One row of numbers, as messages have them."""
    return np.asarray(values, dtype).ravel()


def _message(name: str, t: float, said: Any, drives: bool, scenario: str) -> Any:
    """The ROS message of one value."""
    f32, u8, u16 = np.float32, np.uint8, np.uint16
    make, short = typestore().types[name], name.rpartition("/")[2]
    if short == "SensorFrame":
        return make(header(said.stamp), flat(said.position, float), flat(said.velocity, f32),
                    said.yaw, said.yaw_rate, said.battery, flat(said.sighted, u8),
                    flat(said.sightings, f32), flat(said.bodies, f32), said.stopped)  # fmt: skip
    if short == "RobotState":
        return make(header(said.stamp), said.robot, said.recipient, said.boot_id, said.seq,
                    said.control_seq, flat(said.position, float), flat(said.velocity, f32),
                    said.yaw, said.yaw_rate, said.battery, said.mode, said.bundle,
                    np.frombuffer(said.accusations, "<u2").astype(u16))  # fmt: skip
    if short == "PolicyStatus":
        return make(header(t), said.robot, flat(said.weights, f32), flat(said.attention, f32),
                    flat(said.states, u8), said.source, said.mode, said.period_s,
                    said.inference_s, said.missed, said.limited)  # fmt: skip
    if short == "HealthTable":
        return make(header(said.stamp), said.term, said.seq, said.issuer, said.lease_s,
                    flat(said.weights, f32), flat(said.states, u8),
                    flat(said.reasons, u16))  # fmt: skip
    if short == "Task":
        return make(header(t), scenario, flat(said.landmarks, float), flat(said.owners, np.int8),
                    flat(said.posts, float), flat(said.home, float), said.half_width)  # fmt: skip
    if short == "Truth":
        place, yaw, touched = said
        on = np.ones(len(yaw), bool)
        return make(header(t), flat(place, float), flat(yaw, f32), on, touched, 0.0)
    if short == "Bool":
        return make(bool(said))
    return make(header(t), twist(*said, drives))
