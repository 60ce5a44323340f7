"""A flight of the simulator, with every topic of a live one, in a recording: two robots fail."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.supervisor_controller import SupervisorController
from swarmhold.sim.gap.flight import BEGIN_S, ClosedLoop

sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))
from gap_flights import BEGAN, typestore

F32, NAME = np.float32, "swarmhold_msgs/msg/"


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
            self.rows.append((elapsed, "/swarm/health", table))
            for controller in self.team:
                controller.on_table(table, BEGIN_S + elapsed)

    def sensed(self, robot, frame):
        self.rows.append((frame.stamp - BEGIN_S, f"/robot_{robot}/sense", frame))
        return frame

    def answer(self, robot, tick, elapsed):
        if elapsed >= self.dies.get(robot, np.inf):
            return
        state = tick.state
        if elapsed >= self.lies.get(robot, np.inf):
            x, y, z = state.position
            state = replace(state, position=(x + 0.4, y, z))
        self.sent.append(state)
        self.rows.append((elapsed, f"/robot_{robot}/state", state))
        if elapsed >= -1e-9:
            self.obey(robot, tick.command.action, tick.command.mode, elapsed)
            self.rows.append((elapsed, f"/robot_{robot}/cmd_vel", tick.command))
        self.rows.append((elapsed, f"/robot_{robot}/status", tick.status))
        assert tick.command.mode == Mode.ACTIVE


def record(folder, path, robots=4, seconds=9.0, dies=None, lies=None):
    """A flight folder, as `fly` leaves one."""
    bundle = open_bundle(path)
    loop = Recorded(bundle, robots, dies or {}, lies or {})
    task = loop.world.task
    flown = loop.fly(seconds)
    folder.mkdir()
    store = typestore()
    kind = store.types
    header, stamp = kind["std_msgs/msg/Header"], kind["builtin_interfaces/msg/Time"]
    three, twist = kind["geometry_msgs/msg/Vector3"], kind["geometry_msgs/msg/Twist"]

    def at(t):
        return header(stamp(int(BEGAN + t), int((BEGAN + t) % 1 * 1e9)), "")

    def flat(rows, dtype=F32):
        return np.array(rows, dtype).ravel()

    def told(topic, t, m):
        if topic.endswith("/state"):
            bits = np.frombuffer(m.accusations, "<u2")
            return "RobotState", (at(t), m.robot, m.recipient, m.boot_id, m.seq, m.control_seq,
                np.array(m.position), flat(m.velocity), m.yaw, m.yaw_rate, m.battery, m.mode,
                m.bundle, bits)  # fmt: skip
        if topic.endswith("/sense"):
            return "SensorFrame", (at(t), np.array(m.position), flat(m.velocity), m.yaw, m.yaw_rate,
                m.battery, flat(m.sighted, np.uint8), flat(m.sightings), flat(m.bodies),
                m.stopped)  # fmt: skip
        if topic.endswith("/status"):
            u8 = np.uint8
            return "PolicyStatus", (at(t), m.robot, flat(m.weights), flat(m.attention),
                flat(m.states, u8), m.source, m.mode, m.period_s, m.inference_s, m.missed,
                m.limited)  # fmt: skip
        return "HealthTable", (at(t), m.term, m.seq, m.issuer, m.lease_s, flat(m.weights),
            flat(m.states, np.uint8), flat(m.reasons, np.uint16))  # fmt: skip

    def command(m, t):
        forward, turn = m.action
        move = twist(three(forward, 0.0, 0.0), three(0.0, 0.0, turn))
        return kind["geometry_msgs/msg/TwistStamped"](at(t), move)

    links = {}
    with Writer(folder / "mcap", version=9, storage_plugin=StoragePlugin.MCAP) as out:

        def send(topic, t, name, message):
            if topic not in links:
                links[topic] = out.add_connection(topic, name, typestore=store)
            when = int((BEGAN + t + 0.001) * 1e9)
            out.write(links[topic], when, store.serialize_cdr(message, name))

        owners = flat(task.owners, np.int8)
        parts = (at(-1.0), bundle.manifest.scenario, flat(task.landmarks, float), owners,
                 flat(task.posts, float), np.array(task.home), task.half_width)  # fmt: skip
        send("/swarm/task", -1.0, NAME + "Task", kind[NAME + "Task"](*parts))
        for t, topic, message in loop.rows:
            if topic.endswith("/cmd_vel"):
                send(topic, t, "geometry_msgs/msg/TwistStamped", command(message, t))
                continue
            name, values = told(topic, t, message)
            send(topic, t, NAME + name, kind[NAME + name](*values))
    info = {**flown.info, "bundle": str(path), "reweight": True, "entities": "none"}
    events = [
        {"event": "flight", "t": BEGAN - 2.0, **info},
        {"event": "started", "t": BEGAN},
        {"event": "ended", "t": BEGAN + seconds},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
    return folder
