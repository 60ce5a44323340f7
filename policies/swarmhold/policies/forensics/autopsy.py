"""The autopsy of a recorded flight: who failed first, how it spread, what a mask would have done.

It looks back with all of the recording and a simulator at hand. No robot and no supervisor knows
of it, and nothing that it finds is ever used to mask anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.report.motion import Motions
from swarmhold.hardware.report.replay import Ticked, replay
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.policies.forensics.asked import decisions_of, stacked
from swarmhold.policies.forensics.case import Case
from swarmhold.policies.forensics.course import Course, chain_of, course_of
from swarmhold.policies.forensics.evidence import MOST, Onset, Series, onsets_of, series_of
from swarmhold.policies.forensics.twins import check_twins, first_command, twin_of

TIE_S = 0.3  # within which two change points count as one time; the larger in sigmas wins
SURE = 0.8  # most that one channel adds to the confidence
OUT = (HealthState.LOST, HealthState.QUARANTINED, HealthState.PROBATION)
ARMS = {"as_it_was": "as it was", "masked": "masked", "never_masked": "never masked"}


@dataclass(frozen=True, slots=True)
class Failure:
    """A robot with a change point.

    Attributes:
        robot: roster index.
        t: s, of its earliest change point.
        onsets: of all channels, in the order of time.
    """

    robot: int
    t: float
    onsets: tuple[Onset, ...]

    @property
    def sigma(self) -> float:
        """Largest of the channels that show it first."""
        return max(one.sigma for one in self.onsets if one.t <= self.t + TIE_S)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the supervisor said of a robot first.

    Attributes:
        robot: roster index.
        t: s, when it left the team.
        state: as what.
        reasons: words of the evidence.
    """

    robot: int
    t: float
    state: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """A counterfactual: the flight again in the twin, with a robot masked from a time on.

    Attributes:
        robot: roster index.
        at: s.
        flown: of each arm, its twins.
        error_m: of each arm, the mean task error from then on, one for each twin.
    """

    robot: int
    at: float
    flown: dict[str, tuple[Motions, ...]]
    error_m: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Autopsy:
    """All that was found.

    Attributes:
        case: the recording.
        bundle: whose policy was asked.
        series: evidence.
        failures: in the order of time, ties by size.
        verdicts: the supervisor's, of each robot the first.
        course: what twins say; None without any.
        masked: counterfactual; None if not asked for.
    """

    case: Case
    bundle: Bundle
    series: tuple[Series, ...]
    failures: tuple[Failure, ...]
    verdicts: tuple[Verdict, ...]
    course: Course | None
    masked: Masked | None

    @property
    def first(self) -> Failure | None:
        """Who failed first."""
        return self.failures[0] if self.failures else None

    @property
    def chain(self) -> list[int]:
        """The first, and those that it affected."""
        return [] if self.first is None else chain_of(self.first.robot, self.course, self.case.n)

    @property
    def confidence(self) -> float:
        """0 to 1: how much speaks for the first; a rule of thumb, no probability.

        Channels add up as if they were independent, each up to `SURE`; a rival within `TIE_S`
        takes its share away.
        """
        first = self.first
        if first is None:
            return 0.0
        doubt = float(np.prod([1.0 - SURE * min(o.sigma / MOST, 1.0) for o in first.onsets]))
        rivals = [f.sigma for f in self.failures[1:] if f.t <= first.t + TIE_S]
        return (1.0 - doubt) * first.sigma / (first.sigma + max(rivals, default=0.0))

    @property
    def agrees(self) -> bool | None:
        """Whether the supervisor took the same robot out first; None if it took nobody out."""
        if not self.verdicts:
            return None if self.first is not None else True
        return self.first is not None and self.verdicts[0].robot == self.first.robot


def examine(
    case: Case,
    bundle: Bundle,
    twins: int,
    mask: tuple[int, float] | None = None,
    say: Callable[[str], None] = print,
) -> Autopsy:
    """Examine a recorded flight.

    Args:
        case: the recording.
        bundle: that flew, or another one whose policy is asked instead.
        twins: simulated flights to compare with; 0: none.
        mask: robot and time (s) of a counterfactual; None: none.
        say: progress.

    Raises:
        ConfigError: the bundle does not fit, or there can be no twins.
    """
    ticks: list[Ticked] = []
    say("the recording through controllers and policy")
    replay(case.motions.folder, bundle, ticks.append)
    policy = OnnxPolicy(bundle)
    series = series_of(case, ticks, policy)
    failures = _failures(onsets_of(case, series))
    failed = {one.robot: one.t for one in failures}
    course = masked = None
    if twins:
        check_twins(case, bundle)
        flown = []
        for number in range(twins):
            say(f"twin {number + 1} of {twins}")
            flown.append(twin_of(case, bundle, number))
        bound = np.asarray(bundle.spec.action_bound)
        asked = [stacked(decisions_of(ticks, i, case.began, bound)) for i in range(case.n)]
        course = course_of(case, policy, asked, flown, failed)
    if mask is not None:
        masked = _masked(case, bundle, max(twins // 2, 1), failed, mask, say)
    verdicts = tuple(_verdicts(case))
    return Autopsy(case, bundle, tuple(series), failures, verdicts, course, masked)


def _failures(onsets: Sequence[Onset]) -> tuple[Failure, ...]:
    """By robot; the earliest first, and of those within `TIE_S` of it the largest."""
    robots = dict.fromkeys(one.robot for one in onsets)
    found = []
    for robot in robots:
        mine = tuple(one for one in onsets if one.robot == robot)
        found.append(Failure(robot, mine[0].t, mine))
    found.sort(key=lambda one: one.t)
    if found:
        tied = [one for one in found if one.t <= found[0].t + TIE_S]
        first = max(tied, key=lambda one: one.sigma)
        found = [first, *(one for one in found if one is not first)]
    return tuple(found)


def _verdicts(case: Case) -> list[Verdict]:
    """Of each robot the first time that the supervisor took it out."""
    out: dict[int, Verdict] = {}
    for t, table in case.tables:
        for robot, state in enumerate(table.states):
            if t >= 0.0 and robot not in out and state in OUT:
                out[robot] = Verdict(robot, t, HealthState(state).name, words(table.reasons[robot]))
    return list(out.values())


def words(bits: int) -> tuple[str, ...]:
    """Names of accusations."""
    harmless = (Accusation.SEEN, Accusation.HEARD)
    return tuple(str(b.name).lower() for b in Accusation if bits & b and b not in harmless)


def _masked(
    case: Case,
    bundle: Bundle,
    count: int,
    failed: dict[int, float],
    mask: tuple[int, float],
    say: Callable[[str], None],
) -> Masked:
    robot, at = mask
    if not 0 <= robot < case.n or not 0.0 <= at < case.ended:
        raise ConfigError(
            f"--mask {robot}@{at:g}: robots are 0 to {case.n - 1}, times 0 to {case.ended:.0f} s"
        )
    check_twins(case, bundle)
    shift = first_command(case)
    # It is judged without the robot in question in every arm.
    scripts = {**failed, robot: min(failed.get(robot, at), at)}
    flown: dict[str, list[Motions]] = {arm: [] for arm in ARMS}
    for number in range(count):
        say(f"counterfactual {number + 1} of {count}")
        flown["as_it_was"].append(twin_of(case, bundle, number, scripts).flown)
        flown["masked"].append(twin_of(case, bundle, number, scripts, mask=mask).flown)
        flown["never_masked"].append(twin_of(case, bundle, number, scripts, reweight=False).flown)
    errors = {
        arm: [float(one.error[one.error_t + shift >= at].mean()) for one in each]
        for arm, each in flown.items()
    }
    return Masked(robot, at, {arm: tuple(each) for arm, each in flown.items()}, errors)


def as_json(found: Autopsy) -> dict[str, Any]:
    """All figures."""
    first, course = found.first, found.course
    return {
        "flight": str(found.case.motions.folder),
        "bundle": found.bundle.manifest.name,
        "first_failed": None if first is None else first.robot,
        "at_s": None if first is None else first.t,
        "chain": found.chain,
        "confidence": found.confidence,
        "failures": [
            {"robot": one.robot, "t": one.t, "evidence": [_onset(o) for o in one.onsets]}
            for one in found.failures
        ],
        "supervisor": [
            {"robot": v.robot, "t": v.t, "state": v.state, "reasons": list(v.reasons)}
            for v in found.verdicts
        ],
        "supervisor_agrees": found.agrees,
        "twins": None if course is None else _course(course),
        "masked": None if found.masked is None else _of_mask(found.masked),
    }


def _onset(one: Onset) -> dict[str, Any]:
    return {"channel": one.channel, "t": one.t, "sigma": one.sigma}


def _course(course: Course) -> dict[str, Any]:
    stage1 = course.stage1
    return {
        "mismatch_m": course.mismatch_m,
        "unlike": list(course.unlike),
        "affected": [{"robot": robot, "t": t} for robot, t in course.affected.items()],
        "contagion": [
            {"from": e.source, "to": e.robot, "t": e.t, "influence": e.influence}
            for e in course.edges
        ],
        "stage1": None if stage1 is None else {"first": stage1.first, "t": stage1.at},
    }


def _of_mask(masked: Masked) -> dict[str, Any]:
    base = np.array(masked.error_m["as_it_was"])
    gain = base - np.array(masked.error_m["masked"])
    return {
        "robot": masked.robot,
        "at_s": masked.at,
        "error_m": {arm: float(np.mean(values)) for arm, values in masked.error_m.items()},
        "gain_m": float(gain.mean()),
        "gain_range_m": [float(gain.min()), float(gain.max())],
        "twins": len(base),
    }
