"""What a team has to do and how far it is with it, whoever moves the robots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.messages import Task
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.places import Places
from swarmhold.sim.scenarios.base import Outcome, TeamView
from swarmhold.sim.scenarios.registry import scenario_of


class Field:
    """One scenario in progress: where the robots begin, and what there is to do.

    Attributes:
        scenario: the task.
        half_width: m, half the side of its arena.
        places: where robots begin, landmarks and posts.
    """

    def __init__(self, scenario: str, robot: str, n_robots: int, seed: int = 0) -> None:
        """Lay out the field; the task begins with the robots at their places.

        Args:
            scenario: name of the task.
            robot: robot class.
            n_robots: N.
            seed: fixes places and landmarks.

        Raises:
            ConfigError: the scenario is not for that robot class.
        """
        self.scenario = scenario_of(scenario)
        if robot not in self.scenario.robots:
            known = ", ".join(self.scenario.robots)
            raise ConfigError(f"{scenario} is made for {known}, not for {robot}")
        self._robot, self.half_width = robot, self.scenario.half_width(robot)
        layout = self.scenario.layout(np.random.default_rng([seed, 0, 0]), n_robots, robot)
        self.places = Places(1, n_robots, self.scenario.slots(n_robots))
        self.places.lay({0: layout})
        self._time, self._everybody = 0.0, np.ones((1, n_robots), bool)
        self._memory: dict[str, Any] = {}
        start = np.pad(self.places.position[0], [(0, 0), (0, 1)])
        nobody = np.zeros(n_robots, bool)
        view = self._view(start, self.places.yaw[0], nobody, self._everybody[0])
        self._memory = self.scenario.begin(robot, view)

    @property
    def task(self) -> Task:
        """What the team is told now."""
        marks, there = self.places.landmarks, self.places.landmarks.mask[0]
        shown = np.column_stack([marks.position[0, there], marks.value[0, there]])
        return Task(
            tuple(_triple(mark) for mark in shown),
            (0.0, 0.0, 0.0),
            self.half_width,
            tuple(int(owner) for owner in self.places.owners[0, there]),
            tuple(_triple(post) for post in self.places.posts[0]),
        )

    def advance(
        self, position: Float, yaw: Float, touched: Bool, acting: Bool, seconds: float
    ) -> None:
        """Time passes; landmarks move or get done.

        Args:
            position: (N, 3) m, world ENU, where the robots are now.
            yaw: (N) rad.
            touched: (N) in contact since the last time.
            acting: (N) robots that act.
            seconds: since the last time.
        """
        self._time += seconds
        self.scenario.advance(self._robot, self._view(position, yaw, touched, acting), seconds)

    def error(self, position: Float, yaw: Float, touched: Bool, healthy: Bool) -> float:
        """m, what is still missing over the healthy robots (N); arguments as of `advance`."""
        return float(self.outcome(position, yaw, touched, healthy).error[0])

    def solved(self, position: Float, yaw: Float, touched: Bool, healthy: Bool) -> bool:
        """Whether the task counts as done over the healthy robots (N)."""
        return bool(self.outcome(position, yaw, touched, healthy).success[0])

    def outcome(
        self, position: Float, yaw: Float, touched: Bool, healthy: Bool, effort: Float | None = None
    ) -> Outcome:
        """All figures of now.

        Args:
            position: (N, 3) m, world ENU.
            yaw: (N) rad.
            touched: (N) in contact since the last time.
            healthy: (N) robots that count.
            effort: (N) mean squared actuator command in [0, 1]; None: 0.
        """
        view = self._view(position, yaw, touched, healthy)
        if effort is not None:
            view = replace(view, effort=effort[None])
        return self.scenario.outcome(self._robot, view)

    def _view(self, position: Float, yaw: Float, touched: Bool, healthy: Bool) -> TeamView:
        marks = self.places.landmarks
        return TeamView(
            position=position[None, :, :2],
            effort=np.zeros(self._everybody.shape),
            healthy=healthy[None],
            landmarks=marks.position,
            values=marks.value,
            landmark_mask=marks.mask,
            half_width=self.half_width,
            owners=self.places.owners,
            present=self._everybody,
            members=self._everybody,
            touched=touched[None],
            yaw=yaw[None],
            time_s=np.array([self._time]),
            memory=self._memory,
            posts=self.places.posts,
        )


def _triple(values: Float) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
