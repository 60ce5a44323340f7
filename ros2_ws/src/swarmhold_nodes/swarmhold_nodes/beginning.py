"""How a flight begins: nobody senses anything, and so nobody acts, before the nodes are there."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node

from swarmhold_nodes.runtime import say

WAIT_S = 5.0  # after the first command, for those of the others


class Beginning:
    """Of one team, as the node sees it that stands for its robots."""

    def __init__(self, node: Node, robots: int, awaited: int, until: float) -> None:
        """Args: the node, team size, robots whose nodes must be there, and how long (s) at most."""
        self._node, self._topics = node, [f"/robot_{robot}/cmd_vel" for robot in range(robots)]
        self._awaited, self._patient_until = awaited, until
        self._first_at = 0.0

    def waits(self, now: float) -> bool:
        """No sensor frame, and so no robot acts, before the nodes of all hosts are there."""
        if now < self._patient_until:
            there = sum(self._node.count_publishers(topic) > 0 for topic in self._topics)
            if there >= self._awaited:
                self._patient_until = now
        return now < self._patient_until

    def complete(self, heard: Sequence[bool], now: float) -> bool:
        """Every robot has sent a command, or the wait for it is over."""
        silent = [str(robot) for robot, there in enumerate(heard) if not there]
        if len(silent) == len(heard):
            return False
        self._first_at = self._first_at or now
        late = now - self._first_at > WAIT_S
        if late and silent:
            say("warning", text=f"the world starts without robots {', '.join(silent)}")
        return late or not silent
