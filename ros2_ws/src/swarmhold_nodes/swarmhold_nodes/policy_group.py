"""Several robots in one process: a policy node each, which share what can be shared.

    policy_group --robots 3 4 5 --ros-args --params-file robots.yaml

The file holds the parameters of every robot under the full name of its node, /robot_3/policy and
so on. Whatever ends or stops the process takes all of its robots along.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import lru_cache

from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from swarmhold.hardware.messages import SensorFrame
from swarmhold_nodes.company import Company, answer
from swarmhold_nodes.ears import Ears
from swarmhold_nodes.policy_node import PolicyNode
from swarmhold_nodes.runtime import run

GATHER_S = 0.004  # robots that have sensed something wait this long for the next one to do so
PATIENCE_S = 0.015  # and this long for all others


class Group(Company):
    """Of robots that hear with the same ears, and act when all of them have sensed something."""

    def __init__(self, listener: Node, size: int) -> None:
        """Nobody has sensed anything yet.

        Args:
            listener: the node that hears for all of them.
            size: how many they are.
        """
        self._listener, self._size = listener, size
        self._ears: Ears | None = None
        self._waiting: dict[PolicyNode, SensorFrame] = {}
        self._since = self._last = 0.0
        self.opened = lru_cache(super().opened)  # type: ignore[method-assign]

    def ears(self, node: Node, team_size: int) -> Ears:
        """The same for all."""
        self._ears = self._ears or Ears(self._listener, team_size)
        return self._ears

    def sensed(self, node: PolicyNode, frame: SensorFrame) -> None:
        """Act when the last one has sensed something, or when it is waited for too long."""
        if node in self._waiting:
            self._answer()
        self._last = time.monotonic()
        if not self._waiting:
            self._since = self._last
        self._waiting[node] = frame
        if len(self._waiting) == self._size:
            self._answer()

    def beat(self) -> float | None:
        """Act if that is due; returns how long nothing is (s), None while nobody waits."""
        if not self._waiting:
            return None
        due = min(self._last + GATHER_S, self._since + PATIENCE_S)
        left = due - time.monotonic()
        if left > 0.0:
            return left
        self._answer()
        return None

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, {}
        answer(list(waiting.items()))


class Listener(Node):
    """Hears for a group, and keeps its time."""

    def __init__(self, context: Context, robots: list[int]) -> None:
        """Of these robots."""
        super().__init__(
            f"listener_{robots[0]}", context=context, enable_rosout=False,
            start_parameter_services=False,
        )  # fmt: skip
        self.group = Group(self, len(robots))
        self.beat = self.group.beat


def build(context: Context, robots: list[int]) -> list[Node]:
    """One node per robot, and one that listens for all of them."""
    listener = Listener(context, robots)
    nodes = [PolicyNode(context, f"/robot_{robot}", listener.group) for robot in robots]
    return [listener, *nodes]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="policy_group", description="Robots in one process.")
    parser.add_argument("--robots", type=int, nargs="+", required=True, help="roster indices")
    robots = parser.parse_args(remove_ros_args(sys.argv)[1:]).robots
    return run(lambda context: build(context, robots))


if __name__ == "__main__":
    sys.exit(main())
