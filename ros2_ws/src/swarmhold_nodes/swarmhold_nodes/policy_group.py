"""Several robots in one process: a policy node each, which share ears and the opened policy.

    policy_group --robots 3 4 5 --ros-args --params-file robots.yaml

The file holds the parameters of every robot under the full name of its node, /robot_3/policy and
so on. Whatever ends or stops the process takes all of its robots along.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache

from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from swarmhold_nodes.ears import Ears
from swarmhold_nodes.policy_node import PolicyNode, open_policy
from swarmhold_nodes.runtime import run


def build(context: Context, robots: list[int]) -> list[Node]:
    """One node per robot, and one that listens for all of them."""
    listener = Node(
        f"listener_{robots[0]}", context=context, enable_rosout=False,
        start_parameter_services=False,
    )  # fmt: skip
    ears: list[Ears] = []

    def hearing(team_size: int) -> Ears:
        if not ears:
            ears.append(Ears(listener, team_size))
        return ears[0]

    opened = lru_cache(open_policy)
    return [
        listener,
        *(PolicyNode(context, f"/robot_{robot}", hearing, opened) for robot in robots),
    ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="policy_group", description="Robots in one process.")
    parser.add_argument("--robots", type=int, nargs="+", required=True, help="roster indices")
    robots = parser.parse_args(remove_ros_args(sys.argv)[1:]).robots
    return run(lambda context: build(context, robots))


if __name__ == "__main__":
    sys.exit(main())
