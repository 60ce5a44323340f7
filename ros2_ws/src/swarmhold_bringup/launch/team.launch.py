"""A whole team on one host: world, supervisor and one policy node per robot.

ros2 launch swarmhold_bringup team.launch.py bundle:=/path/to/bundle robots:=4
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def team(context):
    """Nodes for as many robots as asked for."""
    bundle = LaunchConfiguration("bundle").perform(context)
    robots = int(LaunchConfiguration("robots").perform(context))
    scenario = LaunchConfiguration("scenario").perform(context)
    robot = LaunchConfiguration("robot").perform(context)
    keys = LaunchConfiguration("keys").perform(context)
    common = {"bundle": bundle, "keys": keys, "team_size": robots}
    world = {"scenario": scenario, "robot": robot, "team_size": robots}
    nodes = [
        Node(package="swarmhold_nodes", executable="world_node", parameters=[world]),
        Node(package="swarmhold_nodes", executable="supervisor_node", parameters=[common]),
    ]
    nodes += [
        Node(
            package="swarmhold_nodes",
            executable="policy_node",
            namespace=f"robot_{index}",
            parameters=[{**common, "robot": index}],
        )
        for index in range(robots)
    ]
    return nodes


def generate_launch_description():
    """Arguments, then the nodes."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bundle", description="policy bundle"),
            DeclareLaunchArgument("keys", default_value="", description="public keys to pin"),
            DeclareLaunchArgument("robots", default_value="4"),
            DeclareLaunchArgument("scenario", default_value="rendezvous"),
            DeclareLaunchArgument("robot", default_value="epuck"),
            OpaqueFunction(function=team),
        ]
    )
