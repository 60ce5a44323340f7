"""The field of robots that drivers serve: what there is to do, and how far they are with it.

It knows of robots what their drivers say that they sense. So `/swarm/truth` is as true as their
localisation, and who touches whom is not known.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from swarmhold_msgs.msg import SensorFrame, Task, Truth

from swarmhold.hardware import wire
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.parameters import FieldParameters
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.field import Field
from swarmhold_nodes import codec
from swarmhold_nodes.beginning import Beginning
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import LATCHED_QOS, STREAM_QOS, refuse_duplicate, run, say

HEARD_S = 0.5  # age of a frame after which a robot is not counted as acting
SAY_EVERY = 10  # ticks between two status lines


class FieldNode(Node):
    """Thin shell around `Field`."""

    def __init__(self, context: Context) -> None:
        """Lay out the field; the task begins when every robot has sent a command."""
        super().__init__(
            "world", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, FieldParameters)
        refuse_duplicate(self)
        self._n, spec = told.team_size, policy_spec(told.robot)
        self._field = Field(told.scenario, told.robot, self._n, told.seed)
        places = self._field.places
        self._position = np.pad(places.position[0], [(0, 0), (0, 1)])
        self._yaw = places.yaw[0].copy()
        self._heard_at, self._stopped = np.full(self._n, -np.inf), np.zeros(self._n, bool)
        limits = safety_config(spec, self._field.half_width)
        self._watchdogs = [Watchdog(limits) for _ in range(self._n)]
        self._beginning = Beginning(self, self._n, told.awaited, 0.0)
        self._started, self._advanced_at, self._ticks = False, 0.0, 0
        self._scenario, self._last_task = told.scenario, None
        self._task_pub = self.create_publisher(Task, "/swarm/task", LATCHED_QOS)
        self._truth_pub = self.create_publisher(Truth, "/swarm/truth", STREAM_QOS)
        for robot in range(self._n):
            heard, told_to = partial(self._on_sense, robot), partial(self._on_command, robot)
            self.create_subscription(SensorFrame, f"/robot_{robot}/sense", heard, STREAM_QOS)
            self.create_subscription(TwistStamped, f"/robot_{robot}/cmd_vel", told_to, STREAM_QOS)
        self._tell()
        period = 1.0 / spec.loop_hz
        self._diagnostics = Diagnostics(self, "world", period, lambda: {"started": self._started})
        self.create_timer(period, self._tick)
        say("ready")

    def _on_sense(self, robot: int, msg: SensorFrame) -> None:
        try:
            frame = wire.read_frame(msg)
        except SwarmholdError:
            return
        if np.isfinite([*frame.position, frame.yaw]).all():
            self._position[robot], self._yaw[robot] = frame.position, frame.yaw
            self._heard_at[robot], self._stopped[robot] = time.monotonic(), frame.stopped

    def _on_command(self, robot: int, _: TwistStamped) -> None:
        self._watchdogs[robot].hear(Mode.ACTIVE, time.monotonic())

    def _tick(self) -> None:
        now = time.monotonic()
        self._diagnostics.tick()
        commanded = [watchdog.stage(now) is Mode.ACTIVE for watchdog in self._watchdogs]
        acting = np.array(commanded) & (now - self._heard_at < HEARD_S) & ~self._stopped
        nobody = np.zeros(self._n, bool)
        if not self._started:
            heard = [watchdog.heard for watchdog in self._watchdogs]
            self._started = self._beginning.complete(heard, now)
            if self._started:
                say("started")
        else:
            seconds = now - self._advanced_at
            self._field.advance(self._position, self._yaw, nobody, acting, seconds)
            self._tell()
        self._advanced_at = now
        truth = Truth()
        truth.header.stamp = codec.stamp_of(time.time())
        truth.positions = codec.doubles(self._position.ravel())
        truth.yaws = codec.floats(self._yaw)
        truth.commanded, truth.touched = acting.tolist(), nobody.tolist()
        truth.error = error = self._field.error(self._position, self._yaw, nobody, acting)
        self._truth_pub.publish(truth)
        self._ticks += 1
        if self._ticks % SAY_EVERY == 0:
            beyond = float(np.abs(self._position[:, :2]).max()) - self._field.half_width
            say(
                "world",
                error=round(error, 4),
                positions=np.round(self._position[:, :2], 3).tolist(),
                beyond=round(beyond, 3),
                solved=self._field.solved(self._position, self._yaw, nobody, acting),
            )

    def _tell(self) -> None:
        """What is to be done, where it is news."""
        task = self._field.task
        if task != self._last_task:
            self._task_pub.publish(codec.task_to_ros(task, self._scenario))
            self._last_task = task


def main() -> int:
    """Entry point."""
    return run(FieldNode)


if __name__ == "__main__":
    sys.exit(main())
