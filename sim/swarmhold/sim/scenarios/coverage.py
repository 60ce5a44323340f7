"""Coverage: N robots cover N landmarks of different value.

When robots die, the H healthy ones must cover the H most valuable landmarks, wherever they
are: head-count matters. A dead robot blocks the spot it stands on and covers nothing: bodies
matter.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.task_error import coverage_error, nearest_healthy, wanted_landmarks
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    Scenario,
    TeamView,
    believed,
    go_to,
    headings,
    keep_apart,
    spaced,
)

_SCALE = {"epuck": 1.0, "crazyflie": 4.0}  # m, half width for teams of up to eight
_COVER = {"epuck": 0.12, "crazyflie": 0.5}  # m, a robot this near covers a landmark
_GAP = {"epuck": 0.09, "crazyflie": 0.4}  # m, kept between bodies by the heuristic


class Coverage(Scenario):
    """Cover what matters with whoever is left."""

    name = "coverage"
    title = "cover the most valuable landmarks with whoever is left"
    contacts = True

    def slots(self, robots: int) -> int:
        """One landmark per robot."""
        return robots

    def half_width(self, robot: str) -> float:
        """Half the side of the square arena, m."""
        return _SCALE[robot]

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Robots and landmarks spread out; values uniform in [0.1, 1]."""
        half, cover = 0.9 * _SCALE[robot], _COVER[robot]
        position = spaced(rng, robots, half, 0.8 * cover)
        landmarks = spaced(rng, robots, 0.85 * half, 2.5 * cover)
        yaw = headings(rng, robots, robot)
        return Layout(position, yaw, landmarks, rng.uniform(0.1, 1.0, robots))

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Value covered by healthy robots, of the best that this head-count can cover."""
        span, heads = 2.0 * view.half_width, view.healthy.sum(axis=1)
        values = np.where(view.landmark_mask, view.values, 0.0)
        wanted = wanted_landmarks(view.values, view.landmark_mask, view.healthy)
        nearest = nearest_healthy(view.position, view.healthy, view.landmarks)
        best = np.maximum(np.where(wanted, values, 0.0).sum(axis=1), 1e-9)
        covered = nearest < _COVER[robot]
        score = np.minimum(np.where(covered, values, 0.0).sum(axis=1) / best, 1.0)
        error = coverage_error(
            view.position, view.healthy, view.landmarks, view.values, view.landmark_mask, span
        )
        share = np.minimum(nearest, span) / span
        soft = np.where(wanted, values * share, 0.0).sum(axis=1) / best
        mean_effort = np.where(view.healthy, view.effort, 0.0).sum(axis=1) / np.maximum(heads, 1)
        reward = score - 1.0 - 2.0 * soft - 0.001 * mean_effort
        return Outcome(reward, score, error, score >= 0.9)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """Assign the healthy to the most valuable landmarks and drive to one's own.

        Every robot solves the same assignment on what it believes; the least total distance
        is a common answer as long as the beliefs agree.
        """
        lead = seen.self_token.shape[:-1]
        team = believed(seen, weights).reshape(-1, seen.team.shape[-2], 2)
        spots = seen.obstacles.reshape(-1, *seen.obstacles.shape[-2:])
        mask = seen.obstacle_mask.reshape(-1, seen.obstacle_mask.shape[-1]) > 0.5
        healthy = weights.reshape(-1, weights.shape[-1]) > 0.5
        target = np.zeros((len(team), 2))
        for row in range(len(team)):
            landmark = mask[row] & (spots[row, :, 4] > 0.5)
            place = spots[row, landmark, :2]
            crew = np.vstack([np.zeros(2), team[row, healthy[row]]])
            top = np.argsort(spots[row, landmark, 8], kind="stable")[: len(crew)]
            distance = np.linalg.norm(crew[:, None] - place[top][None], axis=-1)
            who, what = linear_sum_assignment(distance)
            mine = what[who == 0]
            target[row] = place[top[mine[0]]] if mine.size else 0.0
        target = target.reshape(*lead, 2)
        return go_to(spec, keep_apart(seen, target, _GAP[spec.robot]))
