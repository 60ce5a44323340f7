"""Recorded decisions of one team as offline learning reads them, and a maker in the simulator.

The arrays have the names and layout of a dataset's (`swarmhold dataset build`): T decisions of N
robots, episodes one after the other along the first axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.types import Bool, Float, Int, teammate_index
from swarmhold.policies.actor import Actor
from swarmhold.policies.forward import policy_means
from swarmhold.policies.randomise import exists_for_others
from swarmhold.policies.rollout import ACTOR_KEYS
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.noise import mix, normal
from swarmhold.sim.step import Step

POLICY, TELEOP, FAILSAFE, ESTOP, UNKNOWN = range(5)  # values of `behaviour`
HEALTHY, LOST = 0, 2  # values of `fault`, those of `HealthState`
ROWS = 8192  # decisions that go through an actor at once


class Part(Protocol):
    """Where in a row a named block lies: `row[start:stop].reshape(shape)`."""

    start: int
    stop: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transitions:
    """T decisions of N robots.

    Attributes:
        obs: self (T, N, Ds), team (T, N, N - 1, Dt), obstacles (T, N, O, Do) and
            obstacle_mask (T, N, O).
        health: (T, N, N) weight with which robot (axis 1) attends to robot (axis 2).
        act_policy: (T, N, A) what the policy said, in shares of the bound.
        act_applied: (T, N, A) what was done, likewise.
        reward: (T, N) of what the decision led to.
        terminal: (T, N) nothing follows.
        truncated: (T, N) nothing is known of what follows.
        alive: (T, N) decided here.
        fault: (T, N) what the supervisor held of the robot, a `HealthState`.
        behaviour: (T, N) who moved it.
        state: (T, S) of the whole world.
        episode_id: (T).
    """

    obs: Mapping[str, Float]
    health: Float
    act_policy: Float
    act_applied: Float
    reward: Float
    terminal: Bool
    truncated: Bool
    alive: Bool
    fault: Int
    behaviour: Int
    state: Float
    episode_id: Int

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], slices: Mapping[str, Part]) -> Transitions:
        """From a dataset's arrays and the layout of its observations."""
        rows, lead = arrays["obs"], arrays["obs"].shape[:2]
        parts = ("self", "team", "obstacles", "obstacle_mask")
        obs = {
            name: rows[..., slices[name].start : slices[name].stop].reshape(
                *lead, *slices[name].shape
            )
            for name in parts
        }
        names = (name for name in cls.__dataclass_fields__ if name != "obs")
        return cls(obs, **{name: arrays[name] for name in names})

    @property
    def counts(self) -> Bool:
        """(T, N) alive, without fault and under the policy's control."""
        found: Bool = self.alive & (self.fault == HEALTHY) & (self.behaviour == POLICY)
        return found

    @property
    def follows(self) -> Bool:
        """(T) whether the next row is what the decision led to."""
        same = np.append(self.episode_id[1:] == self.episode_id[:-1], False)
        ends = self.terminal.any(axis=1) | self.truncated.any(axis=1)
        found: Bool = same & ~ends
        return found

    def inputs(self, ticks: Int) -> list[torch.Tensor]:
        """What an actor takes, of all robots (len(ticks) N, ...) at these decisions."""
        robots = self.alive.shape[1]
        row, others = np.arange(robots)[:, None], teammate_index(robots)
        given = {name: value[ticks] for name, value in self.obs.items()}
        given["health"] = self.health[ticks][:, row, others]
        flat = (given[key].reshape(-1, *given[key].shape[2:]) for key in ACTOR_KEYS)
        return [torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in flat]

    def actions_of(self, actor: Actor, ticks: Int | None = None) -> Float:
        """(len(ticks), N, A) what an actor would do, in shares of the bound; ticks None: all."""
        ticks = np.arange(len(self.alive)) if ticks is None else ticks
        robots, size = self.alive.shape[1], self.act_applied.shape[-1]
        found = np.zeros((len(ticks), robots, size), np.float32)
        step = max(1, ROWS // robots)
        for start in range(0, len(ticks), step):
            some = slice(start, start + step)
            with torch.no_grad():
                tokens = actor.prepare(*self.inputs(ticks[some]))
                mean = policy_means(actor, tokens, alone=False)[1]
            found[some] = mean.numpy().reshape(-1, robots, size)
        return found


def joined(parts: Sequence[Transitions]) -> Transitions:
    """Recordings one after the other, their episodes numbered through."""
    last, moved = 0, []
    for part in parts:
        moved.append(part.episode_id + last - part.episode_id.min())
        last = int(moved[-1].max()) + 1
    names = (name for name in Transitions.__dataclass_fields__ if name not in ("obs", "episode_id"))
    fields: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    obs = {key: np.concatenate([part.obs[key] for part in parts]) for key in parts[0].obs}
    return Transitions(obs, **fields, episode_id=np.concatenate(moved))


def rolled(
    env: SwarmEnv,
    actor: Actor,
    noise: float,
    episode: int,
    faults: Sequence[Sequence[FaultSpec]] | None = None,
) -> Transitions:
    """One episode of every team of an environment, recorded.

    Args:
        env: environment.
        actor: acts for all robots.
        noise: spread of what is added to its actions, in shares of the bound.
        episode: number of the episode, decides its layout.
        faults: one list per team; the supervisor is then the truth.
    """
    step = env.reset(faults=faults, episode=episode)
    bound = np.asarray(env.spec.action_bound)
    keys, rows = mix(episode, 61, np.arange(env.n_envs)), list[dict[str, np.ndarray]]()
    others = teammate_index(env.n_robots)
    while not step.done.all():
        row = _seen(step, others)
        weights = np.minimum(step.teammate_health, exists_for_others(step.truth.present))
        given = step.observation.graph_inputs(weights)
        with torch.no_grad():
            tokens = actor.prepare(*(torch.from_numpy(given[key]) for key in ACTOR_KEYS))
            mean = policy_means(actor, tokens, alone=False)[1].numpy()
        row["act_policy"] = mean.reshape(env.n_envs, env.n_robots, -1)
        drawn = normal(mix(keys, len(rows)), row["act_policy"].shape[1:])
        action = np.clip(row["act_policy"] + noise * drawn, -1.0, 1.0)
        step = env.step(action * bound)
        row["act_applied"] = np.where(row["alive"][..., None], action, 0.0)
        row["reward"] = np.repeat(step.outcome.reward[:, None], env.n_robots, axis=1)
        rows.append(row)
    return _recorded(rows)


def _seen(step: Step, others: Int) -> dict[str, np.ndarray]:
    """A decision's arrays (E, ...) before the action."""
    seen, truth = step.observation, step.truth
    teams, robots = truth.healthy.shape
    health = np.ones((teams, robots, robots))
    health[:, np.arange(robots)[:, None], others] = step.teammate_health
    turned = np.stack([np.cos(truth.yaw), np.sin(truth.yaw)], axis=-1)
    places = np.concatenate([truth.position, turned, truth.velocity], axis=-1)
    marks = truth.landmarks
    spots = np.concatenate([marks.position, marks.value[..., None], marks.mask[..., None]], axis=-1)
    return {
        "self": seen.self_token,
        "team": seen.team,
        "obstacles": seen.obstacles,
        "obstacle_mask": seen.obstacle_mask,
        "health": health,
        "alive": truth.healthy,
        "fault": np.where(truth.healthy, HEALTHY, LOST),
        "state": np.concatenate([places.reshape(teams, -1), spots.reshape(teams, -1)], axis=-1),
    }


def _recorded(rows: list[dict[str, np.ndarray]]) -> Transitions:
    """Rows (E, ...) of an episode as E episodes in a row."""
    steps, teams = len(rows), len(rows[0]["alive"])

    def along(name: str, kind: type = np.float32) -> np.ndarray:
        whole = np.stack([row[name] for row in rows], axis=1)
        return whole.reshape(steps * teams, *whole.shape[2:]).astype(kind)

    alive = along("alive", bool)
    last = np.zeros(alive.shape, bool)
    last[steps - 1 :: steps] = True
    return Transitions(
        obs={key: along(key) for key in ("self", "team", "obstacles", "obstacle_mask")},
        health=along("health"),
        act_policy=along("act_policy"),
        act_applied=along("act_applied"),
        reward=along("reward"),
        terminal=np.zeros(alive.shape, bool),
        truncated=last,
        alive=alive,
        fault=along("fault", np.uint8),
        behaviour=np.where(alive, POLICY, FAILSAFE).astype(np.uint8),
        state=along("state"),
        episode_id=np.repeat(np.arange(teams, dtype=np.int32), steps),
    )
