"""State messages from their bytes: the same as the middleware makes of them."""

import subprocess
import sys

CHECK = """
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from swarmhold_msgs.msg import RobotState as Message
from swarmhold.hardware import wire
from swarmhold.hardware.messages import RobotState
from swarmhold_nodes import cdr, codec

rng = np.random.default_rng(0)
for n in (0, 1, 2, 7, 33, 64):
    for _ in range(20):
        place, moving = rng.normal(size=3) * 1e3, rng.normal(size=3).astype(np.float32)
        yaw, rate, battery = (float(value) for value in rng.normal(size=3).astype(np.float32))
        state = RobotState(
            int(rng.integers(256)), int(rng.integers(256)), int(rng.integers(2**32)),
            int(rng.integers(2**32)), int(rng.integers(2**32)), float(rng.uniform(0, 2e9)),
            tuple(place.tolist()), tuple(moving.tolist()), yaw, rate, battery,
            int(rng.integers(4)), int(rng.integers(2**63)), rng.bytes(2 * n),
        )
        message = codec.state_to_ros(state)
        data = serialize_message(message)
        found = cdr.state_message(data)
        assert isinstance(found, cdr.State), type(found)
        assert wire.read_state(found) == wire.read_state(deserialize_message(data, Message))
        message.header.frame_id = "another"  # not as our nodes send it: left to the middleware
        other = cdr.state_message(serialize_message(message))
        assert isinstance(other, Message)
        assert wire.read_state(other) == wire.read_state(found)
        for cut in (0, 3, 40, len(data) - 2 * n - 1):
            assert cdr.state_message(data[:cut]) is None, cut
        garbage = bytes(rng.integers(0, 256, int(rng.integers(300))).astype(np.uint8))
        cdr.state_message(garbage)
nan = codec.state_to_ros(state)
nan.position = np.full(3, np.nan)
assert np.isnan(wire.read_state(cdr.state_message(serialize_message(nan))).position).all()
print("fine")
"""


def test_states_are_read_as_the_middleware_reads_them():
    done = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip().endswith("fine"), done.stderr[-2000:]
