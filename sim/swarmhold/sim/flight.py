"""Low-level flight: E teams of N quadrotors under rotor commands, as arrays.

The contract of every backend: `reset(mask, seed)`, `step(action)` into buffers that are allocated
once, `snapshot` and `restore`. The task is to hold one's place in a formation: the plain subject
of speed measurements, and a base for low-level controllers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.arithmetic import numba
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.disturb import Actuation, Disturbances
from swarmhold.sim.faults import FaultStage, Plan
from swarmhold.sim.flight_rows import evaluate_rows, respawn_rows
from swarmhold.sim.noise import mix
from swarmhold.sim.robots import GRAVITY, PHYSICS_HZ, QuadModel, model_of

if numba is not None:
    from swarmhold.sim.bullet_loops import ENDED, NEAR
    from swarmhold.sim.flight_loops import command, judge_of

BACKENDS = ("batched", "numpy", "pybullet", "pybullet-native", "mixed")
CONTROL_HZ = 48.0
SUBSTEPS = round(PHYSICS_HZ / CONTROL_HZ)
OWN, OTHER = 17, 6  # observation values of oneself, and of each teammate
SPACING = 0.6  # m between places in the formation


@dataclass(frozen=True, slots=True)
class FlightTask:
    """Limits of an episode.

    Attributes:
        episode_s: s until it is truncated.
        spread: m, largest distance per axis from one's place at the start.
        reach: m, distance from one's place that ends the episode.
        floor: m, height of the body's centre that counts as ground contact.
        end_on_touch: end the episode on contact; else contact is only flagged.
    """

    episode_s: float = 8.0
    spread: float = 0.2
    reach: float = 3.0
    floor: float = 0.065
    end_on_touch: bool = True


class FlightSim:
    """E teams of N quadrotors.

    Actions (E, N, 4) in [-1, 1] are rotor thrusts: 0 hovers, -1 is none, 1 twice as much.
    Observations (E, N, 17 + 6 (N - 1)): offset from one's place (3, m), quaternion x y z w,
    velocity (3, m/s), angular velocity (3, rad/s), rotor thrusts over hover (4); then for each
    teammate in roster order its relative position (3, m) and velocity (3, m/s); world axes.

    Attributes:
        observation: (E, N, ...) see above.
        reward: (E, N): minus distance, minus 0.05 speed, minus 1 on contact.
        terminated: (E) contact or too far.
        truncated: (E) time limit.
        touched: (E, N) ground or teammate touched.
    """

    def __init__(
        self,
        n_envs: int,
        n_drones: int = 4,
        backend: str = "batched",
        dtype: Any = np.float32,
        seed: int = 0,
        drag: bool = True,
        task: FlightTask | None = None,
        disturbances: Disturbances | None = None,
        auto_reset: bool = True,
    ) -> None:
        """Build the world.

        Args:
            n_envs: E.
            n_drones: N, at most 64.
            backend: "batched" (numba), "numpy", "pybullet", "pybullet-native", or "mixed": the
                twin, with teams near contact moved by PyBullet.
            dtype: working precision of the twin; PyBullet is double.
            seed: of all randomness.
            drag: rotor drag; without it and without wind PyBullet runs many steps at a time.
            task: limits.
            disturbances: wind, battery, randomisation; None: none.
            auto_reset: start anew within the step that ends an episode; the observation is then
                the first of the next episode.

        Raises:
            ConfigError: an argument is wrong.
        """
        if backend not in BACKENDS:
            raise ConfigError(f"unknown backend {backend!r}; choose one of: {', '.join(BACKENDS)}")
        if n_envs < 1 or n_drones < 1:
            raise ConfigError(f"{n_envs} teams of {n_drones} drones; both must be at least 1")
        model = model_of("crazyflie")
        assert isinstance(model, QuadModel)
        self.n_envs, self.n_drones, self.backend = n_envs, n_drones, backend
        self.task = FlightTask() if task is None else task
        self.auto_reset = auto_reset
        compiled = False if backend == "numpy" else None
        dtype = np.float64 if backend.startswith("pybullet") else dtype
        self.blocks = Blocks(model, n_envs, n_drones, dtype, True, compiled)
        self.blocks.narrow()
        self.blocks.data[:, Row.DRAG] = 1.0 if drag else 0.0
        self.model, self.limit = model, round(self.task.episode_s * CONTROL_HZ)
        shape, real = (n_envs, n_drones), self.blocks.dtype
        self.observation = np.zeros((*shape, OWN + OTHER * (n_drones - 1)), real)
        self.reward = np.zeros(shape, real)
        self.terminated, self.truncated = np.zeros(n_envs, bool), np.zeros(n_envs, bool)
        self.touched, self._hit = np.zeros(shape, bool), np.zeros(shape, bool)
        self.goal = formation(n_drones).astype(real)
        self._clock = np.zeros(n_envs, np.int64)
        self._episode = np.zeros(n_envs, np.int64)
        self._seed = np.full(n_envs, seed, np.int64)
        self._hover = model.mass * GRAVITY / 4
        self._flat = self.blocks.data.reshape(-1)
        self.faults = FaultStage(*shape)
        self._weather = disturbances is not None and disturbances != Disturbances()
        self.actuation = Actuation(disturbances or Disturbances(), self.blocks, 1 / CONTROL_HZ)
        windless = not disturbances or max(disturbances.wind, disturbances.gust) == 0
        self._bodies = self._make_bodies(open_loop=not drag and windless)
        self._judging = self._arguments_of_judge()
        self._at_once = bool(
            backend == "pybullet-native"
            and self._bodies.server.native
            and self.blocks.compiled
            and not drag
            and windless
        )
        self.reset()

    def _make_bodies(self, open_loop: bool) -> Any:
        """What moves bodies apart from the twin: a PyBullet stepper, or None."""
        if self.backend in ("batched", "numpy"):
            return None
        from swarmhold.sim.bullet import bullet_server
        from swarmhold.sim.bullet_step import BulletStepper

        def serve(teams: int) -> Any:
            shape = (teams, self.n_drones)
            native = self.backend != "pybullet"
            return bullet_server(native, self.model, *shape, 5.0, True, gravity=open_loop)

        if self.backend == "mixed":
            from swarmhold.sim.mixed import ContactTeams

            return ContactTeams(self.blocks, serve, open_loop)
        return BulletStepper(serve(self.n_envs), self.blocks, open_loop)

    def reset(
        self,
        mask: Bool | None = None,
        seed: int | Any | None = None,
        faults: Plan | None = None,
    ) -> Float:
        """Start episodes.

        Args:
            mask: (E) teams that start anew; None: all.
            seed: new seed, one or one per team; None: the next episode of the old one.
            faults: plan, one list per environment; None: none.

        Returns:
            The observation buffer.
        """
        chosen = np.ones(self.n_envs, bool) if mask is None else np.asarray(mask, bool)
        if seed is None:
            self._episode[chosen] += 1
        else:
            np.copyto(self._seed, np.asarray(seed, np.int64), where=chosen)
            self._episode[chosen] = 0
        self.terminated[chosen], self.truncated[chosen] = False, False
        self.touched[chosen], self._clock[chosen] = False, 0
        self.reward[chosen] = 0.0
        if faults is not None or self.faults.kinds:
            self.faults.load(faults or [[] for _ in range(self.n_envs)], chosen)
        self._respawn(chosen)
        self._observe()
        return self.observation

    def _respawn(self, chosen: Bool) -> None:
        keys = mix(self._seed, self._episode, np.arange(self.n_envs))
        if chosen.any():
            respawn_rows(self.blocks, chosen, keys, self.goal, self.task.spread, self._hover)
            if self._weather:
                self.actuation.reset(keys, chosen)
            if self._bodies is not None:
                self._bodies.push(chosen)

    def step(self, action: Float) -> tuple[Float, Float, Bool, Bool]:
        """Advance 1/48 s.

        Args:
            action: (E, N, 4) in [-1, 1]; clipped; what is not finite counts as 0.

        Returns:
            Buffers observation, reward, terminated, truncated; overwritten by the next step.
        """
        if self._at_once and not (self._weather or self.faults.kinds):
            self._tick(action)
        else:
            self.move(action)
            self._judge()
        return self.observation, self.reward, self.terminated, self.truncated

    def move(self, action: Float) -> None:
        """The physics alone: 1/48 s, states are up to date, nothing is judged or observed."""
        if self._weather or self.faults.kinds:
            self._disturb()
        blocks = self.blocks
        if blocks.compiled:
            action = np.ascontiguousarray(action, blocks.dtype)
            hover = blocks.dtype.type(self._hover)
            command(self._flat, action, blocks.teams, self.n_drones, hover, blocks.packed)
        else:
            clipped = np.clip(np.nan_to_num(action, posinf=0.0, neginf=0.0), -1.0, 1.0)
            blocks.put(Row.COMMAND, blocks.dtype.type(self._hover) * (1 + clipped))
        if self._bodies is None:
            blocks.advance(SUBSTEPS)
        else:
            self._bodies.advance(SUBSTEPS)

    def _disturb(self) -> None:
        now = self._clock / CONTROL_HZ
        keys = mix(self._seed, self._episode, np.arange(self.n_envs), self._clock)
        effort = self.blocks.get(Row.MOTOR, 4).mean(axis=-1) / (2 * self._hover)
        self.actuation.apply(self.faults.effects(now), np.minimum(effort, 1.0), keys)

    def _judge(self) -> None:
        """Collisions, reward and ends; then new episodes where they are due."""
        if self.blocks.compiled:
            self._judge_compiled()
            self._follow()
            return
        self._clock += 1
        evaluate_rows(self)
        done = self.terminated | self.truncated
        if self.auto_reset and done.any():
            self._episode[done] += 1
            self._clock[done] = 0
            self._respawn(done)
            self._observe()

    def _follow(self) -> None:
        """PyBullet's bodies follow the teams that the loop has started anew."""
        done = self.terminated | self.truncated
        if self._bodies is not None and self.auto_reset and done.any():
            self._bodies.push(done)

    def _judge_compiled(self) -> None:
        self._contact()
        judge_of(self.n_drones)(self._flat, *self._judging)

    def _arguments_of_judge(self) -> tuple[Any, ...]:
        task, real = self.task, self.blocks.dtype.type
        return (
            *(self.goal, self._clock, self._episode, self._seed, self.limit),
            *(real(2 * self.model.radius), real(task.floor), real(task.reach)),
            *(real(task.spread), real(self._hover), task.end_on_touch, self.auto_reset),
            *(self.observation, self.reward, self.terminated, self.truncated, self.touched),
            self._hit,
        )

    def _tick(self, action: Float) -> None:
        """One call into compiled code does all, as long as nothing is near anything."""
        action = np.ascontiguousarray(action, np.float64)
        said = self._bodies.server.tick(self.blocks, action, self._hover, SUBSTEPS, self._judging)
        if said == NEAR:
            self._judge()
        elif said == ENDED:
            self._follow()

    def _contact(self) -> Bool:
        """(E, N) bodies that PyBullet, where it is in, finds in contact."""
        if self._bodies is not None:
            self._bodies.find_contacts(self._hit)
        return self._hit

    def _observe(self) -> None:
        evaluate_rows(self, judge=False)

    def snapshot(self) -> dict[str, Float]:
        """All that is needed to go on from here, bit-equal; arrays by name.

        PyBullet's bodies are put where they were read, because it keeps a few bits to itself.
        """
        if self._bodies is not None and self.backend != "mixed":
            self._bodies.push()
        held = {name: getattr(self, name).copy() for name in _KEPT}
        inside = self._bodies.snapshot() if self.backend == "mixed" else {}
        return {**held, **inside, "state": self.blocks.data.copy()}

    def restore(self, saved: dict[str, Float]) -> None:
        """Go back to a snapshot of a simulator of the same shape."""
        for name in _KEPT:
            getattr(self, name)[...] = saved[name]
        self.blocks.data[...] = saved["state"]
        if self.backend == "mixed":
            self._bodies.restore(saved)
        elif self._bodies is not None:
            self._bodies.push()

    @property
    def state(self) -> Float:
        """(E, N, 17) position, quaternion, velocity, angular velocity (world), rotor thrusts."""
        return self.blocks.get(0, STATE)

    def close(self) -> None:
        """Free the backend."""
        if self._bodies is not None:
            self._bodies.close()


_KEPT = (
    *("observation", "reward", "terminated", "truncated", "touched"),
    *("_clock", "_episode", "_seed"),
)


def formation(drones: int) -> Float:
    """(N, 3) m, places on a square grid at a height of 1 m, centred."""
    side = math.ceil(math.sqrt(drones))
    index = np.arange(drones)
    place = np.stack([index % side, index // side, 0 * index], axis=-1).astype(float)
    place[:, :2] -= (side - 1) / 2
    return place * SPACING + [0.0, 0.0, 1.0]
