"""Tensors in, tensors out: the environment, or low-level flight, without copies where possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.flight import FlightSim
from swarmhold.sim.step import Step


class TorchSwarm:
    """`SwarmEnv` with the actor's inputs as tensors (E N, ...) by the names of the graph."""

    def __init__(self, env: SwarmEnv) -> None:
        """Args: environment behind it."""
        self.env = env
        self._bound = np.asarray(env.spec.action_bound)

    def reset(self, **options: Any) -> tuple[dict[str, Tensor], Step]:
        """See `SwarmEnv.reset`."""
        return self._tensors(self.env.reset(**options))

    def step(self, action: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Step]:
        """Advance by normalised actions (E, N, Da), or (E N, Da).

        Returns:
            Inputs, reward (E) float32, done (E), and the step.
        """
        shape = (self.env.n_envs, self.env.n_robots, -1)
        wish = action.detach().to("cpu", torch.float64).numpy().reshape(shape)
        inputs, step = self._tensors(self.env.step(wish * self._bound))
        reward = torch.from_numpy(step.outcome.reward.astype(np.float32))
        return inputs, reward, torch.from_numpy(step.done.copy()), step

    @staticmethod
    def _tensors(step: Step) -> tuple[dict[str, Tensor], Step]:
        arrays = step.observation.graph_inputs(step.teammate_health)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, step


class TorchFlight:
    """`FlightSim` whose buffers are tensors; they share memory and are overwritten by each step."""

    def __init__(self, sim: FlightSim) -> None:
        """Args: simulator behind it."""
        self.sim = sim
        self.observation = torch.from_numpy(sim.observation)
        self.reward = torch.from_numpy(sim.reward)
        self.terminated = torch.from_numpy(sim.terminated)
        self.truncated = torch.from_numpy(sim.truncated)

    def reset(self, **options: Any) -> Tensor:
        """See `FlightSim.reset`."""
        self.sim.reset(**options)
        return self.observation

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Advance by actions (E, N, 4)."""
        self.sim.step(action.detach().cpu().numpy())
        return self.observation, self.reward, self.terminated, self.truncated
