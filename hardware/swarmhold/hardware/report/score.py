"""What a fault plan shows: every fault's story, and the figures of the whole.

Delays, misses and attribution count faults that had an effect and that somebody is to find;
`expectations` says which these are. Intervals are bootstrap ones over faults (percentile method).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from swarmhold.hardware.expectations import EXPECTED, OUT
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.measures import quantiles
from swarmhold.hardware.report.probes import BEFORE_S, effect
from swarmhold.hardware.report.trace import Trace
from swarmhold.hardware.types import Bool, Float, Int

AFTER_S = 2.0  # s after its end in which a fault may still be found
SETTLE_S = 20.0  # s after its end in which a robot may still be on probation
BACK = 1.25  # times the error without faults, and
NEAR_M = 0.02  # m beyond, at which a team has recovered
HOLDS_S = 1.0  # s for which it must
DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Row:
    """The story of one fault; times in s after its onset, None for never.

    Attributes:
        index: number of the fault in the plan.
        kind: a key of `KINDS`.
        unit: what failed.
        type: how.
        robot: that it befell.
        severity: share of the largest effect.
        start_s: onset, s of the flight.
        end_s: s of the flight.
        status: applied, unsupported, no effect, healed by itself, or not injected.
        to_be_found: whether it is to be taken out of the team for it.
        out_before: whether it was out of the team anyway, so that nobody can be credited.
        before: `HealthState` that it had then.
        speed_mps: m/s, that it made on average in the last seconds before; None: unknown.
        suspected_s: until the supervisor had a doubt.
        confirmed_s: until it took the robot out of the team.
        verdict: `HealthState` that it was given.
        healed_s: from its end until it was fully trusted again.
        recovered_s: until the team's error was near that without faults again.
        harmed: healthy robots that were taken out meanwhile.
        first: whether the first one taken out was the right one; None if nobody was.
    """

    index: int
    kind: str
    unit: str
    type: str
    robot: int
    severity: float
    start_s: float
    end_s: float
    status: str
    to_be_found: bool
    out_before: bool = False
    before: str = "HEALTHY"
    speed_mps: float | None = None
    suspected_s: float | None = None
    confirmed_s: float | None = None
    verdict: str = "HEALTHY"
    healed_s: float | None = None
    recovered_s: float | None = None
    harmed: tuple[int, ...] = ()
    first: bool | None = None

    @property
    def counts(self) -> bool:
        """Whether somebody could have found it, and should have."""
        acted = self.status in ("applied", "healed by itself")
        return self.to_be_found and acted and not self.out_before


@dataclass(frozen=True, slots=True)
class Arm:
    """Flights of one plan with weights from one source.

    Attributes:
        source: none, supervisor, oracle, or "free": nothing is broken.
        flights: one or more, each on a layout of its own, the same in all arms.
    """

    source: str
    flights: tuple[Trace, ...]


def story(
    trace: Trace,
    faults: Sequence[FaultSpec],
    answers: Mapping[int, str],
    free: Trace | None,
    paired: bool,
) -> list[Row]:
    """The story of every fault of a flight.

    Args:
        trace: of the flight.
        faults: as they were injected, by onset; not injected where it begins after the end.
        answers: by index, what a world says that cannot do it: "unsupported", "not injected".
        free: the same layout without faults; None: not flown.
        paired: whether `free` is equal up to the first onset.
    """
    rows = []
    for index, fault in enumerate(faults):
        unit, how = KINDS[fault.kind]
        row = Row(
            index, fault.kind, unit.value, how.value, fault.robot, fault.severity,
            fault.start_s, min(fault.end_s, float(trace.t[-1])),
            answers.get(index) or effect(trace, fault, free if paired else None),
            bool(EXPECTED[fault.kind].states),
        )  # fmt: skip
        rows.append(_judged(row, trace, faults, free) if index not in answers else row)
    return rows


def _judged(row: Row, trace: Trace, faults: Sequence[FaultSpec], free: Trace | None) -> Row:
    others = [f.start_s for f in faults if f.robot == row.robot and f.start_s > row.start_s]
    until = min([row.end_s + AFTER_S, *others])
    window = (trace.table_t >= row.start_s) & (trace.table_t <= until)
    t, states = trace.table_t[window] - row.start_s, trace.states[window]
    out = np.isin(states, OUT)
    out[:, row.robot] |= states[:, row.robot] == HealthState.ESTOPPED  # who fell says so himself
    before = _states_before(trace, row.start_s)
    in_before: Bool = np.asarray(~np.isin(before, (*OUT, HealthState.ESTOPPED)))
    whole = whole_at(trace.n, faults, trace.table_t[window], SETTLE_S) & in_before
    fallen = _falls(out)
    harmed = tuple(int(j) for j in np.flatnonzero((fallen & whole).any(axis=0)) if j != row.robot)
    own = states[:, row.robot]
    confirmed = _first(t, out[:, row.robot])
    suspect = _first(t, own != HealthState.HEALTHY)
    verdict = HealthState.HEALTHY if suspect is None else HealthState.SUSPECT
    if confirmed is not None:
        verdict = HealthState(int(own[out[:, row.robot]][0]))
    who = np.flatnonzero((out & (whole | (np.arange(trace.n) == row.robot))).any(axis=1))
    first = bool(out[who[0], row.robot]) if len(who) else None
    later = (trace.table_t >= row.end_s) & (trace.table_t < min([np.inf, *others]))
    healed = _first(
        trace.table_t[later] - row.end_s, trace.states[later, row.robot] == HealthState.HEALTHY
    )
    return replace(
        row,
        out_before=not in_before[row.robot],
        before=str(HealthState(int(before[row.robot])).name),
        speed_mps=_speed(trace, row.robot, row.start_s),
        suspected_s=suspect,
        confirmed_s=confirmed,
        verdict=str(verdict.name),
        healed_s=None if suspect is None else healed,
        recovered_s=None if free is None else _recovery(trace, free, row.start_s),
        harmed=harmed,
        first=first,
    )


def _states_before(trace: Trace, start: float) -> Int:
    """(N) the supervisor's last word before an onset: a quick one comes with the first after it."""
    earlier = np.flatnonzero(trace.table_t < start)
    if len(earlier):
        return np.asarray(trace.states[earlier[-1]])
    return np.full(trace.n, int(HealthState.HEALTHY))


def _speed(trace: Trace, robot: int, start: float) -> float | None:
    """M/s along its way in the last seconds before an onset."""
    steps = np.flatnonzero((trace.t >= start - BEFORE_S) & (trace.t < start))
    if len(steps) < 2:
        return None
    way = np.linalg.norm(np.diff(trace.position[steps, robot], axis=0), axis=-1).sum()
    return round(float(way / (trace.t[steps[-1]] - trace.t[steps[0]])), 4)


def _first(t: Float, there: Bool) -> float | None:
    return round(float(t[there][0]), 3) if there.any() else None


def _falls(out: Bool) -> Bool:
    """(S, N) ticks at which a robot is taken out that was in before."""
    before = np.concatenate([np.zeros_like(out[:1]), out[:-1]])
    return np.asarray(out & ~before)


def whole_at(
    n: int, faults: Sequence[FaultSpec] | Sequence[Row], times: Float, settle_s: float
) -> Bool:
    """(S, N) robots that no fault acts on, nor did in the last `settle_s` s."""
    out = np.ones((len(times), n), bool)
    for fault in faults:
        out[:, fault.robot] &= (times < fault.start_s) | (times > fault.end_s + settle_s)
    return out


def _recovery(trace: Trace, free: Trace, start: float) -> float | None:
    """S from the onset until the error is, and stays for a while, near that without faults."""
    later = trace.t >= start
    t, error = trace.t[later], trace.error[later]
    near = error <= BACK * np.interp(t, free.t, free.error) + NEAR_M
    since = np.nan
    for now, good in zip(t, near, strict=True):
        since = (now if np.isnan(since) else since) if good else np.nan
        if now - since >= HOLDS_S:
            return round(float(since - start), 3)
    return None


def figures(
    arms: Sequence[Arm],
    rows: Sequence[Sequence[Row]],
    rate_interval: Callable[[int, float], Sequence[float]],
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of a plan.

    Args:
        arms: one of them with source "supervisor"; the others are compared with it.
        rows: of its flights, in their order.
        rate_interval: exact interval of a rate, from a count and the hours.
        seed: of the bootstrap.
    """
    told = {arm.source: arm for arm in arms}
    helped, every = told["supervisor"].flights, [row for flight in rows for row in flight]
    rng = np.random.default_rng(seed)
    counted = [row for row in every if row.counts]
    delays = np.array([np.inf if r.confirmed_s is None else r.confirmed_s for r in counted])
    alarms, hours = _false_alarms(helped, rows)
    decided = [row for row in counted if row.first is not None]
    return {
        "faults": len(every),
        "status": _counts([row.status for row in every]),
        "to_be_found": len(counted),
        "missed": int(np.isinf(delays).sum()),
        "detection_delay_s": {**quantiles(delays, (50, 95)), **_intervals(delays, rng)},
        "attribution": _share(decided, lambda row: row.first is True),
        "unjust": sum(
            1
            for row in every
            if not row.to_be_found and not row.out_before and row.confirmed_s is not None
        ),
        "collateral_per_fault": sum(len(row.harmed) for row in every) / max(len(every), 1),
        "false_alarms": alarms,
        "robot_hours": hours,
        "false_alarms_per_robot_hour": (
            [alarms / hours, *rate_interval(alarms, hours)] if hours else [None] * 3
        ),
        "confusion": _confusion(every),
        "recovery_s": quantiles(
            np.array([np.inf if r.recovered_s is None else r.recovered_s for r in every]), (50, 95)
        ),
        "arms": {
            source: {
                **_of_arm(arm, told.get("free"), rows),
                "error_by_phase_m": _phases(arm.flights, helped, rows),
            }
            for source, arm in told.items()
        },
        "deadline_misses": _mean([trace.misses for trace in helped]),
    }


def _of_arm(arm: Arm, free: Arm | None, rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
    began = [min((row.start_s for row in flight), default=0.0) for flight in rows]
    errors = [_error(trace, since) for trace, since in zip(arm.flights, began, strict=True)]
    out: dict[str, Any] = {
        "error_m": _mean(errors),
        "collisions": sum(int(_falls(trace.touched).sum()) for trace in arm.flights),
        "retained": None,
    }
    if free is not None:
        pairs = zip(arm.flights, free.flights, began, strict=True)
        out["retained"] = _mean([_retained(trace, other, since) for trace, other, since in pairs])
    return out


def _phases(
    flights: Sequence[Trace], helped: Sequence[Trace], rows: Sequence[Sequence[Row]]
) -> dict[str, float | None]:
    """What of an arm's error falls to which time; the parts add up to its error.

    "broken": a fault acts; "kept out": none does, but the supervisor, in the arm that is its own,
    keeps somebody out of the team; "calm": neither.
    """
    parts: dict[str, list[float]] = {"broken": [], "kept out": [], "calm": []}
    for trace, other, own in zip(flights, helped, rows, strict=True):
        times = trace.t[trace.t >= min((row.start_s for row in own), default=0.0)]
        error = np.interp(times, trace.t, trace.error)
        broken = ~whole_at(trace.n, own, times, 0.0).all(axis=1)
        kept: Bool = np.asarray(np.isin(other.states, (*OUT, HealthState.ESTOPPED)).any(axis=1))
        last = np.clip(np.searchsorted(other.table_t, times, side="right") - 1, 0, None)
        out = kept[last] & ~broken if len(kept) else np.zeros_like(broken)
        for name, chosen in (("broken", broken), ("kept out", out), ("calm", ~broken & ~out)):
            parts[name].append(float((error * chosen).mean()))
    return {name: _mean(values) for name, values in parts.items()}


def _error(trace: Trace, since: float) -> float:
    return float(trace.error[trace.t >= since].mean())


def _retained(trace: Trace, free: Trace, since: float) -> float:
    """R = (S_fault - S_floor) / (S_free - S_floor), S the error with its sign turned.

    The floor is a team that does nothing: it stays at the error that it began with.
    """
    floor, fault, best = float(free.error[0]), _error(trace, since), _error(free, since)
    return (floor - fault) / (floor - best) if floor > best else float("nan")


def _false_alarms(flights: Sequence[Trace], rows: Sequence[Sequence[Row]]) -> tuple[int, float]:
    """Robots taken out while nothing acted on anybody, and the robot-hours of that."""
    alarms, seconds = 0, 0.0
    for trace, own in zip(flights, rows, strict=True):
        calm = whole_at(trace.n, own, trace.table_t, AFTER_S).all(axis=1, keepdims=True)
        quiet: Bool = whole_at(trace.n, own, trace.table_t, SETTLE_S) & calm
        step = np.diff(trace.table_t, prepend=trace.table_t[:1])
        alarms += int((_falls(np.isin(trace.states, OUT)) & quiet).sum())
        seconds += float((quiet * np.minimum(step, 1.0)[:, None]).sum())
    return alarms, seconds / 3600.0


def _intervals(delays: Float, rng: np.random.Generator) -> dict[str, list[float | None]]:
    if not len(delays):
        return {f"p{q}_interval": [None, None] for q in (50, 95)}
    picks = delays[rng.integers(0, len(delays), (DRAWS, len(delays)))]
    out = {}
    for q in (50, 95):
        values = np.sort(np.percentile(picks, q, axis=1, method="higher"))
        edges = values[[int(0.025 * DRAWS), int(0.975 * DRAWS) - 1]]
        out[f"p{q}_interval"] = [float(edge) if np.isfinite(edge) else None for edge in edges]
    return out


def _confusion(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Kind by verdict, of faults that had an effect."""
    out: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.status in ("applied", "healed by itself"):
            kind = out.setdefault(row.kind, {})
            kind[row.verdict] = kind.get(row.verdict, 0) + 1
    return out


def _counts(words: Sequence[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(set(words))}


def _share(rows: Sequence[Row], right: Any) -> float | None:
    return sum(map(right, rows)) / len(rows) if rows else None


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(row) for row in rows]
