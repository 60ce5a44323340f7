"""Orders to break robots: heard by nodes that were told so, obeyed if they pass the gate."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from swarmhold_msgs.msg import FaultCommand

from swarmhold.hardware import wire
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.injection.gate import Gate
from swarmhold.hardware.parameters import FaultParameters
from swarmhold_nodes.reception import Reception
from swarmhold_nodes.runtime import RELIABLE_QOS, say

SAY_EVERY_S = 1.0  # between two lines about what is refused; all are counted


class FaultOrders:
    """Thin shell around `Gate`."""

    def __init__(
        self,
        node: Node,
        told: FaultParameters,
        concerns: Callable[[FaultCommand], bool],
        obey: Callable[[FaultSpec], None],
    ) -> None:
        """Listen, if the node was told to.

        Args:
            node: that obeys.
            told: its parameters.
            concerns: whether an order is the node's business.
            obey: breaks what is to be broken.

        Raises:
            ConfigError: it was told to, and lacks the installation or the token for it.
        """
        self.refused, self._said_at = 0, -SAY_EVERY_S
        self._concerns, self._obey = concerns, obey
        if told.allow_faults:
            self._gate = Gate.of(told.faults_token)
            Reception(node).hear(FaultCommand, "/swarm/faults", self._on_order, RELIABLE_QOS)

    def facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        return {"faults_refused": self.refused}

    def _on_order(self, msg: FaultCommand) -> None:
        if not self._concerns(msg):
            return
        try:
            order = wire.read_order(msg)
            self._gate.check(order, time.time())
            self._obey(order.fault)
        except SwarmholdError as error:
            self.refused += 1
            now = time.monotonic()
            if now - self._said_at >= SAY_EVERY_S:
                self._said_at = now
                say("warning", text=str(error))
