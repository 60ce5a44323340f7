"""JaxRobotarium's scenarios as batched environments with plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.jaxrobotarium.install import probe

# Scenario: class, usual number of robots, and its kind of heterogeneity with what the robots of
# each half (or third) of the team are. Teams of other sizes get the same kinds in turn.
SCENARIOS: dict[str, tuple[str, int, tuple[str, list[list[float]]] | None]] = {
    "navigation": ("Navigation", 3, None),
    "discovery": ("Discovery", 4, ("capability_set", [[0.45, 0.0], [0.0, 0.25]])),
    "material_transport": (
        "MaterialTransport",
        4,
        ("capability_set", [[0.45, 5.0], [0.15, 15.0]]),
    ),
    "warehouse": ("Warehouse", 6, ("class", [[1, 0], [0, 1]])),
    "arctic_transport": ("ArcticTransport", 4, None),
    "foraging": ("Foraging", 2, ("capability_set", [[1.0], [2.0]])),
    "rware": ("RWARE", 2, None),
    "predator_prey": ("PredatorPrey", 3, None),
}
LOADS = {"zone1_dist": {"mu": 75.0, "sigma": 10.0}, "zone2_dist": {"mu": 15.0, "sigma": 4.0}}
MOST_NAVIGATING = 7  # its layout has 15 cells, and a robot needs two


def _options(scenario: str, n_robots: int, given: dict[str, Any]) -> dict[str, Any]:
    """Options of a scenario for a team size, where the caller gives no others."""
    kinds = SCENARIOS[scenario][2]
    found: dict[str, Any] = dict(LOADS) if scenario == "material_transport" else {}
    if kinds is not None:
        name, rows = kinds
        values = sorted((rows[i % len(rows)] for i in range(n_robots)), key=rows.index)
        found["heterogeneity"] = {"type": name, "values": values, "obs_type": None}
    return {**found, **given}


class JaxRobotariumEnv:
    """E teams of N robots in one of JaxRobotarium's scenarios.

    Teams whose episode has ended start anew within `step`: what is then returned as observation
    is the first of the new episode; reward, done and info are of the old one.

    Attributes:
        agents: JaxRobotarium's names of the robots.
        n_actions: number of discrete actions (stay, up, down, right, left), or 0.
        seconds: that a step lasts.
    """

    def __init__(
        self,
        scenario: str,
        n_envs: int = 1,
        n_robots: int | None = None,
        seed: int = 0,
        max_steps: int | None = None,
        ticks: int = 30,
        continuous: bool = False,
        barrier: bool = True,
        each_tick: bool = False,
        **options: Any,
    ) -> None:
        """Build the environment; the first `reset` and `step` compile for ten seconds or so.

        Args:
            scenario: one of `SCENARIOS`.
            n_envs: E.
            n_robots: N; None: as usual for the scenario.
            seed: of layouts.
            max_steps: of an episode (JaxRobotarium then plays one more); None: the scenario's.
            ticks: of 33 ms in a step.
            continuous: actions are (v, omega) in m/s and rad/s; otherwise waypoints to drive to.
            barrier: filter the commands.
            each_tick: control and filter in every tick, as on the testbed; otherwise once a step.
            options: of the scenario class.

        Raises:
            ConfigError: unknown scenario, no room for the robots, or see `probe`.
        """
        if scenario not in SCENARIOS:
            raise ConfigError(f"unknown {scenario!r}; choose one of: {', '.join(SCENARIOS)}")
        name, usual, _ = SCENARIOS[scenario]
        n_robots = usual if n_robots is None else n_robots
        if n_envs < 1 or n_robots < 2 or ticks < 1:
            raise ConfigError(f"{n_envs} teams of {n_robots} robots, {ticks} ticks: too few")
        if scenario == "navigation" and n_robots > MOST_NAVIGATING:
            raise ConfigError(f"navigation has room for {MOST_NAVIGATING} robots, not {n_robots}")
        if scenario == "arctic_transport" and n_robots != usual:
            raise ConfigError(f"arctic_transport is made for {usual} robots, not {n_robots}")
        self._jax = (found := probe()).jax
        self.scenario, self.n_envs, self.n_robots = scenario, n_envs, n_robots
        self.seconds = ticks * 0.033
        self.env = getattr(found.scenarios, name)(
            n_robots,
            **({} if max_steps is None else {"max_steps": max_steps}),
            action_type="Continuous" if continuous else "Discrete",
            controller={
                "controller": None if continuous else "clf_uni_position",
                "barrier_fn": "robust_barriers" if barrier else None,
            },
            update_frequency=ticks,
            eval=each_tick,
            **_options(scenario, n_robots, options),
        )
        self.agents, self.continuous = list(self.env.agents), continuous
        self.n_actions = 0 if continuous else int(self.env.action_dim)
        self._key = self._jax.random.PRNGKey(seed)
        self._state: Any = None
        self._compile()

    def _compile(self) -> None:
        jax, env, agents = self._jax, self.env, self.agents
        array, stack = jax.numpy.asarray, jax.numpy.stack

        def rows(by_agent: Any) -> Any:
            return stack([by_agent[agent] for agent in agents])

        def firm(tree: Any) -> Any:  # weakly typed numbers would be compiled for once more
            return jax.tree.map(lambda leaf: array(leaf, array(leaf).dtype), tree)

        def reset(key: Any) -> Any:
            seen, state = env.reset(key)
            return rows(seen), firm(state)

        def step(key: Any, state: Any, action: Any) -> Any:
            chosen = {agent: action[i] for i, agent in enumerate(agents)}
            seen, state, reward, done, info = env.step(key, state, chosen)
            return rows(seen), firm(state), rows(reward), done["__all__"], info

        self._reset, self._step = jax.jit(jax.vmap(reset)), jax.jit(jax.vmap(step))

    def _keys(self) -> Any:
        self._key, key = self._jax.random.split(self._key)
        return self._jax.random.split(key, self.n_envs)

    def reset(self, seed: int | None = None) -> Float:
        """Start new episodes everywhere; a seed makes all that follows repeatable.

        Returns:
            Observations (E, N, Do).
        """
        if seed is not None:
            self._key = self._jax.random.PRNGKey(seed)
        seen, self._state = self._reset(self._keys())
        return np.asarray(seen)

    def step(self, action: Float) -> tuple[Float, Float, Bool, dict[str, Float]]:
        """Advance one decision.

        Args:
            action: (E, N) numbers of discrete actions, or (E, N, 2) m/s and rad/s.

        Returns:
            Observations (E, N, Do), rewards (E, N), ended episodes (E,), and what the scenario
            tells besides (E, ...): collisions, robots that left the arena, success.

        Raises:
            ConfigError: not the right shape, or not reset yet.
        """
        wanted = (self.n_envs, self.n_robots) + ((2,) if self.continuous else ())
        kind = np.float32 if self.continuous else np.int32
        action = np.asarray(action, kind)
        if self._state is None or action.shape != wanted:
            raise ConfigError(f"reset first, then give actions {wanted}, not {action.shape}")
        seen, self._state, reward, done, info = self._step(self._keys(), self._state, action)
        told = {name: np.asarray(value) for name, value in info.items()}
        return np.asarray(seen), np.asarray(reward), np.asarray(done), told

    @property
    def poses(self) -> Float:
        """(E, N, 3) m, m and rad: where the robots are."""
        return np.asarray(self._state.p_pos[:, : self.n_robots], float)

    @poses.setter
    def poses(self, value: Float) -> None:
        """Put the robots elsewhere."""
        places = self._state.p_pos.at[:, : self.n_robots].set(np.asarray(value, np.float32))
        self._state = self._state.replace(p_pos=places)

    @property
    def landmarks(self) -> Float:
        """(E, L, 2) m: goals, resources, or what else the scenario keeps beside the robots."""
        return np.asarray(self._state.p_pos[:, self.n_robots :, :2], float)
