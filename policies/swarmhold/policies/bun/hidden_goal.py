"""Hidden goals: everybody must get somewhere that only another one sees.

N point robots in a square of half width 1; a robot's goal is seen by its watcher alone, a fixed
permutation without fixed points, so that exactly N of N (N - 1) directed edges are necessary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.bun.network import JointNetwork

STEP = 0.2  # of the half width, farthest that a robot gets in a decision
STEPS = 20  # decisions of an episode
OBSERVED = 4  # own position, goal of the robot that is watched


@dataclass(frozen=True, slots=True)
class HiddenGoal:
    """The task.

    Attributes:
        watcher: (N) who sees the goal of each robot.
    """

    watcher: tuple[int, ...]

    @property
    def edges(self) -> np.ndarray:
        """(N, N) receiver, sender: what is necessary."""
        n = len(self.watcher)
        found = np.zeros((n, n), bool)
        found[np.arange(n), list(self.watcher)] = True
        return found

    def distances(
        self,
        net: JointNetwork,
        episodes: int,
        rng: torch.Generator,
        noise: float = 0.0,
        dropout: float = 0.0,
    ) -> Tensor:
        """Fly episodes.

        Args:
            net: decides.
            episodes: B.
            rng: of starts, goals, noise and lost messages.
            noise: standard deviation of what is added to every observed value.
            dropout: share of the messages that do not arrive.

        Returns:
            (T + 1, B, N) from the goals, before the first decision and after each.
        """
        n = len(self.watcher)
        position = 2.0 * torch.rand(episodes, n, 2, generator=rng) - 1.0
        goal = 2.0 * torch.rand(episodes, n, 2, generator=rng) - 1.0
        watched = torch.argsort(torch.tensor(self.watcher))
        out = [_norm(goal - position)]
        for _ in range(STEPS):
            seen = torch.cat([position, goal[:, watched]], dim=-1)
            if noise:
                seen = seen + noise * torch.randn(seen.shape, generator=rng)
            valid = None
            if dropout:
                valid = (torch.rand(episodes, n, n, generator=rng) >= dropout).to(seen.dtype)
                valid.diagonal(dim1=1, dim2=2).fill_(1.0)
            position = position + STEP * net(seen, seen[:, None], valid)
            out.append(_norm(goal - position))
        return torch.stack(out)


def hidden_goal(robots: int, seed: int) -> HiddenGoal:
    """A permutation without fixed points."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = rng.permutation(robots)
        if (drawn != np.arange(robots)).all():
            return HiddenGoal(tuple(drawn.tolist()))


def _norm(vector: Tensor) -> Tensor:
    return torch.sqrt(vector.square().sum(dim=-1) + 1e-8)
