"""A recorded flight through the very code that flew it: controllers, supervisor, policy.

Everything is driven by the recording's receive times, so the same recording and bundle give the
same outputs to the bit. What robots received when is known only as far as the recorder heard it at
about the same time, so outputs are near to those of the flight, not equal; and what a fault kept
from a robot's radio or sensors is not in a recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware import wire
from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.messages import HealthTable, PolicyStatus, SensorFrame, Task
from swarmhold.hardware.report.recording import about, events_of, messages_of
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.shadow import Decision
from swarmhold.hardware.sliced import policy_of
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold.hardware.types import Float

KEPT = 20  # sensor frames that wait for the status that answers them
SAME_WEIGHT = 0.1  # weights nearer than this count as the same


@dataclass(frozen=True, slots=True)
class Ticked:
    """One replayed tick of a robot.

    Attributes:
        robot: roster index.
        t: s, wall clock.
        decision: the last one, and what it was made on; None before the first.
        replayed: set-point in physical units.
        recorded: what was published then; None in ticks without.
    """

    robot: int
    t: float
    decision: Decision | None
    replayed: Float
    recorded: Float | None


@dataclass(slots=True)
class Pair:
    """What was replayed and what was recorded, row by row.

    Attributes:
        t: s, wall clock.
        replayed: figures of a row.
        recorded: the same.
    """

    t: list[float] = field(default_factory=list)
    replayed: list[Float] = field(default_factory=list)
    recorded: list[Float] = field(default_factory=list)

    def add(self, t: float, replayed: Any, recorded: Any) -> None:
        """One more row."""
        self.t.append(t)
        self.replayed.append(np.asarray(replayed, float))
        self.recorded.append(np.asarray(recorded, float))

    def arrays(self) -> tuple[Float, Float]:
        """(T, K) each."""
        return np.array(self.replayed), np.array(self.recorded)


@dataclass(frozen=True, slots=True)
class Replay:
    """Outputs of a replay beside those of the flight.

    Attributes:
        weights: per tick of every robot, weights of all robots.
        actions: per tick of every robot that also moved, the set-point in shares of its bound.
        tables: per health table, `HealthState` of all robots.
        digest: sha256 of everything that was replayed.
    """

    weights: Pair
    actions: Pair
    tables: Pair
    digest: str

    def figures(self) -> dict[str, Any]:
        """How near the replay is to the flight; None where there is nothing to compare."""
        same, off, agreed = None, None, None
        if self.weights.t:
            replayed, recorded = self.weights.arrays()
            same = float((np.abs(replayed - recorded) < SAME_WEIGHT).mean())
        if self.actions.t:
            replayed, recorded = self.actions.arrays()
            off = float(np.abs(replayed - recorded).max(axis=-1).mean())
        if self.tables.t:
            replayed, recorded = self.tables.arrays()
            agreed = float((replayed == recorded).mean())
        return {
            "ticks": len(self.weights.t),
            "weights_the_same": same,
            "action_difference": off,
            "tables": len(self.tables.t),
            "states_the_same": agreed,
            "digest": self.digest,
        }


def replay(folder: Path, bundle: Bundle, watch: Callable[[Ticked], None] | None = None) -> Replay:
    """Replay a flight.

    Args:
        folder: written by `swarmhold fly`, with a recording.
        bundle: that of the flight; or another one, to see what it would have done (it flies in
            the shadow: the world moves as it did then).
        watch: is shown every tick.

    Raises:
        ConfigError: the folder is no flight, its recording is damaged, or the bundle is for
            another robot class.
        MissingExtraError: rosbags is not installed.
    """
    info = about(folder, events_of(folder))
    if info["robot"] != bundle.spec.robot:
        raise ConfigError(
            f"{folder} was flown by {info['robot']}s, the bundle is for {bundle.spec.robot}s"
        )
    stage = _Stage(OnnxPolicy(bundle), info, watch)
    for topic, received, message in messages_of(folder):
        with suppress(MessageError):  # the nodes have dropped it too
            stage.take(topic, received, message)
    return Replay(stage.weights, stage.actions, stage.tables, stage.digest.hexdigest())


class _Stage:
    """Robots and supervisor, fed with recorded messages."""

    def __init__(
        self,
        policy: OnnxPolicy,
        info: dict[str, Any],
        watch: Callable[[Ticked], None] | None,
    ) -> None:
        self._policy, self._n, self._watch = policy, int(info["robots"]), watch
        self._spec = policy.bundle.spec
        self._reweight: bool = info["reweight"]
        self._entities: Entities = policy.entity_budget(info["entities"]).mode
        self._task: Task | None = None
        self._robots: dict[int, RobotController] = {}
        self._idle: set[int] = set()  # those that have never sent a command
        self._boots = np.zeros(self._n, np.int64)
        self._frames: list[dict[float, SensorFrame]] = [{} for _ in range(self._n)]
        self._commands: dict[int, Float] = {}
        self._stamps = np.zeros(self._n)
        self._flown = int.from_bytes(bytes.fromhex(info["digest"])[:8], "big")
        self._supervisor = SupervisorController(policy, self._n, "replay", 0, 0.0)
        self._judges = False
        self.weights, self.actions, self.tables = Pair(), Pair(), Pair()
        self.digest = hashlib.sha256()

    def take(self, topic: str, received: float, message: Any) -> None:
        """One message, in the order of receipt."""
        if topic == "/swarm/task":
            self._on_task(wire.read_task(message))
        elif topic == "/swarm/health":
            self._on_table(wire.read_table(message), received)
        elif topic == "/swarm/estop" and message.data:
            for controller in self._robots.values():
                controller.on_estop()
        elif topic.startswith("/robot_"):
            robot, kind = topic.removeprefix("/robot_").split("/")
            handle = {
                "state": self._on_state, "sense": self._on_sense, "status": self._on_status,
                "cmd_vel": self._on_command,
            }[kind]  # fmt: skip
            handle(int(robot), received, message)

    def _on_task(self, task: Task) -> None:
        self._task = task
        self._supervisor.on_task(task)
        for robot in self._robots.values():
            robot.on_task(task)

    def _on_table(self, table: HealthTable, received: float) -> None:
        if not self._judges:  # it did when it published its first table
            self._judges = True
            self._supervisor.assemble(received)
        states = self._supervisor.judge(received).states
        self.tables.add(received, states, table.states)
        self._sum(states)
        for robot in self._robots.values():
            robot.on_table(table, received)

    def _on_state(self, robot: int, received: float, message: Any) -> None:
        state = wire.read_state(message, robot)
        if state.bundle == self._flown:  # in the shadow of it, the same is right
            state = replace(state, bundle=self._policy.bundle.short_digest)
        self._stamps[robot] = state.stamp
        if state.boot_id != self._boots[robot]:
            self._boots[robot] = state.boot_id
            self._robots.pop(robot, None)  # a new process has begun
        self._supervisor.beliefs.hear(state, received)
        for controller in self._robots.values():
            controller.on_state(state, received)

    def _on_sense(self, robot: int, received: float, message: Any) -> None:
        frames = self._frames[robot]
        frame = wire.read_frame(message)
        frames[frame.stamp] = frame
        if len(frames) > KEPT:
            del frames[next(iter(frames))]

    def _on_command(self, robot: int, received: float, message: Any) -> None:
        twist = message.twist
        second = twist.angular.z if self._spec.drives else twist.linear.y
        self._commands[robot] = np.array([twist.linear.x, second])

    def _on_status(self, robot: int, received: float, message: Any) -> None:
        """A tick; it answers the frame with the stamp of the state before it, or the last one."""
        frames = self._frames[robot]
        if not frames or self._task is None:
            return
        frame = frames.get(self._stamps[robot]) or frames[next(reversed(frames))]
        if robot not in self._robots:
            config = ControllerConfig(
                robot, self._n, self._spec.loop_hz, int(self._boots[robot]), self._reweight,
                self._entities,
            )  # fmt: skip
            policy = policy_of(self._policy, robot, self._n)
            self._robots[robot] = RobotController(policy, self._task, config)
            self._idle.add(robot)
        command = self._commands.pop(robot, None)
        if command is not None and robot in self._idle:  # it begins to act
            self._idle.remove(robot)
            self._robots[robot].on_activate()
        tick = self._robots[robot].tick(frame, received)
        status: PolicyStatus = tick.status
        self.weights.add(received, status.weights, message.weights)
        self._sum(status.weights, tick.command.action)
        if self._watch is not None:
            action = np.asarray(tick.command.action)
            shown = self._robots[robot].decision
            self._watch(Ticked(robot, received, shown, action, command))
        if command is not None:
            bound = np.asarray(self._spec.action_bound)
            self.actions.add(received, np.asarray(tick.command.action) / bound, command / bound)

    def _sum(self, *values: Any) -> None:
        for value in values:
            self.digest.update(np.asarray(value, float).tobytes())
