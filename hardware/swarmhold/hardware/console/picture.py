"""What an operator is shown: one picture of the team, folded from what the team says.

The same fold runs in the node that listens to a live team, over the messages of a recording, and
over a simulated team, so that one page fits all three. Times are those of the listener: ages never
mix clocks.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from swarmhold.hardware.console.happening import Happening, Happenings
from swarmhold.hardware.drivers.protocol import Reality
from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.faults import BODY_KINDS, SIGNAL_KINDS
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import (
    MOST_ROBOTS,
    HealthTable,
    Mode,
    PolicyStatus,
    RobotState,
    Task,
)
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.office import supersedes
from swarmhold.hardware.safety import Limit
from swarmhold.hardware.team_health import WeightSource

Picture = dict[str, Any]  # JSON; docs/console.md says what is in it
LOOP_S = 0.05  # of every live node
SILENT_S = 0.5  # a robot that was not heard for longer is lost, whoever says otherwise
STALE_S = 1.0  # a status older than this says nothing about now
SAID_S = 5.0  # how long it counts that bodies were said to be simulated
MOST_SPEAKERS = 256  # that say whether bodies are real
ANSWER_S = (
    2.5  # after an order, in which it is said whether it is refused: diagnostics come at 1 Hz
)
WINDOW = 100  # ticks of a robot over which loop times are taken: 5 s
_GONE = ("LOST", "QUARANTINED")
_NO_ACCUSATION = Accusation.SEEN | Accusation.HEARD | Accusation.COMMON


@dataclass(slots=True)
class _Heard:
    """What is known of one robot, and when (s) it was heard."""

    state: RobotState | None = None
    state_at: float = -math.inf
    status: PolicyStatus | None = None
    status_at: float = -math.inf
    faults: dict[str, float] = field(default_factory=dict)
    periods: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    inferences: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


class TeamPicture:
    """Listens, and draws on demand."""

    def __init__(self, robots: int = 0, wall_s: float = 0.0, period_s: float = LOOP_S) -> None:
        """Nothing heard yet.

        Args:
            robots: team size; robots that are never heard are shown as well. 0: not known.
            wall_s: wall-clock time (s) at the zero of the listener's clock.
            period_s: s, that a robot's loop is meant to take.
        """
        self._period_s = period_s
        self._heard = [_Heard() for _ in range(robots)]
        self._most = robots or MOST_ROBOTS
        self._wall_s = wall_s
        self._table: HealthTable | None = None
        self._table_at = -math.inf
        self._reality: dict[str, tuple[str, float]] = {}
        self._task: Task | None = None
        self._scenario = ""
        self._orders: deque[tuple[str, int, float]] = deque(maxlen=MOST_SPEAKERS)
        self._refused: dict[str, int] = {}
        self._happenings = Happenings(wall_s)

    @property
    def robots(self) -> int:
        """Team size, as far as it is known."""
        return len(self._heard)

    def news(self) -> list[Happening]:
        """What happened since this was last asked."""
        return self._happenings.take()

    def on_state(self, robot: int, state: RobotState, now: float) -> None:
        """A robot's state message came in at `now` (s)."""
        heard = self._of(robot)
        before, heard.state, heard.state_at = heard.state, state, now
        self._happenings.state(robot, before, state, now)

    def on_status(self, robot: int, status: PolicyStatus, now: float) -> None:
        """What a robot's controller did in a tick."""
        self._of(max(robot, len(status.weights) - 1))
        heard = self._heard[robot]
        heard.status, heard.status_at = status, now
        if status.period_s > 0.0:
            heard.periods.append(status.period_s)
        if status.inference_s > 0.0:
            heard.inferences.append(status.inference_s)

    def on_table(self, table: HealthTable, now: float) -> None:
        """The supervisor's verdict."""
        before = self._table
        if not supersedes(table, before, now - self._table_at):
            return
        self._of(len(table.states) - 1)
        self._table, self._table_at = table, now
        self._happenings.table(before, table, now)

    def on_task(self, task: Task, scenario: str) -> None:
        """What the team is to do."""
        self._task, self._scenario = task, scenario

    def on_reality(self, speaker: str, reality: str, now: float) -> None:
        """A driver, or a simulated world, says whether its bodies are real, see `Reality`."""
        if speaker in self._reality or len(self._reality) < MOST_SPEAKERS:
            self._reality[speaker] = reality, now

    def on_fault(self, kind: str, robot: int, duration_s: float, now: float) -> None:
        """Somebody broke a robot on purpose; 0 s ends all faults of that kind."""
        self._of(robot).faults[kind] = now + duration_s
        self._happenings.fault(kind, robot, duration_s, now)
        self._orders.append((kind, robot, now))

    def on_refused(self, kind: str, robot: int, now: float) -> None:
        """An order that came just now is obeyed by nobody."""
        for order in reversed(self._orders):
            if order[:2] == (kind, robot) and now - order[2] <= ANSWER_S:
                self._orders.remove(order)
                self._of(robot).faults.pop(kind, None)
                self._happenings.refused(kind, robot, now)
                return

    def on_refusals(self, speaker: str, count: int, now: float) -> None:
        """A robot, or who has the bodies, says how many orders it has refused so far."""
        more = count - self._refused.get(speaker, count)  # what was before is of no order seen here
        if speaker in self._refused or len(self._refused) < MOST_SPEAKERS:
            self._refused[speaker] = count
        lately = [o for o in self._orders if now - o[2] <= ANSWER_S and _answers(speaker, *o[:2])]
        for kind, robot, _ in lately[-more:] if more > 0 else ():
            self.on_refused(kind, robot, now)

    def on_estop(self, now: float) -> None:
        """Somebody said stop to everybody."""
        self._happenings.stop(now)

    def _of(self, robot: int) -> _Heard:
        """One robot; raises `MessageError` where the team has no such."""
        if not 0 <= robot < self._most:
            raise MessageError(f"of robot {robot} in a team of at most {self._most}")
        while len(self._heard) <= robot:
            self._heard.append(_Heard())
        return self._heard[robot]

    def picture(self, now: float) -> Picture:
        """The team at `now` (s)."""
        given = self._given(now)
        cards = [self._card(robot, given, now) for robot in range(self.robots)]
        self._happenings.cards(cards, now)
        return {
            "t": round(now + self._wall_s, 3),
            "mode": self._mode(now).value,
            "robots": cards,
            "weights": given,
            "attention": self._attention(now),
            "supervisor": self._supervisor(now),
            "task": self._place(),
            "loops": self._loops(now),
        }

    def _mode(self, now: float) -> Reality:
        """SIM if all who ever spoke of it said so, and somebody does now; in doubt HARDWARE."""
        said = self._reality.values()
        simulated = all(word == Reality.SIM.value for word, _ in said)
        lately = any(now - at <= SAID_S for _, at in said)
        return Reality.SIM if simulated and lately else Reality.HARDWARE

    def _card(self, robot: int, given: Sequence[Any], now: float) -> dict[str, Any]:
        heard = self._heard[robot]
        word, judge = self._word(robot, now)
        state, status = heard.state, heard.status
        trust = [row[robot] for i, row in enumerate(given) if row is not None and i != robot]
        table = self._table
        reasons = table.reasons[robot] if table and robot < len(table.reasons) else 0
        return {
            "id": robot,
            "state": word,
            "judge": judge,
            "reasons": [a.name for a in Accusation if a & reasons & ~_NO_ACCUSATION],
            "trust": round(float(np.mean(trust)), 2) if trust else None,
            "age": _age(now - heard.state_at),
            "mode": _name(Mode, state.mode) if state else None,
            "battery": _number(state.battery, 2) if state else None,
            "bundle": f"{state.bundle:016x}" if state else None,
            "place": [_number(v, 3) for v in state.position] if state else None,
            "velocity": [_number(v, 3) for v in state.velocity] if state else None,
            "yaw": _number(state.yaw, 3) if state else None,
            "period_ms": _percentile(heard.periods, 99),
            "inference_ms": _percentile(heard.inferences, 99),
            "missed": status.missed if status else None,
            "source": _name(WeightSource, status.source) if status else None,
            "limited": [bit.name for bit in Limit if status and bit & status.limited],
            "faults": [kind for kind, end in heard.faults.items() if end > now],
        }

    def _word(self, robot: int, now: float) -> tuple[str, str]:
        """The state of a robot, and who says so."""
        heard, table = self._heard[robot], self._table
        if heard.state is None:
            return "ABSENT", "console"
        word, judge = HealthState.HEALTHY.name, "console"
        if table is not None and now - self._table_at <= table.lease_s:
            if robot < len(table.states):
                word, judge = _name(HealthState, table.states[robot]), "supervisor"
        else:
            said = [
                other.status.states[robot]
                for i, other in enumerate(self._heard)
                if i != robot and other.status and now - other.status_at <= STALE_S
                if robot < len(other.status.states)
            ]
            if said:
                word, judge = _name(HealthState, Counter(said).most_common(1)[0][0]), "peers"
        quiet = now - heard.state_at > SILENT_S
        return (word, judge) if not quiet or word in _GONE else ("LOST", "console")

    def _given(self, now: float) -> list[list[float] | None]:
        """Weights that every robot gives; None of one whose status is old."""
        n = self.robots
        rows = (self._current(robot, now) for robot in range(n))
        return [
            [_number(w, 2) or 0.0 for w in row.weights]
            if row is not None and len(row.weights) == n
            else None
            for row in rows
        ]

    def _attention(self, now: float) -> list[list[float] | None]:
        n = self.robots
        rows = (self._current(robot, now) for robot in range(n))
        return [
            [_number(a, 3) or 0.0 for a in row.attention]
            if row is not None and len(row.attention) == n
            else None
            for row in rows
        ]

    def _current(self, robot: int, now: float) -> PolicyStatus | None:
        heard = self._heard[robot]
        return heard.status if now - heard.status_at <= STALE_S else None

    def _supervisor(self, now: float) -> dict[str, Any] | None:
        table = self._table
        if table is None:
            return None
        return {
            "name": table.issuer,
            "term": table.term,
            "age": _age(now - self._table_at),
            "lease": _number(table.lease_s, 2),
            "common": any(reason & Accusation.COMMON for reason in table.reasons),
        }

    def _place(self) -> dict[str, Any] | None:
        task = self._task
        if task is None:
            return None
        return {
            "scenario": self._scenario,
            "half_width": round(task.half_width, 3),
            "home": [round(v, 3) for v in task.home],
            "landmarks": [[round(v, 3) for v in mark] for mark in task.landmarks],
            "posts": [[round(v, 3) for v in post] for post in task.posts],
        }

    def _loops(self, now: float) -> dict[str, Any]:
        """How fast the slowest robot that still speaks is."""
        alive = [heard for heard in self._heard if now - heard.state_at <= SILENT_S]
        recent = [list(heard.periods)[-20:] for heard in alive]
        thought = [list(heard.inferences)[-20:] for heard in alive]
        return {
            "meant_ms": 1e3 * self._period_s,
            "period_ms": _percentile([v for row in recent for v in row], 99),
            "inference_ms": _percentile([v for row in thought for v in row], 99),
            "heartbeat_ms": round(1e3 * max((now - h.state_at for h in alive), default=0.0), 1),
        }


def _answers(speaker: str, kind: str, robot: int) -> bool:
    """Whether a speaker is whom such an order is for: the robot, or who has the bodies."""
    if kind in BODY_KINDS:
        return not speaker.startswith("robot_")
    return kind not in SIGNAL_KINDS and speaker == f"robot_{robot}"


def _age(seconds: float) -> float | None:
    return round(max(seconds, 0.0), 3) if math.isfinite(seconds) else None


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _percentile(values: Sequence[float] | deque[float], percent: float) -> float | None:
    """In ms; None of nothing."""
    return round(1e3 * float(np.percentile(list(values), percent)), 2) if values else None


def _name(kind: Any, value: int) -> str:
    """Name of a value that came in a message, whatever it is."""
    return str(kind(value).name) if value in list(kind) else f"UNKNOWN {value}"
