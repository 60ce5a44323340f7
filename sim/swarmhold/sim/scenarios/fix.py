"""Fix: hunt one evader, but help a broken pursuer first (AACFT, arXiv 2412.00534).

The paper's task of that name on real bodies: three pursuers, one evader, two posts in the way.
A pursuer that breaks while the evader is free calls for help: a landmark of value 1 at its place,
in everybody's sight. As soon as a working pursuer comes within the capture radius, the broken one
counts as repaired and the call ends. Only a catch while nobody calls counts fully and solves the
task; the others are hasty. The rewards are in the paper's proportions: as much for a repair as
for a full catch, and the same off for a hasty one.

A repair is what reward and success say of it: faults are the simulator's, so a repaired robot
stays broken until its fault ends. A robot that breaks anew calls anew. In the paper robot 0 never
breaks, which is up to the fault plan, and robots see no further than their sensors, which is not
so here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.scenarios.base import (
    Layout,
    Outcome,
    TeamView,
    headings,
    landmarks_of,
    nearest_landmark,
    spaced,
)
from swarmhold.sim.scenarios.hunt import (
    CATCH_REWARD,
    Ground,
    Hunt,
    chase,
    flee,
    hunter_distance,
    missing,
    rush,
    whims,
)

EVADER, CALL = 0.5, 1.0  # values of the landmarks
HASTY = 0.5  # score of a catch while somebody calls
_POSTS, _POST = 2, 0.15  # in the way; their radius as a share of the arena's half width


class Fix(Hunt):
    """Repair, then catch. Landmark 0 is the evader, landmark 1 + i the call of robot i."""

    name = "fix"
    title = "touch an evader, but whoever breaks before that"
    episode_s = 10.0
    grounds: ClassVar[Mapping[str, Ground]] = {
        "crazyflie": Ground(half=2.0, capture=0.25, speed=0.75, sight=1.5, gap=0.22, reach=0.9),
        "epuck": Ground(half=0.6, capture=0.09, speed=0.1, sight=0.3, gap=0.08, reach=0.2),
    }
    train: ClassVar[Mapping[str, Any]] = {
        "robots": 3,
        "min_robots": 2,
        "teams": 24,
        "warm_start": 16,
        "iterations": 12,
    }

    def slots(self, robots: int) -> int:
        """The evader, and a call of each robot."""
        return 1 + robots

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        """Everybody anywhere, clear of the posts, which leave room along the walls."""
        ground = self.grounds[robot]
        half = ground.half
        middles = spaced(rng, _POSTS, 0.7 * half, half)
        posts = np.column_stack([middles, np.full(_POSTS, _POST * half)])
        places = spaced(rng, robots + 1, 0.95 * half, 1.1 * ground.capture, posts=posts)
        return Layout(
            places[:-1],
            headings(rng, robots, robot),
            np.concatenate([places[-1:], places[:-1]]),
            np.array([EVADER, *[CALL] * robots]),
            posts=posts,
            shown=np.arange(1 + robots) == 0,
        )

    def begin(self, robot: str, view: TeamView) -> dict[str, Any]:
        """Whims of the evader; who is repaired; score; repairs and catches of the last step."""
        return {
            "whim": whims(view.landmarks[:, :1]),
            "repaired": np.zeros(view.healthy.shape, bool),
            "score": np.zeros(len(view.position)),
            "gain": np.zeros(len(view.position)),
        }

    def advance(self, robot: str, view: TeamView, seconds: float) -> None:
        """Move the evader, note who is repaired, place the calls, and see to the catch."""
        ground, memory = self.grounds[robot], view.memory
        evader, calls = view.landmarks[:, :1], view.landmarks[:, 1:]
        free = view.landmark_mask[:, 0].copy()
        moved = flee(ground, view, evader, memory["whim"], seconds)
        evader[free] = moved[free]
        calls[:] = view.position
        broken = view.present & ~view.healthy & ~memory["repaired"] & free[:, None]
        repaired = broken & (hunter_distance(view, view.position, 1) < ground.capture)
        waiting = broken & ~repaired
        memory["repaired"][:] = (memory["repaired"] | repaired) & ~view.healthy
        hasty = waiting.any(axis=1)
        caught = free & (hunter_distance(view, evader, 1)[:, 0] < ground.capture)
        memory["score"][caught] = np.where(hasty, HASTY, 1.0)[caught]
        memory["gain"][:] = repaired.sum(axis=1) + caught * np.where(hasty, -1.0, 1.0)
        view.landmark_mask[:, 0] = free & ~caught
        view.landmark_mask[:, 1:] = waiting & ~caught[:, None]

    def outcome(self, robot: str, view: TeamView) -> Outcome:
        """Caught or not; what is chased are the calls, and the evader if there are none."""
        memory, wanted = view.memory, view.landmark_mask.copy()
        wanted[:, 0] &= ~wanted[:, 1:].any(axis=1)
        reward = CATCH_REWARD * memory["gain"] - chase(view, wanted)
        score = memory["score"].copy()
        return Outcome(reward, score, missing(view, wanted, 1), score > HASTY)

    def heuristic(self, spec: PolicySpec, seen: Observation, weights: Float) -> Float:
        """To the nearest call, or else at the evader, round whoever is in the way."""
        _, value, real = landmarks_of(seen)
        value = np.where(real, value, 0.0)
        most = value.max(axis=-1, keepdims=True, initial=0.0)
        target, _ = nearest_landmark(seen, real & (value >= most))
        return rush(self.grounds[spec.robot], spec, seen, weights, target)
