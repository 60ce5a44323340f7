"""Gymnasium's interfaces: many teams at once, or one; observation and action are joint.

`register()` makes them known as `swarmhold/SCENARIO-v0`, for `gymnasium.make` and `make_vec`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from swarmhold.sim.adapters.flat import LARGE, Flat, FlatSwarm
from swarmhold.sim.scenarios.registry import SHIPPED


def _spaces(flat: FlatSwarm) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    robots = flat.env.n_robots
    seen = gymnasium.spaces.Box(-LARGE, LARGE, (robots, flat.size), np.float32)
    return seen, gymnasium.spaces.Box(-1.0, 1.0, (robots, flat.actions), np.float32)


class SwarmGymEnv(gymnasium.Env):
    """One team as one agent: observation (N, F), action (N, Da), shared reward."""

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
    }

    def __init__(
        self, scenario: str = "coverage", render_mode: str | None = None, **options: Any
    ) -> None:
        """Args: scenario, None or "rgb_array", and the rest as in `SwarmEnv`."""
        self._flat = FlatSwarm(scenario, n_envs=1, **options)
        self.render_mode = render_mode
        self.observation_space, self.action_space = _spaces(self._flat)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Flat, dict[str, Any]]:
        """Start an episode; a seed starts the sequence of episodes anew."""
        super().reset(seed=seed)
        return self._flat.reset(seed=seed, options=options)[0], {}

    def step(self, action: Any) -> tuple[Flat, float, bool, bool, dict[str, Any]]:
        """Advance one decision."""
        vectors, step = self._flat.step(np.asarray(action)[None])
        outcome = step.outcome
        info = {"score": float(outcome.score[0]), "success": bool(outcome.success[0])}
        return vectors[0], float(outcome.reward[0]), False, bool(step.done[0]), info

    def render(self) -> Any:
        """(H, W, 3) uint8, seen from above; needs the extra `plot`."""
        if self.render_mode is None:
            return None
        from swarmhold.sim.render import picture

        return picture(self._flat.env)

    def close(self) -> None:
        """Free the backend."""
        self._flat.env.close()


class SwarmVectorEnv(VectorEnv):
    """E teams; those that end start anew within the same step (`AutoresetMode.SAME_STEP`)."""

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
        "render_fps": 10,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = "coverage",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Args: E, scenario, None or "rgb_array" (of the first team), the rest as in `SwarmEnv`."""
        self._flat = FlatSwarm(scenario, n_envs=num_envs, **options)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = _spaces(self._flat)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Flat, dict[str, Any]]:
        """Start all episodes, or those of `options["reset_mask"]`; a seed s gives s, s + 1, ..."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        if isinstance(seed, int):
            seed = [seed + k for k in range(self.num_envs)]
        return self._flat.reset(seed=seed, mask=mask, options=options), {}

    def step(self, actions: Any) -> tuple[Flat, Any, Any, Any, dict[str, Any]]:
        """Advance one decision."""
        vectors, step = self._flat.step(actions)
        outcome, over = step.outcome, step.done.copy()
        info: dict[str, Any] = {"score": outcome.score.copy(), "success": outcome.success.copy()}
        if over.any():
            last = np.full(self.num_envs, None, object)
            for k in np.flatnonzero(over):
                last[k] = vectors[k]
            info.update(final_obs=last, _final_obs=over.copy())
            vectors = self._flat.reset(mask=over)
        nobody = np.zeros(self.num_envs, bool)
        return vectors, outcome.reward.astype(np.float64), nobody, over, info

    def render(self) -> Any:
        """One picture (H, W, 3) uint8 in a tuple, of the first team; needs the extra `plot`."""
        if self.render_mode is None:
            return None
        from swarmhold.sim.render import picture

        return (picture(self._flat.env),)

    def close_extras(self, **_: Any) -> None:
        """Free the backend."""
        self._flat.env.close()


def register() -> None:
    """Make the shipped scenarios known to `gymnasium.make` and `gymnasium.make_vec`."""
    for name in SHIPPED:
        identity = f"swarmhold/{name}-v0"
        if identity not in gymnasium.registry:
            gymnasium.register(
                identity,
                entry_point=SwarmGymEnv,
                vector_entry_point=SwarmVectorEnv,
                kwargs={"scenario": name},
                disable_env_checker=True,
            )
