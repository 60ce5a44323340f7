"""What one process hears of the team: each message is decoded once, for all robots in it.

Only those are heard whom a robot in it needs, so that what nobody needs is not sent here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from rclpy.node import Node
from swarmhold_msgs.msg import HealthTable as HealthTableMessage
from swarmhold_msgs.msg import RobotState as RobotStateMessage

from swarmhold.hardware import wire
from swarmhold.hardware.delivery import Delivery
from swarmhold.hardware.messages import HealthTable, RobotState
from swarmhold_nodes import cdr
from swarmhold_nodes.reception import Reception
from swarmhold_nodes.runtime import LATCHED_QOS, STATE_QOS


class Listener(Protocol):
    """A robot that is told what came in; what its own link lets through is for it to say."""

    def on_state(self, sender: int, state: RobotState, now: float) -> None:
        """A state came in on the topic of the robot `sender` at `now` (s, monotonic)."""

    def on_table(self, table: HealthTable, now: float) -> None:
        """A health table came in."""


class Ears:
    """Subscriptions to every robot's state, and to the supervisor's tables."""

    def __init__(self, node: Node, team_size: int) -> None:
        """Listen.

        Args:
            node: that subscribes.
            team_size: N.
        """
        self._listeners: list[Listener] = []
        self.delivery = Delivery(team_size)
        self._reception = Reception(node)
        hear = self._reception.hear
        hear(HealthTableMessage, "/swarm/health", self._on_table, LATCHED_QOS)
        self._heard: set[int] = set()

    @property
    def dropped(self) -> int:
        """Messages that made no sense."""
        return self._reception.dropped

    def join(self, listener: Listener, robots: Iterable[int]) -> None:
        """Tell this one too, from now on; it needs to hear these robots."""
        self._listeners.append(listener)
        for robot in sorted({*robots} - self._heard):
            heard = partial(self._on_state, robot)
            topic = f"/robot_{robot}/state"
            self._reception.hear(RobotStateMessage, topic, heard, STATE_QOS, raw=True)
            self._heard.add(robot)

    def _on_state(self, sender: int, data: bytes) -> None:
        now, message = time.monotonic(), cdr.state_message(data)
        if message is None:
            return  # somebody else's bytes on this topic
        state = wire.read_state(message, sender)
        self.delivery.hear(sender, state)
        for listener in self._listeners:
            listener.on_state(sender, state, now)

    def _on_table(self, msg: HealthTableMessage) -> None:
        now, table = time.monotonic(), wire.read_table(msg)
        for listener in self._listeners:
            listener.on_table(table, now)
