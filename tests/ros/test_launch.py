"""Launch files: what they start, with what parameters, held against what `fly` starts.

`launch` is not on the package index. Where it is installed, it loads them; everywhere a stand-in
does that only remembers what it was given.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from swarmhold.hardware import parameters
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.hardware.fleet.cli import FlyArgs, fleet_config
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.plan import plan
from swarmhold.hardware.operator_token import write_token
from swarmhold.hardware.parameters import PolicyParameters, checked
from swarmhold.hardware.security.keystore import make_keystore
from swarmhold.hardware.signing import load_private, new_key, sign_bundle

SOURCES = Path(__file__).resolve().parents[2] / "ros2_ws/src"
KINDS = {
    "policy_node": "PolicyParameters",
    "supervisor_node": "SupervisorParameters",
    "world_node": "WorldParameters",
    "driver_node": "DriverParameters",
    "field_node": "FieldParameters",
    "recorder": "RecorderParameters",
}
FILE = """
faults_token: token
bundle: {bundle}
domain: 31
seed: 5
hosts: {{base: {{address: 10.0.0.1}}, pi: {{address: 10.0.0.2}}}}
supervisors: [base, pi]
all: {{host: pi}}
types: {{scout: {{entities: nearest}}}}
robots:
  - {{name: alpha, type: scout, allow_faults: true}}
  - {{name: bravo, host: base, reweight: false}}
"""


class Said(SimpleNamespace):
    """A thing of a launch description: its class, and what it was given."""


def stand_in(monkeypatch):
    """Modules that remember what they are given; how `launch` itself takes it is its own affair."""

    def thing(kind, *names):
        def make(*args, **given):
            return Said(kind=kind, **dict(zip(names, args, strict=False)), **given)

        return make

    class LaunchConfiguration:
        def __init__(self, name):
            self.name = name

        def perform(self, context):
            return context[self.name]

    contents = {
        "launch": {"LaunchDescription": lambda entities: entities},
        "launch.actions": {
            "DeclareLaunchArgument": thing("argument", "name"),
            "OpaqueFunction": thing("function"),
            "SetEnvironmentVariable": thing("variable", "name", "value"),
        },
        "launch.substitutions": {
            "LaunchConfiguration": LaunchConfiguration,
            "PythonExpression": thing("expression", "parts"),
        },
        "launch_ros": {},
        "launch_ros.actions": {"Node": thing("node")},
        "launch_ros.parameter_descriptions": {"ParameterValue": thing("value", "of")},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


def loaded(name):
    path = SOURCES / f"swarmhold_bringup/launch/{name}.launch.py"
    spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def team(monkeypatch, **given):
    """Nodes and environment of `team.launch.py` with arguments."""
    stand_in(monkeypatch)
    *arguments, function = loaded("team")
    context = {argument.name: argument.default_value for argument in arguments}
    assert set(given) <= set(context)
    out = function.function({**context, **given})
    return (
        [item for item in out if item.kind == "node"],
        {item.name: item.value for item in out if item.kind == "variable"},
    )


@pytest.fixture
def fleet_file(tmp_path, rendezvous_bundle):
    file = tmp_path / "fleet.yaml"
    write_token(tmp_path / "token")
    file.write_text(FILE.format(bundle=rendezvous_bundle))
    return file


def executables():
    text = (SOURCES / "swarmhold_nodes/setup.py").read_text()
    return set(re.findall(r'"(\w+) = swarmhold_nodes', text))


def test_a_fleet_file_becomes_nodes_with_parameters_that_they_take(monkeypatch, fleet_file):
    told = {"fleet": str(fleet_file), "faults": "true", "record": "flight"}
    nodes, environment = team(monkeypatch, **told)
    assert environment == {"ROS_DOMAIN_ID": "31"}
    assert sorted(node.executable for node in nodes) == [
        *("fault_node", "policy_node", "policy_node", "recorder"),
        *("supervisor_node", "supervisor_node", "world_node"),
    ]
    for node in nodes:
        assert node.package == "swarmhold_nodes" and node.executable in executables()
        if node.executable in KINDS:
            checked(getattr(parameters, KINDS[node.executable]), node.parameters[0])
    alpha, bravo = (node for node in nodes if node.executable == "policy_node")
    assert (alpha.namespace, bravo.namespace) == ("robot_0", "robot_1")
    assert alpha.parameters[0]["entities"] == "nearest" and alpha.parameters[0]["allow_faults"]
    assert not bravo.parameters[0]["reweight"]
    assert {node.name for node in nodes if node.executable == "supervisor_node"} == {
        *(None, "supervisor_1"),
    }
    world = next(node for node in nodes if node.executable == "world_node").parameters[0]
    assert (world["scenario"], world["seed"]) == ("rendezvous", 5)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("base", ["policy_node", "supervisor_node", "world_node"]),
        ("pi", ["policy_node", "supervisor_node"]),
    ],
)
def test_every_host_starts_its_own(monkeypatch, fleet_file, host, names):
    nodes, _ = team(monkeypatch, fleet=str(fleet_file), host=host)
    assert sorted(node.executable for node in nodes) == names
    real, _ = team(monkeypatch, fleet=str(fleet_file), host=host, world="false")
    assert sorted(node.executable for node in real) == [n for n in names if n != "world_node"]


def test_drivers_stand_for_robots_with_links_each_on_its_host(monkeypatch, fleet_file):
    text = fleet_file.read_text()
    for name in ("alpha", "bravo"):
        link = f"crazyflie:radio://0/80/2M/{name}"
        text = text.replace(f"name: {name},", f'name: {name}, link: "{link}",')
    fleet_file.write_text(text)
    nodes, _ = team(monkeypatch, fleet=str(fleet_file), arm="true")
    drivers = {node.name: node.parameters[0] for node in nodes if node.executable == "driver_node"}
    assert {name: told["links"] for name, told in drivers.items()} == {
        "drivers_0": "0=crazyflie:radio://0/80/2M/alpha",
        "drivers_1": "1=crazyflie:radio://0/80/2M/bravo",
    }
    assert all(told["arm"] and not told["hardware"] for told in drivers.values())
    ground = [node.executable for node in nodes if node.executable in ("world_node", "field_node")]
    assert ground == ["field_node"]
    for node in nodes:
        if node.executable in KINDS:
            checked(getattr(parameters, KINDS[node.executable]), node.parameters[0])
    here, _ = team(monkeypatch, fleet=str(fleet_file), host="pi")
    told = next(node.parameters[0] for node in here if node.executable == "driver_node")
    assert told["links"].startswith("0=") and not told["arm"]


def test_faults_need_a_token_and_of_real_robots_the_operators(monkeypatch, fleet_file, tmp_path):
    text, shown = fleet_file.read_text(), tmp_path / "shown"
    nodes, _ = team(monkeypatch, fleet=str(fleet_file))
    assert "fault_node" not in [node.executable for node in nodes]
    world = next(node for node in nodes if node.executable == "world_node").parameters[0]
    assert not world["allow_faults"]
    real = {"fleet": str(fleet_file), "faults": "true", "hardware": "true"}
    with pytest.raises(ConfigError, match="the operator's token"):
        team(monkeypatch, **real)
    nodes, _ = team(monkeypatch, **real, faults_token=str(shown))
    orders = next(node for node in nodes if node.executable == "fault_node")
    assert orders.parameters == [{"faults_token": str(shown)}]
    fleet_file.write_text(text.replace("faults_token: token\n", ""))
    with pytest.raises(ConfigError, match="swarmhold faults token"):
        team(monkeypatch, fleet=str(fleet_file))


def test_without_a_fleet_file(monkeypatch, tmp_path, rendezvous_bundle):
    nodes, environment = team(monkeypatch, bundle=str(rendezvous_bundle), robots="3")
    assert len(nodes) == 5 and not environment


def test_with_a_keystore_every_node_has_its_enclave_or_nothing_starts(monkeypatch, fleet_file):
    fleet = load_fleet(fleet_file)
    make_keystore(fleet_file.parent / "keys", fleet.access, 31, 30)
    fleet_file.write_text(fleet_file.read_text() + "security: keys\n")
    where = "swarmhold.hardware.security.middleware.can_secure"
    monkeypatch.setattr(where, lambda: False)
    with pytest.raises(MissingExtraError, match="without DDS security"):
        team(monkeypatch, fleet=str(fleet_file))
    monkeypatch.setattr(where, lambda: True)
    nodes, environment = team(monkeypatch, fleet=str(fleet_file), faults="true")
    assert environment["ROS_SECURITY_STRATEGY"] == "Enforce"
    enclaves = {node.ros_arguments[1] for node in nodes}
    assert enclaves == set(fleet.access) - {"/operator", "/recorder"}


def test_a_robots_launch_file_has_an_argument_for_every_parameter(monkeypatch):
    stand_in(monkeypatch)
    *arguments, node = loaded("robot")
    fields = PolicyParameters.model_fields
    assert {argument.name for argument in arguments} == set(fields) == set(node.parameters[0])
    for argument in arguments:
        assert argument.description == fields[argument.name].description
        assert hasattr(argument, "default_value") != fields[argument.name].is_required()
    kinds = {name: given.value_type for name, given in node.parameters[0].items()}
    assert kinds["robot"] is int and kinds["reweight"] is bool and kinds["entities"] is str


@pytest.mark.skipif(importlib.util.find_spec("launch") is None, reason="launch is not installed")
@pytest.mark.parametrize("name", ["team", "robot"])
def test_launch_itself_loads_them(name):
    assert len(loaded(name).entities) > 5


@pytest.mark.system
def test_fly_starts_what_launch_starts(tmp_path, rendezvous_bundle):
    """One fleet file, the same parameters on either way."""
    signed, file = tmp_path / "bundle", tmp_path / "fleet.yaml"
    signed.mkdir()
    for source in rendezvous_bundle.iterdir():
        (signed / source.name).write_bytes(source.read_bytes())
    new_key(tmp_path / "lab.pem")
    sign_bundle(signed, load_private(tmp_path / "lab.pem"))
    write_token(tmp_path / "token")
    file.write_text(
        "faults_token: token\nbundle: bundle\nkeys: [lab.pub.pem]\nseed: 5\n"
        "supervisors: [localhost, localhost]\n"
        "all: {allow_faults: true}\ntypes: {near: {entities: nearest, reweight: false}}\n"
        "robots: [{name: a}, {name: b, type: near}]\n"
    )
    fleet = load_fleet(file)
    planned = plan(fleet, open_bundle(signed).manifest, True, str(tmp_path / "f/mcap"))
    with Fleet(fleet_config(FlyArgs(fleet=file), tmp_path / "f", True)) as flying:
        lines = [
            Path(f"/proc/{child.pid}/cmdline").read_text().split("\0")
            for child in flying.children.values()
        ]
    started = {}
    for words in lines:
        told = dict(word.split(":=", 1) for word in words if ":=" in word)
        space = told.pop("__ns", "").lstrip("/")
        name = told.pop("__node", None)
        module = next(word for word in words if word.startswith("swarmhold_nodes."))
        started[module.split(".")[1], space, name] = told
    for node in planned:
        told = started.pop((node.executable, node.namespace, node.name))
        asked = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in node.parameters.items()
        }
        more = {"recorder": {"around_s": "0"}, "world_node": {"spares": "0"}}
        assert told == {**asked, **more.get(node.executable, {})}
    assert not started
