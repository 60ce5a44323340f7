"""MADDPG (arXiv 1706.02275) for continuous set-points, and the arms that grow out of it.

One actor and one critic serve all robots. AACFT (arXiv 2412.00534) leaves faulty robots out of
both losses, gives the critic attention and every robot a queue of its own; M3DDPG
(doi 10.1609/aaai.v33i01.33014213) lets each robot learn against others that act a little worse;
MIR3 (arXiv 2310.09833) takes information that actions carry about the state from the target.
Read from top to bottom: the learner, one critic step, one actor step.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import Critic, JointCritic
from swarmhold.policies.descent import descend, follow
from swarmhold.policies.forward import policy_means
from swarmhold.policies.information import FIT, Club, deviation, joint
from swarmhold.policies.mappo import mir_penalty
from swarmhold.policies.replay import Ids, Replay
from swarmhold.policies.rollout import ACTOR_KEYS

CLIP = 0.5  # largest norm of a gradient


@dataclass(slots=True)
class Targets:
    """What the networks are held against.

    Attributes:
        actor: slow copy, of which the targets of the losses come.
        critic: likewise.
        start: the actor as it was after the warm start, or None where nothing holds it there.
    """

    actor: Actor
    critic: nn.Module
    start: Actor | None


def make_critic(config: TrainConfig, marks: int) -> nn.Module:
    """The critic of a run; `marks` landmarks at most."""
    marks = max(marks, 1)
    size = policy_spec(config.robot).action_size + 3 * marks
    if config.critic == "mlp":
        return JointCritic(config.robots, marks, size)
    return Critic(beside=size)


def make_targets(config: TrainConfig, actor: Actor, critic: nn.Module) -> Targets:
    """Target networks as they start."""
    slow, values, start = (
        copy.deepcopy(part).requires_grad_(False) for part in (actor, critic, actor)
    )
    return Targets(slow, values, start if config.warm_start and config.replay.anchor else None)


@dataclass(slots=True)
class Step:
    """One gradient step on whole-team transitions.

    Attributes:
        config: of the run.
        actor: policy, trained in place.
        critic: action values, trained in place.
        target: slow copies.
        club: q of MIR3, or None.
        replay: memory.
        beta: importance correction now.
        strength: weight of the regulariser now.
        rng: of the draws.
    """

    config: TrainConfig
    actor: Actor
    critic: nn.Module
    target: Targets
    club: Club | None
    replay: Replay
    beta: float
    strength: float
    rng: np.random.Generator

    def learn_critic(self, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        """Fit the action values to `r + gamma Q'`, over the robots that count."""
        config, replay = self.config, self.replay
        last = len(replay.queues.mass) - 1
        ids, weight = replay.queues.draw(last, self.rng, config.replay.batch, self.beta)
        if not len(ids):
            return {}
        counts = self._counts(ids)
        with torch.no_grad():
            future = self._future(replay.next_of(ids))
            reward = self._rows("reward", ids)[:, None] - self.strength * self._informed(ids)
            wanted = reward + config.gamma * future
        given = self._values(self.critic, ids, self._rows("action", ids))
        gap = (given - wanted) ** 2 * counts
        each = gap.sum(dim=-1) / counts.sum(dim=-1).clamp(min=1.0)
        loss = (torch.from_numpy(weight) * each).mean()
        descend(optimiser, self.critic, loss, CLIP)
        replay.queues.judge(last, ids, each.detach().numpy())
        return {"critic_loss": float(loss.detach()), "fault_share": self._fault_share(ids)}

    def learn_actor(self, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        """Raise every robot's value of its own action, each on transitions of its own queue."""
        replay, robots = self.replay, len(self.replay.queues.mass) - 1
        count = -(-self.config.replay.batch // robots)
        drawn = [replay.queues.draw(robot, self.rng, count, self.beta) for robot in range(robots)]
        owner = np.repeat(np.arange(robots), [len(ids) for ids, _ in drawn])
        ids = np.concatenate([ids for ids, _ in drawn])
        if not len(ids):
            return {}
        weight = torch.from_numpy(np.concatenate([part for _, part in drawn]))
        inputs = [torch.from_numpy(replay.rows[key][ids, owner]) for key in ACTOR_KEYS]
        fallback = self.config.regulariser == "mir-f" and self.strength > 0.0
        _, mean, alone = policy_means(self.actor, self.actor.prepare(*inputs), alone=fallback)
        mine = torch.from_numpy(np.eye(robots, dtype=np.float32)[owner])[..., None]
        others = self._rows("action", ids)
        action = torch.where(mine > 0.0, mean[:, None], self._worse(self.critic, ids, others, mine))
        value = (self._values(self.critic, ids, action) * mine[..., 0]).sum(dim=-1)
        loss = -(weight * value).mean()
        if self.target.start is not None:
            with torch.no_grad():
                before = policy_means(self.target.start, self.actor.prepare(*inputs), alone=False)
            away = ((mean - before[1]) ** 2).sum(dim=-1)
            loss = loss / value.detach().abs().mean().clamp(min=1e-6)
            loss = loss + self.config.replay.anchor * (weight * away).mean()
        if alone is not None:
            penalty = mir_penalty(mean, alone, self.config.replay.noise, self.config.mir_clip)
            loss = loss + self.strength * (weight * penalty).mean()
        descend(optimiser, self.actor, loss, CLIP)
        said = -value.detach().numpy()
        for robot in range(robots):
            replay.queues.judge(robot, ids[owner == robot], said[owner == robot])
        return {"actor_loss": float(loss.detach()), "value": -float(said.mean())}

    def follow(self) -> None:
        """Move the slow copies."""
        pairs = ((self.target.actor, self.actor), (self.target.critic, self.critic))
        follow(pairs, self.config.replay.tau)

    def fit_club(self) -> dict[str, float]:
        """Fit q to the replay as it is now."""
        if self.club is None:
            return {}
        ids = self._any(4096)
        return {"club_loss": self.club.fit(*self._joint(ids), steps=FIT)}

    def _any(self, count: int) -> Ids:
        """Uniform draw of transitions."""
        known = np.flatnonzero(self.replay.queues.mass[-1])
        return self.rng.choice(known, count)

    def _joint(self, ids: Ids) -> tuple[Tensor, Tensor, Tensor]:
        rows = self.replay.rows
        return joint(rows["robots"][ids], rows["action"][ids], rows["healthy"][ids])

    def _informed(self, ids: Ids) -> Tensor:
        """(B, 1) what the joint action betrays of the state: MIR3, or the action's departure."""
        if self.strength == 0.0 or self.config.regulariser in ("none", "mir-f"):
            return torch.zeros(len(ids), 1)
        x, y, counts = self._joint(ids)
        if self.club is not None:
            return self.club.bound(x, y, counts)[:, None]
        return deviation(y, counts)[:, None]

    def _team_action(self, actor: Actor, ids: Ids) -> Tensor:
        """(B, N, Da) of all robots, 0 for those that do not act."""
        rows = self.replay.rows
        inputs = [torch.from_numpy(rows[key][ids]).flatten(0, 1) for key in ACTOR_KEYS]
        _, mean, _ = policy_means(actor, actor.prepare(*inputs), alone=False)
        acts = self._rows("healthy", ids)
        return mean.unflatten(0, acts.shape) * acts[..., None]

    def _future(self, ids: Ids) -> Tensor:
        """(B, N) what the slow copies expect from here; M3DDPG asks for each robot in turn."""
        critic, robots = self.target.critic, len(self.replay.queues.mass) - 1
        action = self._team_action(self.target.actor, ids)
        if self.config.adversary_step == 0.0:
            return self._values(critic, ids, action)
        one_hot = torch.eye(robots)[:, None, :, None]
        worse = [self._worse(critic, ids, action, me) for me in one_hot]
        each = [self._values(critic, ids, part)[:, i] for i, part in enumerate(worse)]
        return torch.stack(each, dim=1)

    def _worse(self, critic: nn.Module, ids: Ids, action: Tensor, mine: Tensor) -> Tensor:
        """The others' actions after a step against the value of `mine` (B or 1, N, 1), eq. 12."""
        length = self.config.adversary_step
        if length == 0.0:
            return action
        with torch.enable_grad():
            free = action.detach().requires_grad_()
            value = (self._values(critic, ids, free) * mine[..., 0]).sum()
            (slope,) = torch.autograd.grad(value, free)
        slope = slope * (1.0 - mine)
        size = slope.flatten(1).norm(dim=-1)[:, None, None].clamp(min=1e-8)
        return (action.detach() - length * slope / size).clamp(-1.0, 1.0)

    def _values(self, critic: nn.Module, ids: Ids, action: Tensor) -> Tensor:
        """(B, N) values of joint actions (B, N, Da); robots see landmarks from where they are."""
        robots, marks, real = (self._rows(name, ids) for name in ("robots", "marks", "real"))
        way = (marks[:, None, :, :2] - robots[:, :, None, :2]) * real[:, None, :, None]
        far = way.norm(dim=-1, keepdim=True)
        seen = self._rows("present", ids)
        if self.config.mask_faulty:
            seen = seen * self._rows("healthy", ids)
        tokens = torch.cat([robots, action, way.flatten(2), far.flatten(2)], dim=-1)
        values: Tensor = critic(tokens, seen, marks, real)
        return values

    def _counts(self, ids: Ids) -> Tensor:
        """(B, N) 1 for robots whose value is learned."""
        return self._rows("healthy" if self.config.mask_faulty else "present", ids)

    def _rows(self, name: str, ids: Ids) -> Tensor:
        return torch.from_numpy(self.replay.rows[name][ids].astype(np.float32))

    def _fault_share(self, ids: Ids) -> float:
        rows = self.replay.rows
        broken = (rows["present"][ids] > 0.5) & ~rows["healthy"][ids]
        return float(broken.any(axis=-1).mean())
