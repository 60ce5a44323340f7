"""Parameters of nodes: one class each, of which rclpy gets descriptions, ranges and choices."""

import json
import subprocess
import sys

import pytest

from swarmhold.hardware import parameters
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.parameters import PolicyParameters, checked

NODES = {
    "policy_node": "PolicyParameters",
    "supervisor_node": "SupervisorParameters",
    "world_node": "WorldParameters",
    "bases_node": "BasesParameters",
    "driver_node": "DriverParameters",
    "field_node": "FieldParameters",
    "recorder": "RecorderParameters",
    "estop_node": "EstopParameters",
    "console_node": "ConsoleParameters",
    "rogue_node": "RogueParameters",
    "jumped_supervisor": "JumpedParameters",
}
WRONG = [
    ({"robot": 2, "team_size": 2}, "robot 2 is not in a roster of 2"),
    ({"robot": -1}, "parameter robot = -1"),
    ({"team_size": 65}, "parameter team_size = 65"),
    ({"entities": "some"}, "parameter entities = 'some'"),
    ({"bundle": ""}, "parameter bundle = ''"),
    ({"surprise": 1}, "parameter surprise"),
]


@pytest.mark.parametrize("name", NODES.values())
def test_every_parameter_is_described(name):
    for field, info in getattr(parameters, name).model_fields.items():
        assert info.description and info.description.endswith("."), field


@pytest.mark.parametrize(("values", "words"), WRONG)
def test_a_wrong_value_is_one_line_that_names_it(values, words):
    with pytest.raises(ConfigError) as caught:
        checked(PolicyParameters, {"bundle": "b", **values})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_fleet_file_says_of_a_robot_is_what_its_node_takes():
    assert set(Options.model_fields) - {"host", "link"} <= set(PolicyParameters.model_fields)


DESCRIBE = """
import json, sys
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from swarmhold.hardware import parameters
from swarmhold_nodes.parameters import declare
rclpy.init()
out = {}
for name in sys.argv[1:]:
    kind = getattr(parameters, name)
    needed = {n: "x" for n, f in kind.model_fields.items() if f.is_required()}
    given = [Parameter(n, value=value) for n, value in needed.items()]
    node = Node(name.lower(), parameter_overrides=given, enable_rosout=False)
    told = declare(node, kind)
    out[name] = {}
    for field in kind.model_fields:
        found = node.describe_parameter(field)
        assert node.get_parameter(field).value == getattr(told, field)
        assert not node.set_parameters([Parameter(field, value=getattr(told, field))])[0].successful
        ranges = [[r.from_value, r.to_value] for r in found.integer_range]
        words = found.additional_constraints
        out[name][field] = [found.read_only, found.description, ranges, words]
    node.destroy_node()
print(json.dumps(out))
rclpy.shutdown()
"""


def test_rclpy_knows_what_the_classes_say():
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, *NODES.values()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, said in found.items():
        for field, (read_only, description, *_) in said.items():
            expected = getattr(parameters, name).model_fields[field].description
            assert read_only and description == expected
    assert found["PolicyParameters"]["robot"][2] == [[0, 63]]
    assert found["PolicyParameters"]["entities"][3] == "one of: none, nearest, flicker"


@pytest.mark.parametrize(
    ("node", "value", "words"),
    [
        ("policy_node", "team_size:=99", "parameter team_size"),
        ("policy_node", "robot:=two", "parameter robot"),
        ("policy_node", "entities:=some", "parameter entities = 'some'"),
        ("policy_node", "reweight:=1", "parameter reweight"),
        ("supervisor_node", "rank:=0", "parameter bundle is missing"),
        ("recorder", "team_size:=2", "parameter folder is missing"),
        ("world_node", "seed:=-1", "parameter seed"),
    ],
)
def test_a_node_refuses_a_wrong_value_by_its_name(node, value, words):
    command = [sys.executable, "-m", f"swarmhold_nodes.{node}", "--ros-args", "-p", value]
    if node == "policy_node":
        command += ["-p", "bundle:=rendezvous-epuck"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and words in last and "Traceback" not in done.stderr, done.stderr
