"""The vectorised training and evaluation environment: E teams of up to N robots."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.observe import observe
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.types import Bool, Float, Kinematics, teammate_index
from swarmhold.sim.disturb import OVERRUN, Actuation, Disturbances, OwnState, blend
from swarmhold.sim.dynamics import effort
from swarmhold.sim.faults import FaultStage, Plan
from swarmhold.sim.mislead import misled
from swarmhold.sim.noise import mix, uniform
from swarmhold.sim.physics import make_physics
from swarmhold.sim.radio import Radio
from swarmhold.sim.robots import model_of
from swarmhold.sim.scenarios.base import EVERYBODY, Layout, Scenario, TeamView
from swarmhold.sim.scenarios.registry import scenario_of
from swarmhold.sim.sensing import Landmarks, sightings_of, surroundings_of
from swarmhold.sim.step import Evidence, Step, Truth

NEVER = 1e3  # s, age of a belief about a robot that was never heard
FLIGHT, SIGHT = 31, 32  # purposes of random numbers
Snapshot = dict[str, Any]
_KEPT = (
    *("landmarks", "owners", "faults", "radio", "own", "_memory", "_keys", "_steps", "_episode"),
    *("_present", "_posts", "_flight", "_effects", "_measured", "_last_action", "_effort"),
    *("_setpoint", "_pending"),
)


class SwarmEnv:
    """E episodes of one scenario side by side; randomness goes by the environment's number.

    Messages take one step from sender to receiver; a receiver keeps what it heard last. Robots
    that are absent (teams smaller than N) or broken stay in the arrays.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        robot: str | None = None,
        n_envs: int = 1,
        n_robots: int = 10,
        backend: str = "batched",
        contacts: bool | None = None,
        seed: int = 0,
        disturbances: Disturbances | None = None,
        first_env: int = 0,
    ) -> None:
        """Build the world.

        Args:
            scenario: name, or an implementation of `Scenario`.
            robot: robot class; None: the scenario's first.
            n_envs: E, teams side by side.
            n_robots: N, largest team.
            backend: "batched", "numpy", "mixed", "pybullet" or "pybullet-native".
            contacts: whether bodies touch; None: as the scenario says.
            seed: of all randomness; equal seeds give equal episodes in all backends.
            disturbances: wind, noise, delays, randomisation; None: none.
            first_env: number of the first environment, where E are a part of many.

        Raises:
            ConfigError: an argument is wrong.
        """
        if n_envs < 1 or n_robots < 1:
            raise ConfigError(f"{n_envs} teams of {n_robots} robots; both must be at least 1")
        self.scenario = scenario_of(scenario) if isinstance(scenario, str) else scenario
        self.robot = self.scenario.robots[0] if robot is None else robot
        self.model = model_of(self.robot)
        if self.robot not in self.scenario.robots:
            known = ", ".join(self.scenario.robots)
            raise ConfigError(f"{self.scenario.name} is made for {known}, not for {self.robot}")
        self.spec: PolicySpec = policy_spec(self.robot)
        self.n_envs, self.n_robots, self.first_env = n_envs, n_robots, first_env
        self.half_width = self.scenario.half_width(self.robot)
        touch = self.scenario.contacts if contacts is None else contacts
        shape = (n_envs, n_robots)
        self.physics = make_physics(backend, self.model, *shape, self.half_width, touch)
        self.tick = 1.0 / self.spec.rate_hz
        self.limit = round(self.scenario.episode_s * self.spec.rate_hz)
        config = Disturbances() if disturbances is None else disturbances
        self.disturbances = config
        self.faults = FaultStage(*shape)
        self.radio = Radio(config, *shape, self.half_width, self.tick)
        self.own = OwnState(config, self.tick)
        self.actuation = Actuation(config, self.physics.blocks, self.tick)
        self._others = teammate_index(n_robots)
        self._bound = np.asarray(self.spec.action_bound)
        self._seed = np.full(n_envs, seed, np.int64)
        self._episode = np.full(n_envs, -1)
        self._steps = np.zeros(n_envs, int)
        self._keys = np.zeros(n_envs, np.uint64)
        self._present = np.ones(shape, bool)
        slots = self.scenario.slots(n_robots)
        self.landmarks = Landmarks(
            np.zeros((n_envs, slots, 2)), np.zeros((n_envs, slots)), np.zeros((n_envs, slots), bool)
        )
        self.owners = np.full((n_envs, slots), EVERYBODY)
        self._posts = np.zeros((n_envs, 0, 3))
        self._memory: dict[str, Any] = {}
        self._measured: Kinematics | None = None
        self._last_action = np.zeros((*shape, self.spec.action_size))
        self._setpoint = np.zeros((*shape, self.spec.action_size))
        self._pending: list[Float] = []
        self._effort, self._flight = np.zeros(shape), np.zeros(shape)

    def reset(
        self,
        *,
        mask: Bool | None = None,
        seed: int | Sequence[int] | None = None,
        team_sizes: Sequence[int] | None = None,
        faults: Plan | None = None,
        episode: int | None = None,
    ) -> Step:
        """Start episodes.

        Args:
            mask: (E) environments that start anew; None: all. The rest goes on untouched.
            seed: new seed, one or one per environment; None: as before.
            team_sizes: robots of each environment, at most N; None: all N.
            faults: fault plan, one list per environment.
            episode: number of the episode, decides its randomness; None: the next one.

        Raises:
            ConfigError: a team size is out of range.
        """
        chosen = np.ones(self.n_envs, bool) if mask is None else np.asarray(mask, bool)
        sizes = np.full(self.n_envs, self.n_robots) if team_sizes is None else team_sizes
        sizes = np.asarray(sizes)
        if sizes.shape != (self.n_envs,) or sizes.min() < 1 or sizes.max() > self.n_robots:
            raise ConfigError(
                f"team sizes must be {self.n_envs} numbers between 1 and {self.n_robots}"
            )
        if seed is not None:
            self._seed = np.where(chosen, np.asarray(seed, np.int64), self._seed)
            self._episode[chosen] = -1
        number = self._episode + 1 if episode is None else episode
        self._episode = np.where(chosen, number, self._episode)
        self._steps[chosen] = 0
        present = np.arange(self.n_robots) < sizes[:, None]
        self._present = np.where(chosen[:, None], present, self._present)
        self.faults.load(faults if faults is not None else [[] for _ in sizes], chosen)
        which = self.first_env + np.arange(self.n_envs)
        keys = mix(self._seed, self._episode, which)
        self._keys = np.where(chosen, keys, self._keys)
        layouts = {
            int(env): self.scenario.layout(
                np.random.default_rng([self._seed[env], self._episode[env], which[env]]),
                int(sizes[env]),
                self.robot,
            )
            for env in np.flatnonzero(chosen)
        }
        self._place(layouts, chosen)
        self._start_memories(chosen)
        return self._observe()

    def _place(self, layouts: dict[int, Layout], chosen: Bool) -> None:
        shape = (self.n_envs, self.n_robots)
        position, yaw = np.zeros((*shape, 2)), np.zeros(shape)
        posts = max((len(layout.posts) for layout in layouts.values()), default=0)
        if posts > self._posts.shape[1]:
            grown = np.zeros((self.n_envs, posts, 3))
            grown[:, : self._posts.shape[1]] = self._posts
            self._posts = grown
        marks = self.landmarks
        for env, layout in layouts.items():
            size, count = len(layout.yaw), len(layout.values)
            position[env, :size], yaw[env, :size] = layout.position, layout.yaw
            marks.mask[env], self.owners[env], self._posts[env] = False, EVERYBODY, 0.0
            marks.position[env, :count], marks.value[env, :count] = layout.landmarks, layout.values
            marks.mask[env, :count] = True if layout.shown is None else layout.shown
            if layout.owners is not None:
                self.owners[env, :count] = layout.owners
            self._posts[env, : len(layout.posts)] = layout.posts
        self.physics.reset(position, yaw, self._present, chosen, self._posts)

    def _start_memories(self, chosen: Bool) -> None:
        keys = self._keys
        flight = uniform(mix(keys, FLIGHT), (self.n_robots,), -np.pi, np.pi)
        self._flight = np.where(chosen[:, None], flight, self._flight)
        self._last_action[chosen], self._effort[chosen], self._setpoint[chosen] = 0.0, 0.0, 0.0
        for pending in self._pending:
            pending[chosen] = 0.0
        self.actuation.reset(keys, chosen)
        self._effects = self.faults.effects(self.time_s)
        now = self.kinematics()
        self.own.reset(now, chosen)
        first = self.own.measure(now, self._effects, mix(keys, self._steps), keep=False)
        self._measured = blend(first, self._measured, chosen) if self._measured else first
        self.radio.reset(keys, self._measured, chosen)
        self.radio.greet(self.time_s, self._measured, self._present, self._effects, chosen)
        memory = self.scenario.begin(self.robot, self._view(self.healthy))
        self._memory = {
            name: np.where(_column(chosen, value), value, self._memory.get(name, value))
            for name, value in memory.items()
        }

    @property
    def present(self) -> Bool:
        """(E, N) robots that exist."""
        return self._present

    @property
    def healthy(self) -> Bool:
        """(E, N) present and without a disabling fault now."""
        return self._present & ~self._effects.faulty

    @property
    def posts(self) -> Float:
        """(E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none."""
        return self._posts

    @property
    def arena(self) -> tuple[float, float]:
        """Half widths (m), x and y."""
        return self.physics.arena

    @property
    def time_s(self) -> Float:
        """(E) s since the start of the episodes."""
        return self._steps * self.tick

    def kinematics(self) -> Kinematics:
        """(E, N) true pose and twist; a copy."""
        bodies = self.physics.bodies
        return Kinematics(
            bodies.position.copy(), bodies.velocity.copy(), bodies.yaw(), bodies.spin[..., 2].copy()
        )

    def step(self, action: Float) -> Step:
        """Advance one decision.

        Args:
            action: (E, N, Da) set-points in physical units; clipped to their bounds. What is not
                finite counts as 0, as a robot's safety filter would have it.
        """
        keys = mix(self._keys, self._steps)
        self._effects = effects = self.faults.effects(self.time_s)
        self._deliver()
        setpoint = np.clip(np.nan_to_num(action, posinf=0.0, neginf=0.0), -self._bound, self._bound)
        if effects.overrun.any():
            late = uniform(mix(keys, OVERRUN), (self.n_robots,)) < effects.overrun
            setpoint = np.where(late[..., None], self._setpoint, setpoint)
        self._setpoint = setpoint
        late_setpoint = self._delayed(setpoint)
        setpoint = misled(
            *(self.spec, late_setpoint, effects, self.physics.bodies, self._flight, self._present)
        )
        idle = effects.stopped | ~self._present
        self.actuation.apply(effects, self._effort, keys)
        self.physics.advance(setpoint, idle, self.tick)
        self._last_action = np.where(idle[..., None], 0.0, setpoint / self._bound)
        self._effort = effort(self.model, setpoint, self._bound) * ~idle
        self._steps = self._steps + 1
        self._effects = self.faults.effects(self.time_s)
        self.scenario.advance(self.robot, self._view(self.healthy), self.tick)
        self._measured = self.own.measure(
            self.kinematics(), self._effects, mix(self._keys, self._steps)
        )
        return self._observe()

    def _delayed(self, setpoint: Float) -> Float:
        late = round(self.disturbances.action_delay_s / self.tick)
        if not late:
            return setpoint
        if not self._pending:
            self._pending = [np.zeros_like(setpoint) for _ in range(late)]
        self._pending.append(setpoint.copy())
        return self._pending.pop(0)

    def _deliver(self) -> None:
        self.radio.deliver(
            self.time_s, self._measured, self._present, self._effects, mix(self._keys, self._steps)
        )

    def _silence(self) -> Float:
        """(E, N, N) s since anybody was heard; a message is one decision old when it arrives."""
        age = self.time_s[:, None, None] - self.radio.heard_at
        started = (self._steps > 0)[:, None, None]
        return np.where(started, np.maximum(age - self.tick, 0.0), age)

    def _observe(self) -> Step:
        present, rows = self._present, np.arange(self.n_robots)[:, None]
        heard, others = self.radio.heard, self._others
        team = Kinematics(
            heard.position[:, rows, others],
            heard.velocity[:, rows, others],
            heard.yaw[:, rows, others],
            heard.yaw_rate[:, rows, others],
        )
        bodies, marks = self.physics.bodies, self.landmarks
        seen = observe(
            self.spec,
            own=self._measured,
            last_action=self._last_action,
            team=team,
            team_age=np.minimum(self._silence(), NEVER)[:, rows, others],
            surroundings=surroundings_of(
                bodies.position, present, marks, self.owners, self._posts, self.model
            ),
            home=np.zeros(3),
        )
        healthy = self.healthy
        truth = Truth(
            bodies.position.copy(),
            bodies.velocity.copy(),
            bodies.yaw(),
            present,
            healthy,
            Landmarks(marks.position.copy(), marks.value.copy(), marks.mask.copy()),
            self.physics.touched.copy(),
            self.actuation.charge.copy(),
            self.owners.copy(),
        )
        oracle = healthy[:, None, :] & present[:, :, None]
        return Step(
            seen,
            truth,
            oracle[:, rows, others].astype(float),
            self.scenario.outcome(self.robot, self._view(healthy)),
            self._steps >= self.limit,
            self.time_s,
        )

    def _view(self, healthy: Bool) -> TeamView:
        marks, bodies = self.landmarks, self.physics.bodies
        return TeamView(
            position=bodies.position[..., :2],
            effort=self._effort,
            healthy=healthy,
            landmarks=marks.position,
            values=marks.value,
            landmark_mask=marks.mask,
            half_width=self.half_width,
            owners=self.owners,
            present=self._present,
            touched=self.physics.touched,
            yaw=bodies.yaw(),
            time_s=self.time_s,
            memory=self._memory,
        )

    def evidence(self) -> Evidence:
        """What the monitors get to see after the last step."""
        position, radio = self.physics.bodies.position, self.radio
        deaf, age = self._effects.silent | ~self._present, self._silence()
        started = self.tick * (self._steps > 0)[:, None, None]
        late = np.where(np.isfinite(age), age, 0.0) + started
        sight = mix(self._keys, self._steps, SIGHT)
        return Evidence(
            age=age,
            boot_id=radio.boot_id,
            claimed=radio.heard.position + radio.heard.velocity * late[..., None],
            sensed=sightings_of(sight, position, self._present, deaf, self.model),
            corrupt=~np.isfinite(radio.heard.position).all(axis=-1),
            fresh=radio.fresh,
            deaf=deaf,
            stamp=radio.stamp,
        )

    def snapshot(self) -> Snapshot:
        """All that is needed to go on from here, bit-equal."""
        kept = {name: copy.deepcopy(getattr(self, name)) for name in _KEPT}
        actuation = {
            name: copy.deepcopy(value)
            for name, value in vars(self.actuation).items()
            if isinstance(value, (np.ndarray, bool))
        }
        return {"env": kept, "actuation": actuation, "physics": self.physics.snapshot()}

    def restore(self, saved: Snapshot) -> Step:
        """Go back to a snapshot of this environment."""
        for name, value in saved["env"].items():
            setattr(self, name, copy.deepcopy(value))
        for name, value in saved["actuation"].items():
            setattr(self.actuation, name, copy.deepcopy(value))
        self.physics.restore(saved["physics"])
        return self._observe()

    def close(self) -> None:
        """Free the backend."""
        self.physics.close()


def _column(chosen: Bool, value: Float) -> Bool:
    """(E) as (E, 1, ...) for arrays of any rank."""
    return chosen.reshape(-1, *([1] * (np.ndim(value) - 1)))
