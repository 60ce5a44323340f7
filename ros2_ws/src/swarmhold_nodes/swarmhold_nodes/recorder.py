"""Records every topic of the fleet into a rosbag2 MCAP, as raw bytes, header stamps kept."""

from __future__ import annotations

import queue
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from swarmhold_msgs.msg import (
    FaultCommand,
    HealthTable,
    PolicyStatus,
    RobotState,
    SensorFrame,
    Task,
    Truth,
)

from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.hardware.parameters import RecorderParameters
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    RELIABLE_QOS,
    STATE_QOS,
    STREAM_QOS,
    run,
    say,
)

LEAST_FREE = 200 * 2**20  # bytes of disk below which nothing more is written
CHECK_EVERY = 500  # messages between two looks at the disk


class Recorder(Node):
    """Subscribes raw and writes in a thread of its own, so that a slow disk delays nobody."""

    def __init__(self, context: Context) -> None:
        """Open the recording; subscribe to the whole fleet."""
        super().__init__(
            "recorder", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, RecorderParameters)
        self._folder = Path(told.folder)
        if self._folder.exists():
            raise ConfigError(f"{self._folder} exists already; choose a new folder to record to")
        self._queue: queue.Queue[tuple[Any, int, bytes] | None] = queue.Queue()
        self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._store = _typestore()
        self._full = False
        self._written = 0
        for topic, kind, qos in topics(told.team_size):
            self._listen(topic, kind, qos)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        say("ready", folder=str(self._folder))

    def _listen(self, topic: str, kind: Any, qos: Any) -> None:
        package = kind.__module__.split(".")[0]
        name = f"{package}/msg/{kind.__name__}"
        connection = self._writer.add_connection(topic, name, typestore=self._store)
        self.create_subscription(kind, topic, partial(self._on_bytes, connection), qos, raw=True)

    def _on_bytes(self, connection: Any, data: bytes) -> None:
        self._queue.put((connection, time.time_ns(), data))

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._full:
                continue
            self._written += 1
            try:
                if self._written % CHECK_EVERY == 0:
                    self._check_disk()
                self._writer.write(*item)
            except OSError as error:
                self._full = True
                say("warning", text=f"recording stopped: {error}; free disk space")

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < LEAST_FREE:
            raise OSError(f"only {free // 2**20} MiB are left on the disk of {self._folder}")

    def close(self) -> None:
        """Write what is queued and finish the file, so that it can be read."""
        self._queue.put(None)
        self._thread.join(timeout=2.0)
        self._writer.close()
        say("closed", folder=str(self._folder), messages=self._written)


def topics(team_size: int) -> list[tuple[str, Any, Any]]:
    """Topic, type and QoS of everything worth keeping."""
    out: list[tuple[str, Any, Any]] = [
        ("/swarm/health", HealthTable, LATCHED_QOS),
        ("/swarm/task", Task, LATCHED_QOS),
        ("/swarm/faults", FaultCommand, RELIABLE_QOS),
        ("/swarm/truth", Truth, STREAM_QOS),
        ("/diagnostics", DiagnosticArray, RELIABLE_QOS),
    ]
    for robot in range(team_size):
        space = f"/robot_{robot}"
        out += [
            (f"{space}/state", RobotState, STATE_QOS),
            (f"{space}/status", PolicyStatus, STREAM_QOS),
            (f"{space}/sense", SensorFrame, STREAM_QOS),
            (f"{space}/cmd_vel", TwistStamped, STREAM_QOS),
        ]
    return out


def _typestore() -> Any:
    """Message definitions: the Jazzy ones, and ours as they were installed."""
    import swarmhold_msgs

    store = get_typestore(Stores.ROS2_JAZZY)
    share = next(
        parent / "share/swarmhold_msgs/msg"
        for parent in Path(swarmhold_msgs.__file__).parents
        if (parent / "share/swarmhold_msgs/msg").is_dir()
    )
    types: dict[str, Any] = {}
    for file in sorted(share.glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(), f"swarmhold_msgs/msg/{file.stem}"))
    if not types:
        raise MissingExtraError("definitions of swarmhold_msgs are missing; run: make setup")
    store.register(types)
    return store


def main() -> int:
    """Entry point."""
    return run(Recorder)


if __name__ == "__main__":
    sys.exit(main())
