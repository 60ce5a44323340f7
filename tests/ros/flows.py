"""Prints which robots' policy nodes subscribe to whose states, as JSON pairs (receiver, sender).

Usage: flows.py ROBOTS SECONDS
"""

import json
import sys
import time

import rclpy


def main():
    robots, seconds = int(sys.argv[1]), float(sys.argv[2])
    rclpy.init()
    node = rclpy.create_node("counter", enable_rosout=False, start_parameter_services=False)
    found, until = set(), time.monotonic() + seconds
    while time.monotonic() < until:  # discovery takes its time
        time.sleep(0.2)
        for sender in range(robots):
            for info in node.get_subscriptions_info_by_topic(f"/robot_{sender}/state"):
                if info.node_name == "policy":
                    found.add((int(info.node_namespace.rpartition("_")[2]), sender))
    node.destroy_node()
    rclpy.shutdown()
    print(json.dumps(sorted(pair for pair in found if pair[0] != pair[1])))


if __name__ == "__main__":
    main()
