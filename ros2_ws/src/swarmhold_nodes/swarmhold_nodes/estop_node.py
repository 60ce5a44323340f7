"""The emergency stop as a node of its own: says stop until it is ended, and who confirms it.

It needs no other node than those that are to stop: no supervisor, no world, no recorder.
"""

from __future__ import annotations

import re
import sys

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import RobotState

from swarmhold.hardware.messages import Mode
from swarmhold.hardware.parameters import EstopParameters
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import LATCHED_QOS, STATE_QOS, run, say

EVERY_S = 0.1
_STATE = re.compile(r"^/robot_(\d+)/state$")


class EstopNode(Node):
    """Publishes the latched stop; listens to the state messages of whoever is to obey."""

    def __init__(self, context: Context) -> None:
        """Say stop at once; several may do so at the same time."""
        super().__init__(
            "operator", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, EstopParameters)
        self._modes: dict[int, Mode | None] = {}
        self._pub = self.create_publisher(Bool, "/swarm/estop", LATCHED_QOS)
        for robot in range(told.team_size):
            self._listen(robot)
        self._search = not self._modes
        self.create_timer(EVERY_S, self._tick)
        self._tick()
        say("ready")

    def _listen(self, robot: int) -> None:
        self._modes[robot] = None
        self.create_subscription(RobotState, f"/robot_{robot}/state", self._on_state, STATE_QOS)

    def _tick(self) -> None:
        self._pub.publish(Bool(data=True))
        for topic, _ in self.get_topic_names_and_types() if self._search else ():
            found = _STATE.match(topic)
            if found and int(found[1]) not in self._modes:
                self._listen(int(found[1]))
                say("robot", robot=int(found[1]), mode=None)

    def _on_state(self, msg: RobotState) -> None:
        try:
            mode = Mode(msg.mode)
        except ValueError:
            return  # no message of a robot's
        if msg.robot in self._modes and self._modes[msg.robot] is not mode:
            self._modes[msg.robot] = mode
            say("robot", robot=msg.robot, mode=mode.name)


def main() -> int:
    """Entry point."""
    return run(EstopNode)


if __name__ == "__main__":
    sys.exit(main())
