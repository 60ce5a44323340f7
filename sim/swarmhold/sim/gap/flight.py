"""The closed loop: a bundle's policy on robots of the simulator, as a recording would have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.hidden import Hidden
from swarmhold.hardware.messages import RobotState
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
    flight = _Flight(bundle, robots, seed, hidden, start)
    for step in range(round((TRUST_S + seconds) * bundle.spec.loop_hz)):
        flight.tick(step / bundle.spec.loop_hz - TRUST_S)
    world = flight.world
    half, posts = world.half_width, np.array(world.task.posts, float).reshape(-1, 3)
    world.close()
    return _motions(bundle, robots, seed, flight.log, seconds, half, posts)


class _Flight:
    """N robots over a world; messages take one tick."""

    def __init__(
        self,
        bundle: Bundle,
        robots: int,
        seed: int,
        hidden: Hidden | None,
        start: tuple[Float, Float] | None,
    ) -> None:
        manifest = bundle.manifest
        given = (manifest.scenario, manifest.robot, robots, seed)
        self.world, self.log = World(*given, hidden=hidden, start=start), _Log()
        self._team = Lockstep(bundle, OnnxPolicy(bundle), self.world)
        self._sent: list[RobotState] = []
        self._everybody = np.ones(robots, bool)

    def tick(self, elapsed: float) -> None:
        """One turn of all loops; before 0 s robots look and talk, and nothing moves."""
        now, acts = BEGIN_S + elapsed, elapsed >= -1e-9
        heard, self._sent = self._sent, []
        for robot, frame in enumerate(self.world.frames(now)):
            for state in heard:
                self._team.robots[robot].on_state(state, now)
            tick = self._team.robots[robot].tick(frame, now)
            self._sent.append(tick.state)
            self._team.command(robot, tick.command.action, tick.command.mode, now)
        if acts:
            self._note(elapsed)
            self._team.advance(now)

    def _note(self, elapsed: float) -> None:
        log = self.log
        log.t.append(elapsed)
        log.told.append(self._team.goal.copy())
        log.pose.append(_poses(self.world))
        log.error.append(self.world.task_error(self._everybody))


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
