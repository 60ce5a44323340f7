"""The closed loop: a bundle's policy on robots of the simulator, as a recording would have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import RobotController, Tick
from swarmhold.hardware.hidden import Hidden
from swarmhold.hardware.messages import RobotState, SensorFrame
from swarmhold.hardware.report.motion import STAMPS, Motion, Motions
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float
from swarmhold.sim.lockstep import Lockstep
from swarmhold.sim.world import World

BEGIN_S = 1000.0  # of the monotonic clock
TRUST_S = 1.0  # for which robots look and talk before they act, as live ones do


@dataclass(slots=True)
class _Log:
    t: list[float] = field(default_factory=list)
    told: list[Float] = field(default_factory=list)
    pose: list[Float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)


def simulated(
    bundle: Bundle,
    robots: int,
    seconds: float,
    seed: int = 0,
    hidden: Hidden | None = None,
    start: tuple[Float, Float] | None = None,
) -> Motions:
    """Fly, with the controllers, safety filters and bodies that live flights have.

    Args:
        bundle: what all robots act on.
        robots: N.
        seconds: for which they act.
        seed: of the scenario's places.
        hidden: parameters of the bodies; None: those of the models.
        start: positions (N, 2), m, and headings (N), rad; None: the scenario's.
    """
    return ClosedLoop(bundle, robots, seed, hidden, start).fly(seconds)


class ClosedLoop:
    """N robots over a world; messages take one tick."""

    controller = RobotController  # what each robot runs

    def __init__(
        self,
        bundle: Bundle,
        robots: int,
        seed: int,
        hidden: Hidden | None,
        start: tuple[Float, Float] | None,
        reweight: bool = True,
    ) -> None:
        """Args: as of `simulated`, and whether robots heed health at all."""
        manifest = bundle.manifest
        self._bundle, self._seed = bundle, seed
        given = (manifest.scenario, manifest.robot, robots, seed)
        self.world, self.log = World(*given, hidden=hidden, start=start), _Log()
        self._team = Lockstep(bundle, OnnxPolicy(bundle), self.world, reweight, self.controller)
        self.team = self._team.robots
        self.sent: list[RobotState] = []
        self.counted = np.ones(robots, bool)  # those that the task's error is about

    def fly(self, seconds: float) -> Motions:
        """Act for so long, once; then the world is closed."""
        hz, world = self._bundle.spec.loop_hz, self.world
        for step in range(round((TRUST_S + seconds) * hz)):
            self.tick(step / hz - TRUST_S)
        half, posts = world.half_width, np.array(world.task.posts, float).reshape(-1, 3)
        world.close()
        given = self._bundle, world.n_robots, self._seed, self.log
        return _motions(*given, seconds, half, posts)

    def tick(self, elapsed: float) -> None:
        """One turn of all loops; before 0 s robots look and talk, and nothing moves."""
        now, acts = BEGIN_S + elapsed, elapsed >= -1e-9
        heard, self.sent = self.sent, []
        for robot, frame in enumerate(self.world.frames(now)):
            for state in heard:
                self.team[robot].on_state(state, now)
            tick = self.team[robot].tick(self.sensed(robot, frame), now)
            self.answer(robot, tick, elapsed)
        if acts:
            self._note(elapsed)
            self._team.advance(now)

    def sensed(self, robot: int, frame: SensorFrame) -> SensorFrame:
        """What a robot takes for its sensor frame."""
        return frame

    def answer(self, robot: int, tick: Tick, elapsed: float) -> None:
        """A robot says and does what it has decided."""
        self.sent.append(tick.state)
        self.obey(robot, tick.command.action, tick.command.mode, elapsed)

    def obey(self, robot: int, action: ArrayLike, mode: int, elapsed: float) -> None:
        """The driver gets a command."""
        self._team.command(robot, action, mode, BEGIN_S + elapsed)

    def _note(self, elapsed: float) -> None:
        log = self.log
        log.t.append(elapsed)
        log.told.append(self._team.goal.copy())
        log.pose.append(_poses(self.world))
        log.error.append(self.world.task_error(self.counted))


def _poses(world: World) -> Float:
    """(N, 8) position, yaw, velocity, yaw rate."""
    rows = []
    for robot in range(world.n_robots):
        position, velocity, _, spin = world.pose(robot)
        rows.append([*position, world.yaw[robot], *velocity, spin[2]])
    return np.array(rows)


def _motions(
    bundle: Bundle, robots: int, seed: int, log: _Log, seconds: float, half: float, posts: Float
) -> Motions:
    t, told, pose, none = np.array(log.t), np.array(log.told), np.array(log.pose), np.zeros(0)
    info = {
        "robots": robots,
        "robot": bundle.manifest.robot,
        "scenario": bundle.manifest.scenario,
        "name": bundle.manifest.name,
        "digest": bundle.digest,
        "seed": seed,
    }
    motions = tuple(
        Motion(
            told_t=t,
            told=told[:, i],
            t=t,
            position=pose[:, i, :3],
            yaw=np.unwrap(pose[:, i, 3]),
            velocity=pose[:, i, 4:7],
            yaw_rate=pose[:, i, 7],
            stopped_t=float("inf"),
            clock=STAMPS,
            decides_s=0.0,
            said_t=none,
            said_late=none,
            lost=none,
            hears=(0, 0),
        )
        for i in range(robots)
    )
    where, error = Path("simulated"), np.array(log.error)
    return Motions(where, info, motions, seconds, (), half, posts, t, error)
