"""A flown plan from its recording: what was really injected, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.report.flight import Fault, read_flight
from swarmhold.hardware.report.recording import events_of
from swarmhold.hardware.report.trace import Heard, Trace, trace_of

LATEST_S = 2.0  # s between the time of the plan and that of the injection


@dataclass(frozen=True, slots=True)
class Recorded:
    """A flight of a plan; times in s after the plan began.

    Attributes:
        trace: from there on.
        faults: those of the plan, with the onsets that they really had.
        answers: by index, what became of those that nobody did: "unsupported", "not injected".
        aborted: why the plan ended early; "" if it did not.
    """

    trace: Trace
    faults: tuple[FaultSpec, ...]
    answers: dict[int, str]
    aborted: str


def recorded(folder: Path, planned: Sequence[FaultSpec]) -> Recorded:
    """Read a flight of a plan.

    Args:
        folder: of the flight.
        planned: faults of the plan; none in a flight without.

    Raises:
        ConfigError: no plan was flown there, or the recording is missing or damaged.
    """
    lines = events_of(folder)
    begun = next((line["t"] for line in lines if line["event"] == "plan"), None)
    started = next((line["t"] for line in lines if line["event"] == "started"), None)
    if begun is None or started is None:
        raise ConfigError(f"{folder}: no fault plan was flown there")
    ended = next((line for line in lines if line["event"] == "aborted"), None)
    offset = float(begun) - float(started)
    flight = read_flight(folder)
    done = [_shifted(fault, offset) for fault in flight.faults]
    faults, answers = [], {}
    for index, fault in enumerate(planned):
        at = _injected(fault, done)
        if at is None:
            late = ended is not None and fault.start_s > float(ended["t"]) - float(begun)
            answers[index] = "not injected" if late else "unsupported"
        faults.append(fault if at is None else replace(fault, start_s=round(at, 3)))
    reason = "" if ended is None else str(ended.get("reason", "aborted"))
    return Recorded(
        _since(trace_of(flight, float(started)), offset), tuple(faults), answers, reason
    )


def _shifted(fault: Fault, offset: float) -> Fault:
    return replace(fault, start=fault.start - offset, end=fault.end - offset)


def _injected(fault: FaultSpec, done: Sequence[Fault]) -> float | None:
    """S at which it was; None: nobody says so."""
    kind = "crash" if fault.kind == "reboot" else fault.kind  # a reboot is a kill and a new start
    near = [
        other.start
        for other in done
        if (other.kind, other.robot) == (kind, fault.robot)
        and abs(other.start - fault.start_s) < LATEST_S
    ]
    return max(min(near, key=lambda start: abs(start - fault.start_s)), 0.0) if near else None


def _since(trace: Trace, offset: float) -> Trace:
    """The same from a later time on, which is its 0."""
    kept, told = trace.t >= offset, trace.table_t >= offset
    return replace(
        trace,
        t=trace.t[kept] - offset,
        position=trace.position[kept],
        touched=trace.touched[kept],
        error=trace.error[kept],
        table_t=trace.table_t[told] - offset,
        states=trace.states[told],
        heard=tuple(_later(heard, offset) for heard in trace.heard),
    )


def _later(heard: Heard, offset: float) -> Heard:
    kept = heard.t >= offset
    parts = {name: getattr(heard, name)[kept] for name in Heard.__slots__}
    return Heard(**{**parts, "t": np.asarray(parts["t"] - offset)})
