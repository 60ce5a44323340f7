"""Flights without live nodes, as a recorder would have heard them: to learn from, and to mislead.

Controllers, ramps, safety filters and bodies are those of live flights, on one clock; robots may
hide something, try out small changes of what their policy says, lie, or be steered by a hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import RobotController, Tick
from swarmhold.hardware.hidden import Hidden
from swarmhold.hardware.messages import Mode, RobotState, SensorFrame, Task
from swarmhold.hardware.report.motion import Motions
from swarmhold.hardware.runtime import PolicyStep
from swarmhold.sim.dataset.listen import Decision, Log
from swarmhold.sim.gap.flight import BEGIN_S, ClosedLoop

SAID_S, DECIDED_S = 0.002, 0.003  # after the frame, when messages reach the recorder
HAND_HZ = 0.5  # of the turns that a hand steers
LIE_M = 1.0  # between where a liar is and where it says that it is


@dataclass(frozen=True, slots=True)
class Stage:
    """How a flight is other than a plain one.

    Attributes:
        hidden: what the robots have that nobody knows of; None: nothing.
        noise: standard deviation of what is added to the decisions, in shares of the bound; it
            goes through ramp and safety filter as all decisions do.
        lies: s from which on a robot says that it is elsewhere, by robot.
        hand: s from which on a hand steers a robot, past its policy, by robot.
    """

    hidden: Hidden | None = None
    noise: float = 0.0
    lies: Mapping[int, float] = field(default_factory=dict)
    hand: Mapping[int, float] = field(default_factory=dict)


class Trying(RobotController):
    """A robot that tries out something else than its policy says, a little."""

    noise = 0.0
    draw = np.random.default_rng(0)

    def _decide(self, step: PolicyStep, now: float) -> None:
        super()._decide(step, now)
        if self.noise > 0.0 and step.finite:
            bound = np.asarray(self._spec.action_bound)
            tried = self._action + self.noise * bound * self.draw.normal(size=len(bound))
            self._action = np.clip(tried, -bound, bound)


class Staged(ClosedLoop):
    """The closed loop, listened to."""

    controller = Trying

    def __init__(self, bundle: Bundle, robots: int, seed: int, stage: Stage) -> None:
        """Args: what flies, N, seed of places and of what is tried out, and how it is staged."""
        super().__init__(bundle, robots, seed, stage.hidden, None)
        self._stage, self._number = stage, seed
        for robot, controller in enumerate(self.team):
            assert isinstance(controller, Trying)
            controller.noise = stage.noise
            controller.draw = np.random.default_rng([seed, robot, 43])
        self._decided: list[list[Decision]] = [[] for _ in range(robots)]
        self._commands: list[list[Any]] = [[] for _ in range(robots)]
        self._poses: list[list[Any]] = [[] for _ in range(robots)]
        self._claims: list[list[Any]] = [[] for _ in range(robots)]
        self._truth, self._tasks = list[Any](), list[tuple[float, Task]]()

    def recorded(self, seconds: float, name: str) -> tuple[Log, Motions]:
        """Fly, once.

        Args:
            seconds: for which the team acts.
            name: of the flight.

        Returns:
            What a recorder would have heard, and the motions of it, for `swarmhold gap`.
        """
        flown = self.fly(seconds)
        bundle, manifest, n = self._bundle, self._bundle.manifest, len(self.team)
        info = {
            "robots": n, "robot": manifest.robot, "scenario": manifest.scenario,
            "name": manifest.name, "bundle": manifest.name, "digest": bundle.digest,
            "seed": self._number, "entities": "none",
        }  # fmt: skip
        width = 1 + bundle.spec.action_size
        log = Log(
            folder=Path(name), info=info, spec=bundle.spec, began=BEGIN_S, faults=(),
            decisions=tuple(self._decided),
            commands=tuple(np.array(rows).reshape(-1, width) for rows in self._commands),
            poses=tuple(np.array(rows).reshape(-1, 9) for rows in self._poses),
            claims=tuple(np.array(rows).reshape(-1, 2) for rows in self._claims),
            sights=tuple(np.zeros((0, 2)) for _ in range(n)),
            truth=np.array(self._truth), tables=np.zeros((0, 1 + n)), tasks=self._tasks,
            estop_t=float("inf"), bundles=(bundle.short_digest,) * n,
        )  # fmt: skip
        return log, flown

    def tick(self, elapsed: float) -> None:
        """The world is looked at, and the task noted, before robots act."""
        world, now = self.world, BEGIN_S + elapsed
        rows = np.column_stack([world.position, world.yaw, world.touched.astype(float)])
        self._truth.append([now, *rows.ravel()])
        if not self._tasks or self._tasks[-1][1] != world.task:
            self._tasks.append((now, world.task))
        super().tick(elapsed)

    def sensed(self, robot: int, frame: SensorFrame) -> SensorFrame:
        """Noted."""
        row = *frame.position, frame.yaw, *frame.velocity, frame.yaw_rate
        self._poses[robot].append([frame.stamp, *row])
        return frame

    def answer(self, robot: int, tick: Tick, elapsed: float) -> None:
        """As decided, or as a liar says and a hand steers."""
        now, said = BEGIN_S + elapsed, tick.state
        if elapsed >= self._stage.lies.get(robot, np.inf):
            said = _elsewhere(said)
        off = np.linalg.norm(np.subtract(said.position, tick.state.position))
        self._claims[robot].append([now + SAID_S, off])
        self.sent.append(said)
        self._note_decision(robot, tick, now)
        action, mode = np.asarray(tick.command.action), tick.command.mode
        if elapsed >= self._stage.hand.get(robot, np.inf):
            bound = np.asarray(self._bundle.spec.action_bound)
            turn = np.sin(2.0 * np.pi * HAND_HZ * elapsed)
            action, mode = bound * (0.5, 0.5 * turn), int(Mode.ACTIVE)
        self.obey(robot, action, mode, elapsed)

    def obey(self, robot: int, action: ArrayLike, mode: int, elapsed: float) -> None:
        """Noted."""
        self._commands[robot].append([BEGIN_S + elapsed + SAID_S, *np.asarray(action, float)])
        super().obey(robot, action, mode, elapsed)

    def _note_decision(self, robot: int, tick: Tick, now: float) -> None:
        made, status = self.team[robot].decision, tick.status
        if made is None or made.at != now:
            return
        self._decided[robot].append(
            Decision(
                t=now + DECIDED_S, sensed_t=now, number=tick.state.control_seq - 1,
                seen=made.seen, weights=np.asarray(status.weights), states=status.states,
                mode=status.mode, limited=bool(status.limited),
            )
        )  # fmt: skip


def staged(
    bundle: Bundle, robots: int, seed: int, stage: Stage, seconds: float, name: str
) -> tuple[Log, Motions]:
    """Fly and listen; see `Staged`."""
    return Staged(bundle, robots, seed, stage).recorded(seconds, name)


def swapped(log: Log, one: int, other: int) -> Log:
    """The same recording with the labels of what two robots were told the wrong way round."""
    commands = list(log.commands)
    commands[one], commands[other] = commands[other], commands[one]
    return replace(log, commands=tuple(commands))


def opposed(log: Log, robot: int) -> Log:
    """The same recording with what a robot was told turned into its opposite."""
    commands = list(log.commands)
    commands[robot] = commands[robot] * np.array([1.0, *[-1.0] * log.spec.action_size])
    return replace(log, commands=tuple(commands))


def digest_of(log: Log) -> str:
    """sha256 of what was told and sensed."""
    total = hashlib.sha256()
    for rows in (*log.commands, *log.poses):
        total.update(np.ascontiguousarray(rows).tobytes())
    return total.hexdigest()


def _elsewhere(said: RobotState) -> RobotState:
    x, y, z = said.position
    return replace(said, position=(x + LIE_M, y, z))
