"""Simulated flights as recordings have them: noisy, jittery, with holes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.report.motion import Motion, Motions

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
