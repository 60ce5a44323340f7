"""The supervisor: hears every robot, fuses their accusations, publishes the health table."""

from __future__ import annotations

import sys
import time
from functools import partial

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import HealthTable, RobotState, Task

from swarmhold.hardware import wire
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import HealthTable as HealthTableValue
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.parameters import SupervisorParameters
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.signing import pinned
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold_nodes import codec
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.reception import Reception
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    STATE_QOS,
    refuse_duplicate,
    run,
    say,
)

SAY_EVERY = 10  # ticks between two status lines


class SupervisorNode(Node):
    """Thin shell around `SupervisorController`."""

    PARAMETERS: type[SupervisorParameters] = SupervisorParameters

    def __init__(self, context: Context) -> None:
        """Listen to the whole roster."""
        super().__init__(
            "supervisor", context=context, enable_rosout=False, start_parameter_services=False
        )
        self.told = told = declare(self, self.PARAMETERS)
        refuse_duplicate(self)
        bundle = open_bundle(told.bundle, pinned(told.keys))
        self._n = told.team_size
        policy, now = OnnxPolicy(bundle), time.monotonic()
        self._controller = SupervisorController(policy, self._n, self.get_name(), told.rank, now)
        self._said, self._common = 0, False
        self._out: set[int] = set()
        self._last = (int(HealthState.HEALTHY),) * self._n
        self._pub = self.create_publisher(HealthTable, "/swarm/health", LATCHED_QOS)
        self._reception = Reception(self)
        hear = self._reception.hear
        if self._controller.watches:
            hear(Task, "/swarm/task", self._on_task, LATCHED_QOS)
        hear(HealthTable, "/swarm/health", self._on_table, LATCHED_QOS)
        hear(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        for robot in range(self._n):
            topic = f"/robot_{robot}/state"
            hear(RobotState, topic, partial(self._on_state, robot), STATE_QOS)
        period = 1.0 / bundle.spec.loop_hz
        self._diagnostics = Diagnostics(self, self.get_name(), period, self._facts)
        self.create_timer(period, self._tick)
        say("ready")

    def _on_state(self, sender: int, msg: RobotState) -> None:
        self._controller.on_state(wire.read_state(msg, sender), time.monotonic())

    def _on_table(self, msg: HealthTable) -> None:
        self._controller.on_table(wire.read_table(msg), time.monotonic())

    def _on_task(self, msg: Task) -> None:
        self._controller.on_task(wire.read_task(msg))

    def _on_estop(self, msg: Bool) -> None:
        if msg.data:
            self._controller.on_estop()

    def _facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        states = [HealthState(state).name for state in self._last]
        counts = {f"robots_{name.lower()}": states.count(name) for name in dict.fromkeys(states)}
        post = self._controller.post
        return {
            "speaks": post.speaks,
            "term": post.term,
            "common_cause": self._common,
            "dropped": self._reception.dropped,
            **counts,
        }

    def _tick(self) -> None:
        now, spoke = time.monotonic(), self._controller.post.speaks
        self._diagnostics.tick()
        table = self._controller.tick(now, time.time())
        if self._controller.post.speaks and not spoke:
            say("speaks", term=self._controller.post.term)
        if table is None:
            return
        self._pub.publish(codec.table_to_ros(table))
        self._said += 1
        self._warn(any(reason & Accusation.COMMON for reason in table.reasons))
        self._warn_dependants(table)
        if table.states != self._last or self._said % SAY_EVERY == 0:
            self._say(table, now)
        self._last = table.states

    def _warn(self, common: bool) -> None:
        """Tell people, once, when it is not the robots that are broken."""
        if common and not self._common:
            text = "most robots look bad at once: a common cause is suspected, the team slows down"
            say("warning", text=text)
        self._common = common

    def _warn_dependants(self, table: HealthTableValue) -> None:
        """Tell people whom else it concerns that a robot counts no more, when it happens."""
        now_out = {robot for robot, weight in enumerate(table.weights) if weight == 0.0}
        for robot in sorted(now_out - self._out):
            others = self._controller.left_alone(robot)
            if others:
                names = ", ".join(map(str, others))
                text = f"robot {robot} is out, and these depend on hearing it: {names}"
                say("warning", text=text)
        self._out = now_out

    def _say(self, table: HealthTableValue, now: float) -> None:
        say(
            "table",
            weights=[round(weight, 3) for weight in table.weights],
            states=[HealthState(state).name for state in table.states],
            reasons=list(table.reasons),
            departures=self._controller.departures,
            ages=self._controller.ages(now),
        )


def main() -> int:
    """Entry point."""
    return run(SupervisorNode)


if __name__ == "__main__":
    sys.exit(main())
