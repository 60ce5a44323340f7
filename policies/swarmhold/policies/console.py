"""A team in the batched simulation for the operator console, with the real health chain.

It says what robots and supervisor would say on the air, so that the console draws it as it draws a
live team. Robots act on a bundle's policy, or, for a scenario that none ships for, on the
scenario's heuristic, which attends to nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.picture import TeamPicture
from swarmhold.hardware.console.source import NOT_GIVEN, StopStatus
from swarmhold.hardware.drivers.protocol import Reality
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import (
    EVERYBODY,
    HealthTable,
    Mode,
    PolicyStatus,
    RobotState,
    Task,
)
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.shipped import shipped
from swarmhold.hardware.team_health import WeightSource
from swarmhold.hardware.types import teammate_index
from swarmhold.policies.health_loop import HealthLoop
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.registry import scenario_of

LATE_S = 0.5  # behind real time, after which time is skipped
MOST_ROBOTS = 100


def team(
    scenario: str,
    robots: int | None = None,
    bundle: Path | None = None,
    seed: int = 0,
    allow_faults: bool = False,
) -> SimulatedTeam:
    """A team of a scenario, by its name; the console's entry point.

    Raises:
        ConfigError: there is no such scenario, or it is not what the bundle was trained for.
    """
    number = 6 if robots is None else robots
    if not 1 <= number <= MOST_ROBOTS:
        raise ConfigError(f"{number} robots; the console shows 1 to {MOST_ROBOTS} simulated ones")
    return SimulatedTeam(scenario, number, _bundle(scenario, bundle), seed, allow_faults)


def _bundle(scenario: str, given: Path | None) -> Bundle | None:
    classes = scenario_of(scenario).robots
    if given is None:
        names = [f"{scenario}-{robot}" for robot in classes if f"{scenario}-{robot}" in shipped()]
        return open_bundle(names[0]) if names else None
    opened = open_bundle(given)
    if opened.manifest.robot not in classes:
        raise ConfigError(f"{given} is for {opened.manifest.robot}, {scenario} for {classes}")
    return opened


class SimulatedTeam:
    """Steps in real time, in a thread."""

    def __init__(
        self, scenario: str, robots: int, bundle: Bundle | None, seed: int, allow_faults: bool
    ) -> None:
        """Build the world.

        Args:
            scenario: name.
            robots: N.
            bundle: what robots act on; None: the heuristic.
            seed: of everything.
            allow_faults: whether it may be broken from the page.
        """
        robot = None if bundle is None else bundle.manifest.robot
        self._env = SwarmEnv(scenario, robot, 1, robots, seed=seed)
        self._policy = None if bundle is None else OnnxPolicy(bundle)
        self._digest = 0 if bundle is None else bundle.short_digest
        self._settings = HealthSettings() if bundle is None else bundle.health
        self.about: Mapping[str, Any] = {
            "title": f"{scenario}, {robots} {self._env.robot} in simulation",
            "replay": False,
            "bundle": None if bundle is None else bundle.digest,
        }
        self.kinds: Sequence[str] = tuple(KINDS) if allow_faults else ()
        self._n, self._others = robots, teammate_index(robots)
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._stopped_at: float | None = None
        self._reached = np.zeros(robots, bool)
        self._new: list[FaultSpec] = []
        self._plan: list[FaultSpec] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._count = 0
        self._hidden: Any = None

    def start(self, hub: Hub) -> None:
        """Step from now on."""
        self._hub = hub
        self._picture = TeamPicture(
            self._n, wall_s=time.time() - time.monotonic(), period_s=self._env.tick
        )
        self._begin()
        self._env.step(self._decide(self._health.step(self._env.evidence(), 0.0))[0])  # compiles
        self._begin()
        self._thread.start()

    def _begin(self) -> None:
        """An episode; what was broken is whole again."""
        for fault in self._plan:
            self._picture.on_fault(fault.kind, fault.robot, 0.0, time.monotonic())
        self._plan, self._hidden = [], None
        self._step = self._env.reset(faults=[[]])
        self._health = HealthLoop(self._settings, 1, self._n)

    def _run(self) -> None:
        due, before = time.monotonic(), time.monotonic()
        while not self._ends.wait(max(due - time.monotonic(), 0.0)):
            now = time.monotonic()
            due = now if now - due > LATE_S else due + self._env.tick
            if self._step.done.all() and self._stopped_at is None:
                self._begin()
            self._tick(now, now - before)
            before = now

    def _tick(self, now: float, period: float) -> None:
        self._break(now)
        seen = self._env.evidence()
        weights = self._health.step(seen, float(self._env.time_s[0]))
        began = time.perf_counter()
        action, attention = self._decide(weights)
        spent = (time.perf_counter() - began) / self._n
        stopped = self._stopped_at is not None
        own = range(self._n)
        self._reached = (~seen.deaf & seen.fresh[:, own, own])[0]
        self._say(now, stopped, period, spent, weights[0], attention)
        self._step = self._env.step(np.zeros_like(action) if stopped else action)
        picture = self._picture.picture(now)
        for entry in self._picture.news():
            self._hub.happened(entry.plain())
        self._hub.show(picture)

    def _decide(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Set-points (1, N, Da), and attention (N, M + 1) of a policy."""
        observation = self._step.observation.finite()
        if self._policy is None:
            env = self._env
            return env.scenario.heuristic(env.spec, observation, weights), None
        found = self._policy.act(observation, weights, self._hidden)
        self._hidden = found.hidden
        return found.action, found.attention[0]

    def _say(
        self,
        now: float,
        stopped: bool,
        period: float,
        spent: float,
        weights: np.ndarray,
        attention: np.ndarray | None,
    ) -> None:
        """What would be heard on the air."""
        picture, health, mode = self._picture, self._health, Mode.STOP if stopped else Mode.ACTIVE
        self._count += 1
        states = (np.full(self._n, HealthState.ESTOPPED) if stopped else health.states[0]).tolist()
        picture.on_reality("simulation", Reality.SIM.value, now)
        picture.on_task(self._task(), self._env.scenario.name)
        said, _ = self._env.said()
        for robot in np.flatnonzero(self._reached).tolist():
            picture.on_state(robot, self._state(robot, said, int(mode)), now)
            shares: list[float] = []
            if attention is not None:
                shares = np.insert(attention[robot, :-1], robot, attention[robot, -1]).tolist()
            given = tuple(np.insert(weights[robot], robot, 1.0).tolist())
            picture.on_status(
                robot,
                PolicyStatus(
                    *(robot, now, given, tuple(shares), tuple(states)),
                    *(int(WeightSource.SUPERVISOR), int(mode), period, spent, 0, 0),
                ),
                now,
            )
        table = tuple(health.table[0].tolist())
        reasons = tuple(health.reasons[0].tolist())
        lease = self._settings.lease_s
        name = "simulated supervisor"
        verdict = HealthTable(now, 1, self._count, name, lease, table, tuple(states), reasons)
        picture.on_table(verdict, now)

    def _state(self, robot: int, said: Any, mode: int) -> RobotState:
        def triple(values: np.ndarray) -> tuple[float, float, float]:
            x, y, z = values[0, robot].tolist()
            return x, y, z

        charge = float(self._step.truth.charge[0, robot])
        heading = float(said.yaw[0, robot]), float(said.yaw_rate[0, robot])
        return RobotState(
            *(robot, EVERYBODY, 1, self._count, self._count, 0.0),
            *(triple(said.position), triple(said.velocity), *heading),
            *(charge, mode, self._digest, b""),
        )

    def _task(self) -> Task:
        marks, posts = self._env.landmarks, self._env.posts[0]
        there = np.flatnonzero(marks.mask[0])
        places = [(*marks.position[0, i, :2].tolist(), float(marks.value[0, i])) for i in there]
        upright = tuple(tuple(post) for post in posts.tolist() if post[2] > 0.0)
        return Task(tuple(places), (0.0, 0.0, 0.0), self._env.half_width, (), upright)

    def _break(self, now: float) -> None:
        with self._lock:
            new, self._new = self._new, []
        if not new:
            return
        start = float(self._env.time_s[0])
        for fault in new:
            values = fault.severity, fault.seed
            self._plan.append(FaultSpec(fault.kind, fault.robot, start, fault.duration_s, *values))
            self._picture.on_fault(fault.kind, fault.robot, fault.duration_s, now)
        self._env.faults.load([self._plan])

    def inject(self, fault: FaultSpec) -> None:
        """With the next step.

        Raises:
            ConfigError: that is not allowed here, or there is no such robot.
        """
        if fault.kind not in self.kinds or fault.robot >= self._n:
            raise ConfigError(f"{fault.kind} of robot {fault.robot} cannot be injected here")
        with self._lock:
            self._new.append(fault)

    def stop_all(self) -> None:
        """All set-points are zero from the next step on; there is no way back."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._picture.on_estop(time.monotonic())

    def stopped(self) -> StopStatus:
        """By those that are heard."""
        if self._stopped_at is None:
            return dict(NOT_GIVEN)
        heard = self._reached.tolist()
        return {
            "given": True,
            "seconds": round(time.monotonic() - self._stopped_at, 2),
            "robots": {
                i: {"mode": "STOP" if is_heard else None, "driver": True if is_heard else None}
                for i, is_heard in enumerate(heard)
            },
            "confirmed": [i for i, is_heard in enumerate(heard) if is_heard],
            "note": "",
        }

    def close(self) -> None:
        """Free the world."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._env.close()
