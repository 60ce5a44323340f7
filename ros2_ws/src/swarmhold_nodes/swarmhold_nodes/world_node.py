"""The world: PyBullet at 240 Hz in real time, posing as the robots' hardware.

It serves what drivers of real robots would: sensor frames out, velocity set-points in, and a
watchdog for each that holds a robot whose set-point is old, or that was stopped. It hears of an
emergency stop itself. Held quadrotors hover: nothing lands in this world.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import FaultCommand, SensorFrame, Task, Truth

from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.parameters import WorldParameters
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.world import World
from swarmhold_nodes import codec
from swarmhold_nodes.beginning import Beginning
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.fault_orders import FaultOrders
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    STREAM_QOS,
    refuse_duplicate,
    run,
    say,
)

CATCH_UP_S = 0.2  # after a longer stall the world skips time instead of racing
SAY_EVERY = 10  # ticks between two status lines


class WorldNode(Node):
    """Thin shell around `World`."""

    def __init__(self, context: Context) -> None:
        """Place the robots; the world stands still until every robot has sent a command."""
        super().__init__(
            "world", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, WorldParameters)
        refuse_duplicate(self)
        self._n = told.team_size
        spec = policy_spec(told.robot)
        self._diff, self._period = spec.drives, 1.0 / spec.loop_hz
        hidden = parse_hidden(told.hidden.split(), self._n)
        self._world = World(
            told.scenario, told.robot, self._n, told.seed, told.spares, hidden=hidden
        )
        self._setpoint = np.zeros((self._n, 2))
        limits = safety_config(spec, self._world.half_width)
        self._watchdogs = [Watchdog(limits) for _ in range(self._n)]
        self._advanced_at = time.monotonic()
        self._started = False
        until = time.monotonic() + told.wait_s
        self._beginning = Beginning(self, self._n, told.awaited, until)
        self._ticks, self._touched = 0, np.zeros(self._n, bool)
        self._task_pub = self.create_publisher(Task, "/swarm/task", LATCHED_QOS)
        self._truth_pub = self.create_publisher(Truth, "/swarm/truth", STREAM_QOS)
        self._sense_pubs = []
        for robot in range(self._n):
            self._sense_pubs.append(
                self.create_publisher(SensorFrame, f"/robot_{robot}/sense", STREAM_QOS)
            )
            self.create_subscription(
                TwistStamped,
                f"/robot_{robot}/cmd_vel",
                partial(self._on_command, robot),
                STREAM_QOS,
            )
        self.create_subscription(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        self._scenario, self._last_task = told.scenario, None
        self._tell()
        self._faults = FaultOrders(self, told, self._is_of_a_body, self._break)
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        if told.spares:
            threading.Thread(target=self._listen, daemon=True).start()
        self._diagnostics = Diagnostics(self, "world", self._period, self._facts)
        self.create_timer(self._period, self._tick)
        say("ready")

    def _is_of_a_body(self, msg: FaultCommand) -> bool:
        return msg.robot < self._n and msg.kind in BODY_KINDS

    def _break(self, fault: FaultSpec) -> None:
        if self._world.inject(fault) is Injected.APPLIED:
            say("fault", robot=fault.robot, kind=fault.kind, duration_s=fault.duration_s)

    def _on_command(self, robot: int, msg: TwistStamped) -> None:
        twist = msg.twist
        second = twist.angular.z if self._diff else twist.linear.y
        self._setpoint[robot] = twist.linear.x, second
        self._watchdogs[robot].hear(Mode.ACTIVE, time.monotonic())

    def _listen(self) -> None:
        """Standard input belongs to the launcher: which robots get a spare body."""
        for line in sys.stdin:
            self._orders.put(line)

    def _obey(self) -> None:
        while not self._orders.empty():
            try:
                robot = int(json.loads(self._orders.get())["take_over"])
            except (ValueError, KeyError, TypeError):
                continue
            if 0 <= robot < self._n and self._world.take_over(robot):
                self._watchdogs[robot] = self._watchdogs[robot].anew()
                self._setpoint[robot] = 0.0
                say("taken", robot=robot)

    def _on_estop(self, msg: Bool) -> None:
        if msg.data:
            for watchdog in self._watchdogs:
                watchdog.stop()

    def _facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        return {
            "started": self._started,
            "reality": Reality.SIM.value,
            **self._faults.facts(),
        }

    def _tick(self) -> None:
        now = time.monotonic()
        self._diagnostics.tick()
        if self._beginning.waits(now):
            return
        self._obey()
        idle = np.array([watchdog.stage(now) is not Mode.ACTIVE for watchdog in self._watchdogs])
        if not self._started:
            heard = [watchdog.heard for watchdog in self._watchdogs]
            self._started = self._beginning.complete(heard, now)
            self._advanced_at = now
            if self._started:
                say("started")
        else:
            self._move(now, idle)
            self._tell()
        stamp = time.time()
        frames = self._world.frames(stamp)
        links = zip(self._sense_pubs, frames, self._watchdogs, strict=True)
        for publisher, frame, watchdog in links:
            publisher.publish(codec.frame_to_ros(replace(frame, stopped=watchdog.stopped)))
        truth = Truth()
        truth.header.stamp = codec.stamp_of(stamp)
        truth.positions = codec.doubles(self._world.position.ravel())
        truth.yaws = codec.floats(self._world.yaw)
        truth.commanded = (~idle).tolist()
        truth.touched = self._world.touched.tolist()
        self._touched |= self._world.touched
        truth.error = error = self._world.task_error(~idle)
        self._truth_pub.publish(truth)
        self._ticks += 1
        if self._ticks % SAY_EVERY == 0:
            say(
                "world",
                error=round(error, 4),
                positions=np.round(self._world.position[:, :2], 3).tolist(),
                touched=np.flatnonzero(self._touched).tolist(),
                beyond=round(self._world.beyond, 3),
            )

    def _tell(self) -> None:
        """What is to be done, where it is news."""
        task = self._world.task
        if task != self._last_task:
            self._task_pub.publish(codec.task_to_ros(task, self._scenario))
            self._last_task = task

    def _move(self, now: float, idle: np.ndarray) -> None:
        """Advance the physics to the present, in whole physics steps."""
        behind = now - self._advanced_at
        if behind > CATCH_UP_S:
            say("warning", text=f"world stalled for {behind:.2f} s and skips that time")
            self._advanced_at = now - self._period
            behind = self._period
        seconds = int(behind / self._world.tick) * self._world.tick
        if seconds > 0.0:
            self._world.advance(seconds, self._setpoint, idle)
            self._advanced_at += seconds

    def close(self) -> None:
        """Free the physics server."""
        self._world.close()


def main() -> int:
    """Entry point."""
    return run(WorldNode)


if __name__ == "__main__":
    sys.exit(main())
