"""The textbook update: two networks, float32, eager, every row through `actor.mean`.

It is what the update of `mappo.py` is measured against, and what its result is tested against.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.entity_budget import LIVE
from swarmhold.policies.actor import MASKED
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic
from swarmhold.policies.mappo import PLAIN, Mode, ValueScale, advantages, log_prob, mir_penalty
from swarmhold.policies.rollout import ACTOR_KEYS, CRITIC_KEYS, Batch


def plain_values(critic: Critic, inputs: list[Tensor]) -> Tensor:
    """(B, N) what the critic says, layer by layer."""
    robots, present, marks, real = inputs
    tokens = critic.encode(robots)
    mates, _ = critic.team(tokens, tokens, torch.where(present > 0.5, 0.0, MASKED))
    spots = critic.encode_landmark(marks)
    seen, _ = critic.marks(tokens, spots, torch.where(real > 0.5, 0.0, MASKED))
    values: Tensor = critic.head(torch.cat([tokens, mates, seen], dim=-1))
    return values[..., 0]


def plain_update(
    config: TrainConfig,
    actor: HealthAttentionActor,
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    scale: ValueScale,
    batch: Batch,
    std: float,
    mir_lambda: float,
    rng: np.random.Generator,
    mode: Mode = PLAIN,
) -> dict[str, float]:
    """One update; arguments and result as in `mappo.update`, the mode is always float32."""
    steps, teams, robots = batch.valid.shape
    truth = [torch.from_numpy(batch.critic[key]) for key in CRITIC_KEYS]
    with torch.no_grad():
        guess = torch.stack([plain_values(critic, [x[t] for x in truth]) for t in range(steps + 1)])
    reward = np.repeat(batch.reward[..., None], robots, axis=-1)
    value = guess.numpy() * scale.std + scale.mean
    gain, returns = advantages(reward, value, config.gamma, config.gae_lambda)
    scale.update(returns[batch.valid])
    target = ((returns - scale.mean) / scale.std).astype(np.float32)
    chosen = gain[batch.valid]
    gain = ((gain - chosen.mean()) / (chosen.std() + 1e-8)).astype(np.float32)
    per_step = max(1, config.minibatch // robots)
    logs = []
    for _ in range(config.epochs):
        order = rng.permutation(steps * teams)
        for start in range(0, len(order), per_step):
            rows = np.unravel_index(order[start : start + per_step], (steps, teams))
            valid = batch.valid[rows]
            inputs = [torch.from_numpy(batch.actor[key][rows][valid]) for key in ACTOR_KEYS]
            action, old, advantage = (
                torch.from_numpy(x[rows][valid]) for x in (batch.action, batch.mean, gain)
            )
            mean, _ = actor.mean(*inputs)
            ratio = torch.exp(log_prob(action, mean, std) - log_prob(action, old, std))
            clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
            surrogate = -torch.minimum(ratio * advantage, clipped * advantage).mean()
            fit = nn.functional.huber_loss(
                plain_values(critic, [x[:-1][rows] for x in truth])[torch.from_numpy(valid)],
                torch.from_numpy(target[rows][valid]),
            )
            penalty = torch.zeros(())
            if mir_lambda > 0.0:
                penalty = mir_penalty(mean, alone_means(actor, inputs), std, config.mir_clip).mean()
            optimiser.zero_grad()
            (surrogate + 0.5 * fit + mir_lambda * penalty).backward()
            nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
            nn.utils.clip_grad_norm_(critic.parameters(), 0.5)
            optimiser.step()
            spread = (ratio - 1).abs().mean()
            logs.append([float(x.detach()) for x in (surrogate, fit, penalty, spread)])
    names = ("surrogate", "value_loss", "mir", "ratio_spread")
    return dict(zip(names, np.mean(logs, axis=0).tolist(), strict=True))


def alone_means(actor: HealthAttentionActor, inputs: list[Tensor]) -> Tensor:
    """Means of the policy that hears nobody but knows how many there are."""
    own, team, health, obstacles, mask = inputs
    with torch.no_grad():
        heads = torch.where(health > LIVE, health, 0.0).sum(dim=-1)
        mean, _ = actor.mean(own, team, torch.zeros_like(health), obstacles, mask, heads)
    return mean
