"""Permissions against what really is on the graph, and what the middleware makes of a keystore."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from swarmhold.hardware.errors import MissingExtraError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.security.access import team_access
from swarmhold.hardware.security.keystore import make_keystore
from swarmhold.hardware.security.middleware import can_secure, secured

sys.path.insert(0, str(Path(__file__).parent))
from fleet import states, wait_for

pytestmark = pytest.mark.system
OBEYS = (True, False, True)
# The topic by which nodes learn of each other belongs to none of them.
NO_NODE = {"ros_discovery_info"}

GRAPH = """
import json, sys, time
import rclpy
rclpy.init()
node = rclpy.create_node("looker", enable_rosout=False, start_parameter_services=False)
until, seen = time.monotonic() + 20.0, {}
while time.monotonic() < until and len(seen) < int(sys.argv[1]):
    rclpy.spin_once(node, timeout_sec=0.2)
    seen = {}
    for name, space in node.get_node_names_and_namespaces():
        if name != "looker":
            seen[space.rstrip("/") + "/" + name] = name, space
time.sleep(1.0)
def names(found):
    return [name for name, _ in found]
print(json.dumps({full: [
    names(node.get_publisher_names_and_types_by_node(*who)),
    names(node.get_subscriber_names_and_types_by_node(*who)),
    names(node.get_service_names_and_types_by_node(*who)),
    names(node.get_client_names_and_types_by_node(*who)),
] for full, who in seen.items()}))
node.destroy_node()
rclpy.shutdown()
"""


def granted(keystore, enclave, verb):
    root = ET.parse(keystore / f"enclaves{enclave}/permissions.xml").getroot()
    return {topic.text for topic in root.findall(f".//{verb}/topics/topic")}


def test_every_node_uses_what_it_is_granted_and_nothing_else(tmp_path, rendezvous_bundle):
    access = team_access(OBEYS, 2)
    make_keystore(tmp_path / "keys", access, 1, 30)
    config = FleetConfig(
        rendezvous_bundle, 3, tmp_path / "f", allow_faults=True, standbys=1,
        each=tuple(Options(allow_faults=obeys) for obeys in OBEYS),
    )  # fmt: skip
    with Fleet(config) as fleet:
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 3)
        done = subprocess.run(
            [sys.executable, "-c", GRAPH, str(len(access) - 1)],
            env=fleet._env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    graph = json.loads(done.stdout)
    assert set(graph) == set(access) - {"/operator"}
    for node, (publishes, hears, serves, calls) in graph.items():
        assert not calls
        writes = {f"rt{name}" for name in publishes} | {f"rr{name}Reply" for name in serves}
        reads = {f"rt{name}" for name in hears} | {f"rq{name}Request" for name in serves}
        may_write, may_read = (
            granted(tmp_path / "keys", node, v) for v in ("publish", "subscribe")
        )
        assert may_write - NO_NODE == writes, node
        assert may_read - NO_NODE == reads, node


NODE = """
import os, sys
import rclpy
rclpy.init(args=["--ros-args", "--enclave", sys.argv[1]])
rclpy.create_node("policy", namespace="robot_0", enable_rosout=False)
print("up")
os._exit(0)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a node with the keystore in force; returns whether it came up, and what it said."""
    access = team_access([False], 1)
    make_keystore(tmp_path / "keys", access, int(os.environ["ROS_DOMAIN_ID"]), 30)
    env = {
        **os.environ, "ROS_SECURITY_KEYSTORE": str(tmp_path / "keys"),
        "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce",
    }  # fmt: skip

    def run(enclave):
        done = subprocess.run(
            [sys.executable, "-c", NODE, enclave], env=env, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        return "up" in done.stdout, done.stderr

    return run


def test_what_is_said_of_the_middleware_is_true(start):
    """Where it can, a node joins with its enclave; where it cannot, it says why and stays away."""
    came_up, said = start("/robot_0/policy")
    assert came_up == can_secure()
    assert came_up or "security" in said


def test_who_has_no_enclave_does_not_start(start):
    came_up, said = start("/robot_9/policy")
    assert not came_up and "robot_9" in said


def test_a_flight_with_a_keystore_is_refused_before_it_starts_where_it_cannot_be(
    tmp_path, rendezvous_bundle
):
    if can_secure():
        pytest.skip("this Fast DDS can do DDS security")
    keys = tmp_path / "keys"
    make_keystore(keys, team_access([False, False], 1), 7, 30)
    config = FleetConfig(rendezvous_bundle, 2, tmp_path / "f", domain=7, security=keys)
    with pytest.raises(MissingExtraError, match="built without DDS security") as caught:
        Fleet(config)
    assert "\n" not in str(caught.value) and not (tmp_path / "f").exists()


def test_processes_are_told_to_join_with_security_or_not_at_all(tmp_path, monkeypatch):
    keys = tmp_path / "keys"
    access = team_access([False, False], 1)
    make_keystore(keys, access, 7, 30)
    monkeypatch.setattr("swarmhold.hardware.security.middleware.can_secure", lambda: True)
    env = secured(keys, access)
    assert env["ROS_SECURITY_STRATEGY"] == "Enforce" and env["ROS_SECURITY_ENABLE"] == "true"
    assert Path(env["ROS_SECURITY_KEYSTORE"]) == keys.resolve()
