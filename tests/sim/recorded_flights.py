"""Flights with all that robots and supervisor say, recorded without any live node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gap_flights import BEGAN, typestore
from rosbags.rosbag2 import StoragePlugin, Writer

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.messages import HealthTable, RobotState, SensorFrame
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.sim.world import World

MSGS = {
    "sense": "swarmhold_msgs/msg/SensorFrame",
    "state": "swarmhold_msgs/msg/RobotState",
    "status": "swarmhold_msgs/msg/PolicyStatus",
    "cmd_vel": "geometry_msgs/msg/TwistStamped",
    "/swarm/task": "swarmhold_msgs/msg/Task",
    "/swarm/health": "swarmhold_msgs/msg/HealthTable",
    "/swarm/truth": "swarmhold_msgs/msg/Truth",
    "/swarm/estop": "std_msgs/msg/Bool",
}
SAID_S, DECIDED_S = 0.002, 0.003  # after the frame, when messages reach the recorder
Row = tuple[str, float, Any]  # topic, s since the beginning, what it says
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
        store, drives = _store(), self.bundle.spec.drives
        with Writer(folder / "mcap", version=9, storage_plugin=StoragePlugin.MCAP) as out:
            links: dict[str, Any] = {}
            for topic, t, said in sorted(rows, key=lambda row: row[1]):
                name = MSGS.get(topic) or MSGS[topic.rpartition("/")[2]]
                if topic not in links:
                    links[topic] = out.add_connection(topic, name, typestore=store)
                message = _message(store.types, name, t, said, drives)
                out.write(
                    links[topic], round((BEGAN + t) * 1e9), store.serialize_cdr(message, name)
                )
        manifest = self.bundle.manifest
        info = {
            "robots": self.n, "robot": manifest.robot, "scenario": manifest.scenario,
            "name": manifest.name, "digest": digest or self.bundle.digest, "seed": self.seed,
            "bundle": str(bundle), "reweight": True, "entities": "none",
        }  # fmt: skip
        events = [
            {"event": "flight", "t": BEGAN - 1.0, **info},
            {"event": "started", "t": BEGAN},
            *({"event": "fault", "kind": k, "robot": i, "t": BEGAN + t} for k, i, t in faults),
            {"event": "ended", "t": BEGAN + self.seconds},
        ]
        (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
        return folder


@cache
def _store() -> Any:
    return typestore()


def _message(kind: Any, name: str, t: float, said: Any, drives: bool) -> Any:
    """The ROS message of one value."""
    f32, u8, u16 = np.float32, np.uint8, np.uint16
    stamp, t = kind["builtin_interfaces/msg/Time"], BEGAN + t

    def head(at: float) -> Any:
        return kind["std_msgs/msg/Header"](stamp(int(at), round(at % 1 * 1e9)), "")

    def flat(values: Any, dtype: Any) -> Any:
        return np.asarray(values, dtype).ravel()

    make, short = kind[name], name.rpartition("/")[2]
    if short == "SensorFrame":
        return make(head(said.stamp), flat(said.position, float), flat(said.velocity, f32),
                    said.yaw, said.yaw_rate, said.battery, flat(said.sighted, u8),
                    flat(said.sightings, f32), flat(said.bodies, f32), said.stopped)  # fmt: skip
    if short == "RobotState":
        return make(head(said.stamp), said.robot, said.recipient, said.boot_id, said.seq,
                    said.control_seq, flat(said.position, float), flat(said.velocity, f32),
                    said.yaw, said.yaw_rate, said.battery, said.mode, said.bundle,
                    np.frombuffer(said.accusations, "<u2").astype(u16))  # fmt: skip
    if short == "PolicyStatus":
        return make(head(t), said.robot, flat(said.weights, f32), flat(said.attention, f32),
                    flat(said.states, u8), said.source, said.mode, said.period_s,
                    said.inference_s, said.missed, said.limited)  # fmt: skip
    if short == "HealthTable":
        return make(head(said.stamp), said.term, said.seq, said.issuer, said.lease_s,
                    flat(said.weights, f32), flat(said.states, u8),
                    flat(said.reasons, u16))  # fmt: skip
    if short == "Task":
        return make(head(t), "", flat(said.landmarks, float), flat(said.owners, np.int8),
                    flat(said.posts, float), flat(said.home, float), said.half_width)  # fmt: skip
    if short == "Truth":
        place, yaw, touched = said
        on = np.ones(len(yaw), bool)
        return make(head(t), flat(place, float), flat(yaw, f32), on, touched, 0.0)
    if short == "Bool":
        return make(bool(said))
    three, (a, b) = kind["geometry_msgs/msg/Vector3"], said
    twist = kind["geometry_msgs/msg/Twist"](
        three(a, 0.0 if drives else b, 0.0), three(0.0, 0.0, b if drives else 0.0)
    )
    return make(head(t), twist)
