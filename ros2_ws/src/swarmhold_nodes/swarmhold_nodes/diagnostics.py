"""`/diagnostics` of a node: once a second, how its loop runs and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from swarmhold.hardware.rates import Level, Rates
from swarmhold_nodes import codec
from swarmhold_nodes.runtime import RELIABLE_QOS

EVERY_S = 1.0


class Diagnostics:
    """Thin shell around `Rates`."""

    def __init__(
        self, node: Node, hardware: str, period_s: float, facts: Callable[[], Mapping[str, object]]
    ) -> None:
        """Publish from now on.

        Args:
            node: whose loop it is.
            hardware: what it stands for, e.g. "robot_2".
            period_s: of its loop.
            facts: what else to say.
        """
        self._hardware, self._facts = hardware, facts
        self._rates = Rates(period_s, time.monotonic())
        self._name = node.get_fully_qualified_name().lstrip("/") + ": loop"
        self._pub = node.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE_QOS)
        node.create_timer(EVERY_S, self._publish)

    def tick(self) -> None:
        """The loop ran."""
        self._rates.tick(time.monotonic())

    def _publish(self) -> None:
        found = self._rates.report(time.monotonic())
        values = {
            "rate_hz": f"{found.rate_hz:.2f}",
            "largest_gap_s": f"{found.largest_gap_s:.4f}",
            **self._facts(),
        }
        status = DiagnosticStatus()
        status.level = bytes([Level(found.level)])
        status.name, status.message, status.hardware_id = self._name, found.text, self._hardware
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        out = DiagnosticArray()
        out.header.stamp = codec.stamp_of(time.time())
        out.status = [status]
        self._pub.publish(out)
