"""Start, observation and judgement of `FlightSim` over whole arrays (numpy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swarmhold.hardware.types import Bool, Float, teammate_index
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.noise import Keys, uniform

if TYPE_CHECKING:
    from swarmhold.sim.flight import FlightSim


def respawn_rows(
    blocks: Blocks, chosen: Bool, keys: Keys, goal: Float, spread: float, hover: float
) -> None:
    """Put the chosen (E) teams near their places, level and still, rotors at hover."""
    shape = (blocks.n_envs, blocks.n_robots)
    fresh = np.zeros((*shape, STATE))
    fresh[..., :3] = goal + uniform(keys, (blocks.n_robots, 3), -spread, spread)
    fresh[..., Row.ATTITUDE + 3] = 1.0
    fresh[..., Row.MOTOR :] = hover
    blocks.put(0, np.where(chosen[:, None, None], fresh, blocks.get(0, STATE)))


def evaluate_rows(sim: FlightSim, judge: bool = True) -> None:
    """Fill the buffers of a simulator from its state.

    Args:
        sim: simulator.
        judge: also collisions, reward and ends; else only the observation.
    """
    state, task, n = sim.blocks.get(0, STATE), sim.task, sim.n_drones
    place, speed = state[..., :3], state[..., 7:10]
    offset = sim.goal - place
    out = sim.observation
    out[..., :3], out[..., 3:13] = offset, state[..., 3:13]
    out[..., 13:17] = state[..., Row.MOTOR :] / sim._hover
    others = teammate_index(n)
    relative = place[:, others] - place[:, :, None]
    drift = speed[:, others] - speed[:, :, None]
    out[..., 17:] = np.concatenate([relative, drift], axis=-1).reshape(*out.shape[:2], -1)
    if not judge:
        return
    distance = np.sqrt((offset**2).sum(axis=-1))
    near = np.sqrt((relative**2).sum(axis=-1)) < 2 * sim.model.radius
    sim.touched[:] = near.any(axis=-1) | (place[..., 2] < task.floor) | sim._contact()
    pace = np.sqrt((speed**2).sum(axis=-1))
    sim.reward[:] = -distance - 0.05 * pace - sim.touched
    hit = sim.touched.any(axis=1) if task.end_on_touch else False
    far = ~(distance <= task.reach)  # also where it is not a number
    sim.terminated[:] = hit | far.any(axis=1)
    sim.truncated[:] = ~sim.terminated & (sim._clock >= sim.limit)
