"""One iteration of MADDPG: every team plays an episode, then the networks learn from memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.maddpg import Step, make_targets
from swarmhold.policies.randomise import draw_episodes
from swarmhold.policies.replay import Replay, make_replay
from swarmhold.policies.rollout import ACTOR_KEYS, Batch, Gauss, Task
from swarmhold.policies.workers import Rollouts
from swarmhold.sim.noise import mix

if TYPE_CHECKING:
    from swarmhold.policies.train import Learner

LOOKED_AT = 512  # rows of a batch whose attention is logged


def iterate_off_policy(
    config: TrainConfig, learner: Learner, main: Rollouts, iteration: int, run: Path | None = None
) -> dict[str, float]:
    """One iteration; trains in place.

    Args:
        config: of the run.
        learner: networks and memory; targets and memory are made at the first iteration.
        main: where episodes are played.
        iteration: from 0, after the warm start.
        run: folder that the memory lives in; None: in this process.

    Returns:
        Figures for the log.
    """
    rng = np.random.default_rng([config.seed, 3, iteration])
    torch.manual_seed(int(rng.integers(2**31)))
    share = iteration / max(config.iterations - 1, 1)
    if learner.target is None:
        learner.target = make_targets(config, learner.actor, learner.critic)
        learner.optimiser.state.clear()  # moments of the regression do not fit the new losses
    if learner.replay is None:
        learner.replay = make_replay(config, run)
    drawn = draw_episodes(config, rng, share)
    keys = mix(config.seed, 3, iteration, np.arange(config.teams))
    task = Task(1000 + iteration, keys, drawn, Gauss(config.replay.noise), False)
    batch = main.collect(learner.actor, task)
    learner.replay.add(batch, config.mask_faulty)
    learner.replay.queues.sort()
    figures = _learn(config, learner, iteration, share, rng)
    reward = batch.reward.sum(axis=0)
    return {
        "return": float(reward.mean()),
        "score": float(batch.score.mean()),
        "error_m": float(batch.error.mean()),
        "success": float(batch.success.mean()),
        **figures,
        **_shares_of(learner.replay),
        **attention_on_faulty(learner.actor, batch, rng),
    }


def _learn(
    config: TrainConfig, learner: Learner, iteration: int, share: float, rng: np.random.Generator
) -> dict[str, float]:
    """The gradient steps of an iteration; means of their figures."""
    replay = config.replay
    if iteration + 1 < replay.learn_from:
        return {}
    learner.optimiser.param_groups[0]["lr"] = config.actor_lr
    learner.optimiser.param_groups[1]["lr"] = config.critic_lr
    beta = replay.beta + (1.0 - replay.beta) * share
    step = make_step(config, learner, beta, config.mir_lambda * min(1.0, 3.0 * share), rng)
    sums: dict[str, list[float]] = {}
    found = [step.fit_club()]
    waits = config.warm_start and iteration < replay.learn_from - 1 + replay.critic_first
    for _ in range(replay.steps):
        found.append(step.learn_critic(learner.optimiser))
        if not waits:
            found.append(step.learn_actor(learner.optimiser))
        step.follow()
    for figures in found:
        for name, figure in figures.items():
            sums.setdefault(name, []).append(figure)
    return {name: float(np.mean(values)) for name, values in sums.items()}


def make_step(
    config: TrainConfig, learner: Learner, beta: float, strength: float, rng: np.random.Generator
) -> Step:
    """A gradient step of a learner that has targets and memory; arguments as in `Step`."""
    assert learner.target is not None and learner.replay is not None
    return Step(
        *(config, learner.actor, learner.critic, learner.target, learner.club, learner.replay),
        *(beta, strength, rng),
    )


def _shares_of(replay: Replay) -> dict[str, float]:
    """What the memory holds: transitions with a faulty robot, and how old the faults are."""
    since = replay.rows["since"][np.flatnonzero(replay.queues.mass[-1])]
    late = since[since >= 0]
    return {
        "fault_share_memory": float(len(late) / max(len(since), 1)),
        "since_fault_memory": float(late.mean()) if len(late) else -1.0,
    }


def attention_on_faulty(actor: Actor, batch: Batch, rng: np.random.Generator) -> dict[str, float]:
    """Attention that a robot pays to a teammate that is going to fail, and then to it failed.

    Args:
        actor: policy.
        batch: T decisions of E teams of N robots.
        rng: picks the rows.

    Returns:
        Mean share before and after, each times the number of teammates: 1 is an equal share.
        Empty where nobody failed.
    """
    steps, _, robots = batch.valid.shape
    present = batch.critic["present"][:steps] > 0.5
    broken = present & ~batch.valid
    fails = broken.any(axis=0)[None] & present  # T, E, N: sooner or later
    figures = {}
    for name, when in (("before", fails & ~broken), ("after", broken)):
        t, e, who = np.nonzero(when)
        observer = rng.integers(0, robots - 1, len(t)) if robots > 1 else np.zeros(len(t), int)
        observer += observer >= who
        looks = batch.valid[t, e, observer]
        t, e, who, observer = (part[looks] for part in (t, e, who, observer))
        if not len(t):
            return {}
        pick = rng.integers(0, len(t), LOOKED_AT)
        t, e, who, observer = (part[pick] for part in (t, e, who, observer))
        inputs = [torch.from_numpy(batch.actor[key][t, e, observer]) for key in ACTOR_KEYS]
        with torch.no_grad():
            _, shares = actor.features(actor.prepare(*inputs))
        seat = torch.from_numpy(who - (who > observer))
        share = shares[torch.arange(len(seat)), seat].mean()
        figures[f"attention_{name}_fault"] = float(share) * (robots - 1)
    return figures
