"""What the robots of one process share; a robot alone has it all to itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.node import Node

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.messages import SensorFrame
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.signing import pinned
from swarmhold.hardware.together import tick_together
from swarmhold_nodes.ears import Ears

if TYPE_CHECKING:
    from swarmhold_nodes.policy_node import PolicyNode


class Company:
    """Of a robot alone."""

    def ears(self, node: Node, team_size: int) -> Ears:
        """What hears the team for a robot's node."""
        return Ears(node, team_size)

    def opened(self, bundle: str, keys: str) -> OnnxPolicy:
        """The policy of a bundle that one of the pinned keys has signed, if there are any."""
        return OnnxPolicy(open_bundle(bundle, pinned(keys)))

    def sensed(self, node: PolicyNode, frame: SensorFrame) -> None:
        """A robot has sensed something and is to act on it: at once."""
        answer([(node, frame)])


def answer(waiting: Sequence[tuple[PolicyNode, SensorFrame]]) -> None:
    """Let robots act on what each has sensed; their state messages leave from here."""
    now = time.monotonic()
    robots = [node.controller for node, _ in waiting]
    ticks = tick_together(robots, [node.senses(frame, now) for node, frame in waiting], now)
    for (node, frame), tick in zip(waiting, ticks, strict=True):
        node.act(frame, tick, now)
