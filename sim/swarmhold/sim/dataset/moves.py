"""Where the robots of a recording were at given times, and what they were told in between."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.messages import Task
from swarmhold.hardware.report.flight import Fault
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.sim.dataset.listen import Log

EARLY_S = 0.012  # by which a set-point may reach the recorder before the status of its tick


def poses_at(log: Log, t: Float) -> Float:
    """(T, N, 4) position (m) and yaw (rad) at times (T), s: the truth where it was recorded.

    A robot that says nothing of itself is where it was last.
    """
    n = int(log.info["robots"])
    if len(log.truth):
        rows = log.truth[:, 1:].reshape(-1, n, 5)[..., :4]
        return np.stack([_along(log.truth[:, 0], rows[:, i], t) for i in range(n)], axis=1)
    return np.stack([_along(own[:, 0], own[:, 1:5], t) for own in log.poses], axis=1)


def _along(times: Float, rows: Float, t: Float) -> Float:
    """(T, 4) between the rows (F, 4), the last column an angle."""
    if not len(times):
        return np.zeros((len(t), 4))
    turned = np.column_stack([rows[:, :3], np.unwrap(rows[:, 3])])
    return np.stack([np.interp(t, times, column) for column in turned.T], axis=-1)


def twists_at(log: Log, t: Float) -> Float:
    """(T, N, 4) velocity (m/s, world ENU) and yaw rate (rad/s) by the last frames."""
    out = []
    for own in log.poses:
        if not len(own):
            out.append(np.zeros((len(t), 4)))
            continue
        last = np.maximum(np.searchsorted(own[:, 0], t, side="right") - 1, 0)
        out.append(own[last, 5:9])
    return np.stack(out, axis=1)


def touched_within(log: Log, begin: Float, end: Float) -> Bool:
    """(T, N) robots in contact between two times; nobody where the recording does not say."""
    n = int(log.info["robots"])
    if not len(log.truth):
        return np.zeros((len(begin), n), bool)
    touch = log.truth[:, 1:].reshape(-1, n, 5)[..., 4]
    sums = np.pad(np.cumsum(touch, axis=0), [(1, 0), (0, 0)])
    first, last = (np.searchsorted(log.truth[:, 0], t, side="right") for t in (begin, end))
    return np.asarray(sums[last] > sums[first])


def told_between(commands: Float, begin: Float, end: Float) -> tuple[Float, Bool]:
    """Mean set-points (K, A) of the spans between two times (K), and where there is one at all.

    Args:
        commands: (C, 1 + A) times and set-points.
        begin: (K) s.
        end: (K) s.
    """
    first = np.searchsorted(commands[:, 0], begin - EARLY_S)
    last = np.searchsorted(commands[:, 0], end - EARLY_S)
    sums = np.pad(np.cumsum(commands[:, 1:], axis=0), [(1, 0), (0, 0)])
    count = last - first
    mean = (sums[last] - sums[first]) / np.maximum(count, 1)[:, None]
    return np.asarray(mean), np.asarray(count > 0)


def tasks_at(log: Log, t: Float) -> list[Task]:
    """What the team was told last, at each time."""
    times = np.array([when for when, _ in log.tasks])
    last = np.maximum(np.searchsorted(times, t, side="right") - 1, 0)
    return [log.tasks[k][1] for k in last]


def states_at(log: Log, t: Float, own: Int) -> Int:
    """(T, N) `HealthState` by the supervisor's table; before its first, by most of the team.

    Args:
        log: of the flight.
        t: (T) s.
        own: (T, N, N) what each robot (axis 1) holds of each; -1 where it says nothing.
    """
    thinks = np.where(np.eye(own.shape[1], dtype=bool), -1, own)  # nobody judges himself
    votes = np.stack([(thinks == state).sum(axis=1) for state in range(6)], axis=-1)
    out = votes.argmax(axis=-1)
    if len(log.tables):
        last = np.searchsorted(log.tables[:, 0], t, side="right") - 1
        table = log.tables[np.maximum(last, 0), 1:].astype(int)
        out = np.where((last >= 0)[:, None], table, out)
    return np.asarray(out)


def broken_at(faults: tuple[Fault, ...], t: Float, n: int, names: tuple[str, ...]) -> Int:
    """(T, N) index in `names` of what is broken on purpose at times (T) of the flight, or 0."""
    out = np.zeros((len(t), n), int)
    for fault in faults:
        out[(t >= fault.start) & (t < fault.end), fault.robot] = names.index(fault.kind)
    return out
