"""How fast a team learns of a failure when robots hear only some of the others, in simulated time.

The robots' and the supervisor's own code over the world; the supervisor hears everybody. Its watch
on the shared policy is off, as in bundles that are cut into slices: it asks what a robot would do
that hears all of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.injection.injector import Injector
from swarmhold.hardware.messages import HealthTable, RobotState
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold.hardware.types import Float
from swarmhold.sim.lockstep import Lockstep
from swarmhold.sim.world import World

BEGIN, WALL = 1000.0, 1.7e9  # s, of the monotonic clock and of the wall clock
ONSET_S, AFTER_S = (4.0, 5.0), 4.0  # when it fails, and how long after that one looks
SETTLED_S = 2.0  # before the failure, from which on nobody is to be accused
KINDS = ("crash", "spoof")
OUT = (HealthState.LOST, HealthState.QUARANTINED)
Hears = Callable[[int, int], tuple[int, ...]]  # robot and N to those that it hears

SHAPES: dict[str, Hears] = {
    "everybody": lambda robot, n: tuple(other for other in range(n) if other != robot),
    "two": lambda robot, n: tuple(sorted(((robot + 1) % n, (robot + 2) % n))),
    "one": lambda robot, n: ((robot + 1) % n,),
    "nobody": lambda robot, n: (),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """What became known of one failure; s since it, infinite if never.

    Attributes:
        supervisor: until the supervisor's table has the robot out.
        everybody: until every healthy robot gives it less than half.
        hearers: until every healthy robot that hears it does; NaN if none does.
        accused: healthy robots that the supervisor had out, or that any healthy one gave less
            than half.
    """

    supervisor: float
    everybody: float
    hearers: float
    accused: int


def fail(bundle: Bundle, hears: Hears, n: int, kind: str, seed: int) -> Learned:
    """Fly a team of which one robot fails.

    Args:
        bundle: of a policy that all share.
        hears: whom each robot hears.
        n: N.
        kind: of `KINDS`.
        seed: of the world, of who fails, and when.
    """
    blind = replace(bundle, health=replace(bundle.health, normality=NormalityConfig()))
    return _Flight(blind, [hears(robot, n) for robot in range(n)], kind, seed).run()


class _Flight:
    """N robots and a supervisor on one clock; messages take one tick."""

    def __init__(
        self, bundle: Bundle, heard: Sequence[tuple[int, ...]], kind: str, seed: int
    ) -> None:
        manifest, spec, n = bundle.manifest, bundle.spec, len(heard)
        rng = np.random.default_rng([seed, 23])
        self._who, self._at = int(rng.integers(n)), float(rng.uniform(*ONSET_S))
        self._n, self._heard, self._crash = n, heard, kind == "crash"
        self._world = World(manifest.scenario, manifest.robot, n, seed)
        self._team = Lockstep(bundle, OnnxPolicy(bundle), self._world)
        task = self._world.task
        for robot, others in enumerate(heard):
            policy = OnnxPolicy(bundle)
            policy.heeds = None if len(others) == n - 1 else others
            config = ControllerConfig(robot, n, spec.loop_hz, robot + 1)
            self._team.robots[robot] = RobotController(policy, task, config)
        half = self._world.half_width
        self._injectors = [Injector(spec, robot, n, half) for robot in range(n)]
        if not self._crash:
            lie = FaultSpec(kind, self._who, self._at, seed=seed)
            self._injectors[self._who].add(lie, BEGIN)
        self._supervisor = SupervisorController(OnnxPolicy(bundle), n, "supervisor", 0, BEGIN)
        self._supervisor.on_task(task)
        self._sent: list[RobotState] = []
        self._table: HealthTable | None = None
        self._t, self._weights = list[float](), list[Float]()
        self._out: list[list[bool] | None] = []  # of a tick with a table

    def run(self) -> Learned:
        """Fly, and say what was learned."""
        for step in range(round((self._at + AFTER_S) / self._team.period)):
            self._tick(step * self._team.period)
        self._world.close()
        return self._learned()

    def _tick(self, elapsed: float) -> None:
        now = BEGIN + elapsed
        for robot, controller in enumerate(self._team.robots):
            for state in self._sent:
                if state.robot == robot or state.robot in self._heard[robot]:
                    controller.on_state(state, now)
            if self._table is not None:
                controller.on_table(self._table, now)
        for state in self._sent:
            self._supervisor.on_state(state, now)
        weights = self._act(now, elapsed)
        self._table = self._supervisor.tick(now, WALL + now)
        out = None if self._table is None else [state in OUT for state in self._table.states]
        if self._team.advance(now):
            self._supervisor.on_task(self._world.task)
        self._t.append(elapsed - self._at)
        self._weights.append(weights)
        self._out.append(out)

    def _act(self, now: float, elapsed: float) -> Float:
        """(N, N) what each robot gives each; NaN of one that is dead."""
        weights = np.full((self._n, self._n), np.nan)
        self._sent = []
        for robot, frame in enumerate(self._world.frames(WALL + now)):
            if self._crash and robot == self._who and elapsed >= self._at:
                continue
            injector = self._injectors[robot]
            tick = self._team.robots[robot].tick(injector.sense(frame, now), now)
            tick, states = injector.apply(tick, frame, now)
            self._team.command(robot, tick.command.action, tick.command.mode, now)
            self._sent += states
            weights[robot] = tick.status.weights
        return weights

    def _learned(self) -> Learned:
        t, weights = np.array(self._t), np.array(self._weights)
        healthy = np.arange(self._n) != self._who
        low = weights[:, healthy] < 0.5  # (T, N - 1, N)
        told = [(at, row) for at, row in zip(t, self._out, strict=True) if row is not None]
        named = [at for at, row in told if row[self._who] and at >= 0.0]
        hear = np.array([self._who in others for others in self._heard])[healthy]
        known = low[..., self._who]
        settled = t >= -SETTLED_S
        accused = low[settled][..., healthy].any(axis=(0, 1))
        late = [row for at, row in told if at >= -SETTLED_S]
        accused |= np.array(late)[:, healthy].any(axis=0)
        return Learned(
            float(min(named, default=np.inf)),
            _from(t, known.all(axis=1)),
            _from(t, known[:, hear].all(axis=1)) if hear.any() else np.nan,
            int(accused.sum()),
        )


def _from(t: Float, known: Float) -> float:
    """When it was known first; infinite if never."""
    at = np.flatnonzero(known & (t >= 0.0))
    return float(t[at[0]]) if len(at) else np.inf
