"""Between the contract's values and ROS messages. Floats travel as `array.array`, never lists."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Time
from swarmhold_msgs import msg as ros

from swarmhold.hardware.injection.gate import Order
from swarmhold.hardware.messages import (
    HealthTable,
    PolicyStatus,
    RobotState,
    SensorFrame,
    Task,
)


def stamp_of(seconds: float) -> Time:
    """A time message from seconds; the nearest one there is."""
    seconds = min(max(seconds, -(2.0**31)), 2.0**31 - 1.0)
    whole = math.floor(seconds)
    return Time(sec=whole, nanosec=min(int((seconds - whole) * 1e9), 999_999_999))


def floats(values: Iterable[float]) -> array[float]:
    """Single-precision array, as messages take it without a copy per value."""
    return array("f", values)


def doubles(values: Iterable[float]) -> array[float]:
    """Double-precision array."""
    return array("d", values)


def _bytes(values: Iterable[int]) -> array[int]:
    return array("B", values)


def state_to_ros(state: RobotState) -> ros.RobotState:
    """State message."""
    out = ros.RobotState()
    out.header.stamp = stamp_of(state.stamp)
    out.header.frame_id = "world"
    out.robot, out.recipient, out.boot_id = state.robot, state.recipient, state.boot_id
    out.seq, out.control_seq = state.seq, state.control_seq
    out.position = np.asarray(state.position, np.float64)
    out.velocity = np.asarray(state.velocity, np.float32)
    out.yaw, out.yaw_rate, out.battery = state.yaw, state.yaw_rate, state.battery
    out.mode, out.bundle = state.mode, state.bundle
    out.accusations = array("H", np.frombuffer(state.accusations, "<u2").tolist())
    return out


def frame_to_ros(frame: SensorFrame) -> ros.SensorFrame:
    """Sensor frame."""
    out = ros.SensorFrame()
    out.header.stamp = stamp_of(frame.stamp)
    out.header.frame_id = "world"
    out.position = np.asarray(frame.position, np.float64)
    out.velocity = np.asarray(frame.velocity, np.float32)
    out.yaw, out.yaw_rate, out.battery = frame.yaw, frame.yaw_rate, frame.battery
    out.sighted = _bytes(frame.sighted)
    out.sightings = floats(value for point in frame.sightings for value in point)
    out.bodies = floats(value for point in frame.bodies for value in point)
    out.stopped = frame.stopped
    return out


def status_to_ros(status: PolicyStatus) -> ros.PolicyStatus:
    """Status of one tick."""
    out = ros.PolicyStatus()
    out.header.stamp = stamp_of(status.stamp)
    out.robot = status.robot
    out.weights, out.attention = floats(status.weights), floats(status.attention)
    out.states = _bytes(status.states)
    out.source, out.mode, out.missed = status.source, status.mode, status.missed
    out.period_s, out.inference_s = status.period_s, status.inference_s
    out.limited = status.limited
    return out


def table_to_ros(table: HealthTable) -> ros.HealthTable:
    """Health table."""
    out = ros.HealthTable()
    out.header.stamp = stamp_of(table.stamp)
    out.term, out.seq, out.issuer, out.lease_s = table.term, table.seq, table.issuer, table.lease_s
    out.weights = floats(table.weights)
    out.states, out.reasons = _bytes(table.states), array("H", table.reasons)
    return out


def task_to_ros(task: Task, scenario: str) -> ros.Task:
    """Task."""
    out = ros.Task()
    out.scenario = scenario
    out.landmarks = doubles(value for mark in task.landmarks for value in mark)
    out.owners = array("b", task.owners)
    out.posts = doubles(value for post in task.posts for value in post)
    out.home = np.asarray(task.home, np.float64)
    out.half_width = float(task.half_width)
    return out


def order_to_ros(order: Order) -> ros.FaultCommand:
    """Fault command; its signature takes the place of a frame, which a fault has none of."""
    out, fault = ros.FaultCommand(), order.fault
    sec, nanosec = divmod(order.stamp_ns, 10**9)
    out.header.stamp, out.header.frame_id = Time(sec=sec, nanosec=nanosec), order.signature
    out.kind, out.robot, out.seed = fault.kind, fault.robot, fault.seed
    out.duration_s, out.severity = float(fault.duration_s), float(fault.severity)
    return out
