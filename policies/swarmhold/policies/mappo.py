"""MAPPO (arXiv 2103.01955): shared actor, privileged critic, clipped surrogate.

Read from top to bottom: advantages, one update, the MIR-F penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.policies.attention import LIVE, HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic
from swarmhold.policies.rollout import ACTOR_KEYS, CRITIC_KEYS, Batch


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


def mir_penalty(
    actor: HealthAttentionActor, inputs: list[Tensor], mean: Tensor, std: float, clip: float
) -> Tensor:
    """MIR-F: KL between the policy and itself with every teammate masked.

    Bounds I(teammates; action | own tokens); the head-count stays at its true value, so that
    the reaction to the supervisor is not penalised.

    Args:
        actor: policy.
        inputs: the five actor inputs, (B, ...).
        mean: (B, Da) policy mean, carries the gradient.
        std: of the policy.
        clip: largest penalty of one sample.
    """
    own, team, health, obstacles, mask = inputs
    with torch.no_grad():
        heads = torch.where(health > LIVE, health, 0.0).sum(dim=-1)
        alone, _ = actor.mean(own, team, torch.zeros_like(health), obstacles, mask, heads)
    divergence = ((mean - alone) ** 2).sum(dim=-1) / (2 * std**2)
    return divergence.clamp(max=clip).mean()


def update(
    config: TrainConfig,
    actor: HealthAttentionActor,
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    scale: ValueScale,
    batch: Batch,
    std: float,
    mir_lambda: float,
    rng: np.random.Generator,
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

    Returns:
        Mean losses for the log.
    """
    value = _values(critic, batch) * scale.std + scale.mean
    reward = np.repeat(batch.reward[..., None], batch.valid.shape[-1], axis=-1)
    gain, returns = advantages(reward, value, config.gamma, config.gae_lambda)
    scale.update(returns[batch.valid])
    target = ((returns - scale.mean) / scale.std).astype(np.float32)
    chosen = gain[batch.valid]
    gain = ((gain - chosen.mean()) / (chosen.std() + 1e-8)).astype(np.float32)
    steps, teams = batch.reward.shape
    rows_per_step = max(1, config.minibatch // batch.valid.shape[-1])
    sums: dict[str, float] = {}
    count = 0
    for _ in range(config.epochs):
        order = rng.permutation(steps * teams)
        for start in range(0, len(order), rows_per_step):
            rows = np.unravel_index(order[start : start + rows_per_step], (steps, teams))
            figures = _step(
                config, actor, critic, optimiser, batch, rows, gain, target, std, mir_lambda
            )
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + figure
            count += 1
    return {name: total / count for name, total in sums.items()}


def _values(critic: Critic, batch: Batch) -> np.ndarray:
    """(T + 1, E, N) normalised values."""
    out = []
    with torch.no_grad():
        for t in range(len(batch.critic["robots"])):
            inputs = [torch.from_numpy(batch.critic[key][t]) for key in CRITIC_KEYS]
            out.append(critic(*inputs).numpy())
    return np.stack(out)


def _step(
    config: TrainConfig,
    actor: HealthAttentionActor,
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    rows: tuple[np.ndarray, ...],
    gain: np.ndarray,
    target: np.ndarray,
    std: float,
    mir_lambda: float,
) -> dict[str, float]:
    """One gradient step on the teams and times in `rows`."""
    valid = batch.valid[rows]
    inputs = [torch.from_numpy(batch.actor[key][rows][valid]) for key in ACTOR_KEYS]
    action = torch.from_numpy(batch.action[rows][valid])
    advantage = torch.from_numpy(gain[rows][valid])
    old = log_prob(action, torch.from_numpy(batch.mean[rows][valid]), std)
    mean, _ = actor.mean(*inputs)
    ratio = torch.exp(log_prob(action, mean, std) - old)
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    surrogate = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    guess = critic(*(torch.from_numpy(batch.critic[key][:-1][rows]) for key in CRITIC_KEYS))
    fit = nn.functional.huber_loss(
        guess[torch.from_numpy(valid)], torch.from_numpy(target[rows][valid])
    )
    loss = surrogate + 0.5 * fit
    penalty = torch.zeros(())
    if mir_lambda > 0.0:
        penalty = mir_penalty(actor, inputs, mean, std, config.mir_clip)
        loss = loss + mir_lambda * penalty
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
    nn.utils.clip_grad_norm_(critic.parameters(), 0.5)
    optimiser.step()
    return {
        "surrogate": float(surrogate.detach()),
        "value_loss": float(fit.detach()),
        "mir": float(penalty.detach()),
        "ratio_spread": float((ratio.detach() - 1).abs().mean()),
    }
