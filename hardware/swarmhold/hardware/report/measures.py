"""Figures of a flight: pure functions over `Flight`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.report.flight import Flight
from swarmhold.hardware.task_error import coverage_error, rendezvous_error
from swarmhold.hardware.types import Bool, Float

KNOWN = 0.5  # a fault is known to a robot once it gives less than this weight
CENSOR_S = 10.0  # a fault not known after this long counts as missed
TAIL_S = 5.0  # the task error of a flight is averaged over its end
SIGNALLED = ("crash", "freeze")
SETTLE_S = 15.0  # after a fault has ended, the weights may take this long to rise again


@dataclass(frozen=True, slots=True)
class Detection:
    """How long one healthy robot took to know of one fault.

    Attributes:
        kind: of the fault.
        robot: that failed.
        observer: that noticed.
        delay_s: infinite if it did not notice in time.
    """

    kind: str
    robot: int
    observer: int
    delay_s: float


def detections(flight: Flight, kinds: tuple[str, ...] = SIGNALLED) -> list[Detection]:
    """Delays per (fault, healthy robot): onset to the first status with weight below 1/2.

    Faults of a robot that had failed before count too; observers that are themselves faulty
    between onset and censoring do not.
    """
    out = []
    for fault in flight.faults:
        if fault.kind not in kinds:
            continue
        for observer in range(flight.n):
            if observer == fault.robot or _breaks(flight, observer, fault.start):
                continue
            log = flight.robots[observer]
            until = fault.start + CENSOR_S
            window = (log.t >= fault.start) & (log.t <= min(until, flight.duration))
            known = window & (log.weights[:, fault.robot] < KNOWN)
            at = float(log.t[known][0]) if known.any() else float("inf")
            out.append(Detection(fault.kind, fault.robot, observer, at - fault.start))
    return out


def _breaks(flight: Flight, robot: int, start: float) -> bool:
    return any(
        fault.robot == robot and fault.start < start + CENSOR_S and fault.end > start - SETTLE_S
        for fault in flight.faults
    )


def false_alarms(flight: Flight) -> tuple[int, float]:
    """Unjust down-weighting, and the robot-hours in which it could have happened.

    One alarm is one robot that starts to give another less than half weight, neither of which
    has ever failed in this flight: robots that have failed are on probation, by design the
    longer the more often they did.
    """
    alarms, seconds = 0, 0.0
    for robot in range(flight.n):
        log = flight.robots[robot]
        clean = np.ones((len(log.t), flight.n), bool)
        for fault in flight.faults:
            clean[:, fault.robot] &= log.t < fault.start
        seconds += float(np.minimum(log.period, 0.5)[clean[:, robot]].sum())
        for other in range(flight.n):
            if other == robot:
                continue
            low = (log.weights[:, other] < KNOWN) & clean[:, other] & clean[:, robot]
            alarms += int((low[1:] & ~low[:-1]).sum() + low[:1].sum())
    return alarms, seconds / 3600.0


def _clean(flight: Flight, times: Float) -> Bool:
    """(K, N) neither faulty nor settling."""
    out = np.ones((len(times), flight.n), bool)
    for fault in flight.faults:
        out[:, fault.robot] &= ~((times >= fault.start) & (times < fault.end + SETTLE_S))
    return out


def error_curve(flight: Flight) -> Float:
    """(T) m, task error over the robots on which no fault acts at the time.

    Of scenarios whose landmarks move, what the world said, over the robots that acted.
    """
    if flight.info["scenario"] not in ("rendezvous", "coverage"):
        return flight.error
    healthy = ~flight.faulty_at(flight.t)
    if flight.info["scenario"] == "rendezvous":
        return rendezvous_error(flight.position, healthy)
    steps = len(flight.t)
    marks = np.broadcast_to(flight.landmarks, (steps, *flight.landmarks.shape))
    mask = np.ones(marks.shape[:2], bool)
    return coverage_error(
        flight.position, healthy, marks[..., :2], marks[..., 2], mask, 2 * flight.half_width
    )


def final_error(flight: Flight) -> float:
    """m, mean task error over the last seconds."""
    curve = error_curve(flight)
    return float(curve[flight.t >= flight.t[-1] - TAIL_S].mean())


def loop_figures(flights: list[Flight]) -> dict[str, Any]:
    """Loop period, missed ticks and inference time of all robots while nothing broke them."""
    periods, inference = [], []
    missed = ticks = 0.0
    for flight in flights:
        for robot, log in enumerate(flight.robots):
            clean = _clean(flight, log.t)[:, robot]
            periods.append(log.period[clean & (log.period > 0)])
            inference.append(log.inference[clean & (log.inference > 0)])
            steps = np.maximum(np.diff(log.missed, prepend=log.missed[:1]), 0.0)
            missed += float(steps[clean].sum())
            ticks += int(clean.sum())
    return {
        "loop_period_s": quantiles(np.concatenate(periods), (50, 99)),
        "missed_tick_share": missed / max(ticks + missed, 1.0),
        "inference_s": quantiles(np.concatenate(inference), (50, 99)),
    }


def quantiles(values: Float, which: tuple[int, ...]) -> dict[str, float | None]:
    """Percentiles by name; None where there is nothing to measure or a value is missing."""
    if not len(values):
        return {f"p{q}": None for q in which}
    ranked = np.sort(values)
    # The next measured value at or above the quantile: a missed event is never averaged away.
    found = {q: ranked[int(np.ceil(q / 100 * (len(ranked) - 1)))] for q in which}
    return {f"p{q}": float(v) if np.isfinite(v) else None for q, v in found.items()}


def attention_at(flight: Flight, time: float, width: float = 1.0) -> Float:
    """(N, N) attention of each robot (row), averaged over `width` s before `time`.

    Rows of robots that said nothing then are NaN; the diagonal holds the null token's share.
    """
    out = np.full((flight.n, flight.n), np.nan)
    for robot, log in enumerate(flight.robots):
        window = (log.t > time - width) & (log.t <= time) & np.isfinite(log.attention[:, 0])
        if window.any():
            out[robot] = log.attention[window].mean(axis=0)
    return out


def seen_weight(flight: Flight, times: Float) -> Float:
    """(T, N) mean weight from the others; who is broken or has just come back is not asked."""
    clean = _clean(flight, times)
    total, count = np.zeros((len(times), flight.n)), np.zeros((len(times), flight.n))
    for robot, log in enumerate(flight.robots):
        if not len(log.t):
            continue  # it was never there
        index = np.clip(np.searchsorted(log.t, times, side="right") - 1, 0, len(log.t) - 1)
        alive = clean[:, robot] & (np.abs(times - log.t[index]) < 1.0)
        counts = np.repeat(alive[:, None], flight.n, axis=1)
        counts[:, robot] = False
        total += np.where(counts, log.weights[index], 0.0)
        count += counts
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def summary(nominal: Flight | None, helped: Flight, alone: Flight | None) -> dict[str, Any]:
    """The figures for programs; see `swarmhold demo --json`."""
    found = detections(helped)
    delays = np.array([d.delay_s for d in found])
    flights = [flight for flight in (nominal, helped, alone) if flight is not None]
    alarm_flights = [flight for flight in (nominal, helped) if flight is not None]
    alarms = [false_alarms(flight) for flight in alarm_flights]
    return {
        "detection_delay_s": {
            **quantiles(delays, (50, 95)),
            "n": len(delays),
            "missed": int(np.isinf(delays).sum()),
        },
        "false_alarms": sum(count for count, _ in alarms),
        "false_alarm_robot_hours": sum(hours for _, hours in alarms),
        "task_error": {
            "nominal": final_error(nominal) if nominal else None,
            "with_supervisor": final_error(helped),
            "without_supervisor": final_error(alone) if alone else None,
        },
        **loop_figures(flights),
    }
