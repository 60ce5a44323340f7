"""The vectorised training and evaluation environment: E teams of up to N robots."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.observe import observe
from swarmhold.hardware.sanity import Said
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.surroundings import Landmarks, surroundings_of
from swarmhold.hardware.types import Bool, Float, Int, Kinematics, teammate_index
from swarmhold.sim.disturb import OVERRUN, Actuation, Disturbances, OwnState, blend
from swarmhold.sim.dynamics import effort
from swarmhold.sim.faults import FaultStage, Plan
from swarmhold.sim.guard import Guard
from swarmhold.sim.mislead import misled
from swarmhold.sim.noise import mix, uniform
from swarmhold.sim.physics import make_physics
from swarmhold.sim.places import Places
from swarmhold.sim.presence import PresenceStage
from swarmhold.sim.radio import Radio
from swarmhold.sim.robots import model_of
from swarmhold.sim.scenarios.base import Scenario, TeamView
from swarmhold.sim.scenarios.registry import scenario_of
from swarmhold.sim.sensing import sightings_of
from swarmhold.sim.step import Evidence, Step, Truth

NEVER = 1e3  # s, age of a belief about a robot that was never heard
FLIGHT, SIGHT = 31, 32  # purposes of random numbers
Snapshot = dict[str, Any]
_KEPT = (
    *("places", "presence", "faults", "radio", "own", "_memory", "_keys", "_steps", "_episode"),
    *("_present", "_flight", "_effects", "_measured", "_last_action", "_effort", "_setpoint"),
)


class SwarmEnv:
    """E episodes of one scenario side by side; randomness goes by the environment's number.

    Messages take one step from sender to receiver; a receiver keeps what it heard last. Robots
    that are absent (teams smaller than N, or gone) or broken stay in the arrays.
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
        self.faults, self.presence = FaultStage(*shape), PresenceStage(*shape)
        self.radio = Radio(config, *shape, self.half_width, self.tick)
        self.own = OwnState(config, self.tick)
        self.actuation = Actuation(config, self.physics.blocks, self.tick)
        self.guard: Guard | None = None  # policies learn without
        self._others = teammate_index(n_robots)
        self._bound = np.asarray(self.spec.action_bound)
        self._seed = np.full(n_envs, seed, np.int64)
        self._episode = np.full(n_envs, -1)
        self._steps = np.zeros(n_envs, int)
        self._keys = np.zeros(n_envs, np.uint64)
        self._present = np.ones(shape, bool)
        self.places = Places(*shape, self.scenario.slots(n_robots))
        self._memory: dict[str, Any] = {}
        self._measured: Kinematics | None = None
        self._last_action = np.zeros((*shape, self.spec.action_size))
        self._setpoint = np.zeros((*shape, self.spec.action_size))
        self._effort, self._flight = np.zeros(shape), np.zeros(shape)

    def reset(
        self,
        *,
        mask: Bool | None = None,
        seed: int | Sequence[int] | None = None,
        team_sizes: Sequence[int] | None = None,
        faults: Plan | None = None,
        presence: ArrayLike | None = None,
        episode: int | None = None,
    ) -> Step:
        """Start episodes.

        Args:
            mask: (E) environments that start anew; None: all. The rest goes on untouched.
            seed: new seed, one or one per environment; None: as before.
            team_sizes: robots of each environment, at most N; None: all N.
            faults: fault plan, one list per environment.
            presence: (E, N, 2) s at which each robot joins and leaves, see `PresenceStage.load`;
                None: all are there all the time.
            episode: number of the episode, decides its randomness; None: the next one.

        Raises:
            ConfigError: a team size is out of range, or a plan is wrong.
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
        self.presence.load(presence, sizes, chosen)
        self._present = np.where(chosen[:, None], self.presence.now(self.time_s), self._present)
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
        self.places.lay(layouts)
        start = self.places
        self.physics.reset(start.position, start.yaw, self._present, chosen, start.posts)
        self._start_memories(chosen)
        return self._observe()

    def _start_memories(self, chosen: Bool) -> None:
        keys = self._keys
        flight = uniform(mix(keys, FLIGHT), (self.n_robots,), -np.pi, np.pi)
        self._flight = np.where(chosen[:, None], flight, self._flight)
        self._last_action[chosen], self._effort[chosen], self._setpoint[chosen] = 0.0, 0.0, 0.0
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
        """(E, N) robots that are there now."""
        return self._present

    @property
    def healthy(self) -> Bool:
        """(E, N) present and without a disabling fault now."""
        return self._present & ~self._effects.faulty

    @property
    def posts(self) -> Float:
        """(E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none."""
        return self.places.posts

    @property
    def landmarks(self) -> Landmarks:
        """(E, L) as they are now."""
        return self.places.landmarks

    @property
    def owners(self) -> Int:
        """(E, L) robot that alone sees the landmark, or -1."""
        return self.places.owners

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
        late_setpoint = self.actuation.delayed(setpoint)
        setpoint = misled(
            *(self.spec, late_setpoint, effects, self.physics.bodies, self._flight, self._present)
        )
        idle = effects.stopped | ~self._present
        self.actuation.apply(effects, self._effort, keys)
        if self.guard is None:
            self.physics.advance(setpoint, idle, self.tick)
        else:
            where = self._present, self.posts
            setpoint = self.guard.advance(self.physics, setpoint, idle, self.tick, *where)
        self._last_action = np.where(idle[..., None], 0.0, setpoint / self._bound)
        self._effort = effort(self.model, setpoint, self._bound) * ~idle
        self._steps = self._steps + 1
        self._effects = self.faults.effects(self.time_s)
        joined = self._turn_over() if self.presence.changes else None
        self.scenario.advance(self.robot, self._view(self.healthy), self.tick)
        self._measured = self.own.measure(
            self.kinematics(), self._effects, mix(self._keys, self._steps)
        )
        if joined is not None:
            self.radio.greet(self.time_s, self._measured, self._present, self._effects, joined)
        return self._observe()

    def _turn_over(self) -> Bool | None:
        """Let robots come and go that do so now; (E, N) who has come, None if all is as before."""
        before, self._present = self._present, self.presence.now(self.time_s)
        if (self._present == before).all():
            return None
        joined = self._present & ~before
        self.physics.attend(self.places.position, self.places.yaw, self._present)
        now = self.kinematics()
        self.own.reset(now, joined)
        self.radio.renew(now, joined)
        self.actuation.renew(joined)
        self._setpoint[joined] = 0.0
        return joined

    def _deliver(self) -> None:
        self.radio.deliver(
            self.time_s, self._measured, self._present, self._effects, mix(self._keys, self._steps)
        )

    def _observe(self) -> Step:
        present, rows, others = self._present, np.arange(self.n_robots)[:, None], self._others
        bodies, marks, posts = self.physics.bodies, self.landmarks, self.posts
        seen = observe(
            self.spec,
            own=self._measured,
            last_action=self._last_action,
            team=self.radio.teammates(others),
            team_age=np.minimum(self.radio.age(self.time_s), NEVER)[:, rows, others],
            surroundings=surroundings_of(
                bodies.position, present, marks, self.owners, posts, self.model
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
            members=self.presence.members,
            touched=self.physics.touched,
            yaw=bodies.yaw(),
            time_s=self.time_s,
            memory=self._memory,
            posts=self.posts,
        )

    def evidence(self) -> Evidence:
        """What the monitors get to see after the last step."""
        position, radio = self.physics.bodies.position, self.radio
        deaf, age = self._effects.silent | ~self._present, radio.age(self.time_s)
        started = self.tick * (self._steps > 0)[:, None, None]
        late = np.where(np.isfinite(age), age, 0.0) + started
        sight = mix(self._keys, self._steps, SIGHT)
        return Evidence(
            age=age,
            claimed=radio.heard.position + radio.heard.velocity * late[..., None],
            sensed=sightings_of(sight, position, self._present, deaf, self.model),
            corrupt=~np.isfinite(radio.heard.position).all(axis=-1),
            deaf=deaf,
            said=Said(
                *(radio.heard.position, radio.heard.velocity, radio.sent_at + radio.stamp),
                *(radio.heard_at, radio.boot_id, radio.fresh),
            ),
        )

    def said(self) -> tuple[Kinematics, Float]:
        """What robots (E, N) said of themselves last, as a listener hears it, and its age in s."""
        own, heard = np.arange(self.n_robots), self.radio.heard
        parts = (heard.position, heard.velocity, heard.yaw, heard.yaw_rate)
        age = self.radio.age(self.time_s)[:, own, own]
        return Kinematics(*(part[:, own, own] for part in parts)), age

    def snapshot(self) -> Snapshot:
        """All that is needed to go on from here, bit-equal."""
        kept = {name: copy.deepcopy(getattr(self, name)) for name in _KEPT}
        actuation = {
            name: copy.deepcopy(value)
            for name, value in vars(self.actuation).items()
            if isinstance(value, (np.ndarray, bool, list))
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
