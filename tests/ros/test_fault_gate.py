"""Orders to break robots on the air: what nodes refuse, and what they say of it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.live import LiveTeam
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.estop import Place
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.operator_token import write_token
from swarmhold.hardware.report.recording import messages_of

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "hardware"))
from fleet import orphans, states, wait_for
from test_gate import without_the_marker

pytestmark = pytest.mark.system
OPEN, CLOSED = Options(allow_faults=True), Options()
BARE = """
import sys, time, rclpy
from swarmhold_msgs.msg import FaultCommand
from swarmhold_nodes.runtime import RELIABLE_QOS
rclpy.init()
node = rclpy.create_node("stranger", enable_rosout=False, start_parameter_services=False)
out = node.create_publisher(FaultCommand, "/swarm/faults", RELIABLE_QOS)
while out.get_subscription_count() < int(sys.argv[1]):
    time.sleep(0.02)
time.sleep(1.0)  # a writer knows its readers before these know it
for kind, robot in (("spoof", 0), ("motor_off", 0), ("crawl", 0)):
    out.publish(FaultCommand(kind=kind, robot=robot, severity=1.0, duration_s=30.0))
    time.sleep(1.2)
node.destroy_node()
rclpy.shutdown()
"""


def said(fleet, *words):
    return [text for text in fleet.live.warnings if all(word in text for word in words)]


def broken(fleet):
    lines = (fleet.config.folder / "events.jsonl").read_text().splitlines()
    found = [event for event in map(json.loads, lines) if event["event"] == "fault"]
    return [(event["kind"], event["robot"]) for event in found]


def test_only_orders_with_the_token_break_a_robot_that_allows_it(tmp_path, rendezvous_bundle):
    write_token(tmp_path / "foreign")
    config = FleetConfig(
        rendezvous_bundle, 3, tmp_path / "f", allow_faults=True, each=(OPEN, CLOSED, OPEN),
        operator_token=tmp_path / "foreign",
    )  # fmt: skip
    with Fleet(config) as fleet:
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 3)
        fleet.inject(FaultSpec("spoof", 0))
        assert wait_for(lambda: said(fleet, "robot_0", "another token")), fleet.live.warnings
        fleet.inject(FaultSpec("motor_off", 2))
        assert wait_for(lambda: said(fleet, "world", "another token"))
        fleet.inject(FaultSpec("spoof", 1))
        assert wait_for(lambda: said(fleet, "spoof of robot 1", "allow_faults"))
        console_shows_refusals(fleet, tmp_path / "foreign")
        # Three that listen (two robots, the world) and the recorder.
        subprocess.run([sys.executable, "-c", BARE, "4"], env=fleet._env, check=True, timeout=60)
        assert wait_for(lambda: said(fleet, "robot_0", "no operator token"))
        assert said(fleet, "world", "no operator token") and said(fleet, "unknown fault kind")
        assert not broken(fleet) and states(fleet) == ["HEALTHY"] * 3
        told = {"faults_token": str(tmp_path / "f/faults.token")}
        rightful = fleet.start("fault_node", told, "rightful")
        assert rightful.ready.wait(20.0)
        assert wait_for(lambda: not_deaf(fleet, rightful))
        assert wait_for(lambda: states(fleet)[0] == "QUARANTINED")
        assert broken(fleet)[0] == ("spoof", 0) and states(fleet)[1:] == ["HEALTHY"] * 2
    counted = {}
    for topic, _, message in messages_of(tmp_path / "f"):
        if topic == "/diagnostics":
            for status in message.status:
                values = {pair.key: pair.value for pair in status.values}
                counted[status.name.split("/")[0].split(":")[0]] = values.get("faults_refused")
    assert int(counted["robot_0"]) >= 3 and int(counted["world"]) >= 2
    assert counted["robot_1"] == "0" and counted["robot_2"] == "0"
    assert not (tmp_path / "f/faults.token").exists(), "a flight's token ends with it"
    assert not orphans(str(tmp_path))


def console_shows_refusals(fleet, token):
    """Of a robot that knows another token, and of one that does not listen."""
    place = Place(fleet.domain, 3, (fleet.config.folder / "discovery.xml").read_text())
    team, hub = LiveTeam(place, "refused", faults_token=token), Hub(60.0)
    try:
        team.start(hub)
        assert wait_for(lambda: hub.latest is not None)
        time.sleep(2.0)  # everybody has said once how often it has refused
        for robot in (0, 1):
            team.inject(FaultSpec("spoof", robot, duration_s=20.0))
        told = ("refused", "spoof", 0), ("refused", "spoof", 1)
        assert wait_for(lambda: set(told) <= happened(hub)), happened(hub)
    finally:
        team.close()


def happened(hub):
    return {(e["kind"], e["value"], e["robot"]) for e in hub.happenings()}


def not_deaf(fleet, sender):
    """Order it until the sender has found the robot."""
    sender.tell({"kind": "spoof", "robot": 0, "severity": 1.0})
    return wait_for(lambda: ("spoof", 0) in broken(fleet), 1.0)


def test_an_installation_without_the_flag_starts_no_node_that_obeys(tmp_path, rendezvous_bundle):
    path = os.pathsep.join([str(without_the_marker(tmp_path)), *sys.path])
    env = {**os.environ, "PYTHONPATH": path}
    write_token(tmp_path / "token")
    told = {
        "robot": 0, "team_size": 2, "bundle": rendezvous_bundle, "allow_faults": "true",
        "faults_token": tmp_path / "token",
    }  # fmt: skip
    words = [word for name, value in told.items() for word in ("-p", f"{name}:={value}")]
    fly = ["--bundle", rendezvous_bundle, "--robots", "2", "--fault", "spoof:0@1"]
    for command in (
        ["-m", "swarmhold_nodes.policy_node", "--ros-args", *words],
        ["-m", "swarmhold_nodes.fault_node", "--ros-args", *words[-2:]],
        ["-m", "swarmhold_nodes.rogue_node"],
        ["-c", "from swarmhold.hardware.cli.main import main; exit(main())", "fly", *fly],
    ):
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2, (command, done)
        lines = done.stderr.strip().splitlines()
        assert lines and all("built without fault injection" in line for line in lines), lines
