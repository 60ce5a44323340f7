"""The supervisor: hears every robot, fuses their accusations, publishes the health table."""

from __future__ import annotations

import sys
import time

import numpy as np
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import HealthTable, RobotState, Task

from swarmhold.hardware import wire
from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.fleet_watch import FleetWatch
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.injection.radio import SUPERVISOR
from swarmhold.hardware.messages import EVERYBODY, check_team
from swarmhold.hardware.office import OfficeConfig, hear, office_init, office_step
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.signing import pinned
from swarmhold.hardware.supervisor import supervisor_init, supervisor_step, to_table
from swarmhold_nodes import codec
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    STATE_QOS,
    refuse_duplicate,
    run,
    say,
)

ASSEMBLE_S = 10.0  # judge nobody before the whole team was heard at once, or this has passed
SAY_EVERY = 10  # ticks between two status lines


class SupervisorNode(Node):
    """Thin shell around the supervisor's pure core."""

    def __init__(self, context: Context) -> None:
        """Listen to the whole roster."""
        super().__init__(
            "supervisor", context=context, enable_rosout=False, start_parameter_services=False
        )
        for name, default in (("bundle", ""), ("keys", ""), ("team_size", 1), ("rank", 0)):
            self.declare_parameter(name, default)
        refuse_duplicate(self)
        keys = pinned(str(self.get_parameter("keys").value))
        bundle = open_bundle(str(self.get_parameter("bundle").value), keys)
        self._policy = OnnxPolicy(bundle)
        self._watch: FleetWatch | None = None
        self._n = int(self.get_parameter("team_size").value)
        check_team(self._n)
        self._settings = bundle.health
        self._state = supervisor_init(self._settings, (), self._n)
        self._beliefs = Beliefs(self._n, bundle.short_digest)
        self._estopped = np.zeros(self._n, bool)
        rank = int(self.get_parameter("rank").value)
        self._office = OfficeConfig(self.get_name(), rank, self._settings.lease_s)
        self._post, self._seq = office_init(time.monotonic()), 0
        self._last, self._weights = np.zeros(self._n, np.int8), np.ones(self._n)
        self._born, self._assembled = time.monotonic(), False
        self._unseen = np.full((self._n, 3), np.nan)
        self._pub = self.create_publisher(HealthTable, "/swarm/health", LATCHED_QOS)
        if self._settings.normality.limit_s > 0.0:  # calibrated for this policy
            self.create_subscription(Task, "/swarm/task", self._on_task, LATCHED_QOS)
        self.create_subscription(HealthTable, "/swarm/health", self._on_table, LATCHED_QOS)
        self.create_subscription(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        for robot in range(self._n):
            self.create_subscription(RobotState, f"/robot_{robot}/state", self._on_state, STATE_QOS)
        period = 1.0 / bundle.spec.loop_hz
        self._diagnostics = Diagnostics(self, self.get_name(), period, self._facts)
        self.create_timer(period, self._tick)
        say("ready")

    def _on_state(self, msg: RobotState) -> None:
        if msg.recipient in (EVERYBODY, SUPERVISOR):
            self._beliefs.hear(wire.read_state(msg), time.monotonic())

    def _on_table(self, msg: HealthTable) -> None:
        table = wire.read_table(msg)
        self._post = hear(self._office, self._post, table, time.monotonic())

    def _on_task(self, msg: Task) -> None:
        task = wire.read_task(msg)
        if self._watch is None:
            self._watch = FleetWatch(self._policy, task, self._n)
        self._watch.on_task(task)

    def _on_estop(self, msg: Bool) -> None:
        self._estopped |= bool(msg.data)

    def _facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        states = [HealthState(int(state)).name for state in self._last]
        counts = {f"robots_{name.lower()}": states.count(name) for name in dict.fromkeys(states)}
        return {"speaks": self._post.speaks, "term": self._post.term, **counts}

    def _tick(self) -> None:
        now = time.monotonic()
        self._diagnostics.tick()
        if not self._assembled:
            present = (self._beliefs.age(now) <= self._settings.monitor.silent_s).all()
            self._assembled = bool(present) or now - self._born > ASSEMBLE_S
            if not self._assembled:
                return  # robots rely on themselves until there is a team to judge
            self._beliefs.expect(now)
        self._take_office(now)
        self._state, verdict = supervisor_step(
            self._settings,
            self._state,
            self._beliefs.evidence(self._unseen, now),
            self._beliefs.accusations,
            self._estopped,
            now,
            self._watch.look(self._beliefs, self._weights, now) if self._watch else None,
        )
        self._weights = verdict.weights
        if not self._post.speaks:
            return
        self._seq += 1
        table = to_table(
            *(verdict, self._settings, self._post.term, self._seq, time.time(), self._office.issuer)
        )
        self._pub.publish(codec.table_to_ros(table))
        changed = (verdict.states != self._last).any()
        self._last = verdict.states
        if changed or self._seq % SAY_EVERY == 0:
            age = self._beliefs.age(now)
            say(
                "table",
                weights=[round(weight, 3) for weight in table.weights],
                states=[HealthState(state).name for state in table.states],
                reasons=list(table.reasons),
                departures=[] if self._watch is None else self._watch.departure.round(2).tolist(),
                ages=[round(float(a), 3) if np.isfinite(a) else None for a in age],
            )

    def _take_office(self, now: float) -> None:
        before, self._post = self._post, office_step(self._office, self._post, now)
        if self._post.speaks and not before.speaks:
            say("speaks", term=self._post.term)


def main() -> int:
    """Entry point."""
    return run(SupervisorNode)


if __name__ == "__main__":
    sys.exit(main())
