"""A recording, message by message: what every robot saw, weighed, decided on and was told.

Observations are built by the code that flew, from what the recorder heard of the sensor frames and
of teammates' messages; weights and modes are those that robots said themselves. Everything is on
the recorder's clock, whoever's clock stamped it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from swarmhold.hardware import wire
from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.frames import kinematics_of, seen_by, to_world
from swarmhold.hardware.messages import EVERYBODY, RobotState, SensorFrame, Task
from swarmhold.hardware.observe import observe
from swarmhold.hardware.report.flight import Fault, faults_of
from swarmhold.hardware.report.recording import about, began_at, events_of, messages_of
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.surroundings import scene_of
from swarmhold.hardware.types import Float, Kinematics, Observation, teammate_index

TOLD = ("robot", "scenario", "bundle", "digest", "seed", "entities")  # of a flight
FRESH_S = 0.1  # age of a pose with which a sighting is compared
KEPT = 20  # sensor frames that wait for the state that repeats one's stamp
NEVER_S = 1e3  # age of a belief about a robot that was never heard


@dataclass(frozen=True, slots=True)
class Decision:
    """A robot's tick in which its policy decided.

    Attributes:
        t: s, receipt of its status.
        sensed_t: s, receipt of the frame that it answers.
        number: of the control callback, from 0.
        seen: the observation.
        weights: (N) that it gave.
        states: (N) `HealthState` by its own lights.
        mode: `Mode`.
        limited: whether the safety filter changed the set-point.
    """

    t: float
    sensed_t: float
    number: int
    seen: Observation
    weights: Float
    states: tuple[int, ...]
    mode: int
    limited: bool


@dataclass(frozen=True, slots=True)
class Log:
    """A flight of N robots as the recorder heard it; s, wall clock of the recorder.

    Attributes:
        folder: where it lies.
        info: what was flown.
        spec: contract of the robots.
        began: s, when the team began to act.
        faults: broken on purpose, times since then.
        decisions: of each robot, in the order of time.
        commands: (K, 1 + A) of each robot: time, set-point in physical units.
        poses: (F, 9) of each robot: time, position, yaw, velocity, yaw rate.
        claims: (L, 2) of each robot: time, and m between where it told teammates that it is, and
            where it senses to be.
        sights: (L, 2) of each robot: time, and m between where a teammate sees it, and where it
            senses to be.
        truth: (U, 1 + 5 N): time; position, yaw and touch of each robot. Of simulated ones.
        tables: (V, 1 + N) time, and `HealthState` by the supervisor.
        tasks: what the team was told, with the time.
        estop_t: s, of an emergency stop; infinity for none.
        bundles: of each robot the first eight bytes of the digest of what it said to fly, mostly;
            0 where it said nothing.
    """

    folder: Path
    info: dict[str, Any]
    spec: PolicySpec
    began: float
    faults: tuple[Fault, ...]
    decisions: tuple[list[Decision], ...]
    commands: tuple[Float, ...]
    poses: tuple[Float, ...]
    claims: tuple[Float, ...]
    sights: tuple[Float, ...]
    truth: Float
    tables: Float
    tasks: list[tuple[float, Task]]
    estop_t: float
    bundles: tuple[int, ...]


def listen(folder: Path) -> Log:
    """Read the recording of a flight.

    Args:
        folder: written by `swarmhold fly`, with a recording.

    Raises:
        ConfigError: the folder is no flight, its recording is missing or damaged, or nobody
            decides anything in it.
        MissingExtraError: rosbags is not installed.
    """
    lines = events_of(folder)
    info = about(folder, lines)
    began = began_at(folder, lines)
    if missing := [key for key in TOLD if key not in info]:
        raise ConfigError(f"{folder}/events.jsonl does not say its {', '.join(missing)}")
    ear = _Ear(policy_spec(str(info["robot"])), int(info["robots"]))
    for topic, received, message in messages_of(folder):
        with suppress(MessageError):  # the nodes have dropped it too
            ear.take(topic, received, message)
    if not any(ear.decisions):
        raise ConfigError(f"{folder}: no robot decides anything in its recording (no status)")
    n = ear.n
    return Log(
        *(folder, info, ear.spec, began, tuple(faults_of(lines, began, n))),
        decisions=tuple(ear.decisions),
        commands=tuple(_rows(rows, 1 + ear.spec.action_size) for rows in ear.commands),
        poses=tuple(_rows(rows, 9) for rows in ear.poses),
        claims=tuple(_rows(rows, 2) for rows in ear.claims),
        sights=tuple(_rows(rows, 2) for rows in ear.sights),
        truth=_rows(ear.truth, 1 + 5 * n),
        tables=_rows(ear.tables, 1 + n),
        tasks=ear.tasks,
        estop_t=ear.estop_t,
        bundles=tuple(max(own, key=own.__getitem__, default=0) for own in ear.bundles),
    )


def _rows(rows: list[Any], columns: int) -> Float:
    return np.array(rows, float).reshape(-1, columns)


class _Sensed(NamedTuple):
    """A frame, when it came, and what its robot had heard of the others by then."""

    t: float
    frame: SensorFrame
    team: Kinematics
    age: Float


class _Ear:
    """N robots' receivers side by side, and the recorder's own notes."""

    def __init__(self, spec: PolicySpec, n: int) -> None:
        self.spec, self.n = spec, n
        self.decisions: list[list[Decision]] = [[] for _ in range(n)]
        self.commands: list[list[Any]] = [[] for _ in range(n)]
        self.poses: list[list[Any]] = [[] for _ in range(n)]
        self.claims: list[list[Any]] = [[] for _ in range(n)]
        self.sights: list[list[Any]] = [[] for _ in range(n)]
        self.truth, self.tables = list[Any](), list[Any]()
        self.tasks: list[tuple[float, Task]] = []
        self.estop_t = float("inf")
        self.bundles: list[Counter[int]] = [Counter() for _ in range(n)]
        self._others = teammate_index(n)
        self._beliefs = [Beliefs(n) for _ in range(n)]
        self._frames: list[dict[float, _Sensed]] = [{} for _ in range(n)]
        self._said: list[RobotState | None] = [None] * n
        self._told = np.zeros((n, spec.action_size))  # in shares of the bound
        self._before = np.zeros((n, spec.action_size))  # at the tick before the current one
        self._takes = {
            "state": self._state,
            "sense": self._sense,
            "status": self._status,
            "cmd_vel": self._command,
        }

    def take(self, topic: str, received: float, message: Any) -> None:
        """One message, in the order of receipt."""
        name, _, kind = topic.rpartition("/")
        number = name.removeprefix("/robot_")
        if number.isdigit() and int(number) < self.n and kind in self._takes:
            self._takes[kind](int(number), received, message)
        elif topic == "/swarm/task":
            task = wire.read_task(message)
            self.tasks.append((received, task))
            self._scene = scene_of(task)
            self._rank = self._scene.landmarks.rank()[0]
        elif topic == "/swarm/health":
            table = wire.read_table(message)
            if len(table.states) == self.n:
                self.tables.append([received, *table.states])
        elif topic == "/swarm/estop" and message.data:
            self.estop_t = min(self.estop_t, received)
        elif topic == "/swarm/truth" and len(message.positions) == 3 * self.n:
            place = np.asarray(message.positions, float).reshape(self.n, 3)
            rows = np.column_stack([place, message.yaws, np.asarray(message.touched, float)])
            if np.isfinite(rows).all():
                self.truth.append([received, *rows.ravel()])

    def _sense(self, robot: int, received: float, message: Any) -> None:
        frame = wire.read_frame(message)
        row = *frame.position, frame.yaw, *frame.velocity, frame.yaw_rate
        if not np.isfinite(row).all():
            return
        self.poses[robot].append([received, *row])
        frames = self._frames[robot]
        others, beliefs = self._others[robot], self._beliefs[robot]
        heard = beliefs.teammates(others), beliefs.age(received)[others]
        frames[frame.stamp] = _Sensed(received, frame, *heard)
        if len(frames) > KEPT:
            del frames[next(iter(frames))]
        for mate, place in zip(frame.sighted, to_world(frame, frame.sightings), strict=True):
            if mate < self.n and self.poses[mate] and received - self.poses[mate][-1][0] < FRESH_S:
                off = float(np.linalg.norm(place - self.poses[mate][-1][1:4]))
                self.sights[mate].append([received, off])

    def _state(self, robot: int, received: float, message: Any) -> None:
        state = wire.read_state(message, robot)
        self._said[robot] = state
        self.bundles[robot][state.bundle] += 1
        sensed = self._frames[robot].get(state.stamp)
        if sensed is not None:
            off = float(np.linalg.norm(np.subtract(state.position, sensed.frame.position)))
            self.claims[robot].append([received, off if np.isfinite(off) else 1e3])
        for mate, beliefs in enumerate(self._beliefs):
            if mate != robot and state.recipient in (EVERYBODY, mate):
                beliefs.hear(state, received)

    def _command(self, robot: int, received: float, message: Any) -> None:
        twist = message.twist
        second = twist.angular.z if self.spec.drives else twist.linear.y
        setpoint = np.array([twist.linear.x, second])
        if np.isfinite(setpoint).all():
            self.commands[robot].append([received, *setpoint])
            self._told[robot] = setpoint / np.asarray(self.spec.action_bound)

    def _status(self, robot: int, received: float, message: Any) -> None:
        """A tick; it answers the frame with the stamp of the state before it, or the last one."""
        status = wire.read_status(message, robot)
        frames, said = self._frames[robot], self._said[robot]
        before, self._before[robot] = self._before[robot].copy(), self._told[robot]
        if not status.inference_s > 0.0 or not frames or not self.tasks:
            return
        if len(status.weights) != self.n:
            raise MessageError(f"weights of {len(status.weights)} robots in a team of {self.n}")
        sensed = frames.get(np.nan if said is None else said.stamp, frames[next(reversed(frames))])
        self.decisions[robot].append(
            Decision(
                t=received,
                sensed_t=sensed.t,
                number=0 if said is None else max(said.control_seq - 1, 0),
                seen=self._seen(robot, sensed, before),
                weights=np.asarray(status.weights, float),
                states=status.states,
                mode=status.mode,
                limited=bool(status.limited),
            )
        )

    def _seen(self, robot: int, sensed: _Sensed, before: Float) -> Observation:
        """What the robot saw, who had applied `before` (A), in shares, when the frame came."""
        frame, age = sensed.frame, sensed.age
        return observe(
            self.spec,
            own=kinematics_of(frame),
            last_action=before,
            team=sensed.team,
            team_age=np.where(np.isfinite(age), age, NEVER_S),
            surroundings=seen_by(robot, frame, self._scene, self._rank, self.spec.radius_m),
            home=self._scene.home,
        )
