"""A team of a fleet file on this host, or a simple one: robots, supervisors, world.

ros2 launch swarmhold_bringup team.launch.py fleet:=fleet.yaml
ros2 launch swarmhold_bringup team.launch.py fleet:=fleet.yaml host:=pi world:=false
ros2 launch swarmhold_bringup team.launch.py bundle:=rendezvous-epuck robots:=4
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.fleet.file import FleetFile, load_fleet
from swarmhold.hardware.fleet.plan import plan
from swarmhold.hardware.security.middleware import secured
from swarmhold.hardware.signing import load_public

ARGUMENTS = {
    "fleet": ("", "fleet file; it says everything but host, world, faults and record"),
    "bundle": ("", "policy bundle, without a fleet file"),
    "robots": ("4", "team size, without a fleet file"),
    "host": ("", "start what the fleet file has on this host; empty: everything"),
    "world": ("true", "start the simulated world; false: drivers pose as the robots"),
    "arm": ("false", "arm robots that have links; without, nothing of them moves"),
    "hardware": ("false", "let links lead to real robots"),
    "faults": ("false", "let robots that allow it be broken"),
    "faults_token": ("", "file with the operator's token, for faults of real robots"),
    "record": ("", "new folder to record to; empty: no recording"),
}


def fleet_of(told):
    """The fleet file, or one for what is said without."""
    if told["fleet"]:
        return load_fleet(Path(told["fleet"]))
    robots = [{"name": f"robot_{index}"} for index in range(int(told["robots"]))]
    return FleetFile.model_validate({"bundle": told["bundle"], "robots": robots})


def team(context):
    """What belongs to this host, in an environment that suits the file."""
    told = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    fleet = fleet_of(told)
    manifest = open_bundle(fleet.bundle, load_public(fleet.keys)).manifest
    environment = {} if fleet.domain is None else {"ROS_DOMAIN_ID": str(fleet.domain)}
    if fleet.security:
        here = {name: allowed for name, allowed in fleet.access.items() if name != "/operator"}
        environment.update(secured(fleet.security, here))
    nodes = [
        node
        for node in plan(
            fleet,
            manifest,
            told["faults"] == "true",
            told["record"],
            told["arm"] == "true",
            told["hardware"] == "true",
            Path(told["faults_token"]) if told["faults_token"] else None,
        )
        if told["host"] in ("", node.host)
        and (node.executable != "world_node" or told["world"] == "true")
    ]
    return [
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        *(
            Node(
                package="swarmhold_nodes",
                executable=node.executable,
                namespace=node.namespace,
                name=node.name,
                parameters=[node.parameters] if node.parameters else [],
                ros_arguments=["--enclave", node.enclave] if fleet.security else [],
                output="screen",
            )
            for node in nodes
        ),
    ]


def generate_launch_description():
    """Arguments, then the nodes."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in ARGUMENTS.items()
            ),
            OpaqueFunction(function=team),
        ]
    )
