"""Everything one robot does in a tick; ROS nodes and drivers are thin shells around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from swarmhold.hardware.beliefs import Beliefs
from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.frames import kinematics_of, seen_by, to_world
from swarmhold.hardware.memory import Memory
from swarmhold.hardware.messages import (
    EVERYBODY,
    Command,
    HealthTable,
    Mode,
    PolicyStatus,
    RobotState,
    SensorFrame,
    Task,
)
from swarmhold.hardware.observe import observe
from swarmhold.hardware.ramp import Ramp
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep
from swarmhold.hardware.safety import Limit, safe_setpoint, safety_config
from swarmhold.hardware.shadow import Decision
from swarmhold.hardware.stack import row
from swarmhold.hardware.surroundings import as_bodies, scene_of
from swarmhold.hardware.team_health import LocalOutput, LocalState, Look, local_init, local_step
from swarmhold.hardware.told import Told
from swarmhold.hardware.types import (
    Float,
    Observation,
    teammate_index,
)

ASSEMBLE_S = 5.0  # health starts afresh once everybody is heard, or after this long
SLOW = 0.5  # share of the set-point while most of the team looks bad at once
ALONE_S = 3.0  # with every teammate masked for longer than this, hold


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """What makes one robot this robot.

    Attributes:
        robot: roster index.
        team_size: N.
        loop_hz: rate of the control loop; the policy runs at its own rate within it.
        boot_id: new with every start.
        reweight: False makes all weights 1, the comparison arm without any health.
        entities: whom to attend to in a team larger than any of training; see `EntityBudget`.
    """

    robot: int
    team_size: int
    loop_hz: float = 20.0
    boot_id: int = 1
    reweight: bool = True
    entities: Entities = "none"


@dataclass(frozen=True, slots=True)
class Tick:
    """Outcome of one tick: the command, and what to publish."""

    command: Command
    state: RobotState
    status: PolicyStatus


# Memory of the local core: one's own, or the row at the index of what robots keep together.
Kept = tuple[LocalState, int | None]


class Question(NamedTuple):
    """What the policy is asked, as `OnnxPolicy.act` takes it."""

    observation: Observation
    health: Float
    hidden: Float | None


class RobotController:
    """One robot's control: beliefs, health, policy, safety."""

    def __init__(self, policy: OnnxPolicy, task: Task, config: ControllerConfig) -> None:
        """Prepare a robot.

        Args:
            policy: loaded policy.
            task: landmarks, home and geofence.
            config: identity and rates.

        Raises:
            ConfigError: the robot is not in the roster, the rates do not fit, or there is no
                such entity budget.
        """
        spec = policy.bundle.spec
        if not 0 <= config.robot < config.team_size:
            raise ConfigError(f"robot {config.robot} is not in a roster of {config.team_size}")
        ratio = config.loop_hz / spec.rate_hz
        if ratio < 1 or abs(ratio - round(ratio)) > 1e-9:
            raise ConfigError(
                f"a loop of {config.loop_hz:g} Hz is no multiple of the policy's "
                f"{spec.rate_hz:g} Hz"
            )
        self.policy, self._config, self._spec = policy, config, spec
        self._budget = policy.entity_budget(config.entities)
        self.settings, self.team_size = policy.bundle.health, config.team_size
        self._safety = safety_config(spec, task.half_width)
        self._home = task.home
        self.on_task(task)
        self._every = round(ratio)
        n = config.team_size
        self._own = np.arange(n) == config.robot
        self._others = teammate_index(n)[config.robot]
        self._heeded, self._needs_company = policy.heeded(n), policy.heeds is None and n > 1
        self._beliefs = Beliefs(n, policy.bundle.short_digest, self._heeded)
        self.kept: Kept = (local_init(self.settings, (), n), None)
        self._told = Told(n, self.settings.lease_s)
        self._action: Float = np.zeros(spec.action_size)
        self._applied: Float = np.zeros(spec.action_size)
        self._decided_at = -np.inf
        self._attention: tuple[float, ...] = ()
        self._asked: Question | None = None
        self.decision: Decision | None = None  # the last one, for whoever looks on
        self._memory = Memory(policy.bundle.manifest.memory)
        self._ticks = self._missed = self._seq = 0
        self._last_tick = self._alone_since = np.nan
        self._mode = Mode.ACTIVE
        self._estopped, self._ramp = False, Ramp()
        self._assembled, self._first_look = False, float("inf")

    def on_task(self, task: Task) -> None:
        """What the team is to do, at the start and whenever it changes.

        One with another home or fence than the first is dropped: the fence is not moved in flight.
        """
        if (task.home, task.half_width) != (self._home, self._safety.half_width):
            return
        self._scene = scene_of(task)
        self._rank = self._scene.landmarks.rank()[0]

    def on_state(self, state: RobotState, now: float) -> None:
        """A teammate's message arrived at `now` (s, own monotonic clock)."""
        if state.robot == self._config.robot:
            return
        if state.recipient in (EVERYBODY, self._config.robot):
            self._beliefs.hear(state, now)

    def on_table(self, table: HealthTable, now: float) -> None:
        """A health table arrived; older terms and replays are dropped."""
        self._told.hear(table, now)

    def team_complete(self, now: float) -> bool:
        """Whether everyone who is listened to has been heard, or is lost to the supervisor."""
        here = np.isfinite(self._beliefs.age(now)) | ~self._heeded | self._told.lost
        return bool(here[self._others].all())

    def on_activate(self) -> None:
        """Begin to act, or begin again: from rest, and what was remembered is of another time."""
        self._memory.forget()
        self._ramp = Ramp()

    def on_estop(self) -> None:
        """Latch the stop; only a restart releases it."""
        self._estopped = True

    def tick(self, frame: SensorFrame, now: float) -> Tick:
        """Answer one sensor frame.

        Args:
            frame: what the driver read.
            now: s, own monotonic clock.
        """
        look = self.look(frame, now)
        state, index = self.kept
        state = state if index is None else row(state, index)
        state, local = local_step(self.settings, state, *look, now)
        self.kept = state, None
        question = self.ask(frame, local, now)
        step = None if question is None else self.policy.act(*question)
        return self.answer(frame, local, step, now)

    def answer(
        self, frame: SensorFrame, local: LocalOutput, step: PolicyStep | None, now: float
    ) -> Tick:
        """Filter what was decided last, and say so.

        Args:
            frame: what the driver read.
            local: of this tick.
            step: of this tick's question; None if there was none.
            now: s, own monotonic clock.
        """
        period = 0.0 if np.isnan(self._last_tick) else now - self._last_tick
        nominal = 1.0 / self._config.loop_hz
        self._missed += max(0, round(period / nominal) - 1) if period else 0
        self._last_tick = now
        if period > self._safety.hold_s:  # the driver has been holding it since
            self._ramp = Ramp()
        weights = self._weights(local)
        if step is not None:
            self._decide(step, now)
        self._ticks += 1
        mode = self._mode_now(weights, now)
        if mode is not Mode.ACTIVE:
            self._memory.forget()
        self._ramp = self._ramp.step(self._speed(mode, local, now), now)
        setpoint, limits = self._filter(frame, mode, now)
        self._applied = setpoint / np.asarray(self._spec.action_bound)
        self._seq += 1
        command = Command(frame.stamp, tuple(float(value) for value in setpoint), int(mode))
        status = PolicyStatus(
            robot=self._config.robot,
            stamp=frame.stamp,
            weights=tuple(weights.tolist()),
            attention=self._attention,
            states=tuple(local.states.tolist()),
            source=int(local.source),
            mode=int(mode),
            period_s=period,
            inference_s=0.0 if step is None else step.inference_s,
            missed=self._missed,
            limited=limits,
        )
        return Tick(command, self._state(frame, local, mode), status)

    def look(self, frame: SensorFrame, now: float) -> Look:
        """What was heard and seen since the last tick; once for each.

        Args:
            frame: what the driver read.
            now: s, own monotonic clock.
        """
        sensed = np.full((self._config.team_size, 3), np.nan)
        place = to_world(frame, frame.sightings)
        for robot, where in zip(frame.sighted, place, strict=True):
            if 0 <= robot < self._config.team_size:
                sensed[robot] = where
        inputs = self._beliefs.evidence(sensed, now)
        if not self._assembled and self._is_assembled(inputs.age, now):
            # What happened while processes were still starting is held against nobody.
            self._assembled = True
            self._beliefs.expect(now)
            self.kept = local_init(self.settings, (), self._config.team_size), None
        return Look(
            inputs,
            heard=self._beliefs.accusations,
            table=self._told.weights,
            table_age_s=np.asarray(self._told.age(now)),
            own=self._own,
        )

    def _is_assembled(self, age: Float, now: float) -> bool:
        """Whether everybody is heard right now, or the wait for it is over."""
        self._first_look = min(self._first_look, now)
        present = (age <= self.settings.monitor.silent_s) | ~self._heeded
        return bool(present[self._others].all()) or now - self._first_look > ASSEMBLE_S

    def _weights(self, local: LocalOutput) -> Float:
        """Of everybody; who says that it is stopped counts for nothing.

        Of those whom the policy does not heed a robot knows what it was told last.
        """
        if not self._config.reweight:
            return np.ones(self._config.team_size)
        known = np.where(self._heeded | self._own, local.weights, self._told.weights)
        return np.where(self._beliefs.stopped, 0.0, known)

    def ask(self, frame: SensorFrame, local: LocalOutput, now: float) -> Question | None:
        """What the policy is to decide on; None in ticks without a decision.

        Args:
            frame: what the driver read.
            local: of this tick.
            now: s, own monotonic clock.
        """
        if self._ticks % self._every:
            return None
        seen, weights = self._observe(frame, now), self._weights(local)[self._others]
        kept = self._budget.limit(seen, weights, self._config.robot, self._ticks)
        self._asked = Question(seen, kept, self._memory.recall(now))
        return self._asked

    def _decide(self, step: PolicyStep, now: float) -> None:
        assert self._asked is not None
        self._memory.keep(step.hidden, now)
        seen, kept, _ = self._asked
        self.decision = Decision(now, seen, kept, step.action) if step.finite else None
        if step.finite:
            self._action, self._decided_at = step.action, now
        shares = np.zeros(self._config.team_size)
        shares[self._others] = step.attention[: len(self._others)]
        shares[self._config.robot] = step.attention[-1]
        self._attention = tuple(shares.tolist())

    def _observe(self, frame: SensorFrame, now: float) -> Observation:
        age, robot = self._beliefs.age(now)[self._others], self._config.robot
        return observe(
            self._spec,
            own=kinematics_of(frame),
            last_action=self._applied,
            team=self._beliefs.teammates(self._others),
            team_age=np.where(np.isfinite(age), age, 1e3),
            surroundings=seen_by(robot, frame, self._scene, self._rank, self._spec.radius_m),
            home=self._scene.home,
        )

    def _mode_now(self, weights: Float, now: float) -> Mode:
        """Hold when nobody has been trusted for a while; a latched stop wins over all.

        A policy that heeds only some is made for hearing none of them.
        """
        if self._estopped:
            return Mode.STOP
        alone = self._needs_company and not (weights[self._others] > 0.0).any()
        if not alone:
            self._alone_since = np.nan
        elif np.isnan(self._alone_since):
            self._alone_since = now
        lonely = alone and now - self._alone_since > ALONE_S
        return Mode.HOLD if lonely else Mode.ACTIVE

    def _speed(self, mode: Mode, local: LocalOutput, now: float) -> float:
        """Share of the set-point that may be followed: less while a common cause is suspected."""
        if mode is not Mode.ACTIVE:
            return 0.0
        return SLOW if self._told.warned(now) or bool(local.common) else 1.0

    def _filter(self, frame: SensorFrame, mode: Mode, now: float) -> tuple[Float, int]:
        if mode is not Mode.ACTIVE:
            return np.zeros(self._spec.action_size), 0
        if not np.isfinite(self._decided_at):
            return np.zeros(self._spec.action_size), int(Limit.AGE)
        action = self._ramp.share * self._action
        return self._safe(frame, action, now - self._decided_at)

    def guarded(self, frame: SensorFrame, command: Command) -> Command:
        """A command that somebody has bent since, through the safety filter once more.

        Args:
            frame: what the robot really senses.
            command: what is to go to the driver.
        """
        if command.mode != Mode.ACTIVE:
            return command
        setpoint, _ = self._safe(frame, np.asarray(command.action, float), 0.0)
        return replace(command, action=tuple(float(value) for value in setpoint))

    def _safe(self, frame: SensorFrame, action: Float, age_s: float) -> tuple[Float, int]:
        place = np.asarray(frame.position, float)
        posts = as_bodies(self._scene.posts[0], place, frame.yaw, self._spec.radius_m)
        return safe_setpoint(
            self._safety,
            self._spec.robot,
            action,
            place,
            np.asarray(frame.velocity, float),
            frame.yaw,
            self._scene.home,
            np.concatenate([np.asarray(frame.bodies, float).reshape(-1, 3), posts]),
            age_s,
        )

    def _state(self, frame: SensorFrame, local: LocalOutput, mode: Mode) -> RobotState:
        return RobotState(
            robot=self._config.robot,
            recipient=EVERYBODY,
            boot_id=self._config.boot_id,
            seq=self._seq,
            control_seq=self._ticks,
            stamp=frame.stamp,
            position=frame.position,
            velocity=frame.velocity,
            yaw=frame.yaw,
            yaw_rate=frame.yaw_rate,
            battery=frame.battery,
            mode=int(mode),
            bundle=self.policy.bundle.short_digest,
            accusations=local.accusations.astype("<u2").tobytes(),
        )


def addressed(state: RobotState, recipient: int, position: Float) -> RobotState:
    """The same state for one receiver, with another position."""
    x, y, z = (float(value) for value in position)
    return replace(state, recipient=recipient, position=(x, y, z))
