"""PJAP against uniform replay on the bar that two robots carry, from a mixture of recordings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate import Episodes, run_episodes, torch_policy
from swarmhold.policies.imitate import ENVS
from swarmhold.policies.learning.stats import LEVEL, iqm, spread_of
from swarmhold.policies.offline import carry
from swarmhold.policies.offline.carry import Carry
from swarmhold.policies.offline.tune import Plan, Tuned, tune
from swarmhold.policies.offline.view import Transitions, joined, rolled
from swarmhold.policies.train import iterate, make_learner
from swarmhold.policies.workers import rollouts_of
from swarmhold.sim.env import SwarmEnv

MEDIUM, GOOD = 3, 12  # iterations of imitation
NOISE = 0.2  # of the recorded actions, in shares of the bound
FLIGHTS, HELD = 64, 8  # of each behaviour, to learn from and to judge by
EPISODES = 64  # of the evaluation
PLAN = Plan(steps=3500, critic_first=2500)
ARMS = {"uniform": False, "PJAP": True}
Say = Callable[[str], None]


def measure(seeds: int, plan: Plan, say: Say) -> dict[str, Any]:
    """Train the behaviours once, then record and learn for every seed with both arms.

    Args:
        seeds: of recordings, draws and critics.
        plan: how to learn; seed and arm are set here.
        say: told what is done.
    """
    torch.set_num_threads(1)
    medium, good = behaviours(say)
    deployed = play(good)
    returns: dict[str, list[Float]] = {name: [] for name in ARMS}
    rows = []
    for seed in range(seeds):
        data, held = recorded(good, medium, seed)
        for name, prioritised in ARMS.items():
            own = replace(plan, seed=seed, prioritised=prioritised)
            tuned = tune(data, held, good, own)
            played = play(tuned.actor)
            returns[name].append(played.returns)
            rows.append(_row(name, seed, tuned, played))
            say(f"seed {seed}, {name}: return {iqm(played.returns):.2f}")
    return {
        "seeds": seeds,
        "episodes": EPISODES,
        "deployed": _spread([deployed.returns]),
        "medium": _spread([play(medium).returns]),
        "arms": {name: _spread(found) for name, found in returns.items()},
        "gain": {
            name: paired([one - deployed.returns for one in found])
            for name, found in returns.items()
        },
        "difference": paired(
            [a - b for a, b in zip(returns["PJAP"], returns["uniform"], strict=True)]
        ),
        "spread": {name: float(np.std([iqm(r) for r in found])) for name, found in returns.items()},
        "rows": rows,
    }


def behaviours(say: Say) -> tuple[Actor, Actor]:
    """Medium and good: the scenario's heuristic imitated for few iterations, and for more."""
    config = TrainConfig(
        scenario=carry.__file__, robot="epuck", robots=2, min_robots=2, regulariser="none",
        warm_start=GOOD, iterations=0, teams=ENVS,
    )  # fmt: skip
    learner, medium = make_learner(config), None
    with closing(rollouts_of(config, ENVS, 1)) as rollouts:
        for done in range(GOOD):
            iterate(config, learner, rollouts, rollouts, done)
            if done + 1 == MEDIUM:
                medium = copy.deepcopy(learner.actor).eval()
            say(f"imitation {done + 1} of {GOOD}")
    assert medium is not None
    return medium, learner.actor.eval()


def recorded(good: Actor, medium: Actor, seed: int) -> tuple[Transitions, Transitions]:
    """Flights of both behaviours to learn from, and to judge by."""

    def flights(actor: Actor, count: int, number: int) -> Transitions:
        with closing(SwarmEnv(Carry(), "epuck", count, 2, seed=10 * seed + number)) as env:
            return rolled(env, actor, NOISE, number)

    data = [flights(actor, FLIGHTS, number) for number, actor in enumerate((good, medium))]
    held = [flights(actor, HELD, 2 + number) for number, actor in enumerate((good, medium))]
    return joined(data), joined(held)


def play(actor: Actor) -> Episodes:
    """Paired episodes, on layouts that no recording has."""
    with closing(SwarmEnv(Carry(), "epuck", EPISODES, 2, seed=1000)) as env:
        nobody: list[list[Any]] = [[] for _ in range(EPISODES)]
        return run_episodes(env, torch_policy(actor), "none", nobody, HealthSettings(), 0)


def paired(gains: list[Float]) -> dict[str, float]:
    """Mean of paired differences and its interval; the bootstrap draws seeds, then episodes.

    Args:
        gains: episodes of each seed.
    """
    table, rng = np.stack(gains), np.random.default_rng(9)
    seeds, episodes = table.shape
    chosen = rng.integers(0, seeds, (2000, seeds, 1))
    picks = rng.integers(0, episodes, (2000, seeds, episodes))
    low, high = np.percentile(
        table[chosen, picks].mean(axis=(1, 2)), [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    )
    return {"value": float(table.mean()), "low": float(low), "high": float(high)}


def _spread(per_seed: list[Float]) -> dict[str, float]:
    found = spread_of(per_seed, np.random.default_rng(9))
    return {"value": found.value, "low": found.low, "high": found.high}


def _row(arm: str, seed: int, tuned: Tuned, played: Episodes) -> dict[str, Any]:
    last = tuned.log[-1]
    return {
        "arm": arm,
        "seed": seed,
        "return": float(iqm(played.returns)),
        "success": float(played.success.mean()),
        "gap": last["gap"],
        "effective": last["effective"],
        "steps": tuned.steps,
        "refusals": [verdict.refusal for verdict in tuned.verdicts if verdict.refusal],
        "deviation": float(tuned.verdicts[0].figures["p95"]),
    }
