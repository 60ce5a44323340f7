"""Kinematic robots that speak ROS, as a TurtleBot does: `twist_robots.py N SEED [stamped]`.

They stand at the places of `rendezvous`, take `/bot_i/cmd_vel` and send `/bot_i/odom`. A killed
process is a robot that is switched off: give each its own by `first:last`.
"""

import math
import sys
import threading

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Bool

from swarmhold.sim.field import Field
from swarmhold_nodes.runtime import LATCHED_QOS, run, say

STEP_S, PATIENCE = 0.05, 10  # ticks without a twist after which a base stands still


class Robots(Node):
    def __init__(self, context, count, seed, stamped):
        super().__init__("bots", context=context)
        places = Field("rendezvous", "epuck", count, seed).places
        self.pose = np.column_stack([places.position[0], places.yaw[0]])
        self.twist, self.age = np.zeros((count, 2)), np.full(count, PATIENCE)
        self.pubs, self.stamped = [], stamped
        for bot in range(count):
            name = f"/bot_{bot}"
            kind = TwistStamped if stamped else Twist
            self.create_subscription(kind, f"{name}/cmd_vel", lambda m, b=bot: self.hear(b, m), 10)
            self.pubs.append(self.create_publisher(Odometry, f"{name}/odom", 10))
            self.create_publisher(Bool, f"{name}/emulated", LATCHED_QOS).publish(Bool(data=True))
        self.create_timer(STEP_S, self.step)
        say("ready")

    def hear(self, bot, msg):
        twist = msg.twist if self.stamped else msg
        self.twist[bot], self.age[bot] = (twist.linear.x, twist.angular.z), 0

    def step(self):
        self.twist[self.age >= PATIENCE] = 0.0
        self.age += 1
        speed, turn = self.twist.T
        self.pose[:, 0] += STEP_S * speed * np.cos(self.pose[:, 2])
        self.pose[:, 1] += STEP_S * speed * np.sin(self.pose[:, 2])
        self.pose[:, 2] += STEP_S * turn
        for bot, pub in enumerate(self.pubs):
            out = Odometry()
            out.pose.pose.position.x, out.pose.pose.position.y, yaw = map(float, self.pose[bot])
            out.pose.pose.orientation.z = math.sin(yaw / 2)
            out.pose.pose.orientation.w = math.cos(yaw / 2)
            out.twist.twist.linear.x, out.twist.twist.angular.z = map(float, self.twist[bot])
            pub.publish(out)
        say("bots", pose=np.round(self.pose, 3).tolist())


if __name__ == "__main__":
    threading.current_thread().name = "bots"
    sys.exit(run(lambda context: Robots(context, int(sys.argv[1]), int(sys.argv[2]),
                                        "stamped" in sys.argv)))  # fmt: skip
