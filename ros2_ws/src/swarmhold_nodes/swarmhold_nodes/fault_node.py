"""Breaks robots on purpose: publishes the faults that arrive as JSON lines on standard input.

Robots obey only if they were started for it. Standard input belongs to the launcher, so nobody
else on the graph can make this node do anything.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from rclpy.context import Context
from rclpy.node import Node
from swarmhold_msgs.msg import FaultCommand

from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.faults import FaultSpec
from swarmhold_nodes import codec
from swarmhold_nodes.runtime import RELIABLE_QOS, run, say


class FaultNode(Node):
    """Thin shell around a publisher."""

    def __init__(self, context: Context) -> None:
        """Listen to standard input in a thread of its own."""
        super().__init__(
            "faults", context=context, enable_rosout=False, start_parameter_services=False
        )
        self._pub = self.create_publisher(FaultCommand, "/swarm/faults", RELIABLE_QOS)
        threading.Thread(target=self._listen, daemon=True).start()
        say("ready")

    def _listen(self) -> None:
        for line in sys.stdin:
            try:
                values: dict[str, Any] = json.loads(line)
                self._pub.publish(codec.fault_to_ros(FaultSpec(**values)))
            except (ValueError, TypeError, SwarmholdError) as error:
                say("warning", text=f"fault not sent: {error}")


def main() -> int:
    """Entry point."""
    return run(FaultNode)


if __name__ == "__main__":
    sys.exit(main())
