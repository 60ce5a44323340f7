"""When a spare robot takes a lost one's place: not while that one may still come back."""

from __future__ import annotations

from collections.abc import Sequence

from swarmhold.hardware.health import HealthState

LEAST_LOST_S = 3.0  # s; who is back sooner is trusted again soon, and keeps its place


class Spares:
    """Looks at what the supervisor says, and gives each place away once it was lost for long."""

    def __init__(self, count: int, after_s: float) -> None:
        """Args: spare robots; s for which one must have been LOST without a break."""
        self._left, self._after_s = count, after_s
        self._lost_since: dict[int, float] = {}

    def look(self, states: Sequence[str], now: float) -> list[int]:
        """Robots in whose place a spare is to be started now.

        Args:
            states: names of `HealthState`, by roster index.
            now: s, monotonic.
        """
        lost = {robot for robot, state in enumerate(states) if state == HealthState.LOST.name}
        self._lost_since = {robot: self._lost_since.get(robot, now) for robot in lost}
        due = [robot for robot, since in self._lost_since.items() if now - since >= self._after_s][
            : self._left
        ]
        self._left -= len(due)
        for robot in due:
            self._lost_since[robot] = now  # the spare has its time too
        return due
