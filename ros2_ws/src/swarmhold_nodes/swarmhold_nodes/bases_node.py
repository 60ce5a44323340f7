"""Simulated bases that speak ROS as a TurtleBot does: odometry out, twists in, one world for all.

They say of themselves that they are emulated. Whoever drives them has no other way to them, so that
what a driver does to one of these it does to a real one.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool

from swarmhold.hardware.parameters import BasesParameters
from swarmhold.sim.world import World
from swarmhold_nodes import codec
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import LATCHED_QOS, run, say

ODOMETRY_HZ = 30.0  # of a TurtleBot 3
PATIENCE_S = 0.5  # without a twist, after which a base stands still
CATCH_UP_S = 0.2  # after a longer stall the world skips time instead of racing


class BasesNode(Node):
    """Thin shell around `World`."""

    def __init__(self, context: Context) -> None:
        """Place the bases; they stand until somebody drives them."""
        super().__init__(
            "bases", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, BasesParameters)
        self._world = World(told.scenario, told.robot, told.team_size, told.seed)
        self._twist = np.zeros((told.team_size, 2))
        self._heard_at = np.full(told.team_size, -np.inf)
        self._moved_at, self._pubs, self._claims = time.monotonic(), [], []
        for base in range(told.team_size):
            name = f"{told.prefix}{base}"
            self.create_subscription(Twist, f"{name}/cmd_vel", partial(self._hear, base), 10)
            self._pubs.append(self.create_publisher(Odometry, f"{name}/odom", 10))
            self._claims.append(self.create_publisher(Bool, f"{name}/emulated", LATCHED_QOS))
            self._claims[-1].publish(Bool(data=True))
        self.create_timer(1.0 / ODOMETRY_HZ, self._tick)
        say("ready")

    def _hear(self, base: int, msg: Twist) -> None:
        self._twist[base] = msg.linear.x, msg.angular.z
        self._heard_at[base] = time.monotonic()

    def _tick(self) -> None:
        now, world = time.monotonic(), self._world
        behind = now - self._moved_at
        if behind > CATCH_UP_S:
            say("warning", text=f"bases stalled for {behind:.2f} s and skip that time")
            self._moved_at, behind = now - world.tick, world.tick
        seconds = int(behind / world.tick) * world.tick
        if seconds > 0.0:
            world.advance(seconds, self._twist, now - self._heard_at > PATIENCE_S)
            self._moved_at += seconds
        stamp = codec.stamp_of(time.time())
        for base, pub in enumerate(self._pubs):
            pub.publish(self._odometry(base, stamp))

    def _odometry(self, base: int, stamp: object) -> Odometry:
        position, velocity, attitude, spin = self._world.pose(base)
        yaw = float(self._world.yaw[base])
        out = Odometry()
        out.header.stamp, out.header.frame_id = stamp, "map"
        place, turn, twist = out.pose.pose.position, out.pose.pose.orientation, out.twist.twist
        place.x, place.y, place.z = map(float, position)
        turn.x, turn.y, turn.z, turn.w = map(float, attitude)
        # Of the base's own frame (REP 105).
        twist.linear.x = float(np.cos(yaw) * velocity[0] + np.sin(yaw) * velocity[1])
        twist.linear.y = float(np.cos(yaw) * velocity[1] - np.sin(yaw) * velocity[0])
        twist.angular.z = float(spin[2])
        return out

    def close(self) -> None:
        """Free the physics server."""
        self._world.close()


def main() -> int:
    """Entry point."""
    return run(BasesNode)


if __name__ == "__main__":
    sys.exit(main())
