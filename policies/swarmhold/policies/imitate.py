"""Warm start: DAgger (arXiv 1011.0686) from the scenario's heuristic.

The heuristic acts on the same observation and weights as the policy, so nothing it does is
out of the policy's reach. Early iterations let it drive, later ones label what the policy does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.forward import policy_means
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.rollout import ACTOR_KEYS, Batch, Blend, Task
from swarmhold.policies.workers import Rollouts
from swarmhold.sim.noise import mix

KEEP = 8  # iterations whose data is trained on
ENVS = 12  # teams per iteration
STEPS = 120  # gradient steps per iteration
STRAY = 0.15  # share of actions that are random, so that states off the path are labelled
MOTION = 5  # leading self-token values: velocity, yaw rate, last action


@dataclass(slots=True)
class Imitation:
    """Recent labelled data, oldest first, as flat arrays per iteration."""

    recent: list[dict[str, np.ndarray]] = field(default_factory=list)


def imitate(
    config: TrainConfig,
    rollouts: Rollouts,
    actor: Actor,
    optimiser: torch.optim.Optimizer,
    memory: Imitation,
    iteration: int,
) -> dict[str, float]:
    """One iteration: collect with the mixture policy, then regress on the labels.

    Args:
        config: of the run.
        rollouts: of `ENVS` teams.
        actor: policy, trained in place.
        optimiser: of the actor.
        memory: labelled data, extended in place.
        iteration: from 0; decides all randomness together with the seed.

    Returns:
        Figures for the log.
    """
    rng = np.random.default_rng([config.seed, 1, iteration])
    torch.manual_seed(int(rng.integers(2**31)))
    follow = max(0.0, 1.0 - iteration / max(0.4 * config.warm_start, 1.0))
    faults = 0.0 if iteration < 2 else 1.0
    team = (config.robots, config.min_robots)
    drawn = draw_mix(rng, ENVS, *team, faults, config.join_leave)
    keys = mix(config.seed, 1, iteration, np.arange(ENVS))
    task = Task(iteration, keys, drawn, Blend(follow, STRAY), label=True)
    batch = rollouts.collect(actor, task)
    memory.recent = [*memory.recent[-KEEP + 1 :], _flat(batch)]
    loss = _regress(config, actor, optimiser, memory, rng, iteration)
    return {
        "return": float(batch.reward.sum(axis=0).mean()),
        "score": float(batch.score.mean()),
        "error_m": float(batch.error.mean()),
        "imitation_loss": loss,
    }


def _flat(batch: Batch) -> dict[str, np.ndarray]:
    """Valid rows only, as (rows, ...) arrays."""
    chosen = batch.valid & np.isfinite(batch.label).all(axis=-1)
    flat = {key: batch.actor[key][chosen] for key in ACTOR_KEYS}
    flat["label"] = np.clip(batch.label[chosen], -1.0, 1.0)
    return flat


def _regress(
    config: TrainConfig,
    actor: Actor,
    optimiser: torch.optim.Optimizer,
    memory: Imitation,
    rng: np.random.Generator,
    iteration: int,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = config.imitation_lr * (1.0 - 0.9 * iteration / config.warm_start)
    counts = np.array([len(part["label"]) for part in memory.recent])
    total = 0.0
    for _ in range(STEPS):
        part = memory.recent[rng.choice(len(counts), p=counts / counts.sum())]
        rows = rng.integers(0, len(part["label"]), 1024)
        inputs = [torch.from_numpy(part[key][rows]) for key in ACTOR_KEYS]
        # A policy that may see its last action learns to repeat it and never starts to move
        # (causal confusion, arXiv 1905.11979); shuffled between samples, it is of no use.
        inputs[0][:, :MOTION] = inputs[0][rng.permutation(len(rows)), :MOTION]
        _, mean, _ = policy_means(actor, actor.prepare(*inputs), alone=False)
        loss = ((mean - torch.from_numpy(part["label"][rows])) ** 2).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimiser.step()
        total += float(loss.detach())
    return total / STEPS
