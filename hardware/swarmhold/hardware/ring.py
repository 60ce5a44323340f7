"""Recording around events: the last seconds of all messages in memory, written out when it matters.

Pure: the shell that records says what arrived and what happened, and writes what comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import HealthTable

# What a robot's entering in the supervisor's table is an event.
GRAVE = (HealthState.LOST, HealthState.QUARANTINED, HealthState.ESTOPPED)


@dataclass(frozen=True, slots=True)
class Row:
    """One message as it was received.

    Attributes:
        topic: where.
        at_ns: when, ns, wall clock; it is what the file says.
        data: its bytes.
    """

    topic: str
    at_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What to do now, in this order.

    Attributes:
        closes: the open file is complete.
        opens: a new one begins.
        rows: go into the open file.
    """

    closes: bool = False
    opens: bool = False
    rows: list[Row] = field(default_factory=list)


class Ring:
    """The last seconds of messages, within a number of bytes.

    Of latched topics also what held before: it is said once, and means something ever after.
    """

    def __init__(self, seconds: float, most_bytes: int, latched: Collection[str] = ()) -> None:
        """Empty."""
        self._seconds, self._most = seconds, most_bytes
        self._latched = frozenset(latched)
        self._rows: deque[tuple[float, Row]] = deque()
        self._held: dict[str, Row] = {}
        self.bytes = 0

    def add(self, row: Row, now: float) -> None:
        """One more message at `now` (s, monotonic); the oldest make room."""
        self._rows.append((now, row))
        self.bytes += len(row.data)
        self._age(now)

    def drain(self, now: float) -> list[Row]:
        """All that is there at `now`, and first what held before; leaves the ring empty."""
        self._age(now)
        held = sorted(self._held.values(), key=lambda row: row.at_ns)
        rows = [row for _, row in self._rows]
        for row in rows:
            self.note(row)
        self._rows.clear()
        self.bytes = 0
        return [*held, *rows]

    def note(self, row: Row) -> None:
        """Remember what holds, of a message that is no longer in the ring or never was."""
        if row.topic in self._latched:
            self._held[row.topic] = row

    def _age(self, now: float) -> None:
        while self._rows and (self.bytes > self._most or now - self._rows[0][0] > self._seconds):
            _, row = self._rows.popleft()
            self.bytes -= len(row.data)
            self.note(row)


class Around:
    """Keeps what was received from some time before each event until some time after it.

    Events that follow while a file is open keep it open: what overlaps is one file.
    """

    def __init__(self, ring: Ring, after_s: float) -> None:
        """Args: where messages wait for an event, and s to go on for after it."""
        self._ring, self._after = ring, after_s
        self._until: float | None = None  # s, of the open file

    def step(self, now: float, row: Row | None = None, event: bool = False) -> Kept:
        """A message came, or something happened, or just time has passed.

        Args:
            now: s, monotonic.
            row: what came.
            event: whether something happened.
        """
        closes = self._until is not None and now > self._until
        if closes:
            self._until = None
        opens = event and self._until is None
        rows = self._ring.drain(now) if opens else []
        if event:
            self._until = now + self._after
        if row is not None and self._until is None:
            self._ring.add(row, now)
        elif row is not None:
            self._ring.note(row)
            rows.append(row)
        return Kept(closes, opens, rows)


def fallen(before: HealthTable | None, table: HealthTable) -> list[str]:
    """Names of what has happened to robots between two tables, e.g. "robot_3-lost"."""
    known = before.states if before and len(before.states) == len(table.states) else ()
    return [
        f"robot_{robot}-{HealthState(state).name.lower()}"
        for robot, state in enumerate(table.states)
        if state in GRAVE and (not known or known[robot] not in (state, *GRAVE))
    ]
