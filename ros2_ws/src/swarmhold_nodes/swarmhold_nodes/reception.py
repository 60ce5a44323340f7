"""Subscriptions that survive whatever anybody sends: what makes no sense is dropped and counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.messages import MOST_ROBOTS
from swarmhold_nodes.runtime import say

_STATE = re.compile(r"^/robot_(\d+)/state$")


def robots_of(node: Node) -> set[int]:
    """Roster indices of the robots whose topics are on the graph."""
    found = (_STATE.match(topic) for topic, _ in node.get_topic_names_and_types())
    return {int(match[1]) for match in found if match and int(match[1]) < MOST_ROBOTS}


class Reception:
    """What a node hears. Bytes that are no message at all are dropped by the middleware before."""

    def __init__(self, node: Node) -> None:
        """Nothing heard yet."""
        self._node = node
        self._said: set[str] = set()
        self.dropped = 0

    def hear(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        raw: bool = False,
    ) -> Subscription:
        """Subscribe, or to the bytes alone; of every topic the first that is dropped is said."""

        def take(msg: Any) -> None:
            try:
                callback(msg)
            except MessageError as error:
                self.dropped += 1
                if topic not in self._said:
                    self._said.add(topic)
                    say("warning", text=f"{topic}: a message that makes no sense: {error}; dropped")

        return self._node.create_subscription(kind, topic, take, qos, raw=raw)
