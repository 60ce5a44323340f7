"""Learned attackers (level 3): PPO against a frozen policy (Gleave et al., arXiv 1905.10615).

All attackers share one network, of the same kind as the policy's, and learn from the negated
reward of the robots that do not attack. They know nothing of the policy but how it behaves, move
like any robot, and report truthfully.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic, critic_inputs
from swarmhold.policies.evaluate import TeamPolicy, run_episodes
from swarmhold.policies.mappo import ValueScale, update
from swarmhold.policies.randomise import exists_for_others
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.rollout import ACTOR_KEYS, CRITIC_KEYS, Batch
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.noise import Keys, mix, normal
from swarmhold.sim.step import Step

TEAMS = 32  # that attackers learn in side by side
STD_START, STD_END = 0.6, 0.15  # exploration, normalised action
HOLD = 5  # decisions for which an attacker keeps to what it chose: noise that goes somewhere
PAIRS = 160  # (choice, team) pairs of one gradient step
Reshape = Callable[[Batch, float], Batch]  # batch of attackers, spread of their exploration


class Learned(Attack):
    """Attackers follow a network of their own, deterministically."""

    def __init__(self, name: str, robots: Bool, actor: HealthAttentionActor) -> None:
        """Args: name of the row, attackers (E, N), and their network."""
        super().__init__(name, robots, [[] for _ in robots])
        self.actor = actor

    def begin(self, env: SwarmEnv, step: Step) -> None:
        """The first choice is due."""
        self._time = 0

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Set-points (E, N, Da); see `Attack.act`."""
        if self._time % HOLD == 0:
            self._held = self._choose(env, step, action)
        self._time += 1
        return np.where(self.robots[..., None], self._held, action)

    def _choose(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """(E, N, Da) what attackers do for the next `HOLD` decisions, physical units."""
        out = action.copy()
        out[self.robots] = self._means(self._inputs(step)) * np.asarray(env.spec.action_bound)
        return out

    def _inputs(self, step: Step) -> dict[str, np.ndarray]:
        """What robots see; attackers trust everybody's messages."""
        trusted = exists_for_others(step.truth.present).astype(float)
        return step.observation.graph_inputs(trusted)

    def _means(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """(attackers, Da) normalised."""
        rows = np.flatnonzero(self.robots)
        with torch.no_grad():
            mean, _ = self.actor.mean(*(torch.from_numpy(inputs[key][rows]) for key in ACTOR_KEYS))
        out: np.ndarray = mean.numpy()
        return out


class Learner(Learned):
    """Attackers that explore, and keep what a gradient step needs."""

    def __init__(self, robots: Bool, actor: HealthAttentionActor, keys: Keys, std: float) -> None:
        """Args: attackers (E, N), their network, keys (E) of exploration, and its spread."""
        super().__init__("learner", robots, actor)
        self._keys, self._std = keys, std
        self._rows: dict[str, list[np.ndarray]] = {}

    def begin(self, env: SwarmEnv, step: Step) -> None:
        """Forget the last episodes."""
        super().begin(env, step)
        self._rows, self._earned = {}, np.zeros(env.n_envs)

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Set-points (E, N, Da) with exploration; see `Attack.act`."""
        if self._time > 0:
            self._earned = self._earned - step.outcome.reward
        return super().act(env, step, action)

    def _choose(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        self._look(env, step)
        inputs, bound = self._inputs(step), np.asarray(env.spec.action_bound)
        for key in ACTOR_KEYS:
            self._keep(key, inputs[key].reshape(*self.robots.shape, *inputs[key].shape[1:]))
        mean = np.zeros(action.shape, np.float32)
        mean[self.robots] = self._means(inputs)
        noise = normal(mix(self._keys, self._time), action.shape[1:])
        chosen = np.where(self.robots[..., None], mean + self._std * noise, action / bound)
        self._keep("mean", mean)
        self._keep("action", chosen.astype(np.float32))
        return chosen * bound

    def end(self, env: SwarmEnv, step: Step) -> None:
        """Keep the last state, from which the critic extrapolates."""
        self._earned = self._earned - step.outcome.reward
        self._look(env, step)
        self._outcome = step.outcome

    def _look(self, env: SwarmEnv, step: Step) -> None:
        """Keep the truth, and what was earned since the last choice."""
        trusted = np.ones(self.robots.shape)
        for key, value in critic_inputs(step, trusted, env.half_width).items():
            self._keep(key, value)
        self._keep("reward", self._earned)
        self._earned = np.zeros(env.n_envs)

    def _keep(self, name: str, value: np.ndarray) -> None:
        self._rows.setdefault(name, []).append(value)

    def batch(self) -> Batch:
        """The episodes; only attackers' rows are valid, and the reward is the team's, negated."""
        rows = {name: np.stack(parts) for name, parts in self._rows.items()}
        action = rows["action"]
        none = action[:0]
        return Batch(
            actor={key: rows[key] for key in ACTOR_KEYS},
            critic={key: rows[key] for key in CRITIC_KEYS},
            mean=rows["mean"],
            action=action,
            label=none,
            reward=rows["reward"][1:],
            features=none,
            valid=np.broadcast_to(self.robots, action.shape[:-1]),
            score=self._outcome.score,
            error=self._outcome.error,
            success=self._outcome.success,
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """What attackers learn against.

    Attributes:
        env: environment to learn in.
        policy: under attack, frozen; it trusts everybody.
        attackers: in every team.
        steps: decisions of attackers to learn from, at least; whole episodes are played.
        seed: of networks, attackers and exploration.
    """

    env: SwarmEnv
    policy: TeamPolicy
    attackers: int
    steps: int
    seed: int


def learn(
    goal: Goal,
    reshape: Reshape = lambda batch, std: batch,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[HealthAttentionActor, list[float]]:
    """Train attackers.

    Args:
        goal: what to learn against.
        reshape: changes the reward of a batch.
        tell: told after every iteration.

    Returns:
        Their network, and the mean return of attackers (without what `reshape` adds) in every
        iteration.

    Raises:
        KeyboardInterrupt: with what is lost.
    """
    env = goal.env
    config = attack_config(env, goal.seed)
    torch.manual_seed(goal.seed)
    actor, critic, scale = HealthAttentionActor(env.spec, config.width), Critic(), ValueScale()
    optimiser = torch.optim.Adam(
        [
            {"params": actor.parameters(), "lr": config.actor_lr},
            {"params": critic.parameters(), "lr": config.critic_lr},
        ],
        eps=1e-5,
    )
    nobody: Sequence[Sequence[FaultSpec]] = [[] for _ in range(env.n_envs)]
    rounds = -(-goal.steps // (env.limit * env.n_envs * goal.attackers))
    returns: list[float] = []
    try:
        for index in range(rounds):
            rng = np.random.default_rng([goal.seed, 3, index])
            robots = draw_attackers(
                int(rng.integers(2**31)), env.n_envs, env.n_robots, goal.attackers
            )
            std = STD_START * (STD_END / STD_START) ** (index / max(rounds - 1, 1))
            keys = mix(goal.seed, 3, index, np.arange(env.n_envs))
            learner = Learner(robots, actor, keys, std)
            run_episodes(env, goal.policy, "none", nobody, HealthSettings(), index, attack=learner)
            batch = learner.batch()
            returns.append(float(batch.reward.sum(axis=0).mean()))
            batch = reshape(batch, std)
            update(config, actor, critic, optimiser, scale, batch, std, 0.0, rng)
            tell(f"iteration {index + 1}/{rounds}: return of attackers {returns[-1]:.2f}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the attackers had learnt {len(returns)} of {rounds} iterations, and are lost"
        ) from None
    return actor.eval(), returns


def attack_config(env: SwarmEnv, seed: int) -> TrainConfig:
    """Hyper-parameters of an attacker: MAPPO's, with more passes and a faster actor."""
    return TrainConfig(
        scenario=env.scenario.name,
        robot=env.robot,
        robots=env.n_robots,
        min_robots=1,
        seed=seed,
        teams=env.n_envs,
        epochs=5,
        minibatch=PAIRS * env.n_robots,
        actor_lr=1e-3,
        critic_lr=1e-3,
        gamma=0.95,
        trunk="separate",
    )
