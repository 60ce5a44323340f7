"""ROS parameters of a node, declared from the class that says what it can be told."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.parameters import bounds_of, checked, choices_of

T = TypeVar("T", bound=BaseModel)
_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}


def declare(node: Node, kind: type[T]) -> T:
    """Declare every field of a class as a read-only parameter, and read them all.

    Raises:
        ConfigError: a value is wrong or missing; the message names the parameter.
    """
    values = {}
    for name, field in kind.model_fields.items():
        default = _type_of(field) if field.is_required() else field.default
        try:
            found = node.declare_parameter(name, default, _descriptor(field)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(f"parameter {name}: {' '.join(str(error).split())}") from error
        if found is not None:
            values[name] = found
    return checked(kind, values)


def _type_of(field: FieldInfo) -> Parameter.Type:
    return _TYPES[str if choices_of(field) else field.annotation]


def _descriptor(field: FieldInfo) -> ParameterDescriptor:
    out = ParameterDescriptor(description=field.description or "", read_only=True)
    bounds, words = bounds_of(field), choices_of(field)
    if bounds is not None:
        out.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1], step=1)]
    if words:
        out.additional_constraints = f"one of: {', '.join(words)}"
    return out
