"""Everything one supervisor does in a tick; its node is a thin shell around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.fleet_watch import FleetWatch
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import EVERYBODY, SUPERVISOR, HealthTable, RobotState, Task
from swarmhold.hardware.office import OfficeConfig, hear, office_init, office_step
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.supervisor import Verdict, supervisor_init, supervisor_step, to_table
from swarmhold.hardware.types import Float

ASSEMBLE_S = 10.0  # judge nobody before the whole team was heard at once, or this after the first


class SupervisorController:
    """Beliefs, verdicts and the office of one supervisor."""

    def __init__(
        self, policy: OnnxPolicy, team_size: int, issuer: str, rank: int, now: float
    ) -> None:
        """Listen, and judge nobody yet.

        Args:
            policy: loaded policy of all robots; its bundle holds the thresholds.
            team_size: N.
            issuer: name under which tables are published.
            rank: 0 speaks, 1 and more stand by.
            now: s, monotonic.
        """
        self._policy, self._n = policy, team_size
        self._settings = policy.bundle.health
        self._state = supervisor_init(self._settings, (), team_size)
        self.beliefs = Beliefs(team_size, policy.bundle.short_digest)
        self._estopped = np.zeros(team_size, bool)
        self._office = OfficeConfig(issuer, rank, self._settings.lease_s)
        self.post, self._seq = office_init(now), 0
        self._weights: Float = np.ones(team_size)
        self._first_at, self._assembled = float("inf"), False
        self._unseen = np.full((team_size, 3), np.nan)
        self._watch: FleetWatch | None = None

    @property
    def watches(self) -> bool:
        """Whether it holds motions against the policy: thresholds for that are calibrated."""
        shared = self._policy.bundle.manifest.slices is None
        return shared and self._settings.normality.limit_s > 0.0

    def left_alone(self, robot: int) -> list[int]:
        """Robots whose slices of the policy must hear this one; none if it is not cut."""
        plan = self._policy.bundle.manifest.slices
        return [] if plan is None else plan.dependants(robot)

    @property
    def departures(self) -> list[float]:
        """How far everybody departs from the policy, in shares of the bound; [] if unwatched."""
        return [] if self._watch is None else self._watch.departure.round(2).tolist()

    def ages(self, now: float) -> list[float | None]:
        """S since each robot was heard at `now`; None: never."""
        age = self.beliefs.age(now)
        return [round(float(a), 3) if np.isfinite(a) else None for a in age]

    def on_state(self, state: RobotState, now: float) -> None:
        """A robot's message arrived at `now` (s, monotonic)."""
        if state.recipient in (EVERYBODY, SUPERVISOR):
            self.beliefs.hear(state, now)

    def on_table(self, table: HealthTable, now: float) -> None:
        """A table arrived: another's may count more than one's own."""
        self.post = hear(self._office, self.post, table, now)

    def on_task(self, task: Task) -> None:
        """What the team is to do, at the start and whenever it changes."""
        if self._watch is None and self.watches:
            self._watch = FleetWatch(self._policy, task, self._n)
        if self._watch is not None:
            self._watch.on_task(task)

    def on_estop(self) -> None:
        """All robots are stopped, for good."""
        self._estopped[:] = True

    def tick(self, now: float, stamp: float) -> HealthTable | None:
        """One look at the fleet.

        Args:
            now: s, monotonic; all that decides anything.
            stamp: s, wall clock; put into the table and used for nothing.

        Returns:
            A table to publish, if it is this one that speaks.
        """
        if not self._assembled and not self._is_assembled(now):
            return None  # robots rely on themselves until there is a team to judge
        self.post = office_step(self._office, self.post, now)
        verdict = self.judge(now)
        if not self.post.speaks:
            return None
        self._seq += 1
        office = self.post.term, self._seq, stamp, self._office.issuer
        return to_table(verdict, self._settings, *office)

    def judge(self, now: float) -> Verdict:
        """What is held of everybody at `now` (s, monotonic), whether or not it is published."""
        self._state, verdict = supervisor_step(
            self._settings,
            self._state,
            self.beliefs.evidence(self._unseen, now),
            self.beliefs.accusations,
            self._estopped,
            now,
            self._watch.look(self.beliefs, self._weights, now) if self._watch else None,
        )
        # By its own word, and for as long as it says so.
        heard = self.beliefs.age(now) <= self._settings.monitor.silent_s
        stopped = self.beliefs.stopped & heard
        verdict = replace(
            verdict,
            weights=np.where(stopped, 0.0, verdict.weights),
            states=np.where(stopped, HealthState.ESTOPPED, verdict.states),
        )
        self._weights = verdict.weights
        return verdict

    def _is_assembled(self, now: float) -> bool:
        present = self.beliefs.age(now) <= self._settings.monitor.silent_s
        self._first_at = min(self._first_at, now) if present.any() else self._first_at
        if present.all() or now - self._first_at > ASSEMBLE_S:
            self.assemble(now)
        return self._assembled

    def assemble(self, now: float) -> None:
        """Judge from `now` (s) on: who has not been heard yet is missed."""
        self._assembled = True
        self.beliefs.expect(now)
