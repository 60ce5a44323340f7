"""What a recording proves against a robot: one series per robot and channel, in sigmas.

Channels look at what happened, not at what detectors made of it: silence, motion against
set-points, set-points against the policy, a robot's word against its own localisation, and
against what teammates saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from swarmhold.hardware.report.replay import Ticked
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float
from swarmhold.policies.forensics.asked import again, decisions_of, stacked
from swarmhold.policies.forensics.case import Case
from swarmhold.sim.gap.twin import OpenLoop
from swarmhold.sim.gap.windows import HORIZONS_S, windows_of

SILENT_S = 0.3  # without a word, as the monitors have it
AT = 0  # horizon at which motion is held against set-points, of `HORIZONS_S`
NEAR_S = 0.25  # by which what is published and what the policy wants may be apart in time
BIN_S = 0.25  # over which sightings of one robot by all others are put together
SLACK, LIMIT, MOST = 3.0, 15.0, 10.0  # of the CUSUM, in sigmas
# Least standard deviation of a channel without a failure: what discretisation alone makes.
LEAST = {"motion": 0.01, "policy": 0.1, "word": 0.02, "sight": 0.03}
WORDS = {
    "silence": "says nothing more",
    "motion": "moves otherwise than it was told to",
    "policy": "commands what its policy would not",
    "word": "claims to be where it does not know itself to be",
    "sight": "is not where it claims to be",
}


@dataclass(frozen=True, slots=True)
class Series:
    """One channel of one robot.

    Attributes:
        channel: name.
        robot: roster index.
        t: (K) s.
        size: (K) sigmas.
    """

    channel: str
    robot: int
    t: Float
    size: Float


@dataclass(frozen=True, slots=True)
class Onset:
    """A change point.

    Attributes:
        robot: roster index.
        channel: in which it shows.
        t: s.
        sigma: mean size from there to the alarm.
    """

    robot: int
    channel: str
    t: float
    sigma: float


def series_of(case: Case, ticks: Sequence[Ticked], policy: OnnxPolicy) -> list[Series]:
    """All channels of all robots that say anything.

    Args:
        case: the recording.
        ticks: of its replay.
        policy: that of all robots.
    """
    raw = {
        "motion": [_motion(case, robot) for robot in range(case.n)],
        "policy": [_policy(case, ticks, policy, robot) for robot in range(case.n)],
        "word": [case.claims[robot] for robot in range(case.n)],
        "sight": [_sight(case, robot) for robot in range(case.n)],
    }
    return [
        Series(channel, robot, rows[:, 0], size)
        for channel, each in raw.items()
        for robot, (rows, size) in enumerate(zip(each, _sigmas(each, LEAST[channel]), strict=True))
        if len(rows)
    ]


def _motion(case: Case, robot: int) -> Float:
    """(W, 2) time, and m by which the twin of its set-points is off after a window."""
    motions = replace(case.motions, faults=())  # the truth is not to be known here
    windows = windows_of(motions, robot)
    if not len(windows):
        return np.zeros((0, 2))
    twin = OpenLoop(str(motions.info["robot"]), motions.robots[robot], windows)
    off = twin.ways(twin.plain[None])[0][:, AT, :2] - windows.way[:, AT, :2]
    return np.column_stack([windows.start + HORIZONS_S[AT], np.linalg.norm(off, axis=-1)])


def _policy(case: Case, ticks: Sequence[Ticked], policy: OnnxPolicy, robot: int) -> Float:
    """(T, 2) time, and share of the bound by which the published set-point is off.

    Of the range of what the policy wants shortly before and after, asked once in the replay and
    once with the last action as it was published: where it is steep, a few ms between the flight
    and its replay turn a set-point over.
    """
    mine = [tick for tick in ticks if tick.robot == robot and tick.t > case.began]
    told = [(tick.t - case.began, tick.recorded) for tick in mine if tick.recorded is not None]
    bound = np.asarray(policy.bundle.spec.action_bound)
    asked = stacked(decisions_of(mine, robot, case.began, bound))
    if not told or asked is None:
        return np.zeros((0, 2))
    t = np.array([tick.t - case.began for tick in mine] + asked.t.tolist())
    wanted = np.concatenate([np.array([tick.replayed for tick in mine]), again(policy, asked)])
    rows = []
    for at, published in told:
        near = wanted[np.abs(t - at) <= NEAR_S]
        off = np.maximum(near.min(axis=0) - published, published - near.max(axis=0)) / bound
        rows.append((at, max(float(off.max()), 0.0)))
    return np.array(rows, float)


def _sight(case: Case, robot: int) -> Float:
    """(T, 2) time, and m: what the more favourable half of the observers make of its word."""
    mine = case.seen[case.seen[:, 1] == robot]
    rows = []
    for number in np.unique(mine[:, 2] // BIN_S):
        now = mine[mine[:, 2] // BIN_S == number]
        each = [np.median(now[now[:, 0] == observer, 3]) for observer in np.unique(now[:, 0])]
        rows.append((float(now[:, 2].mean()), float(np.sort(each)[(len(each) - 1) // 2])))
    return np.array(rows, float).reshape(-1, 2)


def _sigmas(each: Sequence[Float], least: float) -> list[Float]:
    """Values in sigmas of all robots' together, robustly; what is no number counts as `MOST`."""
    pooled = np.concatenate([rows[:, 1] for rows in each])
    known = pooled[np.isfinite(pooled)]
    middle = float(np.median(known)) if len(known) else 0.0
    spread = 1.4826 * float(np.median(np.abs(known - middle))) if len(known) else 0.0
    scale = max(spread, least)
    return [np.nan_to_num((rows[:, 1] - middle) / scale, nan=MOST, posinf=MOST) for rows in each]


def change_point(series: Series) -> Onset | None:
    """Where a CUSUM that alarms began to rise: S <- max(0, S + min(z, most) - slack)."""
    total, began = 0.0, 0
    for k, size in enumerate(np.minimum(series.size, MOST)):
        total = max(0.0, total + float(size) - SLACK)
        if total == 0.0:
            began = k + 1
        elif total > LIMIT:
            sigma = float(series.size[began : k + 1].mean())
            return Onset(series.robot, series.channel, float(series.t[began]), sigma)
    return None


def silences(case: Case) -> list[Onset]:
    """Robots that fell silent while most of the team was heard: who was cut off is the recorder."""
    out = []
    for robot in range(case.n):
        t = np.array([t for t, _ in case.said[robot]])
        t = t[t >= 0.0]
        if not len(t):
            continue
        gaps = np.diff([*t, case.ended])
        usual = float(np.median(gaps))
        for k in np.flatnonzero(gaps > max(SILENT_S, 6.0 * usual)):
            if 2 * _heard(case, t[k] + usual, t[k] + gaps[k], usual) > case.n:
                sigma = float(gaps[k]) / usual
                out.append(Onset(robot, "silence", float(t[k]) + usual, sigma))
                break
    return out


def _heard(case: Case, since: float, until: float, usual: float) -> int:
    """How many robots speak between two times, no less than half as often as they should."""
    expected = (until - since) / usual
    return sum(sum(since <= t <= until for t, _ in said) >= 0.5 * expected for said in case.said)


def onsets_of(case: Case, series: Sequence[Series]) -> list[Onset]:
    """The first change point of each robot in each channel, in the order of time."""
    found = [change_point(one) for one in series]
    every = [one for one in found if one is not None] + silences(case)
    return sorted(every, key=lambda one: one.t)
