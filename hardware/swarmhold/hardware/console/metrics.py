"""The team as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from swarmhold.hardware.console.picture import Picture

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_ROBOTS = {
    "age": ("swarmhold_robot_age_seconds", "since its last state message, when drawn", 1.0),
    "trust": ("swarmhold_robot_trust", "mean weight that the others give it", 1.0),
    "battery": ("swarmhold_robot_battery_ratio", "charge", 1.0),
    "period_ms": ("swarmhold_robot_loop_period_p99_seconds", "99th percentile of 5 s", 1e-3),
    "inference_ms": ("swarmhold_robot_inference_p99_seconds", "99th percentile of 5 s", 1e-3),
    "missed": ("swarmhold_robot_missed_ticks", "since its start", 1.0),
}


def exposition(picture: Picture | None, stop: dict[str, Any], telemetry_age: float | None) -> str:
    """All metrics.

    Args:
        picture: last one; None: none yet.
        stop: what `Source.stopped` says.
        telemetry_age: s since the last picture; None: none yet.
    """
    shown = float(picture is not None)
    lines = [*_metric("swarmhold_up", "whether the team is shown", [("", shown)])]
    if telemetry_age is not None:
        name = "swarmhold_telemetry_age_seconds"
        lines += _metric(name, "since the last picture", [("", telemetry_age)])
    given, confirmed = float(stop["given"]), float(len(stop["confirmed"]))
    lines += _metric("swarmhold_estop_given", "whether this console said stop", [("", given)])
    lines += _metric("swarmhold_estop_confirmed_robots", "who confirmed it", [("", confirmed)])
    if picture is None:
        return "\n".join(lines) + "\n"
    robots = picture["robots"]
    for key, (name, about, scale) in _OF_ROBOTS.items():
        values = [(f'robot="{r["id"]}"', r[key] * scale) for r in robots if r[key] is not None]
        lines += _metric(name, about, values)
    states = [(f'robot="{r["id"]}",state="{r["state"]}"', 1.0) for r in robots]
    lines += _metric("swarmhold_robot_state", "1 for the state it is in", states)
    return "\n".join(lines) + "\n"


def _metric(name: str, about: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for labels, value in values:
        yield f"{name}{'{' + labels + '}' if labels else ''} {value:g}"
