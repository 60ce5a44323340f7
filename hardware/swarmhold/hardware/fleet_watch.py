"""The watch over one live team: what the supervisor makes of the messages it hears."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.messages import Task
from swarmhold.hardware.normality import Watch
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.safety import safe_setpoint, safety_config
from swarmhold.hardware.surroundings import as_bodies, scene_of, sideways
from swarmhold.hardware.types import Bool, Float, Kinematics, Observation


class FleetWatch:
    """Holds what robots do against their policy, as often as that one decides."""

    def __init__(self, policy: OnnxPolicy, task: Task, team_size: int) -> None:
        """Args: the policy of all robots, with calibrated thresholds; their task; and N."""
        spec, config = policy.bundle.spec, policy.bundle.health.normality
        self._filtered = _Filtered(policy, task)
        self._watch = Watch(spec, config, self._filtered, 1, team_size)
        self.on_task(task)
        self._n = team_size
        self._period = 1.0 / spec.rate_hz
        self._looked_at = -np.inf
        self._accused = np.zeros(team_size, bool)

    def on_task(self, task: Task) -> None:
        """The task has changed."""
        self._scene = scene_of(task)
        self._filtered.posts = self._scene.posts[0]

    def look(self, beliefs: Beliefs, weights: Float, now: float) -> Bool:
        """Who moves as the policy would not have it.

        Args:
            beliefs: the observer's.
            weights: (N) of the last table.
            now: s, monotonic.

        Returns:
            (N).
        """
        if now - self._looked_at < 0.9 * self._period:
            return self._accused
        self._looked_at = now
        said = beliefs.teammates(np.arange(self._n)[None])
        age, working = beliefs.age(now)[None], beliefs.working[None]
        self._filtered.said = said
        accusations = beliefs.accusations[None]
        self._accused = self._watch.look(
            said, age, weights[None], accusations, self._scene, working, now
        )[0]
        return self._accused

    @property
    def departure(self) -> Float:
        """(N) how far everybody departs from the policy, in shares of the action's bound."""
        departure: Float = self._watch.departure[0]
        return departure


class _Filtered:
    """The policy and the safety filter behind it: what healthy robots really do."""

    def __init__(self, policy: OnnxPolicy, task: Task) -> None:
        spec = policy.bundle.spec
        self._acts, self._spec = OnnxTeam(policy), spec
        self._limits = safety_config(spec, task.half_width)
        self._near = policy.bundle.health.normality.near_m
        self._home = np.asarray(task.home, float)
        self.said: Kinematics | None = None
        self.posts = np.zeros((0, 3))

    def __call__(self, seen: Observation, weights: Float) -> Float:
        action = self._acts(seen, weights)
        assert self.said is not None
        place, yaw, moving = self.said.position[0], self.said.yaw[0], self.said.velocity[0]
        for robot in np.flatnonzero(np.isfinite(place).all(axis=-1)):
            offset = np.delete(place, robot, axis=0) - place[robot]
            heading = float(yaw[robot])
            posts = as_bodies(self.posts, place[robot], heading, self._spec.radius_m)
            near = offset[sideways(offset) < self._near]
            bodies = np.concatenate([to_body(near, yaw[robot]), posts])
            action[0, robot], _ = safe_setpoint(
                self._limits, self._spec.robot, action[0, robot], place[robot], moving[robot],
                heading, self._home, bodies, 0.0,
            )  # fmt: skip
        return action

    def reset(self, robots: Bool | None = None) -> None:
        """Start from zero: the robots (1, N) that are True, or all."""
        self._acts.reset(robots)
