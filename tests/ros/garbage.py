"""A node that publishes garbage, typed and raw, on the topics that it is given, for some seconds.

Usage: garbage.py SECONDS SEED TOPIC...
"""

import random
import re
import struct
import sys
import time
from array import array

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.serialization import serialize_message
from swarmhold_msgs import msg as ours

from swarmhold_nodes.runtime import LATCHED_QOS, RELIABLE_QOS, STATE_QOS, STREAM_QOS

RATE = 50.0  # Hz, of every topic
CODES = {
    "uint8": "B", "octet": "B", "int8": "b", "uint16": "H", "int32": "i", "uint32": "I",
    "uint64": "Q", "float": "f", "double": "d",
}  # fmt: skip
TOPICS = {
    "/swarm/health": (ours.HealthTable, LATCHED_QOS),
    "/swarm/task": (ours.Task, LATCHED_QOS),
    "/swarm/faults": (ours.FaultCommand, RELIABLE_QOS),
    "/diagnostics": (DiagnosticArray, RELIABLE_QOS),
    "state": (ours.RobotState, STATE_QOS),
    "status": (ours.PolicyStatus, STREAM_QOS),
    "sense": (ours.SensorFrame, STREAM_QOS),
    "cmd_vel": (TwistStamped, STREAM_QOS),
}


def number(rng, kind):
    """Any bit pattern of a type, or a small value."""
    code = CODES[kind]
    if rng.random() < 0.5:
        return rng.uniform(-2.0, 2.0) if code in "fd" else rng.randrange(5)
    return struct.unpack(code, rng.randbytes(struct.calcsize(code)))[0]


def fill(message, rng):
    """Garbage in every field."""
    for name, kind in message.get_fields_and_field_types().items():
        found = re.fullmatch(r"sequence<(\w+), (\d+)>", kind) or re.fullmatch(
            r"(\w+)\[(\d+)\]", kind
        )
        if found and found[1] in CODES:
            count = int(found[2]) if "[" in kind else rng.choice([0, 4, 12, int(found[2])])
            values = [number(rng, found[1]) for _ in range(count)]
            code = CODES[found[1]]
            setattr(message, name, values if "[" in kind else array(code, values))
        elif kind in CODES:
            setattr(message, name, number(rng, kind))
        elif kind.startswith("string"):
            setattr(message, name, "".join(rng.choices("abc/\0é☃", k=rng.randrange(20))))
        elif "/" in kind and not kind.startswith("sequence"):
            fill(getattr(message, name), rng)
    return message


def mangled(data, rng):
    """Bytes that may be no message at all."""
    way = rng.randrange(4)
    if way == 0:
        return rng.randbytes(rng.randrange(200))
    if way == 1:
        return data[: rng.randrange(len(data))]
    out = bytearray(data)
    for _ in range(rng.randrange(1, 20)):
        out[rng.randrange(4, len(out))] = rng.randrange(256)
    return bytes(out) if way == 2 else bytes(out) + b"\xff" * 64


def main():
    seconds, rng = float(sys.argv[1]), random.Random(int(sys.argv[2]))
    rclpy.init()
    node = rclpy.create_node("garbage", enable_rosout=False, start_parameter_services=False)
    publishers = []
    for topic in sys.argv[3:]:
        kind, qos = TOPICS.get(topic) or TOPICS[topic.rsplit("/", 1)[1]]
        publishers.append((kind, node.create_publisher(kind, topic, qos)))
    until, sent, reached = time.monotonic() + seconds, 0, set()
    while time.monotonic() < until:
        for kind, publisher in publishers:
            message = fill(kind(), rng)
            publisher.publish(
                message if rng.random() < 0.5 else mangled(serialize_message(message), rng)
            )
            sent += 1
            if publisher.get_subscription_count():
                reached.add(publisher.topic_name)
        time.sleep(1.0 / RATE)
    print(sent, *sorted(reached))
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
