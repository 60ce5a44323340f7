"""What robots were told and what they did, from a recording: the measured side of `swarmhold gap`.

Set-points and poses of a robot are put on one clock. On one host those are the stamps in the
messages, which no queue delays. Where clocks of hosts disagree it is the recorder's receive time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware import wire
from swarmhold.hardware.delivery import Delivery
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.report.flight import Fault, faults_of
from swarmhold.hardware.report.recording import (
    about,
    began_at,
    events_of,
    messages_of,
    recording_of,
)
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float

STAMPS, RECEIPT = "stamps", "receipt"
PROMPT = 2  # per cent of messages that are the quickest from their stamp to the recorder
DISAGREE_S = 0.03  # by which even those are too late, or early, for one clock


@dataclass(frozen=True, slots=True)
class Motion:
    """One robot: K set-points and F frames; times in s since the team began to act.

    Attributes:
        told_t: (K) s, when its policy sent a set-point.
        told: (K, 2) set-points in physical units, yaw frame.
        t: (F) s, when it was where the frames say.
        position: (F, 3) m, world ENU.
        yaw: (F) rad.
        velocity: (F, 3) m/s, world ENU.
        yaw_rate: (F) rad/s.
        stopped_t: s from which its driver held it for good; infinite if it never did.
        clock: `STAMPS` or `RECEIPT`, what the times above are.
        decides_s: s from a frame to the set-point that answers it, median.
        said_t: (S) s, receipt of its state messages.
        said_late: (S) s from their stamps to receipt.
        lost: (S) state messages that were missed right before each.
        hears: states that it heard itself of teammates, and missed; zeros where it does not say.
    """

    told_t: Float
    told: Float
    t: Float
    position: Float
    yaw: Float
    velocity: Float
    yaw_rate: Float
    stopped_t: float
    clock: str
    decides_s: float
    said_t: Float
    said_late: Float
    lost: Float
    hears: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Motions:
    """A recorded flight of N robots, as motions.

    Attributes:
        folder: where it lies.
        info: what was flown.
        robots: one for each of the roster.
        seconds: length of the flight.
        faults: what was broken on purpose.
        half_width: m, of the fence.
        posts: (P, 3) x, y and radius, m.
        error_t: (T) s.
        error: (T) m, of the task.
    """

    folder: Path
    info: dict[str, Any]
    robots: tuple[Motion, ...]
    seconds: float
    faults: tuple[Fault, ...]
    half_width: float
    posts: Float
    error_t: Float
    error: Float


def read_motions(folder: Path) -> Motions:
    """Read a flight's recording.

    Args:
        folder: written by `swarmhold fly`, with a recording.

    Raises:
        ConfigError: the folder is no flight, its recording is missing or damaged, or nobody was
            told anything, or was anywhere, in it.
        MissingExtraError: rosbags is not installed.
    """
    lines = events_of(folder)
    info = about(folder, lines)
    began = began_at(folder, lines)
    n = int(info["robots"])
    rows = _Rows(n, began, policy_spec(str(info["robot"])).drives)
    for topic, received, message in messages_of(folder):
        with suppress(MessageError):  # nobody has taken it for his
            rows.take(topic, received, message)
    recording = recording_of(folder)
    if not any(rows.told):
        raise ConfigError(f"{recording} holds no set-points (cmd_vel); nobody was told to move")
    if not any(rows.frames):
        raise ConfigError(f"{recording} holds no sensor frames; nobody knows where robots were")
    return Motions(
        folder=folder,
        info=info,
        robots=tuple(rows.motion(robot) for robot in range(n)),
        seconds=max(float(line["t"]) for line in lines) - began,
        faults=tuple(faults_of(lines, began, n)),
        half_width=rows.half_width,
        posts=np.array(rows.posts, float).reshape(-1, 3),
        error_t=np.array([row[0] for row in rows.errors]),
        error=np.array([row[1] for row in rows.errors]),
    )


class _Rows:
    """Collects messages by robot; every row begins with its stamp and its time of receipt."""

    def __init__(self, n: int, began: float, drives: bool) -> None:
        self._n, self._began, self._drives = n, began, drives
        self.told: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
        self.frames: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
        self.said: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
        self.errors: list[tuple[float, float]] = []
        self.half_width, self.posts = float("inf"), list[tuple[float, float, float]]()
        self._stopped = [float("inf")] * n
        self._counts = [Delivery(1) for _ in range(n)]
        self._hears = [(0, 0)] * n

    def take(self, topic: str, received: float, message: Any) -> None:
        """One message."""
        name, _, kind = topic.rpartition("/")
        number = name.removeprefix("/robot_")
        if topic == "/swarm/task":
            task = wire.read_task(message)
            self.half_width, self.posts = task.half_width, list(task.posts)
        elif topic == "/swarm/truth":
            stamp = wire.seconds_of(message.header.stamp) - self._began
            self.errors.append((stamp, float(message.error)))
        elif topic == "/diagnostics":
            self._diagnostics(message)
        elif number.isdigit() and int(number) < self._n and kind in ("cmd_vel", "sense", "state"):
            take = {"cmd_vel": self._command, "sense": self._frame, "state": self._state}[kind]
            take(int(number), received - self._began, message)

    def _command(self, robot: int, received: float, message: Any) -> None:
        twist = message.twist
        second = twist.angular.z if self._drives else twist.linear.y
        stamp = wire.seconds_of(message.header.stamp) - self._began
        self.told[robot].append((stamp, received, twist.linear.x, second))

    def _frame(self, robot: int, received: float, message: Any) -> None:
        frame = wire.read_frame(message)
        if frame.stopped:
            self._stopped[robot] = min(self._stopped[robot], frame.stamp - self._began)
        row = *frame.position, frame.yaw, *frame.velocity, frame.yaw_rate
        if np.isfinite([*row[:4]]).all():
            self.frames[robot].append((frame.stamp - self._began, received, *row))

    def _state(self, robot: int, received: float, message: Any) -> None:
        state = wire.read_state(message, robot)
        missed = self._counts[robot].missed
        self._counts[robot].hear(0, state)
        late = received - (state.stamp - self._began)
        self.said[robot].append((received, late, self._counts[robot].missed - missed))

    def _diagnostics(self, message: Any) -> None:
        for status in message.status:
            name = str(status.hardware_id).removeprefix("robot_")
            values = {str(pair.key): str(pair.value) for pair in status.values}
            counts = values.get("states_heard", ""), values.get("states_missed", "")
            if name.isdigit() and int(name) < self._n and all(map(str.isdigit, counts)):
                self._hears[int(name)] = int(counts[0]), int(counts[1])

    def motion(self, robot: int) -> Motion:
        """All of one robot on one clock, in the order of time."""
        told = np.array(self.told[robot], float).reshape(-1, 4)
        frames = np.array(self.frames[robot], float).reshape(-1, 10)
        said = np.array(self.said[robot], float).reshape(-1, 3)
        clock = _clock(told, frames)
        column = 0 if clock == STAMPS else 1
        told, frames = _in_order(told, column), _in_order(frames, column)
        return Motion(
            told_t=told[:, column],
            told=told[:, 2:],
            t=frames[:, column],
            position=frames[:, 2:5],
            yaw=np.unwrap(frames[:, 5]),
            velocity=frames[:, 6:9],
            yaw_rate=frames[:, 9],
            stopped_t=self._stopped[robot],
            clock=clock,
            decides_s=_decides(told[:, column], frames[:, column]),
            said_t=said[:, 0],
            said_late=said[:, 1],
            lost=said[:, 2],
            hears=self._hears[robot],
        )


def _clock(told: Float, frames: Float) -> str:
    """Whether the stamps of set-points and frames are of one clock.

    A frame may be old when it is sent, but now and then one is fresh.
    """
    if not len(told) or not len(frames):
        return STAMPS
    late = [float(np.percentile(rows[:, 1] - rows[:, 0], PROMPT)) for rows in (told, frames)]
    return STAMPS if abs(late[0] - late[1]) < DISAGREE_S else RECEIPT


def _in_order(rows: Float, column: int) -> Float:
    """By time, each time once."""
    _, first = np.unique(rows[:, column], return_index=True)
    return rows[first]


def _decides(told_t: Float, t: Float) -> float:
    """S from the last frame before each set-point, median; NaN where there is neither."""
    if not len(told_t) or not len(t):
        return float("nan")
    index = np.searchsorted(t, told_t, side="right") - 1
    known = index >= 0
    return float(np.median((told_t - t[np.maximum(index, 0)])[known])) if known.any() else np.nan
