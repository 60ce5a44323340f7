"""Set-points on their way to the motors, each robot's late by a time of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from swarmhold.hardware.types import Bool, Float


class Late:
    """Remembers what was asked for, and cuts time where motors begin to obey it."""

    def __init__(self, latency: Float, tick: float) -> None:
        """Nothing has been asked for yet.

        Args:
            latency: (N) s.
            tick: s, to whose multiples times are rounded.
        """
        self._latency, self._tick = np.round(latency / tick) * tick, tick
        self._asked: list[tuple[float, Float, Bool]] = []

    def pieces(
        self, now: float, seconds: float, goal: Float, idle: Bool
    ) -> Iterator[tuple[float, Float, Bool]]:
        """What motors do in the next `seconds`: durations (s), set-points, and who is held.

        Args:
            now: s.
            seconds: a multiple of the tick.
            goal: (N, Da) asked for from now on.
            idle: (N) robots that nothing is asked of.
        """
        self._asked.append((now, goal.copy(), idle.copy()))
        oldest = now - float(self._latency.max())
        while len(self._asked) > 1 and self._asked[1][0] <= oldest:
            self._asked.pop(0)
        since = np.array([asked[0] for asked in self._asked])
        due = np.round((since[:, None] + self._latency - now) / self._tick).astype(int)
        ticks = round(seconds / self._tick)
        edges = [0, *np.unique(due[(due > 0) & (due < ticks)]).tolist(), ticks]
        robots = np.arange(len(self._latency))
        goals, holds = (np.array([asked[k] for asked in self._asked]) for k in (1, 2))
        for start, end in itertools.pairwise(edges):
            last = (due <= start).sum(axis=0) - 1
            begun = last >= 0
            yield (
                (end - start) * self._tick,
                np.where(begun[:, None], goals[last, robots], 0.0),
                np.where(begun, holds[last, robots], True),
            )
