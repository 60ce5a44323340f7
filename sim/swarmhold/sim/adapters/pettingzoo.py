"""PettingZoo's ParallelEnv over one episode; agents are the robots."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pettingzoo

from swarmhold.sim.adapters.flat import LARGE, Flat, FlatSwarm


class SwarmParallelEnv(pettingzoo.ParallelEnv):  # type: ignore[misc]
    """One team; every robot gets the shared reward.

    Robots that break stay agents: they are told what they would see, and their actions are
    ignored, as on the field. The episode is truncated by its time limit.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "swarmhold_v0",
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "is_parallelizable": True,
    }

    def __init__(
        self, scenario: str = "coverage", render_mode: str | None = None, **options: Any
    ) -> None:
        """Args: scenario, None or "rgb_array", and the rest as in `SwarmEnv`."""
        self._flat = FlatSwarm(scenario, n_envs=1, **options)
        self.render_mode = render_mode
        self.possible_agents = [f"robot_{k}" for k in range(self._flat.env.n_robots)]
        self.agents: list[str] = []
        self._last: Any = None

    @functools.cache  # noqa: B019 - the interface wants the same object back
    def observation_space(self, agent: str) -> gymnasium.spaces.Box:
        """Box (F)."""
        return gymnasium.spaces.Box(-LARGE, LARGE, (self._flat.size,), np.float32)

    @functools.cache  # noqa: B019
    def action_space(self, agent: str) -> gymnasium.spaces.Box:
        """Box (Da) in [-1, 1]."""
        return gymnasium.spaces.Box(-1.0, 1.0, (self._flat.actions,), np.float32)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Flat], dict[str, dict[str, Any]]]:
        """Start an episode; a seed starts the sequence of episodes anew."""
        vectors = self._flat.reset(seed=seed, options=options)[0]
        self.agents = self.possible_agents[:]
        self._last = None
        return self._by_agent(vectors), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Advance one decision."""
        idle = np.zeros(self._flat.actions)
        action = np.stack([actions.get(agent, idle) for agent in self.possible_agents])
        vectors, step = self._flat.step(action[None])
        self._last = step
        agents, over = self.agents, bool(step.done[0])
        figures = {
            "score": float(step.outcome.score[0]),
            "success": bool(step.outcome.success[0]),
        }
        healthy = step.truth.healthy[0]
        infos = {
            agent: {**figures, "healthy": bool(healthy[self.possible_agents.index(agent)])}
            for agent in agents
        }
        if over:
            self.agents = []
        seen = self._by_agent(vectors[0])
        return (
            {agent: seen[agent] for agent in agents},
            {agent: float(step.outcome.reward[0]) for agent in agents},
            {agent: False for agent in agents},
            {agent: over for agent in agents},
            infos,
        )

    def state(self) -> Flat:
        """(N, 6) true position (3, m) and velocity (3, m/s), world frame, as float32."""
        bodies = self._flat.env.physics.bodies
        both = np.concatenate([bodies.position[0], bodies.velocity[0]], axis=-1)
        return both.astype(np.float32)

    def render(self) -> np.ndarray | None:
        """(H, W, 3) uint8, seen from above; needs the extra `plot`."""
        if self.render_mode is None:
            return None
        from swarmhold.sim.render import picture

        return picture(self._flat.env)

    def close(self) -> None:
        """Free the backend."""
        self._flat.env.close()

    def _by_agent(self, vectors: Flat) -> dict[str, Flat]:
        return dict(zip(self.possible_agents, vectors.copy(), strict=True))
