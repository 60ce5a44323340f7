"""Drills in simulated time: the robots' and supervisors' own code in one process, over the world.

All but the middleware is what flies: controllers with safety filter and local health, supervisors
with their office, drivers' watchdogs, and PyBullet's contacts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import Tick
from swarmhold.hardware.drills import (
    ASLEEP_S,
    BASELINE,
    JUMP_S,
    ROGUE,
    TAIL_S,
    Drilled,
    account,
    faults,
    healthy_of,
    strike_at,
)
from swarmhold.hardware.injection.injector import Injector
from swarmhold.hardware.injection.rogue import Rogue
from swarmhold.hardware.messages import HealthTable, RobotState
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold.hardware.types import Float
from swarmhold.sim.lockstep import Lockstep
from swarmhold.sim.world import World

BEGIN = 1000.0  # s, of the monotonic clock
WALL = 1.7e9  # s, of the wall clock


@dataclass(slots=True)
class Post:
    """A supervisor's process.

    Attributes:
        controller: what runs in it.
        asleep: s, from and to when it is stopped; a killed one never wakes.
        jumps: s, by which its wall clock is off, from when it was hit.
    """

    controller: SupervisorController
    asleep: tuple[float, float] = (np.inf, np.inf)
    jumps: float = 0.0


def posts(drill: str, policy: OnnxPolicy, n: int, at: float) -> list[Post]:
    """The supervisors of a drill that hits at `at` (s)."""

    def post(name: str, rank: int) -> SupervisorController:
        return SupervisorController(policy, n, name, rank, BEGIN)

    first = Post(post("supervisor", 0))
    if drill == BASELINE:
        return []
    if drill in ("kill", "standby"):
        first.asleep = at, np.inf
    elif drill == "stop":
        first.asleep = at, at + ASLEEP_S
    elif drill == "clock":
        first.jumps = JUMP_S
    if drill in ("standby", "stop"):
        return [first, Post(post("supervisor_1", 1))]
    return [first, Post(post("supervisor_b", 0))] if drill == "two" else [first]


@dataclass(slots=True)
class Log:
    """What happened, tick by tick."""

    touched: list[Float] = field(default_factory=list)
    outside: list[Float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    weights: list[Float] = field(default_factory=list)
    sources: list[list[int]] = field(default_factory=list)


class Flight:
    """N robots and their supervisors on one clock; messages take one tick."""

    def __init__(self, bundle: Bundle, n: int, drill: str, seed: int) -> None:
        """Args: what flies, N, a key of `DRILLS`, and the seed of everything."""
        policy, manifest = OnnxPolicy(bundle), bundle.manifest
        self._n, self._drill, self._seed = n, drill, seed
        self._healthy = healthy_of(n)
        self._world = World(manifest.scenario, manifest.robot, n, seed)
        self._team = Lockstep(bundle, policy, self._world)
        self._dt = self._team.period
        half = self._world.half_width
        self._injectors = [Injector(bundle.spec, i, n, half) for i in range(n)]
        self._at = BEGIN + strike_at(seed)
        self._posts = posts(drill, policy, n, self._at)
        self._rogue = Rogue(drill, n, seed) if drill in ROGUE else None
        self._dead: dict[int, float] = {}
        for fault in faults(n, seed):
            if fault.kind == "crash":
                self._dead[fault.robot] = BEGIN + fault.start_s
            else:
                self._injectors[fault.robot].add(fault, BEGIN)
        self._sent: list[RobotState] = []
        self._tables: list[HealthTable] = []
        self.log = Log()

    def run(self, seconds: float) -> Drilled:
        """Fly for a while (s)."""
        for step in range(round(seconds / self._dt)):
            self._tick(BEGIN + step * self._dt)
        self._world.close()
        return self._figures(seconds)

    def _tick(self, now: float) -> None:
        self._deliver(now)
        ticks = self._act(now)
        self._tables = self._supervise(now)
        if self._team.advance(now):
            for post in self._posts:
                post.controller.on_task(self._world.task)
        self._note(ticks, now)

    def _deliver(self, now: float) -> None:
        """What was sent in the tick before."""
        for robot, controller in enumerate(self._team.robots):
            for state in self._sent:
                if self._injectors[robot].hears(state.robot, now):
                    controller.on_state(state, now)
            for table in self._tables:
                controller.on_table(table, now)
        for post in self._awake(now):
            for state in self._sent:
                post.controller.on_state(state, now)
            for table in self._tables:
                post.controller.on_table(table, now)
        if self._rogue is not None:
            for table in self._tables:
                self._rogue.hear(table)

    def _act(self, now: float) -> dict[int, Tick]:
        ticks: dict[int, Tick] = {}
        self._sent = []
        for robot, frame in enumerate(self._world.frames(WALL + now)):
            if now >= self._dead.get(robot, np.inf):
                continue
            injector, controller = self._injectors[robot], self._team.robots[robot]
            tick = controller.tick(injector.sense(frame, now), now)
            tick, states = injector.apply(tick, frame, now)
            self._team.command(robot, tick.command.action, tick.command.mode, now)
            self._sent += states
            ticks[robot] = tick
        return ticks

    def _supervise(self, now: float) -> list[HealthTable]:
        said = []
        for post in self._awake(now):
            stamp = WALL + now + (post.jumps if now >= self._at else 0.0)
            said.append(post.controller.tick(now, stamp))
        if self._rogue is not None and now >= self._at:
            said.append(self._rogue.say(WALL + now))
        return [table for table in said if table is not None]

    def _awake(self, now: float) -> list[Post]:
        return [post for post in self._posts if not post.asleep[0] <= now < post.asleep[1]]

    def _note(self, ticks: dict[int, Tick], now: float) -> None:
        log, world = self.log, self._world
        log.touched.append(world.touched.copy())
        log.outside.append((np.abs(world.position[:, :2]) > world.half_width).any(axis=-1))
        log.errors.append(world.task_error(self._healthy))
        if now >= self._at:
            chosen = [tick for robot, tick in ticks.items() if self._healthy[robot]]
            log.weights.append(np.array([tick.status.weights for tick in chosen]))
            log.sources.append([tick.status.source for tick in chosen])

    def _figures(self, seconds: float) -> Drilled:
        log = self.log
        return account(
            self._drill,
            self._seed,
            seconds,
            touched=np.array(log.touched),
            outside=np.array(log.outside),
            error=float(np.mean(log.errors[-round(TAIL_S / self._dt) :])),
            weights=np.array(log.weights).mean(axis=0),
            sources=np.array(log.sources),
        )
