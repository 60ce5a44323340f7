"""Rewards of a recorded flight by the scenario itself: never by what robots said of them."""

from __future__ import annotations

import hashlib
import inspect

import numpy as np

from swarmhold.hardware.messages import Task
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.dataset.manifest import Reward
from swarmhold.sim.dynamics import effort
from swarmhold.sim.field import Field
from swarmhold.sim.robots import model_of
from swarmhold.sim.scenarios.base import Scenario


class Score:
    """A scenario that follows what was recorded of it."""

    def __init__(self, scenario: str, robot: str, n: int, seed: int) -> None:
        """Args: what was flown; raises `ConfigError` if there is no such scenario."""
        self._field = Field(scenario, robot, n, seed)
        self._model, self._bound = model_of(robot), np.asarray(policy_spec(robot).action_bound)
        self.unlike = 0  # ticks at which the scenario would have had other landmarks

    @property
    def slots(self) -> int:
        """Landmarks at most."""
        return self._field.places.landmarks.mask.shape[1]

    @property
    def posts(self) -> int:
        """Upright cylinders at most."""
        return self._field.places.posts.shape[1]

    def marks(self) -> Float:
        """(L, 4) landmarks now: place, value, whether it is shown."""
        marks = self._field.places.landmarks
        parts = [marks.position[0], marks.value[0, :, None], marks.mask[0, :, None]]
        return np.concatenate(parts, axis=-1)

    def step(
        self, pose: Float, touched: Bool, healthy: Bool, applied: Float, task: Task, seconds: float
    ) -> float:
        """The team's reward of one tick.

        Args:
            pose: (N, 4) position and yaw that it led to.
            touched: (N) in contact meanwhile.
            healthy: (N) robots that count.
            applied: (N, A) in shares of the bound.
            task: what the team was told at its end.
            seconds: that it lasted.
        """
        place, yaw = pose[:, :3], pose[:, 3]
        self._field.advance(place, yaw, touched, healthy, seconds)
        self._follow(task)
        work = effort(self._model, applied * self._bound, self._bound)
        outcome = self._field.outcome(place, yaw, touched, healthy, work)
        return float(outcome.reward[0])

    def _follow(self, task: Task) -> None:
        """Landmarks are where the team was told; those that the scenario hides are its own."""
        marks = self._field.places.landmarks
        there = np.flatnonzero(marks.mask[0])
        told = np.asarray(task.landmarks, float).reshape(-1, 3)
        if len(told) != len(there):
            self.unlike += 1
            return
        marks.position[0, there], marks.value[0, there] = told[:, :2], told[:, 2]


def reward_of(scenario: Scenario) -> Reward:
    """Name and hash of the code that makes the rewards of a scenario."""
    kind, total = type(scenario), hashlib.sha256()
    for base in kind.__mro__:
        if issubclass(base, Scenario) and base is not Scenario:
            total.update(inspect.getsource(inspect.getmodule(base) or base).encode())
    name = f"{kind.__module__}:{kind.__qualname__}.outcome"
    return Reward(id=name, sha256=total.hexdigest())
