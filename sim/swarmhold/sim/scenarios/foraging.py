"""Foraging: resources that only a crew can carry (JaxRobotarium, arXiv 2505.06771).

Robots have levels, 1 and 2 in turn, and resources have a level too; a resource is taken as soon
as the levels of the working robots within 0.3 m of it add up to its own. The level of a resource
is that of a crew of one or two; the peer draws crews as large as its team of two. A resource is a
landmark whose value is its level as a share of `LEVEL_MAX`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Int, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    TeamView,
    believed,
    distances,
    headings,
    landmarks_of,
)
from swarmhold.sim.scenarios.testbed import (
    SCALE,
    STEP_S,
    Testbed,
    drive_to,
    from_own,
    poses,
    start_cells,
    to_all,
)

FORAGE = 0.3  # m
LEVELS = (1, 2)  # of the robots, in turn
LEVEL_MAX = 3  # of a resource
_STAND = 0.26  # m from a resource where the heuristic stops
_AROUND = np.radians([0.0, 85.0, -85.0])  # places round a resource, from the side of the middle


def levels_of(robots: int) -> Int:
    """(N) levels of a team."""
    return np.resize(LEVELS, robots)


def foraging_reward(taken: Float, steps: float = 1.0, time_shaping: float = 0.0) -> Float:
    """The peer's shared reward: the levels taken in this step.

    The peer's time penalty counts only after everything is taken, which its own test can never
    find, so it is 0 here.

    Args:
        taken: (E) sum of the levels of the resources taken.
        steps: length of the step in steps of the peer.
        time_shaping: per step of the peer.

    Returns:
        (E).
    """
    return 1.0 * taken + time_shaping * steps


def peer_observation(view: TeamView) -> Float:
    """What the peer's policies see, (E, N, 3 N + 3 R + 1): poses, resources, one's own level.

    A resource is x, y and its level, which is -1 once it was taken.
    """
    robots = view.position.shape[1]
    level = np.where(view.landmark_mask, view.values * LEVEL_MAX, -1.0)
    marks = to_all(np.concatenate([view.landmarks, level[..., None]], axis=-1), robots)
    own = np.broadcast_to(levels_of(robots)[:, None], (len(level), robots, 1))
    return np.concatenate([from_own(poses(view)), marks, own], axis=-1)


class Foraging(Testbed):
    """Carry together."""

    name = "foraging"
    title = "take resources that need a crew"
    episode_s = 70 * STEP_S

    def slots(self, robots: int) -> int:
        """Two resources, more for more than four robots."""
        return int(np.clip(robots // 2, 2, 6))

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Robots on cells of the arena; resources on cells that a crew can stand around."""
        count, levels = self.slots(robots), levels_of(robots)
        most = range(count)
        crews = [rng.choice(levels, min(robots, int(rng.integers(1, 3))), False) for _ in most]
        level = np.minimum([crew.sum() for crew in crews], LEVEL_MAX)
        return Layout(
            start_cells(rng, robots, 0.3) * SCALE[robot],
            headings(rng, robots, robot),
            start_cells(rng, count, 0.5, (2.2, 1.1)) * SCALE[robot],
            level / LEVEL_MAX,
        )

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """How many resources there were, and the levels taken in the last step."""
        return {"resources": view.landmark_mask.sum(axis=1), "taken": np.zeros(len(view.position))}

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Take what a crew has reached."""
        near = distances(view.position, view.landmarks) < FORAGE * SCALE[robot]
        levels = levels_of(near.shape[1])[:, None] * view.healthy[..., None]
        need = view.values * LEVEL_MAX
        taken = view.landmark_mask & ((near * levels).sum(axis=1) >= need - 1e-9)
        view.memory["taken"][:] = np.where(taken, need, 0.0).sum(axis=1)
        view.landmark_mask[taken] = False

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Share of the resources that are taken."""
        left = view.landmark_mask
        count, all_ = left.sum(axis=1), np.maximum(view.memory["resources"], 1)
        far = np.where(view.healthy[..., None], distances(view.position, view.landmarks), np.inf)
        nearest = np.minimum(far.min(axis=1), 2.0 * view.half_width)
        error = np.where(left, nearest, 0.0).sum(axis=1) / np.maximum(count, 1)
        reward = foraging_reward(view.memory["taken"])
        return Outcome(reward, 1.0 - count / all_, error, count == 0)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """To the resource that matters most in crews of its level, spread round it.

        Nobody knows the others' levels, so a crew has as many robots as the level says. Every
        robot computes the same crews as long as the beliefs agree.
        """
        lead, scale = seen.self_token.shape[:-1], SCALE[spec.robot]
        mates = believed(seen, weights).reshape(-1, seen.team.shape[-2], 2)
        trusted = (weights > 0.5).reshape(-1, weights.shape[-1])
        place, value, real = landmarks_of(seen)
        home = seen.self_token[..., -2:].reshape(-1, 2)
        marks = real.shape[-1]
        spots, values = place.reshape(-1, marks, 2), value.reshape(-1, marks)
        ranks = seen.obstacles[..., 8].reshape(-1, marks)
        found = real.reshape(-1, marks)
        target = np.zeros((len(mates), 2))
        for row in range(len(mates)):
            crew = np.vstack([np.zeros(2), mates[row, trusted[row]]])
            free = np.ones(len(crew), bool)
            order = np.flatnonzero(found[row])
            for mark in order[np.argsort(ranks[row, order], kind="stable")]:
                spot = spots[row, mark]
                far = np.where(free, np.linalg.norm(crew - spot, axis=-1), np.inf)
                team = np.argsort(far, kind="stable")[: round(values[row, mark] * LEVEL_MAX)]
                team = team[np.isfinite(far[team])]
                if 0 in team:
                    target[row] = _stand(spot, home[row], crew[team], team, scale)
                free[team] = False
                if not free[0]:
                    break
        return drive_to(spec, seen, weights, target.reshape(*lead, 2))


def _stand(spot: Float, home: Float, crew: Float, team: Int, scale: float) -> Float:
    """(2) m where the robot itself stands: the crew spreads by bearing, as they come.

    Args:
        spot: (2) m, the resource.
        home: (2) m, the middle of the arena.
        crew: (C, 2) m, who goes there.
        team: (C) their numbers; 0 is the robot itself.
        scale: of the arena.
    """
    inward = np.arctan2(*(home - spot)[::-1])
    bearing = np.arctan2(*(crew - spot).T[::-1]) - inward
    places = np.sort(_AROUND[: len(team)])
    order = np.argsort(np.mod(bearing + np.pi, 2 * np.pi), kind="stable")
    angle = inward + places[np.flatnonzero(team[order] == 0)[0]]
    return spot + _STAND * scale * np.array([np.cos(angle), np.sin(angle)])
