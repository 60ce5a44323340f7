"""Policies gone wrong: what runaways and adversaries do instead of what they were told."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.dynamics import Bodies
from swarmhold.sim.faults import Effects


def misled(
    spec: PolicySpec,
    setpoint: Float,
    effects: Effects,
    bodies: Bodies,
    flight: Float,
    present: Bool,
) -> Float:
    """Runaways drive off in a direction of their own, adversaries at the nearest teammate.

    Args:
        spec: contract of the robots.
        setpoint: (E, N, Da) what they were told, physical units.
        effects: faults that act.
        bodies: (E, N) where everybody is.
        flight: (E, N) rad, directions of runaways.
        present: (E, N) robots that exist.

    Returns:
        (E, N, Da) what they do.
    """
    wrong = effects.runaway | effects.adversary
    if not wrong.any():
        return setpoint
    course = flight
    if effects.adversary.any():
        course = np.where(effects.adversary, _hunt(bodies.position[..., :2], present), course)
    bearing = course - bodies.yaw()
    bound = np.asarray(spec.action_bound)
    if spec.drives:
        turn = np.clip(4.0 * np.arctan2(np.sin(bearing), np.cos(bearing)), -1.0, 1.0)
        wild = np.stack([np.ones_like(turn), turn], axis=-1) * bound
    else:
        wild = np.stack([np.cos(bearing), np.sin(bearing)], axis=-1) * bound
    return np.where(wrong[..., None], wild, setpoint)


def _hunt(place: Float, present: Bool) -> Float:
    """(E, N) rad, direction to the nearest other robot."""
    robots = place.shape[1]
    offset = place[:, None] - place[:, :, None]
    distance = np.sqrt(np.sum(offset**2, axis=-1))
    distance[:, np.arange(robots), np.arange(robots)] = np.inf
    distance = np.where(present[:, None], distance, np.inf)
    prey = np.argmin(distance, axis=-1)[..., None, None]
    to_prey = np.take_along_axis(offset, prey, axis=2)[:, :, 0]
    return np.asarray(np.arctan2(to_prey[..., 1], to_prey[..., 0]))
