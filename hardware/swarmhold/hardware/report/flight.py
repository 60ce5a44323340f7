"""A flight as arrays, and how to read it from its recording."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware import wire
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.report.recording import (
    ENDS,
    about,
    began_at,
    events_of,
    messages_of,
    recording_of,
)
from swarmhold.hardware.types import Bool, Float, Int

FOREVER = 1e9  # s


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as it was done: ground truth.

    Attributes:
        kind: "absent", or a kind of `hardware.faults`.
        robot: roster index.
        start: s since the start of the flight.
        end: s; `FOREVER` if it never ended.
    """

    kind: str
    robot: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class RobotLog:
    """Status messages of one robot, K of them.

    Attributes:
        t: (K) s since the start of the flight.
        weights: (K, N).
        attention: (K, N); the own entry is the null token's share.
        source: (K) `WeightSource`.
        period: (K) s; 0 for the first tick.
        inference: (K) s; 0 on ticks without a decision.
        missed: (K) ticks missed so far, within the boot.
    """

    t: Float
    weights: Float
    attention: Float
    source: Int
    period: Float
    inference: Float
    missed: Float


@dataclass(frozen=True, slots=True)
class Flight:
    """Everything a report needs of one flight; times in s since all robots acted.

    Attributes:
        folder: where it lies.
        info: what was flown (bundle, seed, robots, ...).
        duration: s.
        faults: ground truth.
        t: (T) of the truth.
        position: (T, N, 2) m, world.
        error: (T) m, as the world had it.
        touched: (T, N) in contact.
        robots: status logs, one per robot.
        table_t: (S) of the supervisor's tables.
        table_states: (S, N) `HealthState`.
        landmarks: (L, 3) x, y, value, as they were last.
        half_width: m.
        recording: the MCAP file.
        warnings: lines that nodes complained with.
        shadows: what each robot said last of the bundle that looked on, see `Disagreement`.
    """

    folder: Path
    info: dict[str, Any]
    duration: float
    faults: list[Fault]
    t: Float
    position: Float
    error: Float
    touched: Bool
    robots: list[RobotLog]
    table_t: Float
    table_states: Int
    landmarks: Float
    half_width: float
    recording: Path
    warnings: list[str]
    shadows: tuple[dict[str, Any], ...] = ()

    @property
    def n(self) -> int:
        """Team size."""
        return int(self.info["robots"])

    def faulty_at(self, times: Float) -> Bool:
        """(T, N) whether a fault acts on each robot at each time."""
        out = np.zeros((len(times), self.n), bool)
        for fault in self.faults:
            out[:, fault.robot] |= (times >= fault.start) & (times < fault.end)
        return out

    def ever_faulty(self) -> Bool:
        """(N) whether a fault acted on each robot at any time."""
        out = np.zeros(self.n, bool)
        out[[fault.robot for fault in self.faults]] = True
        return out


def read_flight(folder: Path) -> Flight:
    """Read a flight folder.

    Args:
        folder: written by `swarmhold fly` or `demo`, with a recording.

    Raises:
        ConfigError: the folder is no flight, or its recording is missing or damaged.
        MissingExtraError: rosbags is not installed.
    """
    lines = events_of(folder)
    info = about(folder, lines)
    started = began_at(folder, lines)
    ended = max(line["t"] for line in lines)
    recording = recording_of(folder)
    rows = _Rows(int(info["robots"]), started)
    for topic, stamp, message in messages_of(folder):
        rows.add(topic, stamp, message)
    silent = {robot for robot, times in enumerate(rows.status_t) if not times}
    if not rows.truth_t or silent - set(info.get("absent", ())):
        raise ConfigError(f"{recording}: some robot left no status; the recording is incomplete")
    return Flight(
        folder=folder,
        info=info,
        duration=ended - started,
        faults=faults_of(lines, started, int(info["robots"])),
        t=np.array(rows.truth_t),
        position=np.array(rows.positions)[..., :2],
        error=np.array(rows.errors),
        touched=np.array(rows.touched, bool),
        robots=rows.robot_logs(),
        table_t=np.array(rows.table_t),
        table_states=np.array(rows.table_states, int).reshape(-1, int(info["robots"])),
        landmarks=np.array(rows.landmarks).reshape(-1, 3),
        half_width=rows.half_width,
        recording=recording,
        warnings=[
            f"{line.get('source')}: {line.get('text')}"
            for line in lines
            if line["event"] == "warning"
        ],
        shadows=tuple(
            {line["robot"]: line for line in lines if line["event"] == "shadow"}.values()
        ),
    )


def faults_of(lines: list[dict[str, Any]], started: float, n: int) -> list[Fault]:
    """Faults with their ends: a thaw ends a freeze, a respawn ends a crash or an absence."""
    out: list[Fault] = []
    for line in lines:
        if line["event"] != "fault":
            continue
        at, robot = line["t"] - started, line["robot"]
        over = ENDS.get(line["kind"])
        if over is not None:
            for index, fault in enumerate(out):
                if fault.robot == robot and fault.kind in over and fault.end == FOREVER:
                    out[index] = Fault(fault.kind, robot, fault.start, at)
        elif 0 <= robot < n:
            length = float(line.get("duration_s", FOREVER))
            out.append(Fault(line["kind"], robot, at, at + length if length < 1e5 else FOREVER))
    return out


class _Rows:
    """Collects messages by topic."""

    def __init__(self, n: int, started: float) -> None:
        self._n, self._started = n, started
        self.truth_t: list[float] = []
        self.positions: list[Float] = []
        self.errors: list[float] = []
        self.touched: list[Any] = []
        self.table_t: list[float] = []
        self.table_states: list[Any] = []
        self.landmarks: list[tuple[float, float, float]] = []
        self.half_width = 1.0
        self.status_t: list[list[float]] = [[] for _ in range(n)]
        self._status: list[list[tuple[Any, ...]]] = [[] for _ in range(n)]
        self._takes: dict[str, Callable[[float, Any], None]] = {
            "/swarm/truth": self._truth,
            "/swarm/health": self._table,
            **{f"/robot_{i}/status": partial(self._add_status, i) for i in range(n)},
        }

    def add(self, topic: str, received: float, message: Any) -> None:
        """Take in one message, if it fits the team; header stamps count where there are any."""
        if topic == "/swarm/task":
            with suppress(MessageError):  # no robot has taken it either
                task = wire.read_task(message)
                self.landmarks = list(task.landmarks)
                self.half_width = task.half_width
            return
        if topic not in self._takes:
            return
        if topic == "/swarm/estop":
            return  # has no stamp; nodes themselves say when they stopped
        stamp = message.header.stamp
        t = stamp.sec + 1e-9 * stamp.nanosec - self._started
        if t >= 0.0:
            self._takes[topic](t, message)

    def _truth(self, t: float, message: Any) -> None:
        if len(message.positions) == 3 * self._n:
            self.truth_t.append(t)
            self.errors.append(float(message.error))
            self.touched.append(np.asarray(message.touched, bool))
            self.positions.append(np.asarray(message.positions).reshape(self._n, 3))

    def _table(self, t: float, message: Any) -> None:
        if len(message.states) == self._n:
            self.table_t.append(t)
            self.table_states.append(np.asarray(message.states))

    def _add_status(self, robot: int, t: float, message: Any) -> None:
        weights = np.asarray(message.weights, float)
        attention = np.asarray(message.attention, float)
        if message.robot != robot or weights.size != self._n:
            return
        if attention.size != self._n:
            attention = np.full(self._n, np.nan)
        self.status_t[robot].append(t)
        self._status[robot].append(
            (
                weights,
                attention,
                message.source,
                message.period_s,
                message.inference_s,
                message.missed,
            )
        )

    def robot_logs(self) -> list[RobotLog]:
        """Status messages as arrays."""
        out = []
        for times, rows in zip(self.status_t, self._status, strict=True):
            none = np.zeros(0)  # of a robot that was never there
            columns = [np.array(column, float) for column in zip(*rows, strict=True)]
            empty = [np.zeros((0, self._n)), np.zeros((0, self._n)), *[none] * 4]
            weights, attention, source, period, inference, missed = columns or empty
            out.append(
                RobotLog(
                    np.array(times),
                    weights,
                    attention,
                    source.astype(int),
                    period,
                    inference,
                    missed,
                )
            )
        return out
