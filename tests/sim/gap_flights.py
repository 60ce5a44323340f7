"""Simulated flights as recordings have them: noisy, jittery, with holes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from swarmhold.hardware.report.motion import Motion, Motions
from swarmhold.hardware.spec import policy_spec

ROOT, BEGAN = Path(__file__).resolve().parents[2], 1.7e9
PLACE_M, HEADING_RAD, SPEED_MPS, JITTER_S, LOST = 0.002, 0.01, 0.02, 0.002, 0.05


def measured(flown: Motions, seed: int) -> Motions:
    """What a localisation with noise and a radio with losses make of a flight."""
    rng = np.random.default_rng([seed, 17])
    return replace(flown, robots=tuple(_measured(motion, rng) for motion in flown.robots))


def _measured(motion: Motion, rng: np.random.Generator) -> Motion:
    kept = rng.random(len(motion.t)) >= LOST
    told = rng.random(len(motion.told_t)) >= LOST / 5  # by the recorder, which the robot is not
    t = (motion.t + rng.normal(0.0, JITTER_S, len(motion.t)))[kept]
    order = np.argsort(t)

    def noisy(values: np.ndarray, size: float) -> np.ndarray:
        return (values + rng.normal(0.0, size, values.shape))[kept][order]

    told_t = np.sort((motion.told_t + np.abs(rng.normal(0.0, JITTER_S, len(told))))[told])
    return replace(
        motion,
        t=t[order],
        position=noisy(motion.position, PLACE_M),
        yaw=noisy(motion.yaw, HEADING_RAD),
        velocity=noisy(motion.velocity, SPEED_MPS),
        yaw_rate=noisy(motion.yaw_rate, 10 * HEADING_RAD),
        told_t=told_t,
        told=motion.told[told],
    )


def write_flight(
    flown: Motions, folder: Path, bundle: Path, digest: str | None = None, ahead_s: float = 0.0
) -> Path:
    """A flight folder with a real recording of it, as `swarmhold fly` leaves one.

    Args:
        flown: what is recorded.
        folder: new.
        bundle: that flew.
        digest: said to be its; None: the right one.
        ahead_s: s by which the clock that stamps set-points is ahead.
    """
    folder.mkdir()
    store = typestore()
    kind, f32, u8 = store.types, np.float32, np.uint8
    header, stamp = kind["std_msgs/msg/Header"], kind["builtin_interfaces/msg/Time"]
    three = kind["geometry_msgs/msg/Vector3"]

    def at(t: float) -> object:
        return header(stamp(int(BEGAN + t), int((BEGAN + t) % 1 * 1e9)), "")

    def send(topic: str, name: str, rows: list[tuple[float, object]]) -> None:
        link = out.add_connection(topic, name, typestore=store)
        for t, message in rows:
            when = int((BEGAN + t + 0.001) * 1e9)
            out.write(link, when, store.serialize_cdr(message, name))

    frame, twist = kind["swarmhold_msgs/msg/SensorFrame"], kind["geometry_msgs/msg/Twist"]
    with Writer(folder / "mcap", version=9, storage_plugin=StoragePlugin.MCAP) as out:
        truth = kind["swarmhold_msgs/msg/Truth"]
        none = np.zeros(0), np.zeros(0, f32), np.zeros(0, bool), np.zeros(0, bool)
        errors = zip(flown.error_t, flown.error, strict=True)
        send("/swarm/truth", "swarmhold_msgs/msg/Truth", [
            (t, truth(at(t), *none, float(error))) for t, error in errors
        ])  # fmt: skip
        for i, motion in enumerate(flown.robots):
            seen = zip(motion.t, motion.position, motion.velocity, motion.yaw, motion.yaw_rate,
                       strict=True)  # fmt: skip
            send(f"/robot_{i}/sense", "swarmhold_msgs/msg/SensorFrame", [
                (t, frame(at(t), p, v.astype(f32), y, r, 1.0, np.zeros(0, u8), np.zeros(0, f32),
                          np.zeros(0, f32), False))
                for t, p, v, y, r in seen
            ])  # fmt: skip
            drives = policy_spec(flown.info["robot"]).drives
            send(f"/robot_{i}/cmd_vel", "geometry_msgs/msg/TwistStamped", [
                (t, kind["geometry_msgs/msg/TwistStamped"](at(t + ahead_s), twist(
                    three(a, 0.0 if drives else b, 0.0), three(0.0, 0.0, b if drives else 0.0))))
                for t, (a, b) in zip(motion.told_t, motion.told, strict=True)
            ])  # fmt: skip
    info = {**flown.info, "bundle": str(bundle), "reweight": True, "entities": "none"}
    info["digest"] = digest or info["digest"]
    events = [
        {"event": "flight", "t": BEGAN - 1.0, **info},
        {"event": "started", "t": BEGAN},
        {"event": "ended", "t": BEGAN + flown.seconds},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
    return folder


def typestore() -> Any:
    """Message definitions, from their sources."""
    types: dict[str, Any] = {}
    for file in (ROOT / "ros2_ws/src/swarmhold_msgs/msg").glob("*.msg"):
        types.update(get_types_from_msg(file.read_text(), f"swarmhold_msgs/msg/{file.stem}"))
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(types)
    return store
