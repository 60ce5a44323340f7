"""Breaks robots on purpose: publishes the faults that arrive as JSON lines on standard input.

Robots obey only if they were started for it, and to orders that show the token that they know;
this node signs with the operator's. Standard input belongs to the launcher, so nobody
else on the graph can make this node do anything.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rclpy.context import Context
from rclpy.node import Node
from swarmhold_msgs.msg import FaultCommand

from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.injection.gate import Order, need_build
from swarmhold.hardware.operator_token import read_token
from swarmhold.hardware.parameters import OrderParameters
from swarmhold_nodes import codec
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import RELIABLE_QOS, run, say


class FaultNode(Node):
    """Thin shell around a publisher."""

    def __init__(self, context: Context) -> None:
        """Listen to standard input in a thread of its own."""
        super().__init__(
            "faults", context=context, enable_rosout=False, start_parameter_services=False
        )
        self._token = read_token(Path(declare(self, OrderParameters).faults_token))
        need_build()
        self._pub = self.create_publisher(FaultCommand, "/swarm/faults", RELIABLE_QOS)
        threading.Thread(target=self._listen, daemon=True).start()
        say("ready")

    def _listen(self) -> None:
        for line in sys.stdin:
            try:
                values: dict[str, Any] = json.loads(line)
                order = Order.signed(FaultSpec(**values), time.time_ns(), self._token)
                self._pub.publish(codec.order_to_ros(order))
                self._warn_of_the_deaf(order.fault)
            except (ValueError, TypeError, SwarmholdError) as error:
                say("warning", text=f"fault not sent: {error}")

    def _warn_of_the_deaf(self, fault: FaultSpec) -> None:
        """Who was not started for it does not hear of it, so it cannot refuse it either."""
        listeners = self.get_subscriptions_info_by_topic("/swarm/faults")
        if fault.kind in BODY_KINDS:
            heard = any(one.node_name.startswith(("world", "drivers")) for one in listeners)
        else:
            heard = f"/robot_{fault.robot}" in {one.node_namespace for one in listeners}
        if not heard:
            text = f"{fault.kind} of robot {fault.robot} reaches nobody who would obey"
            told = {"refused": fault.kind, "robot": fault.robot}
            say("warning", text=f"{text}; start its node with allow_faults", **told)


def main() -> int:
    """Entry point."""
    return run(FaultNode)


if __name__ == "__main__":
    sys.exit(main())
