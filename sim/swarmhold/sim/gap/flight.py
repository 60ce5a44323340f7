"""The closed loop: a bundle's policy on robots of the simulator, as a recording would have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.hidden import Hidden
from swarmhold.hardware.messages import Mode, RobotState
from swarmhold.hardware.report.motion import STAMPS, Motion, Motions
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.types import Float
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
    manifest, spec = bundle.manifest, bundle.spec
    world = World(manifest.scenario, manifest.robot, robots, seed, hidden=hidden, start=start)
    policy, dt = OnnxPolicy(bundle), 1.0 / spec.loop_hz
    config = [ControllerConfig(i, robots, spec.loop_hz, i + 1) for i in range(robots)]
    team = [RobotController(policy, world.task, own) for own in config]
    limits = safety_config(spec, world.half_width)
    dogs = [Watchdog(limits) for _ in range(robots)]
    goal, log, task, owed = np.zeros((robots, 2)), _Log(), world.task, 0.0
    sent: list[RobotState] = []
    for step in range(round((TRUST_S + seconds) / dt)):
        elapsed = step * dt - TRUST_S
        now = BEGIN_S + elapsed
        heard, sent = sent, []
        if world.task != task:
            task = world.task
            for controller in team:
                controller.on_task(task)
        log.error.append(world.task_error(np.ones(robots, bool)))
        for robot, frame in enumerate(world.frames(now)):
            for state in heard:
                team[robot].on_state(state, now)
            tick = team[robot].tick(frame, now)
            sent.append(tick.state)
            goal[robot] = np.asarray(tick.command.action) * (elapsed >= 0.0)
            dogs[robot].hear(tick.command.mode, now)
        log.t.append(elapsed)
        log.told.append(goal.copy())
        log.pose.append(_poses(world))
        idle = np.array([dog.stage(now) is not Mode.ACTIVE for dog in dogs])
        owed += dt
        whole = int(owed / world.tick + 1e-6) * world.tick
        owed -= whole
        if elapsed >= 0.0:
            world.advance(whole, goal, idle)
    half, posts = world.half_width, np.array(world.task.posts, float).reshape(-1, 3)
    world.close()
    return _motions(bundle, robots, seed, log, seconds, half, posts)


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
    t, told, pose = np.array(log.t), np.array(log.told), np.array(log.pose)
    acts, none = t >= -1e-9, np.zeros(0)
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
            told_t=t[acts],
            told=told[acts, i],
            t=t[acts],
            position=pose[acts, i, :3],
            yaw=np.unwrap(pose[acts, i, 3]),
            velocity=pose[acts, i, 4:7],
            yaw_rate=pose[acts, i, 7],
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
    error = np.array(log.error)
    return Motions(Path("simulated"), info, motions, seconds, (), half, posts, t[acts], error[acts])
