"""Collect episodes of a team policy under randomised health weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Float
from swarmhold.policies.actor import Actor
from swarmhold.policies.critic import critic_inputs
from swarmhold.policies.forward import policy_means
from swarmhold.policies.randomise import (
    EpisodeMix,
    WeightRandomiser,
    exists_for_others,
    received_weight,
)
from swarmhold.policies.recurrent import RecurrentActor, at_once, recurrent_means
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.noise import Keys, mix, normal, uniform
from swarmhold.sim.step import Step

ACTOR_KEYS = ("self", "team", "health", "obstacles", "obstacle_mask")
CRITIC_KEYS = ("robots", "present", "marks", "real")
Rows = dict[str, list[np.ndarray]]
ROWS = 64  # robots, at most, that go through the actor at once
SUPERVISION, STRAY, CHOICE = 41, 42, 43  # purposes of random numbers


@dataclass(frozen=True, slots=True)
class Batch:
    """T decisions of E teams of N robots.

    Attributes:
        actor: inputs of the actor, each (T, E, N, ...).
        critic: inputs of the critic, each (T + 1, E, ...).
        mean: (T, E, N, Da) normalised policy mean at collection.
        action: (T, E, N, Da) normalised, before clipping.
        label: (T, E, N, Da) normalised action of the heuristic; empty if not asked for.
        reward: (T, E).
        features: (T + 1, E, N, F) what the actor's head saw; empty if not asked for.
        valid: (T, E, N) the robot acts itself, so its sample teaches something.
        score: (E) at the end.
        error: (E) m, at the end.
        success: (E) whether the task counts as done at the end.
        hidden: (T, E, N, H) hidden states before the decisions; empty without memory.
    """

    actor: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    mean: np.ndarray
    action: np.ndarray
    label: np.ndarray
    reward: np.ndarray
    features: np.ndarray
    valid: np.ndarray
    score: np.ndarray
    error: np.ndarray
    success: np.ndarray
    hidden: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Gauss:
    """Exploration of MAPPO: noise of one spread on every action."""

    std: float

    def act(self, keys: Keys, mean: Float, wish: Float) -> Float:
        """Normalised actions (E, N, Da) for keys (E)."""
        return mean + self.std * normal(keys, mean.shape[1:])


@dataclass(frozen=True, slots=True)
class Blend:
    """Exploration of DAgger: some robots follow the heuristic, some do anything."""

    follow: float
    stray: float

    def act(self, keys: Keys, mean: Float, wish: Float) -> Float:
        """Normalised actions (E, N, Da) for keys (E)."""
        robots, shape = mean.shape[1:2], mean.shape[1:]
        follow = uniform(mix(keys, CHOICE), robots) < self.follow
        action = np.where(follow[..., None], wish, mean)
        stray = uniform(mix(keys, STRAY), robots) < self.stray
        return np.where(stray[..., None], uniform(keys, shape, -1.0, 1.0), action)


@dataclass(frozen=True, slots=True)
class Task:
    """One episode of E teams, apart from the networks.

    Attributes:
        episode: number that decides the layouts.
        keys: (E) of supervision and exploration.
        mix: episode kinds, team sizes, faults, who joins and leaves.
        explore: chooses the action from policy mean and heuristic (zeros if not labelled).
        label: whether to ask the heuristic.
        features: whether to keep what the actor's head sees, for a critic on a shared trunk.
    """

    episode: int
    keys: Keys
    mix: EpisodeMix
    explore: Gauss | Blend
    label: bool
    features: bool = False

    def part(self, teams: slice) -> Task:
        """The same for some of the teams."""
        return replace(self, keys=self.keys[teams], mix=self.mix.part(teams))


def actor_inputs(step: Step, weights: Float) -> dict[str, Tensor]:
    """Tensors for the actor, robots flattened to one batch axis."""
    arrays = step.observation.graph_inputs(weights)
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def block_of(robots: int) -> int:
    """Teams that go through the actor at once, so that results do not depend on how many there are.

    Rows of a matrix product may differ in their last bits with the number of rows; fewer than
    some forty rows at once cost more in calls than in arithmetic.
    """
    return 1 << max(0, (ROWS // robots).bit_length() - 1)


def means(actor: Actor, inputs: dict[str, Tensor], hidden: Float) -> tuple[Float, Float, Float]:
    """What the actor makes of a step, a block of teams at a time.

    Args:
        actor: policy.
        inputs: of E N robots.
        hidden: (E, N, H) before the decision; H is 0 for a policy without memory.

    Returns:
        Features (E, N, F), normalised means (E, N, Da), and hidden states for the next decision.
    """
    teams, rows = hidden.shape[:2]
    size = rows * block_of(rows)
    past = torch.from_numpy(hidden).flatten(0, 1)
    found: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for start in range(0, len(past), size):
            some = slice(start, start + size)
            tokens = actor.prepare(*(inputs[key][some] for key in ACTOR_KEYS))
            if isinstance(actor, RecurrentActor):
                out = recurrent_means(actor, tokens, False, at_once(past[some]))
                found.append((out.features, out.mean, out.hidden))
            else:
                seen, mean, _ = policy_means(actor, tokens, alone=False)
                found.append((seen, mean, past[some]))
    whole = [np.concatenate([part.numpy() for part in parts]) for parts in zip(*found, strict=True)]
    features, mean, after = (x.reshape(teams, rows, x.shape[-1]) for x in whole)
    return features, mean, after


def collect(env: SwarmEnv, actor: Actor, task: Task) -> Rows:
    """Run one episode of every team; each has the results it would have alone.

    Returns:
        The arrays of a `Batch` by name, step by step; the teams are axis 0 of each.
    """
    drawn = task.mix
    step = env.reset(
        team_sizes=drawn.team_sizes,
        faults=drawn.faults,
        presence=drawn.presence,
        episode=task.episode,
    )
    randomiser = WeightRandomiser(mix(task.keys, SUPERVISION), drawn.kinds, env.n_robots)
    shape = (env.n_envs, env.n_robots)
    bound = np.asarray(env.spec.action_bound)
    hidden = np.zeros((*shape, actor.memory), np.float32)
    rows: Rows = {}

    def keep(name: str, value: np.ndarray) -> None:
        rows.setdefault(name, []).append(value)

    while True:
        exists = exists_for_others(step.truth.present)
        weights = randomiser.weights(step.teammate_health, exists, float(step.time_s.max()))
        received = received_weight(weights)
        for key, value in critic_inputs(step, received, env.half_width).items():
            keep(key, value)
        last = bool(step.done.all())
        if last and not task.features:
            break
        inputs = actor_inputs(step, weights)
        hidden = hidden * step.truth.healthy[..., None]  # out of work, and back: a reboot
        seen, mean, after = means(actor, inputs, hidden)
        if task.features:
            keep("features", seen)
        if last:
            break
        wish = np.zeros_like(mean)
        if task.label:
            trusted = np.minimum(weights, step.teammate_health)
            wish = env.scenario.heuristic(env.spec, step.observation.finite(), trusted) / bound
        action = task.explore.act(mix(task.keys, 0, len(rows["present"])), mean, wish)
        if actor.memory:
            keep("hidden", hidden)
        hidden = after
        keep("valid", step.truth.healthy)
        for key in ACTOR_KEYS:
            keep(key, inputs[key].numpy().reshape(*shape, *inputs[key].shape[1:]))
        keep("mean", mean)
        keep("action", action.astype(np.float32))
        keep("label", wish.astype(np.float32))
        step = env.step(action * bound)
        keep("reward", step.outcome.reward)
    for name in ("score", "error", "success"):
        rows[name] = [getattr(step.outcome, name)]
    return rows


def batch_of(stacked: dict[str, np.ndarray]) -> Batch:
    """A batch from what `collect` returns, stacked along a new first axis."""
    return Batch(
        actor={key: stacked[key] for key in ACTOR_KEYS},
        critic={key: stacked[key] for key in CRITIC_KEYS},
        mean=stacked["mean"],
        action=stacked["action"],
        label=stacked["label"],
        reward=stacked["reward"],
        features=stacked.get("features", np.empty(0, np.float32)),
        valid=stacked["valid"],
        score=stacked["score"][0],
        error=stacked["error"][0],
        success=stacked["success"][0],
        hidden=stacked.get("hidden", np.empty(0, np.float32)),
    )
