"""A flight of the simulator, with every topic of a live one, in a recording: two robots fail."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold.sim.gap.flight import BEGIN_S, ClosedLoop

sys.path.insert(0, str(Path(__file__).parent))
from flight_folder import BEGAN, write_events, write_rows

RECEIVED_S = 0.001  # after it was sent


class Recorded(ClosedLoop):
    """Keeps every message; one robot dies and one lies about its place."""

    def __init__(self, bundle, robots, dies, lies):
        super().__init__(bundle, robots, 3, None, None)
        self.dies, self.lies, self.rows = dies, lies, []
        policy = OnnxPolicy(bundle)
        self.supervisor = SupervisorController(policy, robots, "supervisor", 0, BEGIN_S - 1.0)
        self.supervisor.on_task(self.world.task)
        self.acts = False

    def tick(self, elapsed):
        if elapsed >= -1e-9 and not self.acts:
            self.acts = True
            for controller in self.team:
                controller.on_activate()
        super().tick(elapsed)
        for state in self.sent:
            self.supervisor.on_state(state, BEGIN_S + elapsed)
        table = self.supervisor.tick(BEGIN_S + elapsed, elapsed)
        if table is not None:
            self._say("/swarm/health", elapsed, replace(table, stamp=BEGAN + elapsed))
            for controller in self.team:
                controller.on_table(table, BEGIN_S + elapsed)

    def sensed(self, robot, frame):
        t = frame.stamp - BEGIN_S
        self._say(f"/robot_{robot}/sense", t, replace(frame, stamp=BEGAN + t))
        return frame

    def _say(self, topic, t, message):
        self.rows.append((topic, t + RECEIVED_S, message))

    def answer(self, robot, tick, elapsed):
        if elapsed >= self.dies.get(robot, np.inf):
            return
        state = tick.state
        if elapsed >= self.lies.get(robot, np.inf):
            x, y, z = state.position
            state = replace(state, position=(x + 0.4, y, z))
        self.sent.append(state)
        self._say(f"/robot_{robot}/state", elapsed, replace(state, stamp=BEGAN + elapsed))
        if elapsed >= -1e-9:
            self.obey(robot, tick.command.action, tick.command.mode, elapsed)
            self._say(f"/robot_{robot}/cmd_vel", elapsed, tick.command.action)
        self._say(f"/robot_{robot}/status", elapsed, tick.status)
        assert tick.command.mode == Mode.ACTIVE


def record(folder, path, robots=4, seconds=9.0, dies=None, lies=None):
    """A flight folder, as `fly` leaves one."""
    bundle = open_bundle(path)
    loop = Recorded(bundle, robots, dies or {}, lies or {})
    task = loop.world.task
    flown = loop.fly(seconds)
    folder.mkdir()
    rows = [("/swarm/task", RECEIVED_S - 1.0, task), *loop.rows]
    write_rows(folder, rows, bundle.spec.drives, bundle.manifest.scenario)
    write_events(folder, {**flown.info, "bundle": str(path)}, seconds)
    return folder
