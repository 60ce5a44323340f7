"""Rendezvous: everybody meets; the definition of MIR3's robot task (arXiv 2310.09833).

Ten e-pucks in a square of 2 m, 200 steps at 10 Hz, reward per step
`- mean over pairs of min(d, 2.82) / 2.82 - 0.001 mean(u^2)` with wheel commands u, in the
definition without contact between robots. Standstill returns about -66.

Quadrotors meet in a larger arena around a ring: distance below the ring's scale is not
rewarded, and coming nearer than the separation costs.
"""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.task_error import rendezvous_error
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    Scenario,
    TeamView,
    believed,
    go_to,
    keep_apart,
    spaced,
)

_HALF = {"epuck": 1.0, "crazyflie": 5.0}
_SEPARATION = 0.5  # m between quadrotors


class Rendezvous(Scenario):
    """Everybody meets."""

    name = "rendezvous"
    title = "everybody meets"
    contacts = False

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return _HALF[robot]

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Positions uniform in the inner 90 % of the arena, headings uniform."""
        half = 0.9 * _HALF[robot]
        if robot == "epuck":
            position = rng.uniform(-half, half, (robots, 2))
            yaw = rng.uniform(-np.pi, np.pi, robots)
        else:
            position, yaw = spaced(rng, robots, half, 0.8), np.zeros(robots)
        return Layout(position, yaw, np.zeros((0, 2)), np.zeros(0))

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Reward and mean distance over the pairs of healthy robots."""
        span = 2.82 * _HALF[robot]
        offset = view.position[:, :, None] - view.position[:, None, :]
        distance = np.sqrt(np.sum(offset**2, axis=-1))
        robots = distance.shape[-1]
        pairs = view.healthy[:, :, None] & view.healthy[:, None, :] & ~np.eye(robots, dtype=bool)
        count = np.maximum(pairs.sum(axis=(1, 2)), 1)
        mean = rendezvous_error(view.position, view.healthy)
        packed = packed_distance(robot, view.healthy.sum(axis=1))
        capped = np.minimum(distance, span)
        if robot != "epuck":
            capped = np.maximum(capped, _SEPARATION)
        reward = -np.where(pairs, capped, 0.0).sum(axis=(1, 2)) / count / span
        healthy = np.maximum(view.healthy.sum(axis=1), 1)
        reward = reward - 0.001 * np.where(view.healthy, view.effort, 0.0).sum(axis=1) / healthy
        if robot != "epuck":
            breach = np.where(pairs, np.maximum(_SEPARATION - distance, 0.0), 0.0)
            reward = reward - 0.5 * breach.sum(axis=(1, 2)) / healthy
        score = np.clip(1.0 - (mean - packed) / (0.52 * 2 * _HALF[robot]), 0.0, 1.0)
        success = mean < np.maximum(0.125 * 2 * _HALF[robot], 1.5 * packed)
        return Outcome(reward, score, mean, success)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Drive to the weighted centroid of the team, oneself included."""
        position = believed(seen, weights)
        total = 1.0 + weights.sum(axis=-1, keepdims=True)
        target = np.sum(position * weights[..., None], axis=-2) / total
        if spec.robot != "epuck":
            target = keep_apart(seen, target, 1.4 * _SEPARATION)
        return go_to(spec, target)


def packed_distance(robot: str, robots: Float) -> Float:
    """Mean pair distance of a disc of quadrotors at their separation; 0 for e-pucks.

    The mean distance of two points in a disc of radius R is 128 R / (45 pi), and N discs of
    diameter d fill a disc of radius about d sqrt(N / 0.8) / 2.
    """
    if robot == "epuck":
        return np.zeros(np.shape(robots))
    radius = _SEPARATION * np.sqrt(np.maximum(robots, 1) / 0.8) / 2
    return 128 * radius / (45 * np.pi)
