"""Values of the contract from messages, whoever decoded them: rclpy, or rosbags from a file.

Anybody on the network may have sent them. What contradicts itself raises `MessageError`; single
numbers that are not finite or beyond reach become NaN, which everything behind here expects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.injection.gate import Order
from swarmhold.hardware.messages import (
    HealthTable,
    PolicyStatus,
    RobotState,
    SensorFrame,
    Task,
)
from swarmhold.hardware.types import REACH

Triple = tuple[float, float, float]


def seconds_of(stamp: Any) -> float:
    """Seconds from a time message."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def read_state(msg: Any, sender: int | None = None) -> RobotState:
    """State message.

    Args:
        msg: the message.
        sender: robot on whose topic it came; None: any.

    Raises:
        MessageError: it speaks of another robot than its topic does.
    """
    if sender not in (None, msg.robot):
        raise MessageError(f"on the topic of robot {sender}, of robot {msg.robot}")
    return RobotState(
        robot=msg.robot,
        recipient=msg.recipient,
        boot_id=msg.boot_id,
        seq=msg.seq,
        control_seq=msg.control_seq,
        stamp=seconds_of(msg.header.stamp),
        position=_triple(msg.position),
        velocity=_triple(msg.velocity),
        yaw=_within(msg.yaw),
        yaw_rate=_within(msg.yaw_rate),
        battery=msg.battery,
        mode=msg.mode,
        bundle=msg.bundle,
        accusations=np.asarray(msg.accusations, "<u2").tobytes(),
    )


def read_frame(msg: Any) -> SensorFrame:
    """Sensor frame; bodies of which it is not known where they are, are left out.

    Raises:
        MessageError: sightings do not pair up with who is sighted.
    """
    sightings = _triples(msg.sightings, "sightings")
    if len(sightings) != len(msg.sighted):
        raise MessageError(f"{len(sightings)} sightings of {len(msg.sighted)} robots")
    bodies = _triples(msg.bodies, "bodies")
    return SensorFrame(
        stamp=seconds_of(msg.header.stamp),
        position=_triple(msg.position),
        velocity=_triple(msg.velocity),
        yaw=_within(msg.yaw),
        yaw_rate=_within(msg.yaw_rate),
        battery=msg.battery,
        sighted=tuple(msg.sighted),
        sightings=sightings,
        bodies=tuple(body for body in bodies if math.isfinite(sum(body))),
        stopped=msg.stopped,
    )


def read_status(msg: Any, sender: int | None = None) -> PolicyStatus:
    """Status of one tick; a weight or share that is none is 0.

    Args:
        msg: the message.
        sender: robot on whose topic it came; None: any.

    Raises:
        MessageError: it speaks of another robot than its topic does, or of several team sizes.
    """
    if sender not in (None, msg.robot):
        raise MessageError(f"on the topic of robot {sender}, of robot {msg.robot}")
    n = len(msg.weights)
    if len(msg.states) != n or len(msg.attention) not in (0, n) or msg.robot >= n:
        raise MessageError(f"weights of {n} robots, states of {len(msg.states)}")
    weights, attention = (
        np.clip(np.nan_to_num(np.asarray(values, float), nan=0.0), 0.0, 1.0)
        for values in (msg.weights, msg.attention)
    )
    return PolicyStatus(
        robot=msg.robot,
        stamp=seconds_of(msg.header.stamp),
        weights=tuple(weights.tolist()),
        attention=tuple(attention.tolist()),
        states=tuple(msg.states),
        source=msg.source,
        mode=msg.mode,
        period_s=_within(msg.period_s),
        inference_s=_within(msg.inference_s),
        missed=msg.missed,
        limited=msg.limited,
    )


def read_table(msg: Any) -> HealthTable:
    """Health table; a weight that is none is 0.

    Raises:
        MessageError: it does not say the same things of the same number of robots.
    """
    counts = {len(msg.weights), len(msg.states), len(msg.reasons)}
    if len(counts) > 1:
        raise MessageError(f"weights, states and reasons of {sorted(counts)} robots")
    weights = np.clip(np.nan_to_num(np.asarray(msg.weights, float), nan=0.0), 0.0, 1.0)
    return HealthTable(
        stamp=seconds_of(msg.header.stamp),
        term=msg.term,
        seq=msg.seq,
        issuer=msg.issuer,
        lease_s=msg.lease_s,
        weights=tuple(weights.tolist()),
        states=tuple(msg.states),
        reasons=tuple(msg.reasons),
    )


def read_task(msg: Any) -> Task:
    """Task.

    Raises:
        MessageError: a place is nowhere, the fence has no inside, or landmarks have other owners.
    """
    landmarks, posts = _triples(msg.landmarks, "landmarks"), _triples(msg.posts, "posts")
    home, half_width = _triple(msg.home), _within(float(msg.half_width))
    owners = tuple(msg.owners)
    if len(owners) not in (0, len(landmarks)):
        raise MessageError(f"{len(owners)} owners of {len(landmarks)} landmarks")
    if not (np.isfinite([home, *landmarks, *posts]).all() and half_width > 0.0):
        raise MessageError("numbers that are not finite, or no room within the fence")
    if any(radius < 0.0 for *_, radius in posts):
        raise MessageError("a post with a radius below 0")
    return Task(landmarks, home, half_width, owners, posts)


def read_reality(msg: Any) -> dict[str, str]:
    """Who says in `/diagnostics` whether its bodies are real, and what: a `Reality`, or several."""
    return {
        str(status.name): str(pair.value)
        for status in msg.status
        for pair in status.values
        if pair.key == "reality"
    }


def read_refusals(msg: Any) -> dict[str, int]:
    """Who says in `/diagnostics` that it refused orders to break something, and how many so far."""
    return {
        str(status.hardware_id): int(pair.value)
        for status in msg.status
        for pair in status.values
        if pair.key == "faults_refused" and pair.value.isdecimal() and len(pair.value) < 10
    }


def read_order(msg: Any) -> Order:
    """Fault command with its signature; raises `ConfigError` if it makes no sense."""
    stamp = msg.header.stamp
    return Order(read_fault(msg), stamp.sec * 10**9 + stamp.nanosec, msg.header.frame_id)


def read_fault(msg: Any) -> FaultSpec:
    """Fault command; raises `ConfigError` if it makes no sense."""
    return FaultSpec(
        msg.kind, msg.robot, duration_s=msg.duration_s, severity=msg.severity, seed=msg.seed
    )


def _within(value: float) -> float:
    """The same, or NaN for what cannot be."""
    return value if abs(value) < REACH else float("nan")


def _triple(values: Any) -> Triple:
    x, y, z = values
    return _within(float(x)), _within(float(y)), _within(float(z))


def _triples(values: Any, name: str) -> tuple[Triple, ...]:
    if len(values) % 3:
        raise MessageError(f"{len(values)} numbers of {name}, which come in threes")
    numbers = np.array(values, float)
    numbers[~(np.abs(numbers) < REACH)] = np.nan
    return tuple((x, y, z) for x, y, z in numbers.reshape(-1, 3).tolist())
