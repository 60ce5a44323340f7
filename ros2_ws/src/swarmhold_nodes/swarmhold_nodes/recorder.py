"""Records every topic of the fleet as raw bytes: the whole flight, or what is around each event."""

from __future__ import annotations

import queue
import signal
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
from rclpy.qos import DurabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Bool
from swarmhold_msgs.msg import (
    FaultCommand,
    HealthTable,
    PolicyStatus,
    RobotState,
    SensorFrame,
    Task,
    Truth,
)

from swarmhold.hardware import wire
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.parameters import RecorderParameters
from swarmhold.hardware.ring import Around, Ring, Row, fallen
from swarmhold_nodes.bag import Bag
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    RELIABLE_QOS,
    STATE_QOS,
    STREAM_QOS,
    run,
    say,
)

LOOK_S = 0.1  # period at which the end of an event's time is noticed
ASKED = "asked"  # what a file is named after that SIGUSR1 asked for


class Recorder(Node):
    """Subscribes raw and writes in a thread of its own, so that a slow disk delays nobody."""

    def __init__(self, context: Context) -> None:
        """Subscribe to the whole fleet; of a whole flight open the recording."""
        super().__init__(
            "recorder", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, RecorderParameters)
        folder = Path(told.folder)
        if folder.exists():
            raise ConfigError(f"{folder} exists already; choose a new folder to record to")
        # A simple queue, because signal handlers put into it too.
        self._queue: queue.SimpleQueue[tuple[float, Row | None, str] | None] = queue.SimpleQueue()
        self._table: Any = None
        listed = topics(told.team_size)
        kinds = {topic: kind for topic, kind, _ in listed}
        if told.around_s:
            latched = [t for t, _, q in listed if q.durability == DurabilityPolicy.TRANSIENT_LOCAL]
            ring = Ring(told.around_s, told.ring_mb * 2**20, latched)
            self._sink: _Whole | _Events = _Events(told, Around(ring, told.after_s), kinds)
            self.create_timer(LOOK_S, lambda: self._queue.put((time.monotonic(), None, "")))
            signal.signal(signal.SIGUSR1, lambda *_: self._happened(ASKED))
        else:
            self._sink = _Whole(Bag(folder, kinds))
        for topic, kind, qos in listed:
            take = partial(self._on_bytes, topic)
            self.create_subscription(kind, topic, take, qos, raw=True)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        say("ready", folder=str(folder))

    def _on_bytes(self, topic: str, data: bytes) -> None:
        row = Row(topic, time.time_ns(), data)
        event = self._event(topic, data) if isinstance(self._sink, _Events) else ""
        self._queue.put((time.monotonic(), row, event))

    def _happened(self, what: str) -> None:
        self._queue.put((time.monotonic(), None, what))

    def _event(self, topic: str, data: bytes) -> str:
        """What a message means for the recording: a name for the file; mostly none."""
        if topic == "/swarm/faults":
            return "fault"
        if topic == "/swarm/estop":
            return "estop" if deserialize_message(data, Bool).data else ""
        if topic != "/swarm/health":
            return ""
        try:
            table = wire.read_table(deserialize_message(data, HealthTable))
        except MessageError:
            return ""
        before, self._table = self._table, table
        return "-".join(fallen(before, table))

    def _write(self) -> None:
        full = False
        while (item := self._queue.get()) is not None:
            if full:
                continue
            try:
                self._sink.take(*item)
            except OSError as error:
                full = True
                say("warning", text=f"recording stopped: {error}; free disk space")

    def close(self) -> None:
        """Write what is queued and finish the file, so that it can be read."""
        self._queue.put(None)
        self._thread.join(timeout=2.0)
        self._sink.close()


class _Whole:
    """Everything into one file."""

    def __init__(self, bag: Bag) -> None:
        self._bag = bag

    def take(self, now: float, row: Row | None, event: str) -> None:
        if row is not None:
            self._bag.write(row)

    def close(self) -> None:
        self._bag.close()
        say("closed", folder=str(self._bag.folder), messages=self._bag.written)


class _Events:
    """What is around each event into a file of its own, up to so many files."""

    def __init__(self, told: RecorderParameters, around: Around, kinds: dict[str, type]) -> None:
        self._told, self._around, self._kinds = told, around, kinds
        self._bag: Bag | None = None
        self._files = 0

    def take(self, now: float, row: Row | None, event: str) -> None:
        kept = self._around.step(now, row, bool(event))
        if kept.closes:
            self.close()
        if kept.opens:
            self._open(event)
        if self._bag is not None:
            for one in kept.rows:
                self._bag.write(one)

    def _open(self, event: str) -> None:
        if self._files >= self._told.most_files:
            say("warning", text=f"{self._files} events are recorded; {event} is not")
            return
        folder = Path(self._told.folder) / f"{self._files:03d}-{event[:60]}"
        self._bag = Bag(folder, self._kinds)
        self._files += 1
        say("kept", folder=str(folder), what=event)

    def close(self) -> None:
        if self._bag is not None:
            self._bag.close()
            say("closed", folder=str(self._bag.folder), messages=self._bag.written)
            self._bag = None


def topics(team_size: int) -> list[tuple[str, Any, Any]]:
    """Topic, type and QoS of everything worth keeping."""
    out: list[tuple[str, Any, Any]] = [
        ("/swarm/health", HealthTable, LATCHED_QOS),
        ("/swarm/task", Task, LATCHED_QOS),
        ("/swarm/estop", Bool, LATCHED_QOS),
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


def main() -> int:
    """Entry point."""
    return run(Recorder)


if __name__ == "__main__":
    sys.exit(main())
