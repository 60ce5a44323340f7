"""How a failure spread: the recorded flight against its twins without one.

A robot is affected once it is somewhere else than in all twins, by more than they and the
recording differed before anything failed. Whom it was affected by is asked of its own policy: who
of those that were off before changes its action most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float, teammate_index
from swarmhold.policies.forensics.asked import Asked, bent, influence, stacked
from swarmhold.policies.forensics.case import Case
from swarmhold.policies.forensics.contagion import trace_back
from swarmhold.policies.forensics.detect import NOBODY, Reference, attribute, reference_of, smoothed
from swarmhold.policies.forensics.twins import Twin, first_command

K = 3.0  # standard deviations that make a flag
LEAST_M, LASTS_S = 0.02, 0.5  # spread of twins at least, and how long a robot is off
UNLIKE_M = 0.05  # rms before anything failed, from which on twins say nothing of a robot
STEP_S = 0.2  # of stage 1
START_S = 2.0  # in which robots begin to move, of stage 1
BEFORE_S = 1.0  # over which influence before a robot was affected is averaged
HEEDS = 0.02  # share of the bound by which an action must depend on somebody who is to blame


@dataclass(frozen=True, slots=True)
class Stage1:
    """Patient-0's stage 1 on the bundle's actor.

    Attributes:
        t: (T) s.
        sigmas: (T, N) smoothed remainders against the twins'.
        first: robot that it names; None if nobody is flagged.
        at: s of the flag.
    """

    t: Float
    sigmas: Float
    first: int | None
    at: float | None


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of the contagion.

    Attributes:
        source: robot that was off before.
        robot: that was affected.
        t: s, when.
        influence: of the source on its action just before, in shares of the bound.
    """

    source: int
    robot: int
    t: float
    influence: float


@dataclass(frozen=True, slots=True)
class Course:
    """What twins say.

    Attributes:
        t: (T) s.
        off: (T, N) m from the twins' mean.
        mismatch_m: rms of that before anything failed: how far to believe all this.
        unlike: robots whose twins had gone another way before anything failed: not judged.
        affected: robot to s, of those that did not fail themselves, in the order of time.
        edges: the contagion graph.
        stage1: of the bundle's actor; None without decisions.
    """

    t: Float
    off: Float
    mismatch_m: float
    unlike: tuple[int, ...]
    affected: dict[int, float]
    edges: tuple[Edge, ...]
    stage1: Stage1 | None


def course_of(
    case: Case,
    policy: OnnxPolicy,
    asked: Sequence[Asked | None],
    twins: Sequence[Twin],
    failed: dict[int, float],
) -> Course:
    """Hold a recording against its twins.

    Args:
        case: the recording.
        policy: of all robots.
        asked: of each robot, what its policy was asked in the flight.
        twins: flights without a failure, at least two.
        failed: robot to s, in the order of time.
    """
    shift = first_command(case)
    t = twins[0].flown.robots[0].t
    ways = np.stack([
        np.stack([motion.position[:, :2] for motion in twin.flown.robots], axis=1)
        for twin in twins
    ])  # fmt: skip
    mean = ways.mean(axis=0)
    off = np.linalg.norm(_recorded(case, t + shift) - mean, axis=-1)
    spread = np.sqrt(((ways - mean) ** 2).sum(axis=-1).mean(axis=0))
    first = min(failed.values(), default=np.inf) - shift
    calm = off[t < first]
    mismatch = float(np.sqrt((calm**2).mean())) if len(calm) else float("nan")
    # What a robot was off before anything failed is the simulator's fault, not the failure's.
    usual = np.sqrt((calm**2).mean(axis=0)) if len(calm) else np.zeros(case.n)
    level = K * np.sqrt(spread**2 + np.maximum(usual, LEAST_M) ** 2)
    unlike = tuple(int(robot) for robot in np.flatnonzero(usual > UNLIKE_M))
    passed = {*failed, *unlike}
    affected = {} if not failed else _affected(t, off > level, first, passed)
    affected = {robot: at + shift for robot, at in affected.items()}
    edges = _edges(policy, asked, failed, affected)
    stage1 = _stage1(policy, asked, twins, shift)
    return Course(t + shift, off, mismatch, unlike, affected, edges, stage1)


def _recorded(case: Case, t: Float) -> Float:
    """(T, N, 2) m."""
    ways = [
        np.stack([np.interp(t, m.t, m.position[:, k]) for k in (0, 1)], axis=-1)
        for m in case.motions.robots
    ]
    return np.stack(ways, axis=1)


def _affected(t: Float, far: Float, first: float, passed: set[int]) -> dict[int, float]:
    """Robots that are off for long, from after the first failure on, and were not before."""
    lasts = max(round(LASTS_S / float(np.median(np.diff(t)))), 1)
    out = {}
    for robot in range(far.shape[1]):
        if robot in passed:
            continue
        run = np.convolve(far[:, robot], np.ones(lasts), "valid") == lasts
        starts = np.flatnonzero(run)
        starts = starts[t[starts] >= first]
        if len(starts) and not run[: starts[0]][t[: starts[0]] < first].any():
            out[robot] = float(t[starts[0]])
    return dict(sorted(out.items(), key=lambda item: item[1]))


def _edges(
    policy: OnnxPolicy,
    asked: Sequence[Asked | None],
    failed: dict[int, float],
    affected: dict[int, float],
) -> tuple[Edge, ...]:
    """To each affected robot from that which it heeded most, of those that were off before."""
    off, others = {**failed, **affected}, teammate_index(len(asked))
    out = []
    for robot, at in affected.items():
        mine = asked[robot]
        if mine is None:
            continue
        since = min([t for t in off.values() if t < at], default=at)
        window = (mine.t >= min(since, at - BEFORE_S) - BEFORE_S) & (mine.t <= at)
        if not window.any():
            continue
        heeded = influence(policy, mine.some(window)).max(axis=0)
        known = [
            (float(heeded[k]), int(other))
            for k, other in enumerate(others[robot])
            if off.get(int(other), np.inf) < at and heeded[k] >= HEEDS
        ]
        if known:
            size, source = max(known)
            out.append(Edge(source, robot, at, size))
    return tuple(out)


def chain_of(first: int, course: Course | None, n: int) -> list[int]:
    """The first to fail, then those whose path of contagion leads back to it, in time."""
    if course is None:
        return [first]
    rate = np.zeros((n, n))
    for edge in course.edges:
        rate[edge.robot, edge.source] = edge.influence
    behind = [r for r in course.affected if trace_back(rate, rate, r)[0] == first]
    return [first, *behind]


def _stage1(
    policy: OnnxPolicy, asked: Sequence[Asked | None], twins: Sequence[Twin], shift: float
) -> Stage1 | None:
    """Remainders of the actor in the flight against those in twins, at equal times."""
    if any(one is None for one in asked):
        return None
    flight = [one for one in asked if one is not None]
    end = max(one.t[-1] for one in flight)  # who decides no more keeps its last value
    t = np.arange(START_S, end, STEP_S)
    if len(t) < 2:
        return None
    values = np.stack([_bent_at(policy, one, t) for one in flight], axis=1)
    runs = []
    for twin in twins:
        each = [stacked(made) for made in twin.decisions]
        if all(one is not None for one in each):
            runs.append([_bent_at(policy, one, t - shift) for one in each if one is not None])
    if len(runs) < 2:
        return None
    reference = smoothed(np.moveaxis(np.array(runs), 1, 2))
    mine, usual = smoothed(values), reference_of(reference)
    # Simulator and flight differ without any failure, too: by this much in most places.
    gap = 1.4826 * float(np.median(usual.deviation(mine)))
    usual = Reference(usual.mean, np.sqrt(usual.std**2 + gap**2))
    found = attribute(usual.flags(mine, K), usual.sigmas(mine))
    named = int(found.patient)
    at = None if named == NOBODY else float(t[int(found.at)])
    return Stage1(t, usual.sigmas(mine), None if named == NOBODY else named, at)


def _bent_at(policy: OnnxPolicy, asked: Asked, t: Float) -> Float:
    """(T) remainders of the decisions last before each time."""
    last = np.clip(np.searchsorted(asked.t, t, side="right") - 1, 0, len(asked) - 1)
    which, back = np.unique(last, return_inverse=True)
    return bent(policy, asked.some(which))[back]
