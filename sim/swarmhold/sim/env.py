"""The vectorised training and evaluation environment: E teams of up to N robots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.observe import observe
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.types import Bool, Float, Kinematics, Observation, teammate_index
from swarmhold.sim.dynamics import wheel_commands
from swarmhold.sim.faults import Effects, FaultStage, Plan
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import DriveModel, model_of
from swarmhold.sim.scenarios.base import (
    EPISODE_STEPS,
    Layout,
    Outcome,
    Scenario,
    TeamView,
    scenario_of,
)
from swarmhold.sim.sensing import Landmarks, sightings_of, surroundings_of

NEVER = 1e3  # s, age of a belief about a robot that was never heard


@dataclass(frozen=True, slots=True)
class Evidence:
    """What every robot (axis 1) notices of every robot (axis 2); inputs of the monitors.

    Attributes:
        age: (E, N, N) s since the last message was received.
        boot_id: (E, N, N) last boot id heard, 0 if none.
        claimed: (E, N, N, 3) m, claimed position, extrapolated to now.
        sensed: (E, N, N, 3) m, where own sensing sees it; NaN where it does not.
        corrupt: (E, N, N) last message held values that are not finite.
        fresh: (E, N, N) a message arrived with this step.
        deaf: (E, N) robots that receive and report nothing now.
    """

    age: Float
    boot_id: Float
    claimed: Float
    sensed: Float
    corrupt: Bool
    fresh: Bool
    deaf: Bool


@dataclass(frozen=True, slots=True)
class Truth:
    """The world as it is; for critics, metrics and oracles, never for a robot.

    Attributes:
        position: (E, N, 3) m.
        velocity: (E, N, 3) m/s.
        yaw: (E, N) rad.
        present: (E, N) robots that exist in this episode.
        healthy: (E, N) present and without a disabling fault.
        landmarks: of the episodes.
        touched: (E, N) in contact during the last step.
    """

    position: Float
    velocity: Float
    yaw: Float
    present: Bool
    healthy: Bool
    landmarks: Landmarks
    touched: Bool


@dataclass(frozen=True, slots=True)
class Step:
    """What a reset or a step returns.

    Attributes:
        observation: tokens, leading dimensions (E, N).
        truth: see `Truth`.
        teammate_health: (E, N, N - 1) oracle weights: 0 for faulty or absent teammates.
        outcome: reward, score, error, success, each (E).
        done: whether the episodes have ended (all end together).
        time_s: s since the start.
    """

    observation: Observation
    truth: Truth
    teammate_health: Float
    outcome: Outcome
    done: bool
    time_s: float


class SwarmEnv:
    """E episodes of one scenario side by side, all of the same length.

    Messages take one step from sender to receiver; a receiver keeps what it heard last. Robots
    that are absent (teams smaller than N) or broken stay in the arrays.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        robot: str = "epuck",
        n_envs: int = 1,
        n_robots: int = 10,
        backend: str = "batched",
        contacts: bool | None = None,
        seed: int = 0,
    ) -> None:
        """Build the world.

        Args:
            scenario: name, or an implementation of `Scenario`.
            robot: robot class.
            n_envs: E, teams side by side.
            n_robots: N, largest team.
            backend: "batched" or "pybullet".
            contacts: whether bodies touch; None: as the scenario says.
            seed: of all randomness; equal seeds give equal episodes in both backends.

        Raises:
            ConfigError: an argument is wrong.
        """
        if n_envs < 1 or n_robots < 1:
            raise ConfigError(f"{n_envs} teams of {n_robots} robots; both must be at least 1")
        self.scenario = scenario_of(scenario) if isinstance(scenario, str) else scenario
        self.spec: PolicySpec = policy_spec(robot)
        self.robot, self.n_envs, self.n_robots = robot, n_envs, n_robots
        self.model = model_of(robot)
        self.half_width = self.scenario.half_width(robot)
        touch = self.scenario.contacts if contacts is None else contacts
        self.physics = make_physics(backend, self.model, n_envs, n_robots, self.half_width, touch)
        self.faults = FaultStage(n_envs, n_robots)
        self._others = teammate_index(n_robots)
        self._seed, self._episode, self._steps = seed, -1, 0
        self._bound = np.asarray(self.spec.action_bound)
        self._tick = 1.0 / self.spec.rate_hz

    def reset(
        self,
        *,
        team_sizes: Sequence[int] | None = None,
        faults: Plan | None = None,
        episode: int | None = None,
    ) -> Step:
        """Start all episodes.

        Args:
            team_sizes: robots of each environment, at most N; None: all N.
            faults: fault plan, one list per environment.
            episode: number of the episode, decides its randomness; None: the next one.

        Raises:
            ConfigError: a team size is out of range.
        """
        sizes = np.full(self.n_envs, self.n_robots) if team_sizes is None else team_sizes
        sizes = np.asarray(sizes)
        if sizes.shape != (self.n_envs,) or sizes.min() < 1 or sizes.max() > self.n_robots:
            raise ConfigError(
                f"team sizes must be {self.n_envs} numbers between 1 and {self.n_robots}"
            )
        self._episode = self._episode + 1 if episode is None else episode
        self._steps = 0
        self._present = np.arange(self.n_robots) < sizes[:, None]
        self.faults.load(faults if faults is not None else [[] for _ in range(self.n_envs)])
        layouts = [
            self.scenario.layout(
                np.random.default_rng([self._seed, self._episode, env]), int(size), self.robot
            )
            for env, size in enumerate(sizes)
        ]
        self._place(layouts)
        self._start_memories()
        return self._observe()

    def _place(self, layouts: list[Layout]) -> None:
        shape = (self.n_envs, self.n_robots)
        width = self.n_robots if self.scenario.has_landmarks else 0
        position, yaw = np.zeros((*shape, 2)), np.zeros(shape)
        spots, value = np.zeros((self.n_envs, width, 2)), np.zeros((self.n_envs, width))
        mask = np.zeros((self.n_envs, width), bool)
        for env, layout in enumerate(layouts):
            size, count = len(layout.yaw), len(layout.values)
            position[env, :size], yaw[env, :size] = layout.position, layout.yaw
            spots[env, :count], value[env, :count] = layout.landmarks, layout.values
            mask[env, :count] = True
        self.landmarks = Landmarks(spots, value, mask)
        self.physics.reset(position, yaw, self._present)

    def _start_memories(self) -> None:
        shape = (self.n_envs, self.n_robots)
        rng = np.random.default_rng([self._seed, self._episode, 10**6])
        self._noise = np.random.default_rng([self._seed, self._episode, 10**6 + 1])
        self._lie = rng.uniform(-1.0, 1.0, (*shape, self.n_robots, 2)) * self.half_width
        self._flight = rng.uniform(-np.pi, np.pi, shape)
        self._last_action = np.zeros((*shape, self.spec.action_size))
        self._effort = np.zeros(shape)
        pair = (*shape, self.n_robots)
        self._heard = Kinematics(
            np.zeros((*pair, 3)), np.zeros((*pair, 3)), np.zeros(pair), np.zeros(pair)
        )
        self._heard_at = np.full(pair, -np.inf)
        self._heard_boot = np.zeros(pair)
        self._fresh = np.zeros(pair, bool)
        self._effects = self.faults.effects(0.0)
        self._deliver()  # everybody has said hello before the episode starts

    @property
    def time_s(self) -> float:
        """Seconds since the start of the episodes."""
        return self._steps * self._tick

    def kinematics(self) -> Kinematics:
        """(E, N) true pose and twist; a copy, since backends integrate in place."""
        bodies = self.physics.bodies
        return Kinematics(
            bodies.position.copy(), bodies.velocity.copy(), bodies.yaw(), bodies.spin[..., 2].copy()
        )

    def step(self, action: Float) -> Step:
        """Advance one decision.

        Args:
            action: (E, N, Da) set-points in physical units; clipped to their bounds.
        """
        self._effects = self.faults.effects(self.time_s)
        self._deliver()
        setpoint = np.clip(action, -self._bound, self._bound)
        setpoint = self._run_away(setpoint)
        idle = self._effects.stopped | ~self._present
        self.physics.advance(setpoint, self._effects.gain, idle, self._tick)
        self._last_action = np.where(idle[..., None], 0.0, setpoint / self._bound)
        self._effort = self._effort_of(setpoint) * ~idle
        self._steps += 1
        return self._observe()

    def _effort_of(self, setpoint: Float) -> Float:
        if isinstance(self.model, DriveModel):
            left, right = wheel_commands(self.model, setpoint)
            return (left**2 + right**2) / 2
        return np.mean((setpoint / self._bound) ** 2, axis=-1)

    def _run_away(self, setpoint: Float) -> Float:
        """A runaway robot turns to a direction of its own and drives at full speed."""
        bearing = self._flight - self.physics.bodies.yaw()
        if isinstance(self.model, DriveModel):
            turn = np.clip(4.0 * np.arctan2(np.sin(bearing), np.cos(bearing)), -1.0, 1.0)
            wild = np.stack([np.ones_like(turn), turn], axis=-1) * self._bound
        else:
            wild = np.stack([np.cos(bearing), np.sin(bearing)], axis=-1) * self._bound
        return np.where(self._effects.runaway[..., None], wild, setpoint)

    def _deliver(self) -> None:
        """Messages that were sent with the last observation arrive."""
        effects, now = self._effects, self.kinematics()
        sends = self._present & ~effects.silent
        arrives = sends[:, None, :] & sends[:, :, None]  # a dead radio hears nothing either
        claim = self._claims(now.position, effects)
        old = self._heard
        vector, scalar = arrives[..., None], arrives
        broadcast = np.broadcast_to
        self._heard = Kinematics(
            np.where(vector, claim, old.position),
            np.where(vector, now.velocity[:, None], old.velocity),
            np.where(scalar, broadcast(now.yaw[:, None], scalar.shape), old.yaw),
            np.where(scalar, broadcast(now.yaw_rate[:, None], scalar.shape), old.yaw_rate),
        )
        self._heard_at = np.where(arrives, self.time_s, self._heard_at)
        self._heard_boot = np.where(arrives, effects.boot_id[:, None, :], self._heard_boot)
        self._fresh = arrives

    def _claims(self, position: Float, effects: Effects) -> Float:
        """(E, receiver, sender, 3) m, what each robot tells each other of its position."""
        pair = (self.n_envs, self.n_robots, self.n_robots)
        claim = np.broadcast_to(position[:, None], (*pair, 3))
        if not (effects.spoof.any() or effects.corrupt.any()):
            return claim
        claim = claim.copy()
        false = position[:, None, :, :2] + self._lie * effects.spoof[:, None, :, None]
        false = np.clip(false, -self.half_width, self.half_width)
        lies = (effects.spoof > 0)[:, None, :, None]
        claim[..., :2] = np.where(lies, false, claim[..., :2])
        claim[np.broadcast_to(effects.corrupt[:, None], pair)] = np.nan
        return claim

    def _observe(self) -> Step:
        now, present = self.kinematics(), self._present
        rows, others = np.arange(self.n_robots)[:, None], self._others
        team = Kinematics(
            self._heard.position[:, rows, others],
            self._heard.velocity[:, rows, others],
            self._heard.yaw[:, rows, others],
            self._heard.yaw_rate[:, rows, others],
        )
        age = np.minimum(self.time_s - self._heard_at, NEVER)[:, rows, others]
        age = np.maximum(age - self._tick, 0.0) if self._steps else age
        seen = observe(
            self.spec,
            own=now,
            last_action=self._last_action,
            team=team,
            team_age=age,
            surroundings=surroundings_of(now.position, present, self.landmarks, self.model),
            home=np.zeros(3),
        )
        self._effects = self.faults.effects(self.time_s)
        healthy = present & ~self._effects.faulty
        truth = Truth(
            now.position,
            now.velocity,
            now.yaw,
            present,
            healthy,
            self.landmarks,
            self.physics.touched.copy(),
        )
        outcome = self.scenario.outcome(self.robot, self._view(truth))
        oracle = healthy[:, None, :] & present[:, :, None]
        return Step(
            seen,
            truth,
            oracle[:, rows, others].astype(float),
            outcome,
            self._steps >= EPISODE_STEPS,
            self.time_s,
        )

    def _view(self, truth: Truth) -> TeamView:
        return TeamView(
            position=truth.position[..., :2],
            effort=self._effort,
            healthy=truth.healthy,
            landmarks=self.landmarks.position,
            values=self.landmarks.value,
            landmark_mask=self.landmarks.mask,
            half_width=self.half_width,
        )

    def evidence(self) -> Evidence:
        """What the monitors get to see after the last step; draws sensing noise."""
        position = self.physics.bodies.position
        deaf = self._effects.silent | ~self._present
        age = self.time_s - self._heard_at - (self._tick if self._steps else 0.0)
        age = np.maximum(age, 0.0)
        late = np.where(np.isfinite(age), age, 0.0) + (self._tick if self._steps else 0.0)
        return Evidence(
            age=age,
            boot_id=self._heard_boot,
            claimed=self._heard.position + self._heard.velocity * late[..., None],
            sensed=sightings_of(self._noise, position, self._present, deaf, self.model),
            corrupt=~np.isfinite(self._heard.position).all(axis=-1),
            fresh=self._fresh,
            deaf=deaf,
        )

    def close(self) -> None:
        """Free the backend."""
        self.physics.close()
