"""Somebody who publishes health tables that no supervisor stands behind; for drills only."""

from __future__ import annotations

import sys
import time

from rclpy.context import Context
from rclpy.node import Node
from swarmhold_msgs.msg import HealthTable

from swarmhold.hardware import wire
from swarmhold.hardware.injection.gate import need_build
from swarmhold.hardware.injection.rogue import Rogue
from swarmhold.hardware.parameters import RogueParameters
from swarmhold_nodes import codec
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.reception import Reception
from swarmhold_nodes.runtime import LATCHED_QOS, run, say

EVERY_S = 0.05


class RogueNode(Node):
    """Thin shell around `Rogue`."""

    def __init__(self, context: Context) -> None:
        """Listen to all supervisors, and speak as often as they do."""
        super().__init__(
            "rogue", context=context, enable_rosout=False, start_parameter_services=False
        )
        told = declare(self, RogueParameters)
        need_build()
        self._rogue = Rogue(told.way, told.team_size, told.seed)
        self._pub = self.create_publisher(HealthTable, "/swarm/health", LATCHED_QOS)
        Reception(self).hear(HealthTable, "/swarm/health", self._on_table, LATCHED_QOS)
        self.create_timer(EVERY_S, self._tick)
        say("ready")

    def _on_table(self, msg: HealthTable) -> None:
        self._rogue.hear(wire.read_table(msg))

    def _tick(self) -> None:
        table = self._rogue.say(time.time())
        if table is not None:
            self._pub.publish(codec.table_to_ros(table))


def main() -> int:
    """Entry point."""
    return run(RogueNode)


if __name__ == "__main__":
    sys.exit(main())
