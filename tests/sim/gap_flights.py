"""Simulated flights as recordings have them: noisy, jittery, with holes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.report.motion import Motion, Motions
from swarmhold.hardware.spec import policy_spec

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from flight_folder import BEGAN, header, recording, twist, typestore, write_events

RECEIVED_S = 0.001  # after it was sent
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
    kind, f32, u8 = typestore().types, np.float32, np.uint8
    none = np.zeros(0), np.zeros(0, f32), np.zeros(0, bool), np.zeros(0, bool)
    drives = policy_spec(flown.info["robot"]).drives
    with recording(folder) as send:

        def say(topic: str, name: str, t: float, *values: object, ahead: float = 0.0) -> None:
            message = kind[name](header(BEGAN + t + ahead), *values)
            send(topic, name, BEGAN + t + RECEIVED_S, message)

        for t, error in zip(flown.error_t, flown.error, strict=True):
            say("/swarm/truth", "swarmhold_msgs/msg/Truth", t, *none, float(error))
        for i, motion in enumerate(flown.robots):
            seen = zip(motion.t, motion.position, motion.velocity, motion.yaw, motion.yaw_rate,
                       strict=True)  # fmt: skip
            for t, p, v, y, r in seen:
                say(f"/robot_{i}/sense", "swarmhold_msgs/msg/SensorFrame", t, p, v.astype(f32), y,
                    r, 1.0, np.zeros(0, u8), np.zeros(0, f32), np.zeros(0, f32),
                    False)  # fmt: skip
            for t, told in zip(motion.told_t, motion.told, strict=True):
                say(f"/robot_{i}/cmd_vel", "geometry_msgs/msg/TwistStamped", t,
                    twist(*told, drives), ahead=ahead_s)  # fmt: skip
    info = {**flown.info, "bundle": str(bundle)}
    info["digest"] = digest or info["digest"]
    write_events(folder, info, flown.seconds)
    return folder
