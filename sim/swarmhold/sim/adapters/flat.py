"""One episode as flat float32 vectors: what the Gymnasium and PettingZoo views share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

LARGE = 1e3  # nothing that is seen is larger; what is not finite counts as zero
RESET = ("faults", "team_sizes", "presence")
Flat = NDArray[np.float32]


class FlatSwarm:
    """A `SwarmEnv` with vectors for tokens and actions in [-1, 1].

    The vector of a robot is its own token, the teammate tokens in roster order, the teammates'
    health weights (exact, unless `health` is off: then 1), the obstacle tokens, and their mask.

    Attributes:
        env: environment behind it.
        size: F, length of the vector.
        actions: Da, length of an action.
    """

    def __init__(self, scenario: str, health: bool = True, **options: Any) -> None:
        """Args: scenario, whether weights tell the faulty, and the rest as in `SwarmEnv`."""
        self.env = SwarmEnv(scenario, **options)
        self._health = health
        self._bound = np.asarray(self.env.spec.action_bound)
        self.size = self.vectors(self.env.reset()).shape[-1]
        self.env.reset(seed=options.get("seed", 0))
        self.actions = self.env.spec.action_size

    def reset(self, seed: Any = None, mask: Bool | None = None, options: Any = None) -> Flat:
        """Start episodes; of `options` those of `SwarmEnv.reset` that `RESET` names are used."""
        given = {name: value for name, value in (options or {}).items() if name in RESET}
        return self.vectors(self.env.reset(seed=seed, mask=mask, **given))

    def step(self, action: Float) -> tuple[Flat, Step]:
        """Advance by actions (E, N, Da) in [-1, 1]."""
        shape = (self.env.n_envs, self.env.n_robots, self.actions)
        step = self.env.step(np.asarray(action, float).reshape(shape) * self._bound)
        return self.vectors(step), step

    def vectors(self, step: Step) -> Flat:
        """(E, N, F) of a step."""
        seen, shape = step.observation, (self.env.n_envs, self.env.n_robots, -1)
        weights = step.teammate_health if self._health else np.ones_like(step.teammate_health)
        parts = (seen.self_token, seen.team, weights, seen.obstacles, seen.obstacle_mask)
        flat = np.concatenate([np.asarray(part, float).reshape(shape) for part in parts], axis=-1)
        flat = np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
        return np.clip(flat, -LARGE, LARGE).astype(np.float32)
