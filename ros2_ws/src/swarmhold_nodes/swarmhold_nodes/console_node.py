"""What the operator console sees and hears of a live team, as JSON lines; and its own way to stop.

A shell around `TeamPicture`. It is an operator's tool, so it has the operator's name and rights.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import (
    FaultCommand,
    HealthTable,
    PolicyStatus,
    RobotState,
    Task,
)

from swarmhold.hardware import wire
from swarmhold.hardware.console.picture import TeamPicture
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.parameters import ConsoleParameters
from swarmhold_nodes import cdr
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.reception import Reception, robots_of
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    RELIABLE_QOS,
    STATE_QOS,
    STREAM_QOS,
    run,
    say,
)

EVERY_S = 0.1  # between two pictures


class ConsoleNode(Node):
    """Listens to everybody; publishes nothing but a stop."""

    def __init__(self, context: Context) -> None:
        """Listen to the roster, or to whoever is found."""
        super().__init__(
            "operator", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, ConsoleParameters)
        stamp = time.time()
        self._picture = TeamPicture(told.team_size, wall_s=stamp - time.monotonic())
        self._reception = Reception(self)
        self._known: set[int] = set()
        self._states: tuple[int, ...] = ()
        self._stop = threading.Event()
        self._signals: queue.SimpleQueue[tuple[str, int, float]] = queue.SimpleQueue()
        self._refusals: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self._pub = self.create_publisher(Bool, "/swarm/estop", LATCHED_QOS)
        hear = self._reception.hear
        hear(HealthTable, "/swarm/health", self._on_table, LATCHED_QOS)
        hear(Task, "/swarm/task", self._on_task, LATCHED_QOS)
        hear(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE_QOS)
        hear(FaultCommand, "/swarm/faults", self._on_fault, RELIABLE_QOS)
        hear(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        for robot in range(told.team_size):
            self._listen(robot)
        self._search = not self._known
        threading.Thread(target=self._obey, daemon=True).start()
        self.create_timer(EVERY_S, self._tick)
        say("ready")

    def _listen(self, robot: int) -> None:
        self._known.add(robot)
        hear, space = self._reception.hear, f"/robot_{robot}"
        hear(RobotState, f"{space}/state", partial(self._on_state, robot), STATE_QOS, raw=True)
        hear(PolicyStatus, f"{space}/status", partial(self._on_status, robot), STREAM_QOS)

    def _obey(self) -> None:
        """Standard input belongs to the console: a stop, and what no topic tells of faults."""
        for line in sys.stdin:
            try:
                told = json.loads(line)
                if told.get("estop") is True:
                    self._stop.set()
                    self._pub.publish(Bool(data=True))
                if "refused" in told:
                    self._refusals.put((str(told["refused"]), int(told["robot"])))
                if "fault" in told:
                    self._signals.put((told["fault"], int(told["robot"]), float(told["lasts_s"])))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def _tick(self) -> None:
        if self._stop.is_set():
            self._pub.publish(Bool(data=True))
        for robot in sorted(robots_of(self) - self._known) if self._search else ():
            self._listen(robot)
        while not self._signals.empty():
            self._picture.on_fault(*self._signals.get(), time.monotonic())
        while not self._refusals.empty():
            self._picture.on_refused(*self._refusals.get(), time.monotonic())
        self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        picture = self._picture.picture(now)
        for entry in self._picture.news():
            say("happened", entry=entry.plain())
        say("picture", picture=picture)

    def _on_state(self, robot: int, data: bytes) -> None:
        message = cdr.state_message(data)
        if message is not None:
            self._picture.on_state(robot, wire.read_state(message, robot), time.monotonic())

    def _on_status(self, robot: int, msg: PolicyStatus) -> None:
        self._picture.on_status(robot, wire.read_status(msg, robot), time.monotonic())

    def _on_table(self, msg: HealthTable) -> None:
        now, table = time.monotonic(), wire.read_table(msg)
        self._picture.on_table(table, now)
        if table.states != self._states:  # a verdict is shown at once
            self._states = table.states
            self._draw(now)

    def _on_task(self, msg: Task) -> None:
        self._picture.on_task(wire.read_task(msg), msg.scenario)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for speaker, reality in wire.read_reality(msg).items():
            self._picture.on_reality(speaker, reality, time.monotonic())
        for speaker, count in wire.read_refusals(msg).items():
            self._picture.on_refusals(speaker, count, time.monotonic())

    def _on_fault(self, msg: FaultCommand) -> None:
        try:
            fault = wire.read_fault(msg)
        except ConfigError as error:
            raise MessageError(str(error)) from error
        self._picture.on_fault(fault.kind, fault.robot, fault.duration_s, time.monotonic())

    def _on_estop(self, msg: Bool) -> None:
        if msg.data:
            self._picture.on_estop(time.monotonic())


def main() -> int:
    """Entry point."""
    return run(ConsoleNode)


if __name__ == "__main__":
    sys.exit(main())
