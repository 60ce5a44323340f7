"""The simulator's word on a fine-tuned policy: paired episodes, whole teams and every fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.policies.actor import Actor
from swarmhold.policies.evaluate import torch_policy
from swarmhold.policies.offline.safeguards import Trial, Verdict, no_worse
from swarmhold.policies.randomise import FAULT_KINDS, exists_for_others
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults

NOMINAL = "nominal"


def simulate(
    make_env: Callable[[], SwarmEnv],
    new: Actor,
    deployed: Actor,
    seed: int,
    kinds: Sequence[str] = FAULT_KINDS,
    say: Callable[[str], None] = lambda _: None,
    world: str = "",
) -> list[Verdict]:
    """Both policies on the same layouts and faults; weights are the truth.

    Args:
        make_env: builds the environment; E is the number of paired episodes.
        new: fine-tuned.
        deployed: what it started from.
        seed: of the faults and of the bootstrap.
        kinds: of faults, one robot each, beside the whole team.
        say: told before every condition.
        world: what robots are in it, where they are not as their models; begins the names.
    """
    env = make_env()
    trials = []
    for kind in (NOMINAL, *kinds):
        name = f"{world}, {kind}" if world else kind
        say(f"simulator: {name}")
        plan: list[list[FaultSpec]] = [[] for _ in range(env.n_envs)]
        if kind != NOMINAL:
            sizes = [env.n_robots] * env.n_envs
            plan = random_faults(np.random.default_rng([seed, 11]), sizes, [kind])
        found = [played(env, actor, plan) for actor in (new, deployed)]
        (ours, our_touches), (theirs, their_touches) = found
        trials.append(Trial(name, ours, theirs, our_touches, their_touches))
    env.close()
    return no_worse(trials, np.random.default_rng([seed, 12]))


def played(
    env: SwarmEnv, actor: Actor, plan: Sequence[Sequence[FaultSpec]] | None = None
) -> tuple[np.ndarray, int]:
    """(E) returns, and decisions x robots in contact, of one batch of episodes."""
    policy, step = torch_policy(actor), env.reset(faults=plan, episode=0)
    total, touches = np.zeros(env.n_envs), 0
    while not step.done.all():
        weights = np.minimum(step.teammate_health, exists_for_others(step.truth.present))
        step = env.step(policy(step.observation, weights))
        total += step.outcome.reward
        touches += int(step.truth.touched.sum())
    return total, touches
