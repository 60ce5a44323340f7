"""The policy node of one robot, for the robot's own computer.

ros2 launch swarmhold_bringup robot.launch.py robot:=2 team_size:=4 bundle:=/path/to/bundle
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description():
    """One node in the robot's namespace."""
    robot = LaunchConfiguration("robot")
    number = ParameterValue(robot, value_type=int)
    size = ParameterValue(LaunchConfiguration("team_size"), value_type=int)
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", description="roster index"),
            DeclareLaunchArgument("team_size", description="robots in the team"),
            DeclareLaunchArgument("bundle", description="policy bundle"),
            DeclareLaunchArgument("keys", default_value="", description="public keys to pin"),
            Node(
                package="swarmhold_nodes",
                executable="policy_node",
                namespace=PythonExpression(["'robot_' + '", robot, "'"]),
                parameters=[
                    {
                        "bundle": LaunchConfiguration("bundle"),
                        "keys": LaunchConfiguration("keys"),
                        "robot": number,
                        "team_size": size,
                    }
                ],
            ),
        ]
    )
