"""Collect episodes of a team policy under randomised health weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Float
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.critic import critic_inputs
from swarmhold.policies.randomise import (
    EpisodeMix,
    WeightRandomiser,
    exists_for_others,
    received_weight,
)
from swarmhold.sim.env import Step, SwarmEnv

ACTOR_KEYS = ("self", "team", "health", "obstacles", "obstacle_mask")
CRITIC_KEYS = ("robots", "present", "marks", "real")


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
        valid: (T, E, N) the robot acts itself, so its sample teaches something.
        final: the last step.
    """

    actor: dict[str, np.ndarray]
    critic: dict[str, np.ndarray]
    mean: np.ndarray
    action: np.ndarray
    label: np.ndarray
    reward: np.ndarray
    valid: np.ndarray
    final: Step


Explore = Callable[[Float, Float], Float]  # (policy mean, heuristic action) -> action


def actor_inputs(step: Step, weights: Float) -> dict[str, Tensor]:
    """Tensors for the actor, robots flattened to one batch axis."""
    arrays = step.observation.graph_inputs(weights)
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def collect(
    env: SwarmEnv,
    actor: HealthAttentionActor,
    mix: EpisodeMix,
    episode: int,
    rng: np.random.Generator,
    explore: Explore,
    label: bool,
) -> Batch:
    """Run one episode of every team.

    Args:
        env: environment.
        actor: policy.
        mix: episode kinds, team sizes, faults.
        episode: number that decides the layouts.
        rng: of the weight randomiser.
        explore: chooses the action from policy mean and heuristic (zeros if not labelled).
        label: whether to ask the heuristic.
    """
    step = env.reset(team_sizes=mix.team_sizes, faults=mix.faults, episode=episode)
    randomiser = WeightRandomiser(rng, mix.kinds, env.n_robots)
    shape = (env.n_envs, env.n_robots)
    bound = np.asarray(env.spec.action_bound)
    rows: dict[str, list[np.ndarray]] = {}

    def keep(name: str, value: np.ndarray) -> None:
        rows.setdefault(name, []).append(value)

    while True:
        exists = exists_for_others(step.truth.present)
        weights = randomiser.weights(step.teammate_health, exists, float(step.time_s.max()))
        received = received_weight(weights)
        for key, value in critic_inputs(step, received, env.half_width).items():
            keep(key, value)
        if step.done.all():
            break
        inputs = actor_inputs(step, weights)
        with torch.no_grad():
            mean = actor.mean(*(inputs[key] for key in ACTOR_KEYS))[0].numpy().reshape(*shape, -1)
        wish = np.zeros_like(mean)
        if label:
            trusted = np.minimum(weights, step.teammate_health)
            wish = env.scenario.heuristic(env.spec, step.observation, trusted) / bound
        action = explore(mean, wish)
        keep("valid", step.truth.healthy)
        for key in ACTOR_KEYS:
            keep(key, inputs[key].numpy().reshape(*shape, *inputs[key].shape[1:]))
        keep("mean", mean)
        keep("action", action.astype(np.float32))
        keep("label", wish.astype(np.float32))
        step = env.step(action * bound)
        keep("reward", step.outcome.reward)
    stacked = {name: np.stack(values) for name, values in rows.items()}
    return Batch(
        actor={key: stacked[key] for key in ACTOR_KEYS},
        critic={key: stacked[key] for key in CRITIC_KEYS},
        mean=stacked["mean"],
        action=stacked["action"],
        label=stacked["label"],
        reward=stacked["reward"],
        valid=stacked["valid"],
        final=step,
    )
