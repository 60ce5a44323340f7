"""How regularly a loop runs: its rate and its largest gap since it was last asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

LATE = 2.0  # periods between two ticks that are worth a warning


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class RateReport:
    """One span of time.

    Attributes:
        level: ERROR without any tick in it, WARN with a gap above `LATE` periods.
        text: the same in words.
        rate_hz: ticks per second.
        largest_gap_s: between two ticks, or a tick and either end of the span.
    """

    level: Level
    text: str
    rate_hz: float
    largest_gap_s: float


class Rates:
    """Counts the ticks of a loop."""

    def __init__(self, period_s: float, now: float) -> None:
        """Args: wanted period, and the start of the first span (s, monotonic)."""
        self._period, self._since, self._last = period_s, now, now
        self._ticks, self._gap = 0, 0.0

    def tick(self, now: float) -> None:
        """The loop ran at `now`."""
        self._gap, self._last = max(self._gap, now - self._last), now
        self._ticks += 1

    def report(self, now: float) -> RateReport:
        """What happened since the last report; a new span begins."""
        span, gap = now - self._since, max(self._gap, now - self._last)
        rate = self._ticks / span if span > 0.0 else 0.0
        if not self._ticks:
            level, text = Level.ERROR, f"no tick for {gap:.2f} s"
        elif gap > LATE * self._period:
            level, text = Level.WARN, f"a gap of {1e3 * gap:.0f} ms"
        else:
            level, text = Level.OK, "regular"
        self._since, self._ticks, self._gap = now, 0, 0.0
        return RateReport(level, text, rate, gap)
