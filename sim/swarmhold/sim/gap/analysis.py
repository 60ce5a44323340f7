"""The gap between a recorded flight and the simulator: open loop, closed loop, links, ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.hidden import LIMITS, Hidden, nothing_hidden
from swarmhold.hardware.report.motion import Motion, Motions
from swarmhold.hardware.types import Float
from swarmhold.sim.gap.fit import Fit, Found, fit
from swarmhold.sim.gap.flight import simulated
from swarmhold.sim.gap.ranges import losses_of, suggested, team_of
from swarmhold.sim.gap.twin import OpenLoop, Parameter
from swarmhold.sim.gap.windows import HORIZONS_S, Windows, windows_of

LONGEST_S = 60.0  # of the closed loop
END_S = 2.0  # over whose mean a flight's last error counts
REACHED = 0.9  # of the way from the first error to the recorded last one
AT = HORIZONS_S.index(0.5)  # horizon at which robots are held against their set-points
NEVER = "it never moved on its own, as it was told"


@dataclass(frozen=True, slots=True)
class Tracking:
    """How far a robot is from where its set-points lead within 0.5 s, rms, m/s.

    Attributes:
        recorded: the robot.
        simulated: its model.
    """

    recorded: float
    simulated: float


@dataclass(frozen=True, slots=True)
class Loop:
    """A closed loop: the policy flew, from where the recording began.

    Attributes:
        flown: how it went.
        apart_m: (N) mean distance from the recorded robot at the same time.
    """

    flown: Motions
    apart_m: Float


@dataclass(frozen=True, slots=True)
class Gap:
    """All that was found.

    Attributes:
        recorded: the flight.
        windows: of each robot.
        fits: of each robot.
        tracking: of each robot; None of those without windows.
        team: what all have in common.
        plain: the closed loop with the models as they are; None if there is none.
        fitted: with what was found.
        no_loop: why there is no closed loop; "" if there is one.
        ranges: values for `Disturbances`.
    """

    recorded: Motions
    windows: tuple[Windows, ...]
    fits: tuple[Fit, ...]
    tracking: tuple[Tracking | None, ...]
    team: dict[Parameter, Found]
    plain: Loop | None
    fitted: Loop | None
    no_loop: str
    ranges: dict[str, Any]


def analyse(
    recorded: Motions, bundle: Bundle, closed: bool = True, say: Callable[[str], None] = print
) -> Gap:
    """Find the gap.

    Args:
        recorded: a flight.
        bundle: that flew.
        closed: whether to fly it in the simulator as well.
        say: progress.

    Raises:
        ConfigError: the bundle is for other robots, or nobody moved long enough on his own.
    """
    robot = str(recorded.info["robot"])
    if robot != bundle.spec.robot:
        raise ConfigError(
            f"{recorded.folder} was flown by {robot}s, the bundle is for {bundle.spec.robot}s"
        )
    windows = tuple(windows_of(recorded, i) for i in range(len(recorded.robots)))
    fits, tracking = [], []
    for i, motion in enumerate(recorded.robots):
        say(f"robot {i}: {len(windows[i])} windows")
        twin = OpenLoop(robot, motion, windows[i]) if len(windows[i]) else None
        fits.append(Fit.none(0, NEVER) if twin is None else fit(twin))
        tracking.append(None if twin is None else _tracking(twin))
    if not any(one.found for one in fits):
        raise ConfigError(_too_short(recorded, windows))
    team = team_of(fits)
    ranges = suggested(fits, recorded.robots, 1.0 / bundle.spec.rate_hz)
    no_loop = _no_loop(recorded, bundle) if closed else "not asked for"
    plain = fitted = None
    if not no_loop:
        say("closed loop, models as they are")
        plain = _loop(recorded, bundle, nothing_hidden(len(fits)))
        say("closed loop, with what was found")
        fitted = _loop(recorded, bundle, _as_found(fits, team))
    done = (recorded, windows, tuple(fits), tuple(tracking), team)
    return Gap(*done, plain, fitted, no_loop, ranges)


def _too_short(recorded: Motions, windows: tuple[Windows, ...]) -> str:
    reasons: dict[str, float] = {}
    for one in windows:
        for reason, seconds in one.left_out.items():
            reasons[reason] = reasons.get(reason, 0.0) + seconds
    worst = max(reasons, key=lambda reason: reasons[reason], default="")
    more = f" (mostly: {worst})" if worst and reasons[worst] > 0.0 else ""
    return (
        f"{recorded.folder}: in {recorded.seconds:.0f} s no robot moved on its own for long "
        f"enough{more}; fly for longer, 20 s or more"
    )


def _tracking(twin: OpenLoop) -> Tracking:
    asked, seconds = twin.asked()[:, AT, :2], HORIZONS_S[AT]

    def off(way: Float) -> float:
        return float(np.sqrt(((way[:, AT, :2] - asked) ** 2).sum(axis=-1).mean())) / seconds

    return Tracking(off(twin.windows.way), off(twin.ways(twin.plain[None])[0]))


def _no_loop(recorded: Motions, bundle: Bundle) -> str:
    if bundle.manifest.scenario != recorded.info.get("scenario"):
        return f"the bundle is for {bundle.manifest.scenario}"
    if any(not len(motion.t) or not len(motion.told_t) for motion in recorded.robots):
        return "not all robots were there from the start"
    return ""


def _as_found(fits: list[Fit], team: dict[Parameter, Found]) -> Hidden:
    """Parameters of the bodies: each robot's own, or where it does not tell the team's."""
    out = nothing_hidden(len(fits))
    for robot, one in enumerate(fits):

        def known(name: Parameter, one: Fit = one) -> float | None:
            own, common = one.found.get(name), team.get(name)
            told = own if own is not None and own.known else common
            return told.estimate if told is not None and told.known else None

        factors = [known(Parameter.LINEAR), known(Parameter.ANGULAR)]
        told = [factor for factor in factors if factor is not None]
        late, drag = known(Parameter.LATENCY), known(Parameter.DRAG)
        if late is not None:
            out.latency[robot] = late
        if told:
            out.wheel_scale[robot] = np.mean(told)
        if drag is not None:
            out.drag[robot] = drag
    for name, (low, high) in LIMITS.items():
        values = getattr(out, name)
        values[:] = np.clip(values, low, high)
    return out


def _loop(recorded: Motions, bundle: Bundle, hidden: Hidden) -> Loop:
    robots = recorded.robots
    first = [min(int(np.searchsorted(m.t, m.told_t[0])), len(m.t) - 1) for m in robots]
    place = np.array([m.position[k, :2] for m, k in zip(robots, first, strict=True)])
    yaw = np.array([m.yaw[k] for m, k in zip(robots, first, strict=True)])
    seconds = min(max(m.told_t[-1] for m in robots), LONGEST_S)
    seed = int(recorded.info["seed"])
    flown = simulated(bundle, len(robots), seconds, seed, hidden, (place, yaw))
    apart = [_apart(one, other) for one, other in zip(robots, flown.robots, strict=True)]
    return Loop(flown, np.array(apart))


def _apart(recorded: Motion, flown: Motion) -> float:
    """M between both at equal times since their first set-points, mean."""
    shift = float(recorded.told_t[0] - flown.told_t[0])
    at = recorded.t[(recorded.t >= recorded.told_t[0]) & (recorded.t - shift <= flown.t[-1])]
    mine = [np.interp(at, recorded.t, recorded.position[:, k]) for k in (0, 1)]
    other = [np.interp(at - shift, flown.t, flown.position[:, k]) for k in (0, 1)]
    return float(np.hypot(mine[0] - other[0], mine[1] - other[1]).mean()) if len(at) else np.nan


def reached(flown: Motions, level: float) -> float | None:
    """S until the error of the task first was at a level (m) or below."""
    found = flown.error_t[(flown.error <= level) & (flown.error_t >= 0.0)]
    return float(found[0]) if len(found) else None


def last_error(flown: Motions, until: float) -> float | None:
    """M, the mean error of the task in the last seconds before `until` (s)."""
    kept = (flown.error_t > until - END_S) & (flown.error_t <= until)
    return float(flown.error[kept].mean()) if kept.any() else None


def spread(flown: Motions, at: float) -> float:
    """M, mean distance of the robots from their middle, at a time (s)."""
    place = np.array([
        [np.interp(at, m.t, m.position[:, k]) for k in (0, 1)] for m in flown.robots if len(m.t)
    ])  # fmt: skip
    return float(np.linalg.norm(place - place.mean(axis=0), axis=-1).mean())


def loops_of(gap: Gap) -> dict[str, Any] | None:
    """Figures of the recorded flight and of the closed loops; None without any."""
    if gap.plain is None or gap.fitted is None:
        return None
    until = float(gap.plain.flown.seconds)
    acted = gap.recorded.error_t >= 0.0
    last = last_error(gap.recorded, until)
    level = None
    if acted.any() and last is not None:
        first = float(gap.recorded.error[acted][0])
        level = first - REACHED * (first - last)
    named = {
        "recorded": (gap.recorded, None),
        "simulated": (gap.plain.flown, gap.plain),
        "simulated_as_found": (gap.fitted.flown, gap.fitted),
    }
    return {
        name: {
            "last_error_m": last_error(flown, until),
            "reached_s": None if level is None else reached(flown, level),
            "spread_m": spread(flown, until),
            "apart_m": None if loop is None else loop.apart_m.tolist(),
        }
        for name, (flown, loop) in named.items()
    }


def as_json(gap: Gap) -> dict[str, Any]:
    """All figures."""
    return {
        "flight": str(gap.recorded.folder),
        "robot": gap.recorded.info["robot"],
        "seconds": gap.recorded.seconds,
        "horizons_s": list(HORIZONS_S),
        "robots": [robot_of(gap, i) for i in range(len(gap.fits))],
        "team": {name.value: _found(found) for name, found in gap.team.items()},
        "closed_loop": loops_of(gap),
        "no_closed_loop": gap.no_loop,
        "disturbances": gap.ranges,
    }


def robot_of(gap: Gap, i: int) -> dict[str, Any]:
    """Figures of robot i."""
    motion, one, held = gap.recorded.robots[i], gap.fits[i], gap.tracking[i]
    heard, missed = motion.hears
    return {
        "robot": i,
        "windows": one.windows,
        "left_out_s": gap.windows[i].left_out,
        "why": one.why,
        "fit": {name.value: _found(found) for name, found in one.found.items()},
        "error_m": one.plain_m.tolist(),
        "error_as_found_m": one.fitted_m.tolist(),
        "tracking_mps": None if held is None else held.recorded,
        "tracking_simulated_mps": None if held is None else held.simulated,
        "clock": motion.clock,
        "decides_s": motion.decides_s,
        "frames": _stream(motion.t),
        "commands": _stream(motion.told_t),
        "states": losses_of(motion),
        "hears": {"heard": heard, "missed": missed},
    }


def _found(found: Found) -> dict[str, Any]:
    low, high = found.interval
    return {
        "value": found.estimate if found.known else None,
        "low": low if found.known else None,
        "high": high if found.known else None,
        "why": found.why,
    }


def _stream(times: Float) -> dict[str, float | None]:
    if len(times) < 2:
        return {"hz": None, "longest_gap_s": None, "missing": None}
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    missing = float(np.maximum(np.round(gaps / usual) - 1.0, 0.0).sum())
    return {
        "hz": (len(times) - 1) / float(times[-1] - times[0]),
        "longest_gap_s": float(gaps.max()),
        "missing": missing / (missing + len(times)),
    }
