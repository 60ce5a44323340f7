"""The ROS packages: interfaces by their hashes, descriptions, the build and the tests by colcon."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from swarmhold.hardware.fleet.budget import OVERHEAD, state_bytes, status_bytes, table_bytes
from swarmhold.hardware.parameters import (
    PolicyParameters,
    RecorderParameters,
    SupervisorParameters,
    WorldParameters,
    checked,
)

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "ros2_ws/src"
BIN = Path(sys.executable).parent

# RIHS01 hashes: a changed interface cannot talk to robots in the field, so change them knowingly.
HASHES = {
    "FaultCommand": "RIHS01_3173e7d4cd7fe574eac794ff62d8946f8835ada4b27d2ba1a2b6b72562202364",
    "HealthTable": "RIHS01_5960ece3f7beb40f0c29a5cb5c83015e6bd060242e496ea22ac32c788b469b32",
    "PolicyStatus": "RIHS01_f83f4aecb279f296862180f15237076dc8c401738b7e0dc7c3753dd3f08efa1b",
    "RobotState": "RIHS01_1223bfc63a359a8d664cc7877b76d6508b88544e4e2dc367718ea0cd2c9645db",
    "SensorFrame": "RIHS01_b6c4cc88c1925dbab5c4b020f287de2c95dfe5c6fab6e31395c353b66338c5a9",
    "Task": "RIHS01_19eda0061f9a4ea7492ce1ccc4138c7e3b373e668d4d20682ab19613a6fc6cb4",
    "Truth": "RIHS01_3c0b8ba4a5a7abaec2089a82107b5e10c4c985194b7aaf8bac412707834856e8",
}


def store():
    types = {}
    for file in sorted((SOURCES / "swarmhold_msgs/msg").glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(), f"swarmhold_msgs/msg/{file.stem}"))
    out = get_typestore(Stores.ROS2_JAZZY)
    out.register(types)
    return out


@pytest.mark.parametrize("name", HASHES)
def test_interfaces_are_what_robots_in_the_field_speak(name):
    found = store().hash_rihs01(f"swarmhold_msgs/msg/{name}")
    assert found.startswith("RIHS01_") and found == HASHES[name]


SIZES = """
import sys
from rclpy.serialization import serialize_message
from swarmhold.hardware.messages import HealthTable, PolicyStatus, RobotState
from swarmhold_nodes import codec
for n in map(int, sys.argv[1:]):
    state = RobotState(
        0, 255, 1, 2, 3, 4.0, (0.0,) * 3, (0.0,) * 3, 0.0, 0.0, 1.0, 0, 7, bytes(2 * n)
    )
    table = HealthTable(0.0, 1, 1, "supervisor", 1.0, (1.0,) * n, (0,) * n, (0,) * n)
    status = PolicyStatus(0, 0.0, (1.0,) * n, (0.0,) * n, (0,) * n, 0, 0, 0.0, 0.0, 0, 0)
    made = codec.state_to_ros(state), codec.table_to_ros(table), codec.status_to_ros(status)
    print(n, *(len(serialize_message(message)) for message in made))
"""


def test_messages_are_as_long_on_the_wire_as_planned():
    teams = ["1", "2", "5", "30"]
    done = subprocess.run(
        [sys.executable, "-c", SIZES, *teams], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        n, *found = map(int, line.split())
        planned = state_bytes(n), table_bytes(n, len("supervisor")), status_bytes(n)
        padded = [size + -size % 4 for size in found]  # submessages end at multiples of 4 bytes
        assert [size + OVERHEAD for size in padded] == list(planned), f"{n} robots"


def test_every_package_is_described():
    packages = sorted(file.parent.name for file in SOURCES.glob("*/package.xml"))
    assert packages == ["swarmhold_bringup", "swarmhold_msgs", "swarmhold_nodes"]
    for name in packages:
        tree = ET.parse(SOURCES / name / "package.xml").getroot()
        assert tree.get("format") == "3" and tree.findtext("license") == "Apache-2.0"
        assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", tree.find("maintainer").get("email"))


@pytest.mark.system
@pytest.mark.timeout(280)
def test_the_workspace_builds_and_tests_with_colcon(tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env["PATH"] = f"{BIN}:{env['PATH']}"
    env["AMENT_PREFIX_PATH"] = str(BIN.parent)
    base = ["--build-base", str(tmp_path / "build")]
    where = ["--install-base", str(tmp_path / "install")]
    quiet = {"cwd": ROOT / "ros2_ws", "env": env, "capture_output": True, "text": True}
    colcon = [str(BIN / "colcon"), "--log-base", str(tmp_path / "log")]
    listed = subprocess.run([*colcon, "list"], **quiet, check=True).stdout
    kinds = dict(re.findall(r"(\w+)\s+src/\w+\s+\((\S+)\)", listed))
    assert kinds == {
        "swarmhold_bringup": "ros.ament_python",
        "swarmhold_msgs": "ros.ament_cmake",
        "swarmhold_nodes": "ros.ament_python",
    }
    cmake = ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"]
    built = subprocess.run([*colcon, "build", *base, *where, *cmake], **quiet, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    report = ["--event-handlers", "console_direct+", "--python-testing", "pytest"]
    tested = subprocess.run([*colcon, "test", *base, *where, *report], **quiet, check=False)
    counts = [int(count) for count in re.findall(r"(\d+) passed", tested.stdout)]
    assert tested.returncode == 0 and "failed" not in tested.stdout, tested.stdout[-2000:]
    assert len(counts) == 2 and min(counts) >= 2, "both Python packages have tests, and they ran"
    result = subprocess.run([*colcon, "test-result", "--test-result-base", base[1]], **quiet)
    assert result.returncode == 0 and "0 errors, 0 failures" in result.stdout, result.stdout


def test_parameter_files_hold_what_nodes_take():
    known = {
        name
        for kind in (PolicyParameters, SupervisorParameters, WorldParameters, RecorderParameters)
        for name in kind.model_fields
    }
    for file in SOURCES.glob("swarmhold_bringup/config/*.yaml"):
        said = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
        assert set(said) <= known
        own = {name: value for name, value in said.items() if name in PolicyParameters.model_fields}
        checked(PolicyParameters, own)
