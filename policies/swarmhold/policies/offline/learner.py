"""One gradient step of offline learning for a team: two critics of the joint action, one actor.

MADDPG's best response under data (arXiv 1706.02275): each robot's action is replaced by its
policy's, the others' are those recorded. The lesser of two critics counts (TD3, 1802.09477), the
critics are held down off the data (CQL, 2006.04779), values are scaled to 1 (TD3+BC, 2106.06860)
and the policy is tied to the one deployed, from which it starts.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.types import Float, Int
from swarmhold.policies.actor import Actor
from swarmhold.policies.descent import descend, follow
from swarmhold.policies.forward import policy_means
from swarmhold.policies.offline.view import HEALTHY, Transitions

Net = TypeVar("Net", bound=nn.Module)
CLIP = 1.0  # largest norm of a gradient
FAR = 5.0  # standard deviations at which what critics see is clipped
STRAY = 0.3  # spread of the actions off the data that are near the policy's


@dataclass(frozen=True, slots=True)
class Rates:
    """Hyper-parameters of a step.

    Attributes:
        gamma: discount per decision.
        actor: learning rate.
        critic: learning rate.
        tau: share that the slow copies take over.
        cql: weight of the conservative term.
        samples: actions off the data, of each kind, that it compares with.
        anchor: weight of departing from the deployed policy, against values scaled to 1.
        cloning: weight of departing from the recorded actions, likewise.
    """

    gamma: float = 0.95
    actor: float = 1e-4
    critic: float = 1e-3
    tau: float = 0.02
    cql: float = 0.0
    samples: int = 4
    anchor: float = 0.1
    cloning: float = 0.1


class ValueNet(nn.Module):
    """Value of the team from what critics see and the joint action."""

    def __init__(self, size: int, width: int = 128) -> None:
        """Args: values of the input, and width of the hidden layers."""
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
            nn.Linear(width, 1),
        )

    def forward(self, seen: Tensor, action: Tensor) -> Tensor:
        """(...) of what is seen (..., X) and joint actions (..., N, A)."""
        values: Tensor = self.net(torch.cat([seen, action.flatten(-2)], dim=-1))
        return values[..., 0]


class Insight:
    """What critics see of a recording: state, own tokens and who is well, standardised."""

    def __init__(self, data: Transitions) -> None:
        """Args: the recording, of which it takes mean and spread."""
        raw = self._raw(data)
        self._mean, self._std = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3)
        self.values = torch.from_numpy(self.of(data))

    @property
    def size(self) -> int:
        """Values of a decision."""
        return len(self._mean)

    def of(self, data: Transitions) -> Float:
        """(T, X) of a recording of the same team."""
        scaled = (self._raw(data) - self._mean) / self._std
        return np.clip(scaled, -FAR, FAR).astype(np.float32)

    @staticmethod
    def _raw(data: Transitions) -> Float:
        count = len(data.alive)
        parts = (data.state, data.obs["self"], data.alive, data.fault == HEALTHY)
        flat = [np.asarray(part, np.float64).reshape(count, -1) for part in parts]
        return np.nan_to_num(np.concatenate(flat, axis=1), posinf=0.0, neginf=0.0)


@dataclass(slots=True)
class OfflineLearner:
    """Networks and one step of theirs on rows of a recording.

    Attributes:
        data: the recording.
        insight: what critics see of it.
        rates: hyper-parameters.
        actor: trained in place.
        deployed: (T, N, A) what the deployed actor, from which this one starts, would do.
        critics: two, each of its own beginnings.
        scale: return that counts as 1.
    """

    data: Transitions
    insight: Insight
    rates: Rates
    actor: Actor
    deployed: Float
    critics: list[ValueNet]
    scale: float
    target_actor: Actor = field(init=False)
    target_critics: list[ValueNet] = field(init=False)
    _optimisers: list[torch.optim.Optimizer] = field(init=False)
    _moved: bool = False

    def __post_init__(self) -> None:
        """Slow copies, each of its own network, and one optimiser for each network."""
        self.target_actor = _frozen(self.actor)
        self.target_critics = [_frozen(critic) for critic in self.critics]
        rates = self.rates
        self._optimisers = [
            torch.optim.Adam(self.actor.parameters(), lr=rates.actor),
            *(torch.optim.Adam(critic.parameters(), lr=rates.critic) for critic in self.critics),
        ]

    @classmethod
    def make(cls, data: Transitions, deployed: Actor, rates: Rates, seed: int) -> OfflineLearner:
        """A learner that starts from the deployed actor.

        Args:
            data: the recording.
            deployed: the actor that flies; it is not changed.
            rates: hyper-parameters.
            seed: of the critics.
        """
        insight = Insight(data)
        torch.manual_seed(seed)
        size = insight.size + data.act_applied.shape[1] * data.act_applied.shape[2]
        critics = [ValueNet(size) for _ in range(2)]
        scale = max(float(np.std(returns_of(data, rates.gamma))), 1e-3)
        fresh = copy.deepcopy(deployed).requires_grad_(True)
        return cls(data, insight, rates, fresh, data.actions_of(deployed), critics, scale)

    def step(self, ticks: Int, learn_actor: bool = True) -> dict[str, float]:
        """Learn from decisions; returns figures for the log."""
        figures: dict[str, float] = {}
        losses, figures["value"] = self.critic_losses(ticks)
        for loss, critic, optimiser in zip(losses, self.critics, self._optimisers[1:], strict=True):
            descend(optimiser, critic, loss, CLIP)
        figures["critic_loss"] = float(losses[0].detach())
        if learn_actor:
            loss = self.actor_loss(ticks)
            descend(self._optimisers[0], self.actor, loss, CLIP)
            self._moved = True
            figures["actor_loss"] = float(loss.detach())
        self._follow()
        return figures

    def critic_losses(self, ticks: Int) -> tuple[list[Tensor], float]:
        """Loss of each critic, which touches that one alone, and the mean value of the data."""
        data, rates = self.data, self.rates
        rows = ticks[data.follows[ticks] | data.terminal[ticks].any(axis=1)]
        on = torch.from_numpy(data.follows[rows].astype(np.float32))
        after = np.minimum(rows + 1, len(data.alive) - 1)
        reward = torch.from_numpy(_team_reward(data, rows) / self.scale).float()
        with torch.no_grad():
            future = self._future(after)
            seen = self.insight.values[after]
            values = torch.stack([critic(seen, future) for critic in self.target_critics])
            wanted = reward + rates.gamma * on * values.min(dim=0).values
        seen, action = self.insight.values[rows], self._applied(rows)
        off = self._strays(rows) if rates.cql > 0.0 else None
        losses, means = [], []
        for critic in self.critics:
            given = critic(seen, action)
            loss = ((given - wanted) ** 2).mean()
            if off is not None:
                loss = loss + rates.cql * (_highest(critic, seen, *off) - given).mean()
            losses.append(loss)
            means.append(float(given.detach().mean()))
        return losses, float(np.mean(means)) * self.scale

    def actor_loss(self, ticks: Int) -> Tensor:
        """Values of each robot's own action, the others' recorded, and what ties the policy."""
        rates, counts = self.rates, torch.from_numpy(self.data.counts[ticks]).float()
        inputs = self.data.inputs(ticks)
        mean = policy_means(self.actor, self.actor.prepare(*inputs), alone=False)[1]
        mean = mean.unflatten(0, counts.shape)
        before = torch.from_numpy(self.deployed[ticks])
        robots, action = counts.shape[1], self._applied(ticks)
        mine = torch.eye(robots)[None, :, :, None]  # 1, N (whose turn), N, 1
        joint = torch.where(mine > 0.0, mean[:, None], action[:, None])
        seen = self.insight.values[ticks][:, None].expand(-1, robots, -1)
        value = torch.minimum(*(critic(seen, joint) for critic in self.critics))
        total = counts.sum().clamp(min=1.0)
        size = (value.detach().abs() * counts).sum() / total
        loss = -(value * counts).sum() / total / size.clamp(min=1e-6)
        for weight, other in ((rates.anchor, before), (rates.cloning, action)):
            away = ((mean - other) ** 2).sum(dim=-1)
            loss = loss + weight * (away * counts).sum() / total
        return loss

    def values(self, ticks: Int) -> Float:
        """(len(ticks)) value of the recorded decisions by the lesser critic, as a return."""
        seen, action = self.insight.values[ticks], self._applied(ticks)
        with torch.no_grad():
            found = torch.minimum(*(critic(seen, action) for critic in self.critics))
        return found.numpy() * self.scale

    def _future(self, rows: Int) -> Tensor:
        """(B, N, A) actions of the slow actor, which before its first step are the deployed."""
        if self._moved:
            return self._joint(self.target_actor, rows)
        counts = torch.from_numpy(self.data.counts[rows])[..., None]
        return torch.where(counts, torch.from_numpy(self.deployed[rows]), self._applied(rows))

    def _joint(self, actor: Actor, rows: Int) -> Tensor:
        """(B, N, A) an actor's actions; those recorded of robots that are not under its control."""
        counts = torch.from_numpy(self.data.counts[rows])
        inputs = self.data.inputs(rows)
        mean = policy_means(actor, actor.prepare(*inputs), alone=False)[1]
        return torch.where(counts[..., None], mean.unflatten(0, counts.shape), self._applied(rows))

    def _strays(self, rows: Int) -> tuple[Tensor, Tensor]:
        """Joint actions (2 samples, B, N, A) off the data, and their log-densities (2 samples, B).

        Half are uniform, half near the policy's; where a robot does not count, all have its own.
        """
        count, action = self.rates.samples, self._applied(rows)
        with torch.no_grad():
            near = self._joint(self.actor, rows)
        anywhere = 2.0 * torch.rand(count, *action.shape) - 1.0
        noise = torch.randn(count, *action.shape)
        about = (near + STRAY * noise).clamp(-1.0, 1.0)
        free = torch.from_numpy(self.data.counts[rows]).float()[..., None].expand_as(action)
        found = torch.where(free > 0.0, torch.cat([anywhere, about]), action)
        each = -0.5 * noise**2 - math.log(STRAY * math.sqrt(2.0 * math.pi))
        density = torch.cat([torch.full_like(anywhere, -math.log(2.0)), each])
        return found, (density * free).sum(dim=(-2, -1))

    def _applied(self, rows: Int) -> Tensor:
        return torch.from_numpy(self.data.act_applied[rows].astype(np.float32))

    def _follow(self) -> None:
        nets = [self.actor, *self.critics]
        slow = [self.target_actor, *self.target_critics]
        follow(zip(slow, nets, strict=True), self.rates.tau)


def _highest(critic: ValueNet, seen: Tensor, strays: Tensor, density: Tensor) -> Tensor:
    """(B) soft maximum of a critic's values of actions (K, B, N, A) drawn with log-densities."""
    values = critic(seen.expand(len(strays), *seen.shape), strays) - density
    return torch.logsumexp(values, dim=0) - math.log(len(strays))


def returns_of(data: Transitions, gamma: float) -> Float:
    """(T) discounted return of the team from each decision to the end of what is recorded."""
    reward, follows = _team_reward(data, np.arange(len(data.alive))), data.follows
    found, ahead = np.zeros(len(reward)), 0.0
    for row in range(len(reward) - 1, -1, -1):
        ahead = reward[row] + gamma * ahead * follows[row]
        found[row] = ahead
    return found


def _team_reward(data: Transitions, rows: Int) -> Float:
    """(len(rows)) mean over the robots."""
    return np.asarray(data.reward[rows].mean(axis=1))


def _frozen(net: Net) -> Net:
    return copy.deepcopy(net).requires_grad_(False)
