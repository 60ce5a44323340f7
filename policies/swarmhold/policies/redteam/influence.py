"""AMI-lite (level 4): adversarial minority influence (Li et al., arXiv 2302.03322), shortened.

Beside its own reward an attacker is paid for unilateral influence: for how likely its action makes
what would be worst for the team. Two networks say what that means. A predictor tells what the
others do next from the state and everybody's actions, by maximum likelihood. An oracle names a
target, the next actions after which attackers were best off. The influence is the density that
the predictor gives to the target, averaged over actions that the attackers might have taken
instead; so what counts is how the others respond to attackers, not how they drive them.

Shortened: both networks are feed-forward and see one step; the oracle learns by regression on what
the others did, weighted by the advantage that followed (arXiv 1910.00177), instead of a PPO of its
own; and the influence is scaled to a share of the spread of the attackers' reward.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.policies.critic import LANDMARK_SIZE, ROBOT_SIZE
from swarmhold.policies.mappo import ValueScale, advantages
from swarmhold.policies.rollout import Batch
from swarmhold.sim.env import SwarmEnv

WIDTH = 128
RATE = 5e-4
PASSES, PIECE = 4, 512  # over a batch, and rows of one gradient step
DRAWS = 10  # counterfactual actions
SHARE = 0.5  # spread of the influence against that of the attackers' own reward
STD_LOW, STD_HIGH = 0.1, 1.0  # of the predictor, normalised actions
GAMMA, LAMBDA = 0.97, 0.95
SHARPEST = 20.0  # largest weight of a sample of the oracle


class Guess(nn.Module):
    """Everybody's next actions from the state and everybody's actions: a diagonal Gaussian."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Args: numbers that go in, and actions that come out."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
        )
        self.mean, self.spread = nn.Linear(WIDTH, outputs), nn.Linear(WIDTH, outputs)

    def forward(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (..., outputs)."""
        hidden = self.body(known)
        share = torch.sigmoid(self.spread(hidden))
        return self.mean(hidden), STD_LOW + (STD_HIGH - STD_LOW) * share


class Influence:
    """Adds unilateral influence to the reward of a batch, and learns from the batch first."""

    def __init__(self, env: SwarmEnv, seed: int) -> None:
        """Args: environment of the episodes; seed of networks, samples and counterfactuals."""
        self._draw = torch.Generator().manual_seed(seed)
        joint = env.n_robots * env.spec.action_size
        marks = max(env.landmarks.mask.shape[1], 1)
        state = env.n_robots * ROBOT_SIZE + marks * LANDMARK_SIZE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.predictor, self.oracle = Guess(state + joint, joint), Guess(state + joint, joint)
            self._critic = nn.Sequential(nn.Linear(state, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
        nets = nn.ModuleList([self.predictor, self.oracle, self._critic])
        self._optimiser = torch.optim.Adam(nets.parameters(), lr=RATE)
        self._scale = ValueScale()

    def __call__(self, batch: Batch, std: float) -> Batch:
        """The batch with the shaped reward; nothing in the given one changes.

        Args:
            batch: episodes of attackers.
            std: spread of the policy that they explored with.
        """
        self.fit(batch)
        influence = self.measure(batch, std).numpy()
        scale = SHARE * batch.reward.std() / max(float(influence.std()), 1e-6)
        return replace(batch, reward=batch.reward + scale * (influence - influence.mean()))

    def measure(self, batch: Batch, std: float) -> Tensor:
        """(T, E) mean density of the oracle's target over victims and their action components.

        Args:
            batch: episodes of attackers.
            std: spread of their policy.
        """
        state, taken, victims = state_of(batch)[:-1], actions_of(batch), victims_of(batch)
        with torch.no_grad():
            target, _ = self.oracle(torch.cat([state, taken], dim=-1))
            density = torch.zeros_like(taken)
            for other in counterfactuals(batch, std, self._draw):
                mean, spread = self.predictor(torch.cat([state, other], dim=-1))
                density += torch.exp(-0.5 * ((target - mean) / spread) ** 2) / spread / DRAWS
        density /= np.sqrt(2 * np.pi)
        return (density * victims).sum(dim=-1) / victims.sum(dim=-1)

    def fit(self, batch: Batch) -> float:
        """Train predictor, oracle and critic on a batch.

        Returns:
            Mean negative log likelihood (up to a constant) of the last pass of the predictor.
        """
        state, taken, victims = state_of(batch), actions_of(batch), victims_of(batch)
        scale = self._scale
        with torch.no_grad():
            value = self._critic(state)[..., 0].numpy() * scale.std + scale.mean
        gain, returns = advantages(batch.reward, value, GAMMA, LAMBDA)
        scale.update(returns)
        better = (gain[1:] - gain[1:].mean()) / (gain[1:].std() + 1e-8)  # one step later
        weight = np.minimum(np.exp(better), SHARPEST).astype(np.float32)
        wanted = ((returns[1:] - scale.mean) / scale.std).astype(np.float32)
        parts = [
            torch.cat([state[:-2], taken[:-1]], dim=-1).flatten(0, 1),
            *(part[1:].flatten(0, 1) for part in (taken, victims, state[:-1])),
            *(torch.from_numpy(part).flatten() for part in (weight, wanted)),
        ]
        surprises: list[float] = []
        for _ in range(PASSES):
            surprises.clear()
            for rows in torch.randperm(len(parts[0]), generator=self._draw).split(PIECE):
                self._optimiser.zero_grad()
                surprise, rest = self._losses(*(part[rows] for part in parts))
                (surprise + rest).backward()
                self._optimiser.step()
                surprises.append(float(surprise.detach()))
        return float(np.mean(surprises))

    def _losses(
        self,
        known: Tensor,
        after: Tensor,
        victims: Tensor,
        state: Tensor,
        weight: Tensor,
        wanted: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Surprise at what came after; weighted miss of the target with the critic's misfit."""
        mean, spread = self.predictor(known)
        surprise = 0.5 * ((after - mean) / spread) ** 2 + torch.log(spread)
        target, _ = self.oracle(known)
        miss = weight[:, None] * (after - target) ** 2
        fit = nn.functional.huber_loss(self._critic(state)[..., 0], wanted)
        surprise, miss = ((part * victims).sum(dim=-1).mean() for part in (surprise, miss))
        return surprise, miss + fit


def actions_of(batch: Batch) -> Tensor:
    """(T, E, N Da) a copy of everybody's normalised actions."""
    return torch.from_numpy(batch.action.copy()).flatten(2)


def victims_of(batch: Batch) -> Tensor:
    """(T, E, N Da) 1 for the action components of robots that do not attack."""
    return torch.from_numpy(np.repeat(~batch.valid, batch.action.shape[-1], axis=-1)).float()


def state_of(batch: Batch) -> Tensor:
    """(T + 1, E, S) the true state of teams and landmarks, flat."""
    parts = [torch.from_numpy(batch.critic[key]).flatten(2) for key in ("robots", "marks")]
    return torch.cat(parts, dim=-1)


def counterfactuals(batch: Batch, std: float, draw: torch.Generator) -> list[Tensor]:
    """What everybody might have done, had the attackers drawn other actions.

    The actions are copied first: the tensors of a roll-out share memory with its arrays, and
    writing into them would change what the attackers learn from.

    Args:
        batch: episodes of attackers.
        std: spread of their policy.
        draw: source of randomness.

    Returns:
        `DRAWS` tensors (T, E, N Da) of normalised actions.
    """
    mean = torch.from_numpy(batch.mean)
    attacks = torch.from_numpy(np.array(batch.valid))[..., None]
    taken = torch.from_numpy(batch.action.copy())
    return [
        torch.where(attacks, mean + std * torch.randn(mean.shape, generator=draw), taken).flatten(2)
        for _ in range(DRAWS)
    ]
