"""Collect episodes of a team policy under randomised health weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def means(actor: Actor, inputs: dict[str, Tensor], teams: int) -> tuple[Float, Float]:
    """(E, N, F) features and (E, N, Da) normalised means, a block at a time."""
    rows = len(inputs["self"]) // teams
    size = rows * block_of(rows)
    features, out = [], []
    with torch.no_grad():
        for start in range(0, teams * rows, size):
            piece = (inputs[key][start : start + size] for key in ACTOR_KEYS)
            seen, mean, _ = policy_means(actor, actor.prepare(*piece), alone=False)
            features.append(seen.numpy())
            out.append(mean.numpy())
    shape = (teams, rows, -1)
    return np.concatenate(features).reshape(shape), np.concatenate(out).reshape(shape)


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
        seen, mean = means(actor, inputs, env.n_envs)
        if task.features:
            keep("features", seen)
        if last:
            break
        wish = np.zeros_like(mean)
        if task.label:
            trusted = np.minimum(weights, step.teammate_health)
            wish = env.scenario.heuristic(env.spec, step.observation, trusted) / bound
        action = task.explore.act(mix(task.keys, 0, len(rows["present"])), mean, wish)
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
    )
