"""Warm start: DAgger (arXiv 1011.0686) from the scenario's heuristic.

The heuristic acts on the same observation and weights as the policy, so nothing it does is
out of the policy's reach. Early iterations let it drive, later ones label what the policy does.

A policy with memory learns from sequences that start from stored hidden states. Data is kept
while the policy changes, so that these states get out of date. Hence it is kept for fewer
iterations, and the first decisions of a sequence only bring the state up to date and are not
judged (burn-in, R2D2, Kapturowski et al., ICLR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.actor import Actor, Tokens
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.forward import policy_means
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.recurrent import RecurrentActor, recurrent_means
from swarmhold.policies.rollout import ACTOR_KEYS, Batch, Blend, Task
from swarmhold.policies.sequences import LENGTH, past_of
from swarmhold.policies.workers import Rollouts
from swarmhold.sim.noise import mix

KEEP = 8  # iterations whose data is trained on
KEEP_STATES = 3  # the same for a policy with memory
ENVS = 12  # teams per iteration
STEPS = 120  # gradient steps per iteration
ROWS = 1024  # decisions of a gradient step
BURN_IN = 3  # decisions at the start of a sequence that are not judged
STRAY = 0.15  # share of actions that are random, so that states off the path are labelled
Arrays = dict[str, np.ndarray]
MOTION = 5  # leading self-token values: velocity, yaw rate, last action


@dataclass(slots=True)
class Imitation:
    """Recent labelled data, oldest first, as flat arrays per iteration."""

    recent: list[Arrays] = field(default_factory=list)


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
    keep = KEEP_STATES if actor.memory else KEEP
    memory.recent = [*memory.recent[-keep + 1 :], rows_of(batch)]
    loss = regress(config, actor, optimiser, memory, rng, iteration)
    return {
        "return": float(batch.reward.sum(axis=0).mean()),
        "score": float(batch.score.mean()),
        "error_m": float(batch.error.mean()),
        "success": float(batch.success.mean()),
        "imitation_loss": loss,
        "heuristic_share": follow,
    }


def rows_of(batch: Batch) -> Arrays:
    """Valid rows only, as (rows, ...) arrays; with memory, `lines` (T, E N) says whose they are."""
    chosen = batch.valid & np.isfinite(batch.label).all(axis=-1)
    flat = {key: batch.actor[key][chosen] for key in ACTOR_KEYS}
    flat["label"] = np.clip(batch.label[chosen], -1.0, 1.0)
    if len(batch.hidden):
        flat["hidden"] = batch.hidden[chosen]
        numbers = np.cumsum(chosen).reshape(chosen.shape) - 1
        flat["lines"] = np.where(chosen, numbers, -1).reshape(len(chosen), -1)
    return flat


def regress(
    config: TrainConfig,
    actor: Actor,
    optimiser: torch.optim.Optimizer,
    memory: Imitation,
    rng: np.random.Generator,
    iteration: int,
) -> float:
    """Gradient steps towards the labels in memory; returns the mean loss. See `imitate`."""
    for group in optimiser.param_groups:
        group["lr"] = config.imitation_lr * (1.0 - 0.9 * iteration / config.warm_start)
    counts = np.array([len(part["label"]) for part in memory.recent])
    total = 0.0
    for _ in range(STEPS):
        part = memory.recent[rng.choice(len(counts), p=counts / counts.sum())]
        learn = _sequence_loss if isinstance(actor, RecurrentActor) else _loss
        loss = learn(actor, part, rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimiser.step()
        total += float(loss.detach())
    return total / STEPS


def _loss(actor: Actor, part: Arrays, rng: np.random.Generator) -> Tensor:
    """Mean squared distance to the labels, of some decisions."""
    rows = rng.integers(0, len(part["label"]), ROWS)
    _, mean, _ = policy_means(actor, _tokens(actor, part, rows, rng), alone=False)
    return _distance(mean, part, rows).mean()


def _sequence_loss(actor: RecurrentActor, part: Arrays, rng: np.random.Generator) -> Tensor:
    """The same of some sequences of decisions."""
    lines, judged = draw_lines(part["lines"], rng)
    rows = np.maximum(lines, 0).ravel()
    past = past_of(lines, torch.from_numpy(part["hidden"]))
    mean = recurrent_means(actor, _tokens(actor, part, rows, rng), False, past).mean
    share = (judged.ravel() / max(judged.sum(), 1)).astype(np.float32)
    return _distance(mean, part, rows) @ torch.from_numpy(share)


def draw_lines(lines: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of decisions that start anywhere, the start of the episode included.

    Args:
        lines: (T, R) rows of R robots, -1 where one does not act.
        rng: of the choice.

    Returns:
        Rows (L, S), -1 where there is none, and which of them are judged (L, S).
    """
    steps, reach = len(lines), np.arange(LENGTH)[:, None]
    active = np.flatnonzero((lines >= 0).any(axis=0))
    size = ROWS // LENGTH
    start = np.maximum(rng.integers(-LENGTH, max(steps - BURN_IN, 1), size), 0)
    who = active[rng.integers(0, len(active), size)]
    drawn = np.where(start + reach < steps, lines[np.minimum(start + reach, steps - 1), who], -1)
    return drawn, (drawn >= 0) & ((reach >= BURN_IN) | (start == 0))


def _tokens(actor: Actor, part: Arrays, rows: np.ndarray, rng: np.random.Generator) -> Tokens:
    inputs = [torch.from_numpy(part[key][rows]) for key in ACTOR_KEYS]
    # A policy that may see its last action learns to repeat it and never starts to move
    # (causal confusion, arXiv 1905.11979); shuffled between samples, it is of no use.
    inputs[0][:, :MOTION] = inputs[0][rng.permutation(len(rows)), :MOTION]
    return actor.prepare(*inputs)


def _distance(mean: Tensor, part: Arrays, rows: np.ndarray) -> Tensor:
    """(rows) squared."""
    return ((mean - torch.from_numpy(part["label"][rows])) ** 2).sum(dim=-1)
