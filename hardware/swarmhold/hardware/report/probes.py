"""Effect probes: whether a fault that was injected did anything, by what can be seen of it.

A fault that has no effect proves nothing about who found it or missed it. Each kind has a probe
of its own, over the trace of the flight; none looks at what the detectors made of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swarmhold.hardware.faults import FULL, FaultSpec
from swarmhold.hardware.report.trace import Heard, Trace
from swarmhold.hardware.types import Bool, Float

GAP_S = 0.25  # s without a message of a robot that is silent
BEFORE_S = 5.0  # s of the flight before a fault with which it is compared
WAY = 100  # points at which two ways are compared
APART_M = 0.02  # m, by which positions differ
RATE = 0.95  # share of the messages that still come in when some are lost
LATE_S = 0.1  # s, by which messages are later than before, or their clock is off
FULL_SPEED = 0.6  # share of the largest set-point that a team at work does not keep up
WORSE, LEAST_MPS = 1.5, 0.02  # by which a robot must depart from its set-points, times before, m/s
SUNK_M = 0.2  # by which a flier is lower than before
GAIN_LOST = 0.1  # share of its set-points that motion makes less of than before
MOST = 90  # percent of the messages that say no more than "the most"
ASKS = 0.05  # share of the largest set-point by which shares of it differ
LAG_S = 0.15  # s by which motion follows set-points
SPAN = 2  # ticks on either side, over which speeds are taken
DECIDES = 0.2  # share of decisions that are lacking
ASTRAY = 0.02  # share of the messages that come out of turn, beyond what was usual

Probe = Callable[[Trace, FaultSpec, float, float], bool]


def effect(trace: Trace, fault: FaultSpec, twin: Trace | None = None) -> str:
    """What a fault did: "applied", "no effect", or "healed by itself" before its end.

    Args:
        trace: flight in which it was injected.
        fault: as it was injected, onset in s of the flight.
        twin: the same flight without faults, equal up to the first onset; None: there is none.
    """
    end = min(fault.end_s, float(trace.t[-1]))
    middle = fault.start_s + 0.5 * (end - fault.start_s)
    whole = _acts(trace, fault, fault.start_s, end, twin)
    if not whole and not _acts(trace, fault, fault.start_s, middle, twin):
        return "no effect"
    later = _acts(trace, fault, middle, end, twin)
    lasting = later or fault.kind in _MOVES or fault.kind == "reboot"
    return "applied" if lasting else "healed by itself"


def _acts(trace: Trace, fault: FaultSpec, start: float, end: float, twin: Trace | None) -> bool:
    if fault.kind in _MOVES and twin is not None:
        return _strays(trace, twin, fault.robot, start, end)
    return PROBES[fault.kind](trace, fault, start, end)


def _strays(trace: Trace, twin: Trace, robot: int, start: float, end: float) -> bool:
    """It goes another way from its onset on, wherever earlier faults had led it."""
    apart = _way(trace, robot, start, end) - _way(twin, robot, start, end)
    return bool(np.linalg.norm(apart, axis=-1).max(initial=0.0) > APART_M)


def _way(trace: Trace, robot: int, start: float, end: float) -> Float:
    """(WAY, 2) m from where it was at the onset."""
    times = np.linspace(start, max(start, min(end, float(trace.t[-1]))), WAY)
    place = [np.interp(times, trace.t, trace.position[:, robot, axis]) for axis in (0, 1)]
    was = trace.position[max(int(np.searchsorted(trace.t, start)) - 1, 0), robot]
    return np.asarray(np.stack(place, axis=-1) - was)


def _within(heard: Heard, start: float, end: float) -> Bool:
    return np.asarray((heard.t >= start) & (heard.t <= end))


def _before(heard: Heard, start: float) -> Bool:
    return np.asarray((heard.t < start) & (heard.t >= start - BEFORE_S))


def _silence(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    times = trace.heard[fault.robot].t
    inside = times[(times > start) & (times < end)]
    gaps = np.diff(np.concatenate([[start], inside, [end]]))
    return bool(gaps.max() > GAP_S)


def _deaf(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """It is not heard, or hears fewer of the others than it did."""
    heard = trace.heard[fault.robot]
    now, then = heard.hears[_within(heard, start, end)], heard.hears[_before(heard, fault.start_s)]
    fewer = bool(len(now) and len(then)) and float(np.nanmin(now)) < 0.6 * float(np.nanmax(then))
    return fewer or _silence(trace, fault, start, end)


def _two_senders(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    boots = heard.boot[_within(heard, start, end)]
    return len(np.unique(boots)) > 1 or int((np.diff(boots) != 0.0).sum()) > 1


def _lag(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    now, then = heard.late[_within(heard, start, end)], heard.late[_before(heard, fault.start_s)]
    if not len(now) or not len(then):
        return False
    return bool(abs(np.median(now) - np.median(then)) > LATE_S)


def _lossy(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    since = min(BEFORE_S, fault.start_s)
    if since <= 0.0 or end <= start:
        return False
    inside = _within(heard, start, end)
    _, copies = np.unique(np.round(heard.t - heard.late, 6)[inside], return_counts=True)
    if copies.max(initial=1) > 1:  # one for each receiver, so that some can be lost
        return bool(copies.sum() < RATE * copies.max() * len(copies))
    usual = _before(heard, fault.start_s).sum() / since
    return bool(inside.sum() / (end - start) < RATE * usual)


def _out_of_order(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    now = heard.in_turn[_within(heard, start, end)]
    then = heard.in_turn[_before(heard, fault.start_s)]
    return bool(len(now) and len(then)) and bool(now.mean() < then.mean() - ASTRAY)


def _claims(trace: Trace, robot: int, chosen: Bool) -> Float:
    """(K, 2) m, claimed less true positions."""
    heard = trace.heard[robot]
    times = heard.t[chosen]
    true = np.stack(
        [np.interp(times, trace.t, trace.position[:, robot, axis]) for axis in (0, 1)], axis=-1
    )
    return np.asarray(heard.position[chosen] - true)


def _wrong_claim(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """Claims are off, by more than they were before: all of them, or as noise."""
    heard = trace.heard[fault.robot]
    now = _claims(trace, fault.robot, _within(heard, start, end))
    then = _claims(trace, fault.robot, _before(heard, fault.start_s))
    now, then = now[np.isfinite(now).all(axis=-1)], then[np.isfinite(then).all(axis=-1)]
    if not len(now):
        return False
    usual = float(np.percentile(np.linalg.norm(then, axis=-1), 90)) if len(then) else 0.0
    return bool(np.percentile(np.linalg.norm(now, axis=-1), 75) > usual + APART_M)


def _garbage(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    return bool((~np.isfinite(heard.position[_within(heard, start, end)])).any())


def _drives_off(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """At full speed; or, where a fence or a teammate holds it back, away from where it was."""
    heard = trace.heard[fault.robot]
    speed = heard.speed[_within(heard, start, end)]
    if bool(len(speed)) and bool(np.nanmean(speed) > FULL_SPEED):
        return True
    span = min(BEFORE_S, end - start)
    now = _reach(trace, fault.robot, start, start + span)
    then = _reach(trace, fault.robot, fault.start_s - span, fault.start_s)
    return bool(now > WORSE * np.nan_to_num(then) + APART_M)


def _reach(trace: Trace, robot: int, start: float, end: float) -> float:
    """M from where it was at the start, at most; NaN where nothing is known."""
    place = trace.position[(trace.t >= start) & (trace.t <= end), robot]
    return float(np.linalg.norm(place - place[0], axis=-1).max()) if len(place) else float("nan")


def _held_back(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """Its set-points stay below what weak motors leave of the largest, and did not before or after.

    A node scales its set-points, so that motion goes with them and has nothing to tell.
    """
    heard = trace.heard[fault.robot]
    left = 1.0 - FULL["slow"] * fault.severity
    whole = _before(heard, fault.start_s) | _within(heard, fault.end_s, fault.end_s + BEFORE_S)
    parts = [heard.speed[chosen] for chosen in (_within(heard, start, end), whole)]
    weak, usual = (part[np.isfinite(part)] for part in parts)
    if not len(weak) or not len(usual):
        return False
    most = float(np.percentile(weak, MOST))
    return ASKS < most <= left + ASKS and float(np.percentile(usual, MOST)) > left + 2.0 * ASKS


def _sinks(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """It is far below where it was, in most of what it says."""
    heard = trace.heard[fault.robot]
    parts = [_within(heard, start, end), _before(heard, fault.start_s)]
    now, then = (heard.height[part & np.isfinite(heard.height)] for part in parts)
    return bool(len(now) and len(then)) and bool(np.median(now) < np.median(then) - SUNK_M)


def _astray(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    """It does not move as it tells itself to, by more than it did before, or by less than asked."""
    if _sinks(trace, fault, start, end):
        return True
    before = fault.start_s - BEFORE_S, fault.start_s
    now = _departure(trace, fault.robot, start, end)
    then = _departure(trace, fault.robot, *before)
    if now > WORSE * np.nan_to_num(then) + LEAST_MPS:
        return True
    lost = _gain(trace, fault.robot, *before) - _gain(trace, fault.robot, start, end)
    return bool(lost > GAIN_LOST)  # not where either is unknown


def _departure(trace: Trace, robot: int, start: float, end: float) -> float:
    """m/s between set-points and motion, root mean square; NaN where nothing is known."""
    speed, wanted = _motion(trace, robot, start, end)
    off = np.sum((speed - wanted) ** 2, axis=-1)
    return float(np.sqrt(off.mean())) if len(off) > 3 else float("nan")


def _gain(trace: Trace, robot: int, start: float, end: float) -> float:
    """Share of its set-points that motion makes of them, least squares; NaN where it stands."""
    speed, wanted = _motion(trace, robot, start, end)
    asked = float(np.sum(wanted**2))
    if len(wanted) <= 3 or asked / len(wanted) < LEAST_MPS**2:
        return float("nan")
    return float(np.sum(speed * wanted) / asked)


def _motion(trace: Trace, robot: int, start: float, end: float) -> tuple[Float, Float]:
    """(K, 2) m/s: how it moves, and how it told itself to so long before as motion lags."""
    heard, times = trace.heard[robot], trace.t
    if not len(heard.t) or len(times) < 2 * SPAN + 1:
        return np.zeros((0, 2)), np.zeros((0, 2))
    moved = trace.position[2 * SPAN :, robot] - trace.position[: -2 * SPAN, robot]
    speed = moved / (times[2 * SPAN :] - times[: -2 * SPAN])[:, None]
    middle = times[SPAN:-SPAN]
    wanted = np.stack(
        [np.interp(middle - LAG_S, heard.t, np.nan_to_num(heard.wanted[:, k])) for k in (0, 1)],
        axis=-1,
    )
    chosen = (middle >= start) & (middle <= end)
    return speed[chosen], wanted[chosen]


def _dithers(trace: Trace, fault: FaultSpec, start: float, end: float) -> bool:
    heard = trace.heard[fault.robot]
    now = heard.decided[_within(heard, start, end)]
    then = heard.decided[_before(heard, fault.start_s)]
    return bool(len(now) and len(then)) and bool(now.mean() < then.mean() * (1.0 - DECIDES))


_MOVES = (*("runaway", "adversary", "overrun", "slow", "motor_off", "motor_stuck", "battery"),)
PROBES: dict[str, Probe] = {
    **dict.fromkeys(("crash", "freeze", "reboot"), _silence),
    **dict.fromkeys(("link_loss", "partition"), _deaf),
    **dict.fromkeys(("delay", "clock"), _lag),
    **dict.fromkeys(("sensor_bias", "sensor_drift", "sensor_freeze"), _wrong_claim),
    **dict.fromkeys(("sensor_noise", "spoof", "replay"), _wrong_claim),
    **dict.fromkeys(("sensor_nan", "nan"), _garbage),
    **dict.fromkeys(("runaway", "adversary"), _drives_off),
    **dict.fromkeys(("battery", "motor_off", "motor_stuck"), _astray),
    "slow": _held_back,
    "duplicate": _two_senders,
    "drop": _lossy,
    "reorder": _out_of_order,
    "overrun": _dithers,
}
