"""What a recording holds for an autopsy, beside motions: words, sightings, tables, accusations.

Times are those of receipt by the recorder, in s since the team began to act.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware import wire
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.frames import to_world
from swarmhold.hardware.messages import EVERYBODY, HealthTable, RobotState, Task
from swarmhold.hardware.report.motion import Motions, read_motions
from swarmhold.hardware.report.recording import began_at, events_of, messages_of
from swarmhold.hardware.types import Float

FRESH_S = 0.2  # within which a claim still says where a robot is


@dataclass(frozen=True, slots=True)
class Case:
    """A recorded flight of N robots.

    Attributes:
        motions: what robots were told and did.
        task: as it was told first.
        said: of each robot, its state messages with their times.
        tables: the supervisor's, with their times.
        claims: of each robot, (S, 2) times, and m from its word to its own localisation.
        seen: (K, 4) observer, subject, time, m from the sighting to the subject's word.
        began: s, wall clock, from which times count.
    """

    motions: Motions
    task: Task
    said: tuple[tuple[tuple[float, RobotState], ...], ...]
    tables: tuple[tuple[float, HealthTable], ...]
    claims: tuple[Float, ...]
    seen: Float
    began: float

    @property
    def n(self) -> int:
        """Team size."""
        return len(self.said)

    @property
    def ended(self) -> float:
        """S, of the last message of anybody."""
        return max((rows[-1][0] for rows in self.said if rows), default=0.0)


def read_case(folder: Path) -> Case:
    """Read a flight.

    Args:
        folder: written by `swarmhold fly`, with a recording.

    Raises:
        ConfigError: the folder is no flight, or its recording is missing, damaged or of
            something else.
        MissingExtraError: rosbags is not installed.
    """
    motions = read_motions(folder)
    lines = events_of(folder)
    began = began_at(folder, lines)
    rows = _Rows(int(motions.info["robots"]), began)
    for topic, received, message in messages_of(folder):
        with suppress(MessageError):  # nobody has taken it for his
            rows.take(topic, received - began, message)
    if rows.task is None or not any(rows.said):
        lacks = "task" if rows.task is None else "robot's state"
        raise ConfigError(f"{folder}: its recording holds no {lacks}; record every topic with fly")
    said = tuple(tuple(one) for one in rows.said)
    claims = tuple(rows.claims(robot) for robot in range(len(said)))
    return Case(motions, rows.task, said, tuple(rows.tables), claims, rows.seen(), began)


class _Rows:
    """Collects messages."""

    def __init__(self, n: int, began: float) -> None:
        self._n = n
        self.task: Task | None = None
        self.said: list[list[tuple[float, RobotState]]] = [[] for _ in range(n)]
        self.tables: list[tuple[float, HealthTable]] = []
        self._frames: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
        self._sights: list[tuple[float, ...]] = []

    def take(self, topic: str, t: float, message: Any) -> None:
        """One message."""
        name, _, kind = topic.rpartition("/")
        number = name.removeprefix("/robot_")
        if topic == "/swarm/task" and self.task is None:
            self.task = wire.read_task(message)
        elif topic == "/swarm/health":
            table = wire.read_table(message)
            if len(table.states) == self._n:
                self.tables.append((t, table))
        elif number.isdigit() and int(number) < self._n and kind in ("state", "sense"):
            robot = int(number)
            if kind == "state":
                self.said[robot].append((t, wire.read_state(message, robot)))
            else:
                self._frame(robot, t, message)

    def _frame(self, robot: int, t: float, message: Any) -> None:
        frame = wire.read_frame(message)
        self._frames[robot].append((t, *frame.position))
        for other, place in zip(frame.sighted, to_world(frame, frame.sightings), strict=True):
            if other < self._n:
                self._sights.append((robot, other, t, *place))

    def claims(self, robot: int) -> Float:
        """(S, 2) time, and m from word to own localisation; NaN where its word is no number.

        Left out where nobody knows where it was, and before the team acted.
        """
        frames = np.array(self._frames[robot], float).reshape(-1, 4)
        said = self.said[robot]
        t, place = np.array([t for t, _ in said]), np.array([s.position for _, s in said])
        if not len(t) or not len(frames):
            return np.zeros((0, 2))
        own = _along(frames[:, 0], frames[:, 1:], t)
        off = np.linalg.norm(place.reshape(-1, 3) - own, axis=-1)
        known = np.isfinite(own).all(axis=-1) & (t >= 0.0)
        return np.column_stack([t, off])[known]

    def seen(self) -> Float:
        """(K, 4) see `Case.seen`; sightings of those whose word is old are left out."""
        sights = np.array(self._sights, float).reshape(-1, 6)
        out = []
        for observer in range(self._n):
            for subject in range(self._n):
                words = [
                    (t, *state.position)
                    for t, state in self.said[subject]
                    if state.recipient in (EVERYBODY, observer)
                ]
                mine = sights[(sights[:, 0] == observer) & (sights[:, 1] == subject)]
                told = np.array(words, float).reshape(-1, 4)
                if len(mine) and len(told):
                    off = mine[:, 3:] - _along(told[:, 0], told[:, 1:], mine[:, 2])
                    out.append(np.column_stack([mine[:, :3], np.linalg.norm(off, axis=-1)]))
        found = np.concatenate(out) if out else np.zeros((0, 4))
        return found[np.isfinite(found[:, 3]) & (found[:, 2] >= 0.0)]


def _along(times: Float, places: Float, t: Float) -> Float:
    """(K, 3) places between those before and after; NaN where neither is near in time."""
    after = np.clip(np.searchsorted(times, t), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    gap = np.minimum(np.abs(times[after] - t), np.abs(times[before] - t))
    there = np.stack([np.interp(t, times, places[:, k]) for k in range(3)], axis=-1)
    return np.where((gap <= FRESH_S)[:, None], there, np.nan)
