"""The emergency stop as a node of its own: says stop until it is ended, and who confirms it.

It needs no other node than those that are to stop: no supervisor, no world, no recorder.
"""

from __future__ import annotations

import sys
from functools import partial

from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import RobotState, SensorFrame

from swarmhold.hardware import wire
from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.parameters import EstopParameters
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.reception import Reception, robots_of
from swarmhold_nodes.runtime import LATCHED_QOS, STATE_QOS, STREAM_QOS, run, say

EVERY_S = 0.1


class EstopNode(Node):
    """Publishes the latched stop; listens to the policies and drivers of whoever is to obey."""

    def __init__(self, context: Context) -> None:
        """Say stop at once; several may do so at the same time."""
        super().__init__(
            "operator", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, EstopParameters)
        self._reception = Reception(self)
        self._modes: dict[int, Mode] = {}
        self._drivers: dict[int, bool] = {}
        self._known: set[int] = set()
        self._pub = self.create_publisher(Bool, "/swarm/estop", LATCHED_QOS)
        for robot in range(told.team_size):
            self._listen(robot)
        self._search = not self._known
        self.create_timer(EVERY_S, self._tick)
        self._tick()
        say("ready")

    def _listen(self, robot: int) -> None:
        self._known.add(robot)
        hear, space = self._reception.hear, f"/robot_{robot}"
        hear(RobotState, f"{space}/state", partial(self._on_state, robot), STATE_QOS)
        hear(SensorFrame, f"{space}/sense", partial(self._on_sense, robot), STREAM_QOS)

    def _tick(self) -> None:
        self._pub.publish(Bool(data=True))
        for robot in sorted(robots_of(self) - self._known) if self._search else ():
            self._listen(robot)
            say("robot", robot=robot)

    def _on_state(self, robot: int, msg: RobotState) -> None:
        said = wire.read_state(msg, robot).mode
        if said not in list(Mode):
            raise MessageError(f"there is no mode {said}")
        mode = Mode(said)
        if self._modes.get(robot) is not mode:
            self._modes[robot] = mode
            say("robot", robot=robot, mode=mode.name)

    def _on_sense(self, robot: int, msg: SensorFrame) -> None:
        if self._drivers.get(robot) is not msg.stopped:
            self._drivers[robot] = msg.stopped
            say("robot", robot=robot, driver=msg.stopped)


def main() -> int:
    """Entry point."""
    return run(EstopNode)


if __name__ == "__main__":
    sys.exit(main())
