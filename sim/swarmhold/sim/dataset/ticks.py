"""Decisions of N robots, each on its own beat, joined to ticks of the team."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

STALE = 2.5  # decisions' periods between two decisions, up to which the first one is held
GONE_S = 0.5  # without any decision, after which a robot is no longer taken to act
WITHIN = 0.9  # periods, within which the decisions of a tick lie
GAP = 2.5  # periods between two ticks, from which on nobody knows what was between them


@dataclass(frozen=True, slots=True)
class Ticks:
    """T ticks of N robots.

    Attributes:
        t: (T) s, of the last decision of each.
        index: (T, N) of the decision that each robot acts on, -1 where it does not act.
        stale: (T, N) robots that decided, but what they did is missing in the recording.
    """

    t: Float
    index: Int
    stale: Bool


def join(times: tuple[Float, ...], period: float) -> Ticks:
    """Ticks hold one decision of every robot, those within nearly a period of the first.

    A robot whose decision is missing goes on with the one before, for a short while.

    Args:
        times: (K) s of the decisions of each robot, rising.
        period: s, between two decisions.
    """
    rows, when = _gathered(times, period)
    index = np.full((len(rows), len(times)), -1)
    for tick, row in enumerate(rows):
        for robot, number in row.items():
            index[tick, robot] = number
    t = np.array(when)
    stale = np.zeros(index.shape, bool)
    for robot, own in enumerate(times):
        index[:, robot], stale[:, robot] = _held(index[:, robot], t, own, period)
    return Ticks(t, index, stale)


def _gathered(times: tuple[Float, ...], period: float) -> tuple[list[dict[int, int]], list[float]]:
    """Decisions by robot of each tick, and the time of the last one."""
    pooled = sorted((t, robot, k) for robot, own in enumerate(times) for k, t in enumerate(own))
    rows: list[dict[int, int]] = []
    last: list[float] = []
    first = -np.inf
    for t, robot, number in pooled:
        if not rows or robot in rows[-1] or t - first >= WITHIN * period:
            rows.append({})
            last.append(t)
            first = t
        rows[-1][robot], last[-1] = number, t
    return rows, last


def _held(index: Int, t: Float, own: Float, period: float) -> tuple[Int, Bool]:
    """What a robot acts on at ticks without a decision of its own, and where nobody knows."""
    stale = np.zeros(len(index), bool)
    if not len(own):
        return index, stale
    before = np.maximum.accumulate(index)
    left = t[-1] - own[-1]  # at the end of the recording a robot has not gone, it is cut off
    gap = np.append(np.diff(own), left if left <= GONE_S else np.inf)[np.maximum(before, 0)]
    missing = (index < 0) & (before >= 0)
    held = missing & (gap <= STALE * period)
    stale[missing & (gap > STALE * period) & (gap <= GONE_S)] = True
    stale[(before < 0) & (own[0] - t[0] <= GONE_S)] = True  # so it is at the beginning
    return np.where(held, before, index), stale


def segments(t: Float, keep: Bool, period: float) -> tuple[Int, int]:
    """Number the episodes: ticks that follow each other without a hole.

    Args:
        t: (T) s.
        keep: (T) ticks that stay.
        period: s.

    Returns:
        (T) number of the episode, -1 for ticks that do not stay; and how many holes there are.
    """
    holes = np.diff(t) > GAP * period
    breaks = np.concatenate([[True], holes | ~keep[:-1]]) & keep
    return np.where(keep, np.cumsum(breaks) - 1, -1), int(holes.sum())
