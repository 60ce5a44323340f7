"""MAPPO (arXiv 2103.01955): shared actor, privileged critic, clipped surrogate.

Read from top to bottom: advantages, one update, the MIR-F penalty.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic, SharedCritic
from swarmhold.policies.forward import policy_means
from swarmhold.policies.recurrent import recurrent_means
from swarmhold.policies.rollout import CRITIC_KEYS, Batch
from swarmhold.policies.samples import Chunk, Samples, insight, samples_of


@dataclass(slots=True)
class ValueScale:
    """Running mean and spread of returns; the critic predicts normalised values."""

    mean: float = 0.0
    std: float = 1.0
    seen: float = 0.0

    def update(self, returns: np.ndarray) -> None:
        """Blend in the returns of an iteration."""
        share = max(0.1, 1.0 / (self.seen + 1.0))
        self.mean += share * (float(returns.mean()) - self.mean)
        self.std += share * (max(float(returns.std()), 1e-3) - self.std)
        self.seen += 1.0


def advantages(
    reward: np.ndarray, value: np.ndarray, gamma: float, gae_lambda: float
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised advantage estimation (arXiv 1506.02438, eq. 16); episodes end by time limit.

    Args:
        reward: (T, ...).
        value: (T + 1, ...), the last one bootstraps.
        gamma: discount.
        gae_lambda: exponential weight.

    Returns:
        Advantages and returns, each (T, ...).
    """
    gain = np.zeros_like(value)
    for t in reversed(range(len(reward))):
        delta = reward[t] + gamma * value[t + 1] - value[t]
        gain[t] = delta + gamma * gae_lambda * gain[t + 1]
    return gain[:-1], gain[:-1] + value[:-1]


def log_prob(action: Tensor, mean: Tensor, std: float) -> Tensor:
    """(B) log density of a diagonal Gaussian."""
    density = -0.5 * ((action - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    return density.sum(dim=-1)


def mir_penalty(mean: Tensor, alone: Tensor, std: float, clip: float) -> Tensor:
    """MIR-F: KL between the policy and itself with every teammate masked.

    Bounds I(teammates; action | own tokens); the head-count stays at its true value, so that
    the reaction to the supervisor is not penalised.

    Args:
        mean: (B, Da) policy mean, carries the gradient.
        alone: (B, Da) mean of the policy that hears nobody, without gradient.
        std: of the policy.
        clip: largest penalty of one sample.

    Returns:
        (B) penalties.
    """
    divergence = ((mean - alone) ** 2).sum(dim=-1) / (2 * std**2)
    return divergence.clamp(max=clip)


@dataclass(frozen=True, slots=True)
class Mode:
    """How the networks are computed while learning.

    Attributes:
        name: for people.
        bf16: matrix products in bfloat16; weights, sums and losses stay in float32.
        compiled: through torch.compile.
    """

    name: str = "f32"
    bf16: bool = False
    compiled: bool = False


PLAIN = Mode()


def update(
    config: TrainConfig,
    actor: Actor,
    critic: Critic | SharedCritic,
    optimiser: torch.optim.Optimizer,
    scale: ValueScale,
    batch: Batch,
    std: float,
    mir_lambda: float,
    rng: np.random.Generator,
    mode: Mode = PLAIN,
) -> dict[str, float]:
    """One MAPPO update on one batch of episodes; trains in place.

    Args:
        config: of the run.
        actor: policy.
        critic: privileged value function.
        optimiser: of both.
        scale: value normalisation, updated in place.
        batch: T decisions of E teams.
        std: exploration noise that the batch was collected with.
        mir_lambda: weight of the MIR-F penalty now.
        rng: of the minibatch order.
        mode: how the networks are computed.

    Returns:
        Mean losses for the log.
    """
    learn = gradients_of(config, actor, critic, scale, batch, std, mir_lambda, mode)
    per_step = max(1, config.minibatch // learn.samples.numbers.shape[1])
    sums: dict[str, float] = {}
    count = 0
    for _ in range(config.epochs):
        order = rng.permutation(learn.pairs)
        for start in range(0, len(order), per_step):
            optimiser.zero_grad()
            figures = learn(order[start : start + per_step])
            nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
            nn.utils.clip_grad_norm_(critic.parameters(), 0.5)
            optimiser.step()
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + figure
            count += 1
    return {name: total / count for name, total in sums.items()}


def gradients_of(
    config: TrainConfig,
    actor: Actor,
    critic: Critic | SharedCritic,
    scale: ValueScale,
    batch: Batch,
    std: float,
    mir_lambda: float,
    mode: Mode,
) -> Gradients:
    """Advantages and targets of a batch, ready for minibatches; arguments as in `update`."""
    value = _values(critic, batch) * scale.std + scale.mean
    reward = np.repeat(batch.reward[..., None], batch.valid.shape[-1], axis=-1)
    gain, returns = advantages(reward, value, config.gamma, config.gae_lambda)
    scale.update(returns[batch.valid])
    target = ((returns - scale.mean) / scale.std)[batch.valid].astype(np.float32)
    chosen = gain[batch.valid]
    gain = ((chosen - chosen.mean()) / (chosen.std() + 1e-8)).astype(np.float32)
    samples = samples_of(actor, batch)
    return Gradients(
        config, actor, critic, samples, torch.from_numpy(gain), torch.from_numpy(target), std,
        mir_lambda, mode,
    )  # fmt: skip


def _values(critic: Critic | SharedCritic, batch: Batch) -> np.ndarray:
    """(T + 1, E, N) normalised values."""
    out = []
    with torch.no_grad():
        if isinstance(critic, SharedCritic):
            truth = torch.from_numpy(insight(batch.critic))
            for features, known in zip(torch.from_numpy(batch.features), truth, strict=True):
                out.append(critic(features, known).numpy())
            return np.stack(out)
        for t in range(len(batch.critic["robots"])):
            inputs = [torch.from_numpy(batch.critic[key][t]) for key in CRITIC_KEYS]
            out.append(critic(*inputs).numpy())
    return np.stack(out)


@dataclass(slots=True)
class Gradients:
    """Gradients of one minibatch; arguments as in `update`, `gain` and `target` per row."""

    config: TrainConfig
    actor: Actor
    critic: Critic | SharedCritic
    samples: Samples
    gain: Tensor
    target: Tensor
    std: float
    mir_lambda: float
    mode: Mode

    @property
    def pairs(self) -> int:
        """Number of (time, team) pairs; with memory, of sequences of a team."""
        return len(self.samples.numbers)

    def __call__(self, pairs: np.ndarray) -> dict[str, float]:
        """Add up the gradients of the (time, team) pairs; returns the losses."""
        numbers = self.samples.numbers[pairs]
        rows = numbers[numbers >= 0]
        sums = dict.fromkeys(("surrogate", "value_loss", "mir", "ratio_spread"), 0.0)
        if isinstance(self.critic, Critic):
            picked = torch.from_numpy(pairs)
            inputs = [part[picked].flatten(0, 1) for part in self.samples.critic]
            with torch.autocast("cpu", torch.bfloat16, enabled=self.mode.bf16):
                guess = self.critic(*inputs).float()
            guess = guess.reshape(numbers.shape)[torch.from_numpy(numbers >= 0)]
            fit = nn.functional.huber_loss(guess, self.target[torch.from_numpy(rows)])
            (0.5 * fit).backward()
            sums["value_loss"] = float(fit.detach())
        for chunk in self.samples.pieces(numbers, trim=not self.mode.compiled):
            for name, figure in self._piece(chunk).items():
                sums[name] += figure
        return sums

    def _piece(self, chunk: Chunk) -> dict[str, float]:
        """Gradients of one chunk, as its share of the minibatch."""
        means = _compiled() if self.mode.compiled else policy_means
        asked = (self.actor, chunk.tokens, self.mir_lambda > 0.0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mode.bf16):
            if chunk.past is None:
                features, mean, alone = means(*asked)
            else:
                features, mean, alone, _ = recurrent_means(*asked, chunk.past)
            if isinstance(self.critic, SharedCritic):
                guess = self.critic(features, self.samples.insight[chunk.rows]).float()
        gain, clip = self.gain[chunk.rows], self.config.clip
        action, old = self.samples.action[chunk.rows], self.samples.mean[chunk.rows]
        ratio = torch.exp(log_prob(action, mean, self.std) - log_prob(action, old, self.std))
        clipped = ratio.clamp(1 - clip, 1 + clip)
        surrogate = -torch.minimum(ratio * gain, clipped * gain) @ chunk.share
        loss = surrogate
        figures = {"ratio_spread": float((ratio.detach() - 1).abs() @ chunk.share)}
        if alone is not None:
            penalty = mir_penalty(mean, alone, self.std, self.config.mir_clip) @ chunk.share
            loss = loss + self.mir_lambda * penalty
            figures["mir"] = float(penalty.detach())
        if isinstance(self.critic, SharedCritic):
            target = self.target[chunk.rows]
            fit = nn.functional.huber_loss(guess, target, reduction="none") @ chunk.share
            loss = loss + 0.5 * fit
            figures["value_loss"] = float(fit.detach())
        loss.backward()
        figures["surrogate"] = float(surrogate.detach())
        return figures


@functools.cache
def _compiled() -> Callable[..., tuple[Tensor, Tensor, Tensor | None]]:
    return torch.compile(policy_means)
