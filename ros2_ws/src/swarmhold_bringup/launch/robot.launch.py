"""The policy node of one robot, for the robot's own computer; an argument for every parameter.

ros2 launch swarmhold_bringup robot.launch.py robot:=2 team_size:=4 bundle:=/path/to/bundle
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from swarmhold.hardware.parameters import PolicyParameters, choices_of

FIELDS = PolicyParameters.model_fields


def argument(name, field):
    """A launch argument with the parameter's description, and its default if it has one."""
    default = {} if field.is_required() else {"default_value": str(field.default).lower()}
    return DeclareLaunchArgument(name, description=field.description, **default)


def value(name, field):
    """What was given, as the type that the parameter has."""
    kind = str if choices_of(field) else field.annotation
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def generate_launch_description():
    """One node in the robot's namespace."""
    return LaunchDescription(
        [
            *(argument(name, field) for name, field in FIELDS.items()),
            Node(
                package="swarmhold_nodes",
                executable="policy_node",
                namespace=PythonExpression(["'robot_' + '", LaunchConfiguration("robot"), "'"]),
                parameters=[{name: value(name, field) for name, field in FIELDS.items()}],
                output="screen",
            ),
        ]
    )
