"""Values of the contract from messages, whoever decoded them: rclpy, or rosbags from a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import HealthTable, RobotState, SensorFrame, Task


def seconds_of(stamp: Any) -> float:
    """Seconds from a time message."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def read_state(msg: Any) -> RobotState:
    """State message."""
    return RobotState(
        robot=msg.robot,
        recipient=msg.recipient,
        boot_id=msg.boot_id,
        seq=msg.seq,
        control_seq=msg.control_seq,
        stamp=seconds_of(msg.header.stamp),
        position=_triple(msg.position),
        velocity=_triple(msg.velocity),
        yaw=msg.yaw,
        yaw_rate=msg.yaw_rate,
        battery=msg.battery,
        mode=msg.mode,
        bundle=msg.bundle,
        accusations=np.asarray(msg.accusations, "<u2").tobytes(),
    )


def read_frame(msg: Any) -> SensorFrame:
    """Sensor frame."""
    return SensorFrame(
        stamp=seconds_of(msg.header.stamp),
        position=_triple(msg.position),
        velocity=_triple(msg.velocity),
        yaw=msg.yaw,
        yaw_rate=msg.yaw_rate,
        battery=msg.battery,
        sighted=tuple(msg.sighted),
        sightings=_triples(msg.sightings),
        bodies=_triples(msg.bodies),
    )


def read_table(msg: Any) -> HealthTable:
    """Health table."""
    return HealthTable(
        stamp=seconds_of(msg.header.stamp),
        term=msg.term,
        seq=msg.seq,
        issuer=msg.issuer,
        lease_s=msg.lease_s,
        weights=tuple(msg.weights),
        states=tuple(msg.states),
        reasons=tuple(msg.reasons),
    )


def read_task(msg: Any) -> Task:
    """Task."""
    return Task(
        *(_triples(msg.landmarks), _triple(msg.home), float(msg.half_width)),
        *(tuple(msg.owners), _triples(msg.posts)),
    )


def read_fault(msg: Any) -> FaultSpec:
    """Fault command; raises `ConfigError` if it makes no sense."""
    return FaultSpec(
        msg.kind, msg.robot, duration_s=msg.duration_s, severity=msg.severity, seed=msg.seed
    )


def _triple(values: Any) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _triples(values: Any) -> tuple[tuple[float, float, float], ...]:
    one = iter(values.tolist() if hasattr(values, "tolist") else map(float, values))
    return tuple(zip(one, one, one, strict=False))  # what is left over is dropped
