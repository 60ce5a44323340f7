"""Fault x weight-source evaluation on paired seeds.

Every cell replays the same layouts and the same faults; only who tells the weights differs:
`none` (all 1), `supervisor` (the real health chain in the loop) or `oracle` (the truth).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from swarmhold.hardware.entity_budget import EntityBudget
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.memory import restart
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Observation
from swarmhold.policies.actor import Actor
from swarmhold.policies.health_loop import EnvWatch, HealthLoop
from swarmhold.policies.randomise import exists_for_others
from swarmhold.policies.redteam.attack import Attack
from swarmhold.policies.rollout import ACTOR_KEYS
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults

SOURCES = ("none", "supervisor", "oracle")
TAIL = 50  # steps at the end of an episode over which score and error are averaged


class TeamPolicy(Protocol):
    """Anything that acts for every robot of every team.

    One that remembers is a `swarmhold.hardware.memory.Remembers` too, and whoever plays episodes
    lets it `restart` at their start.
    """

    def __call__(self, seen: Observation, weights: Float) -> Float:
        """Set-points (E, N, Da) in physical units."""


class TorchTeam:
    """A trained actor, acting deterministically; remembers from call to call if it can."""

    def __init__(self, actor: Actor) -> None:
        """Args: what decides."""
        self._actor = actor
        self._hidden = torch.zeros(0)

    def __call__(self, seen: Observation, weights: Float) -> Float:
        """See `TeamPolicy`."""
        inputs = seen.graph_inputs(weights)
        given = [torch.from_numpy(inputs[key]) for key in ACTOR_KEYS]
        if self._actor.memory:
            if not len(self._hidden):
                self._hidden = torch.zeros(len(given[0]), self._actor.memory)
            given.append(self._hidden)
        with torch.no_grad():
            action, _, *after = self._actor(*given)
        self._hidden = after[0] if after else self._hidden
        lead = seen.self_token.shape[:-1]
        out: Float = action.numpy().reshape(*lead, -1)
        return out

    def reset(self, robots: Bool | None = None) -> None:
        """See `swarmhold.hardware.memory.Remembers`."""
        if robots is None:
            self._hidden = torch.zeros(0)
        elif len(self._hidden):
            kept = torch.from_numpy(~robots).flatten()[:, None]
            self._hidden = torch.where(kept, self._hidden, 0.0)


def torch_policy(actor: Actor) -> TeamPolicy:
    """A trained actor, acting deterministically."""
    return TorchTeam(actor)


def heuristic_policy(env: SwarmEnv) -> TeamPolicy:
    """The scenario's scripted heuristic."""
    return lambda seen, weights: env.scenario.heuristic(env.spec, seen.finite(), weights)


@dataclass(frozen=True, slots=True)
class Episodes:
    """Figures per episode, arrays (E).

    Attributes:
        returns: summed reward.
        score: mean scenario score over the last quarter.
        error_m: mean scenario error over the last quarter.
        success: whether the task counts as done at the end.
        false_alarms: ticks x pairs of healthy robots with a weight below 1/2.
        robot_hours: robot time that the false alarms refer to.
    """

    returns: Float
    score: Float
    error_m: Float
    success: Float
    false_alarms: Float
    robot_hours: Float


def run_episodes(
    env: SwarmEnv,
    policy: TeamPolicy,
    source: str,
    faults: Sequence[Sequence[FaultSpec]],
    settings: HealthSettings,
    episode: int,
    team_sizes: Sequence[int] | None = None,
    budget: EntityBudget | None = None,
    attack: Attack | None = None,
    known: TeamPolicy | None = None,
) -> Episodes:
    """Play one batch of episodes.

    Args:
        env: environment; its seed and `episode` fix the layouts.
        policy: acts for all robots.
        source: one of `SOURCES`.
        faults: one list per environment.
        settings: thresholds of the health chain.
        episode: number of the batch.
        team_sizes: robots of each environment; None: all.
        budget: whom robots attend to; None: everybody.
        attack: drives its robots, which then count as no part of the team, and may forge what
            they say; its faults act on top of `faults`.
        known: what the supervisor knows that everybody's policy is, another object than `policy`;
            None: it knows nothing of it, and judges nobody by what he does.
    """
    attack = attack or Attack.none(env.n_envs, env.n_robots)
    env.faults.hijacked = attack.robots
    faults = [[*plan, *more] for plan, more in zip(faults, attack.faults, strict=True)]
    step = env.reset(faults=faults, episode=episode, team_sizes=team_sizes)
    restart(policy)
    watch = EnvWatch(settings, env, known) if known and source == "supervisor" else None
    loop = HealthLoop(settings, env.n_envs, env.n_robots, watch)
    total = np.zeros(env.n_envs)
    alarms = np.zeros(env.n_envs)
    seconds = np.zeros(env.n_envs)
    tail: list[tuple[Float, Float]] = []
    attack.begin(env, step)
    while not step.done.all():
        exists = exists_for_others(step.truth.present)
        weights = exists.astype(float)
        if source == "oracle":
            weights = step.teammate_health
        elif source == "supervisor":
            weights = loop.step(env.evidence(), float(step.time_s.max())) * exists
            alarms += loop.false_alarms(weights + ~exists, step.truth.healthy)
            seconds += step.truth.healthy.sum(axis=1) / env.spec.rate_hz
        restart(policy, ~step.truth.healthy)  # out of work, and back: a reboot
        if budget is not None:
            robots = np.arange(env.n_robots)
            weights = budget.limit(step.observation, weights, robots, len(tail))
        step = env.step(attack.act(env, step, policy(step.observation, weights)))
        total += step.outcome.reward
        tail.append((step.outcome.score, step.outcome.error))
    attack.end(env, step)
    score, error = (np.mean([row[i] for row in tail[-TAIL:]], axis=0) for i in (0, 1))
    return Episodes(
        total, score, error, step.outcome.success.astype(float), alarms, seconds / 3600.0
    )


def interval(values: Float, rng: np.random.Generator, level: float = 0.95) -> list[float]:
    """Bootstrap interval of the mean (percentile method)."""
    picks = rng.integers(0, len(values), (2000, len(values)))
    means = np.asarray(values)[picks].mean(axis=1)
    edge = 100 * (1 - level) / 2
    return [float(value) for value in np.percentile(means, [edge, 100 - edge])]


def evaluate(
    make_env: Callable[[], SwarmEnv],
    policy_of: Callable[[SwarmEnv], TeamPolicy],
    kinds: Sequence[str],
    faulty: int,
    settings: HealthSettings,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
    budget: EntityBudget | None = None,
) -> dict[str, Any]:
    """The whole table.

    Args:
        make_env: builds the environment; E is the number of paired episodes.
        policy_of: the policy for an environment.
        kinds: fault kinds, one row each.
        faulty: broken robots per episode.
        settings: thresholds of the health chain.
        seed: of the fault plans.
        progress: told before every cell.
        budget: see `run_episodes`.

    Returns:
        `nominal`: figures without faults; `rows`: per fault kind and source the mean and
        interval of return, score and error, and `restored`: the share of the loss that the
        weights give back, (with - none) / (nominal - none), from the return.
    """
    env = make_env()
    policy = policy_of(env)
    rng = np.random.default_rng([seed, 7])
    progress("nominal")
    none: list[list[FaultSpec]] = [[] for _ in range(env.n_envs)]
    more = {"budget": budget, "known": policy_of(env)}
    nominal = run_episodes(env, policy, "supervisor", none, settings, 0, **more)
    rows: list[dict[str, Any]] = []
    sizes = [env.n_robots] * env.n_envs
    for kind in kinds:
        plan = random_faults(
            np.random.default_rng([seed, 11]),
            sizes,
            [kind],
            count=(faulty, faulty),
            start_s=(0.0, 5.0),
        )
        cells: dict[str, Episodes] = {}
        for source in SOURCES:
            progress(f"{kind}, weights: {source}")
            cells[source] = run_episodes(env, policy, source, plan, settings, 0, **more)
        for source in SOURCES:
            row = {"fault": kind, "weights": source, **figures(cells[source], rng)}
            if source != "none":
                row["restored"] = _restored(nominal, cells["none"], cells[source])
                row["restored_interval"] = _restored_interval(
                    nominal, cells["none"], cells[source], rng
                )
            rows.append(row)
    env.close()
    hours = float(nominal.robot_hours.sum())
    return {
        "scenario": env.scenario.name,
        "robot": env.robot,
        "robots": env.n_robots,
        "episodes": env.n_envs,
        "faulty": faulty,
        "seed": seed,
        "nominal": {
            **figures(nominal, rng),
            "false_alarm_ticks": float(nominal.false_alarms.sum()),
            "robot_hours": hours,
        },
        "rows": rows,
    }


def figures(episodes: Episodes, rng: np.random.Generator) -> dict[str, Any]:
    """Mean and bootstrap interval of return, score and error, and the share of successes."""
    out: dict[str, Any] = {}
    for name in ("returns", "score", "error_m"):
        values = getattr(episodes, name)
        out[name] = float(np.mean(values))
        out[f"{name}_interval"] = interval(values, rng)
    out["success"] = float(np.mean(episodes.success))
    return out


def _restored(nominal: Episodes, none: Episodes, helped: Episodes) -> float | None:
    """Share of the lost return that comes back; None where nothing was lost."""
    lost = float(np.mean(nominal.returns - none.returns))
    if abs(lost) < 0.02 * abs(float(np.mean(nominal.returns))):
        return None
    return float(np.mean(helped.returns - none.returns)) / lost


def _restored_interval(
    nominal: Episodes, none: Episodes, helped: Episodes, rng: np.random.Generator
) -> list[float] | None:
    """Bootstrap interval of the restored share; paired episodes are drawn together."""
    if _restored(nominal, none, helped) is None:
        return None
    picks = rng.integers(0, len(none.returns), (2000, len(none.returns)))
    lost = (nominal.returns - none.returns)[picks].mean(axis=1)
    back = (helped.returns - none.returns)[picks].mean(axis=1)
    low, high = np.percentile(back / np.where(np.abs(lost) < 1e-9, np.nan, lost), [2.5, 97.5])
    return [float(low), float(high)]
