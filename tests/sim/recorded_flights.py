"""Flights with all that robots and supervisor say, recorded without any live node."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.messages import HealthTable, RobotState, SensorFrame
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.sim.dataset.cli import main
from swarmhold.sim.dataset.reader import Dataset, open_dataset
from swarmhold.sim.world import World

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from flight_folder import BEGAN, Row, write_events, write_rows

BUNDLES = Path(__file__).resolve().parents[2] / "export/swarmhold/export/bundles"
SAID_S, DECIDED_S = 0.002, 0.003  # after the frame, when messages reach the recorder
Bend = Callable[[Row], "list[Row]"]  # of a message on its way to the recorder


class Flight:
    """N controllers of a bundle over the simulated world; who is dead neither acts nor speaks."""

    def __init__(
        self, bundle: Bundle, robots: int, seconds: float, seed: int = 0,
        dead: dict[int, float] | None = None, lies: dict[int, float] | None = None,
        teleop: dict[int, float] | None = None, stuck: dict[int, float] | None = None,
    ) -> None:  # fmt: skip
        """Fly.

        Args:
            bundle: of all.
            robots: N.
            seconds: of the flight.
            seed: of the world.
            dead: s from which a robot is dead.
            lies: s from which a robot says that it is a metre further.
            teleop: s from which somebody else drives a robot, past its policy.
            stuck: s from which a robot no longer moves, whatever it is told.
        """
        self.bundle, self.n, self.seconds, self.seed = bundle, robots, seconds, seed
        self.rows: list[Row] = []
        self.decided: list[list[tuple[float, Any, np.ndarray]]] = [[] for _ in range(robots)]
        self._broken = {"dead": dead, "lies": lies, "teleop": teleop, "stuck": stuck}
        spec, policy = bundle.spec, OnnxPolicy(bundle)
        self._world = World(bundle.manifest.scenario, bundle.manifest.robot, robots, seed)
        self._task, self._sent = None, list[RobotState]()
        configs = [ControllerConfig(i, robots, spec.loop_hz, i + 1) for i in range(robots)]
        self._team = [RobotController(policy, self._world.task, config) for config in configs]
        self._goal, owed = np.zeros((robots, spec.action_size)), 0.0
        for step in range(round(seconds * spec.loop_hz)):
            self._tick(step, step / spec.loop_hz)
            owed += 1.0 / spec.loop_hz
            whole = int(owed / self._world.tick + 1e-6) * self._world.tick
            owed -= whole
            t = step / spec.loop_hz
            still = [self._is("stuck", i, t) or self._is("dead", i, t) for i in range(robots)]
            self._world.advance(whole, self._goal, np.array(still))
        self._world.close()

    def _is(self, what: str, robot: int, t: float) -> bool:
        return t >= (self._broken[what] or {}).get(robot, np.inf)

    def _tick(self, step: int, t: float) -> None:
        """Everybody senses, decides and speaks."""
        if self._world.task != self._task:
            self._task = self._world.task
            self.rows.append(("/swarm/task", t, self._task))
            for controller in self._team:
                controller.on_task(self._task)
        alive = [not self._is("dead", i, t) for i in range(self.n)]
        states = tuple(0 if one else 2 for one in alive)
        weights = tuple(map(float, alive))
        table = HealthTable(BEGAN + t, 1, step + 1, "test", 2.0, weights, states, (0,) * self.n)
        self.rows.append(("/swarm/health", t, table))
        heard, self._sent = self._sent, []
        for i, frame in enumerate(self._world.frames(BEGAN + t)):
            self.rows.append((f"/robot_{i}/sense", t, frame))
            if alive[i]:
                self._act(i, t, frame, heard, table)
        self._truth(self._world, t)

    def _act(
        self, i: int, t: float, frame: SensorFrame, heard: list[RobotState], table: HealthTable
    ) -> None:
        controller, spec = self._team[i], self.bundle.spec
        for state in heard:
            controller.on_state(state, t - 1.0 / spec.loop_hz + SAID_S)
        controller.on_table(table, t)
        tick = controller.tick(frame, t)
        said = tick.state
        if self._is("lies", i, t):
            x, y, z = said.position
            said = replace(said, position=(x + 1.0, y, z))
        self._sent.append(said)
        self._goal[i] = tick.command.action
        if self._is("teleop", i, t):
            self._goal[i] = np.asarray(spec.action_bound) * (0.5, 0.3 * np.sin(3.0 * t))
        decision = controller.decision
        if decision is not None and decision.at == t:
            self.decided[i].append((t, decision.seen, decision.action.copy()))
        self.rows += [
            (f"/robot_{i}/cmd_vel", t + SAID_S, self._goal[i].copy()),
            (f"/robot_{i}/state", t + SAID_S, said),
            (f"/robot_{i}/status", t + DECIDED_S, tick.status),
        ]

    def _truth(self, world: World, t: float) -> None:
        truth = world.position.copy(), world.yaw.copy(), world.touched.copy()
        self.rows.append(("/swarm/truth", t, truth))

    def record(
        self, folder: Path, bundle: Path, bend: Bend | None = None, digest: str = "",
        faults: tuple[tuple[str, int, float], ...] = (), truth: bool = True,
    ) -> Path:  # fmt: skip
        """A flight folder as `swarmhold fly` leaves one.

        Args:
            folder: new.
            bundle: said to have flown.
            bend: what becomes of each message; None: it is recorded as it is.
            digest: said to be the bundle's; "": the right one.
            faults: kind, robot and time of what the events say was broken.
            truth: whether the world's own topic is recorded.
        """
        folder.mkdir(parents=True)
        rows = [row for row in self.rows if truth or row[0] != "/swarm/truth"]
        rows = rows if bend is None else [out for row in rows for out in bend(row)]
        write_rows(folder, rows, self.bundle.spec.drives)
        manifest = self.bundle.manifest
        info = {
            "robots": self.n, "robot": manifest.robot, "scenario": manifest.scenario,
            "name": manifest.name, "digest": digest or self.bundle.digest, "seed": self.seed,
            "bundle": str(bundle),
        }  # fmt: skip
        write_events(folder, info, self.seconds, faults)
        return folder


@cache
def flight(name: str = "coverage-epuck", seed: int = 3, **broken: Any) -> Flight:
    """Three robots for six seconds; `dead`, `lies` and so on name a robot, from 3 s on."""
    since = {what: {robot: 3.0} for what, robot in broken.items()}
    return Flight(open_bundle(BUNDLES / name), 3, 6.0, seed, **since)


def recorded(tmp_path: Path, bend: Bend | None = None, **broken: Any) -> Path:
    """The folder of such a flight."""
    one = flight(**broken)
    return one.record(tmp_path / "flight", BUNDLES / "coverage-epuck", bend)


def built(tmp_path: Path, *folders: Path, more: tuple[str, ...] = ()) -> Dataset:
    """The dataset of flights."""
    out = tmp_path / "dataset"
    assert main(["build", *map(str, folders), "--out", str(out), *more]) == 0
    return open_dataset(out)


def lost(begin: float, end: float, part: str) -> Bend:
    """Messages that the recorder did not get: those with `part` in their topic."""

    def bend(row: Row) -> list[Row]:
        return [] if part in row[0] and begin <= row[1] < end else [row]

    return bend
