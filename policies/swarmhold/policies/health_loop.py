"""The real health chain inside simulated episodes: every robot's local core, and a supervisor.

Exactly the functions that robots and supervisor run, over arrays (env, observer, subject).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.monitor import BITS, MonitorInput
from swarmhold.hardware.normality import Acts, Watch
from swarmhold.hardware.sanity import Said
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.supervisor import supervisor_init, supervisor_step
from swarmhold.hardware.surroundings import Scene
from swarmhold.hardware.team_health import local_init, local_step
from swarmhold.hardware.types import Bool, Float, Int, teammate_index
from swarmhold.sim.env import Evidence, SwarmEnv


class EnvWatch:
    """A `Watch` over simulated teams: it hears what robots broadcast and knows the task."""

    def __init__(self, settings: HealthSettings, env: SwarmEnv, acts: Acts) -> None:
        """Args: thresholds, environment, and the shared policy, used by nobody else."""
        self._env = env
        config = settings.normality
        self._watch = Watch(env.spec, config, acts, env.n_envs, env.n_robots)

    def look(self, table: Float, accusations: Int, now: float) -> Bool:
        """(E, N) whose motion is not the policy's.

        Args:
            table: (E, N) weights of the last table.
            accusations: (E, N, N) last ones heard, observer x subject.
            now: s since the start of the episode.
        """
        env = self._env
        said, age = env.said()
        scene = Scene(env.landmarks, env.owners, env.posts, np.zeros(3), env.half_width)
        return self._watch.look(said, age, table, accusations, scene, env.present, now)

    @property
    def stood(self) -> Float:
        """(E, N) s for which each robot has been standing though it was asked to move."""
        return self._watch.stood

    @property
    def departure(self) -> Float:
        """(E, N) how far everybody departs from the policy, in shares of the action's bound."""
        return self._watch.departure


def broadcast(said: Said) -> Said:
    """(E, N) what each robot says, of (E, N, N): as it hears itself."""
    parts = (getattr(said, name) for name in Said.__slots__)
    return Said(*(part[:, range(part.shape[1]), range(part.shape[1])] for part in parts))


def env_input(seen: Evidence) -> MonitorInput:
    """What simulated robots (E, N) notice of each other, as inputs of their monitors."""
    return MonitorInput(
        age=seen.age,
        control_age=seen.age,
        claimed=seen.claimed,
        sensed=seen.sensed,
        corrupt=seen.corrupt,
        alien=np.zeros_like(seen.corrupt),
        said=seen.said,
    )


class HealthLoop:
    """Weights of E teams of N robots from what the robots themselves can notice."""

    def __init__(
        self, settings: HealthSettings, n_envs: int, n_robots: int, watch: EnvWatch | None = None
    ) -> None:
        """Start with everybody healthy.

        Args:
            settings: thresholds, as stored in a bundle.
            n_envs: E.
            n_robots: N.
            watch: the supervisor's knowledge of the policy; None: it has none.
        """
        self._watch = watch
        self._settings, self._others = settings, teammate_index(n_robots)
        self._own = np.broadcast_to(np.eye(n_robots, dtype=bool), (n_envs, n_robots, n_robots))
        self._local = local_init(settings, (n_envs, n_robots), n_robots)
        self._supervisor = supervisor_init(settings, (n_envs,), n_robots)
        shape = (n_envs, n_robots, n_robots, n_robots)
        self._heard = np.zeros(shape, BITS)  # receiver, observer, subject
        self._told = np.zeros(shape[:3], BITS)  # observer, subject: sent last
        self._at_supervisor = np.zeros(shape[:3], BITS)
        self._reached_at = np.full((n_envs, n_robots), -np.inf)
        self._table = np.ones((n_envs, n_robots))
        self.states = np.zeros((n_envs, n_robots), np.int8)
        self.reasons = np.zeros((n_envs, n_robots), BITS)

    def step(self, seen: Evidence, now: float) -> Float:
        """One tick of all cores.

        Args:
            seen: what the robots notice.
            now: s since the start of the episode.

        Returns:
            (E, N, N - 1) weights that each robot gives its teammates.
        """
        inputs = replace(env_input(seen), age=np.where(self._own, np.inf, seen.age))
        arrived = seen.fresh[..., None]
        self._heard = np.where(arrived, self._told[:, None], self._heard)
        shape = self._table.shape
        table = np.broadcast_to(self._table[:, None], seen.age.shape)
        self._local, local = local_step(
            self._settings,
            self._local,
            inputs,
            heard=self._heard,
            table=table,
            table_age_s=np.zeros(shape),
            own=self._own,
            now=now,
        )
        self._supervise(seen, now)
        self._told = np.where(seen.deaf[..., None], self._told, local.accusations)
        rows = np.arange(shape[1])[:, None]
        return local.weights[:, rows, self._others]

    def _supervise(self, seen: Evidence, now: float) -> None:
        """The supervisor hears what robots sent one tick ago, and sees nothing itself."""
        own = range(seen.age.shape[1])  # a robot's link to the supervisor is as good as any
        reached: Bool = ~seen.deaf & seen.fresh[:, own, own]
        self._reached_at = np.where(reached, now, self._reached_at)
        self._at_supervisor = np.where(reached[..., None], self._told, self._at_supervisor)
        age = now - self._reached_at
        nowhere = np.full((*age.shape, 3), np.nan)
        inputs = MonitorInput(
            age=age,
            control_age=age,
            claimed=nowhere,
            sensed=nowhere,
            corrupt=(seen.corrupt & seen.fresh).any(axis=1),
            alien=np.zeros_like(reached),
            said=replace(broadcast(seen.said), fresh=reached),
        )
        abnormal = None
        if self._watch is not None:
            abnormal = self._watch.look(self._table, self._at_supervisor, now)
        self._supervisor, verdict = supervisor_step(
            self._settings,
            self._supervisor,
            inputs,
            self._at_supervisor,
            np.zeros(age.shape, bool),
            now,
            abnormal,
        )
        self._table = verdict.weights
        self.states, self.reasons = verdict.states, verdict.reasons

    @property
    def table(self) -> Float:
        """(E, N) weights of the supervisor's last table."""
        return self._table

    def false_alarms(self, weights: Float, healthy: Bool) -> np.ndarray:
        """(E) pairs of healthy robots of which one gives the other less than half weight."""
        pairs = healthy[:, :, None] & healthy[:, self._others]
        return (pairs & (weights < 0.5)).sum(axis=(1, 2))

    @property
    def quarantined(self) -> Bool:
        """(E, N) robots that the supervisor holds for lost or quarantined."""
        return (self.states == HealthState.LOST) | (self.states == HealthState.QUARANTINED)
