"""Attention bait (level 1): messages made to draw the attention of whoever hears them.

White box. Every receiver is told another pose and velocity of each attacker, inside the arena and
within the speed bound, and these are climbed along the gradient of the receiver's own attention,
a few steps per decision, from where the last decision left off.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Bool, Float, Kinematics, teammate_index
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.randomise import exists_for_others
from swarmhold.policies.redteam.attack import Attack
from swarmhold.policies.rollout import ACTOR_KEYS
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

TRIES = 8  # random messages per receiver, of which the best is where the climb starts
FIRST, EACH = 20, 4  # gradient steps before the first decision, and for each
RATE = 0.1  # of Adam, on numbers that are squashed into the bounds
NUMBERS = 5  # of a message: position (2), velocity (2), heading


class Bait(Attack):
    """Attackers behave, and tell every receiver what it will look at most."""

    def __init__(self, robots: Bool, actor: HealthAttentionActor, seed: int) -> None:
        """Args: attackers (E, N), the same number in all teams; the policy; seed of first tries."""
        super().__init__("bait", robots, [[] for _ in robots])
        self._actor, self._seed = copy.deepcopy(actor).requires_grad_(False), seed
        n_envs, n_robots = robots.shape
        self._env, self._receiver = np.nonzero(~robots)  # rows: receivers that are no attackers
        senders = np.nonzero(robots)[1].reshape(n_envs, -1)
        self._sender = senders[self._env]
        slots = self._sender[..., None] == teammate_index(n_robots)[self._receiver][:, None]
        self._slot = torch.from_numpy(slots.argmax(axis=-1))

    def begin(self, env: SwarmEnv, step: Step) -> None:
        """Find out what draws attention at the start."""
        draw = torch.Generator().manual_seed(self._seed)
        self._half, self._speed = env.half_width, env.spec.action_bound[0]
        shape = (*self._sender.shape, NUMBERS)
        best = torch.randn(shape, generator=draw)
        share = self.shares(step, best)
        for _ in range(TRIES - 1):
            other = torch.randn(shape, generator=draw)
            found = self.shares(step, other)
            best = torch.where((found > share)[:, None, None], other, best)
            share = torch.maximum(found, share)
        self._wish = best.requires_grad_()
        self._climber = torch.optim.Adam([self._wish], lr=RATE)
        self._climb(step, FIRST)
        self._sum, self._count = 0.0, 0

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Forge the next messages; the set-points stay what they are."""
        self._sum, self._count = self._sum + self._climb(step, EACH), self._count + 1
        env.radio.forged = (self.robots, self._messages(step))
        return action

    def end(self, env: SwarmEnv, step: Step) -> None:
        """Note the mean share of attention that an attacker drew."""
        self.figures["attention_share"] = self._sum / max(self._count, 1)

    def shares(self, step: Step, wish: Tensor) -> Tensor:
        """(rows) mean share of attention of the attackers' messages, without gradient.

        Args:
            step: what receivers see otherwise; they trust everybody.
            wish: (rows, attackers, 5) unbounded numbers of the messages.
        """
        with torch.no_grad():
            return self._log_shares(step, wish).exp().mean(dim=-1)

    def _climb(self, step: Step, steps: int) -> float:
        """A few steps up the logarithm of the shares; returns the mean share on the way."""
        logs = torch.zeros(())
        for _ in range(steps):
            self._climber.zero_grad()
            logs = self._log_shares(step, self._wish)
            (-logs.sum()).backward()
            self._climber.step()
        return float(logs.detach().exp().mean())

    def _log_shares(self, step: Step, wish: Tensor) -> Tensor:
        """(rows, attackers) of what a receiver would see if it got the messages now."""
        trusted = exists_for_others(step.truth.present).astype(float)
        arrays = step.observation.graph_inputs(trusted)
        rows = np.flatnonzero(~self.robots)
        self_token, team, *rest = (torch.from_numpy(arrays[key][rows]) for key in ACTOR_KEYS)
        slot = self._slot[..., None].expand(*self._slot.shape, team.shape[-1])
        team = team.scatter(1, slot, self._tokens(step, wish))
        _, shares = self._actor.mean(self_token, team, *rest)
        return torch.log(shares.gather(1, self._slot).clamp(min=1e-12))

    def _bounded(self, wish: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World position and velocity (rows, attackers, 2) and heading (rows, attackers)."""
        place, way = self._half * torch.tanh(wish[..., :2]), wish[..., 2:4]
        speed = self._speed / torch.sqrt(1.0 + (way**2).sum(dim=-1, keepdim=True))
        return place, speed * way, wish[..., 4]

    def _tokens(self, step: Step, wish: Tensor) -> Tensor:
        """(rows, attackers, 9) team tokens, as `observe` would build them from the messages."""
        truth, own = step.truth, (self._env, self._receiver)
        place, velocity, heading = self._bounded(wish)
        yaw = torch.from_numpy(truth.yaw[own]).float()[:, None]
        here, pace = (
            torch.from_numpy(part[own][:, None, :2]).float()
            for part in (truth.position, truth.velocity)
        )
        cos, sin = torch.cos(yaw), torch.sin(yaw)

        def turned(offset: Tensor) -> list[Tensor]:
            x, y = offset.unbind(-1)
            return [cos * x + sin * y, cos * y - sin * x, torch.zeros_like(x)]

        turn = heading - yaw
        parts = [*turned(place - here), *turned(velocity - pace), torch.cos(turn), torch.sin(turn)]
        return torch.stack([*parts, torch.zeros_like(turn)], dim=-1)

    def _messages(self, step: Step) -> Kinematics:
        """What every receiver (axis 1) is told by every sender (axis 2)."""
        truth = step.truth
        n_envs, n_robots = self.robots.shape
        pairs = (n_envs, n_robots, n_robots)
        position = np.broadcast_to(truth.position[:, None], (*pairs, 3)).copy()
        velocity = np.broadcast_to(truth.velocity[:, None], (*pairs, 3)).copy()
        yaw = np.broadcast_to(truth.yaw[:, None], pairs).copy()
        with torch.no_grad():
            place, pace, heading = (part.numpy() for part in self._bounded(self._wish))
        who = (self._env[:, None], self._receiver[:, None], self._sender)
        position[(*who, slice(0, 2))] = place
        velocity[(*who, slice(0, 2))] = pace
        yaw[who] = heading
        return Kinematics(position, velocity, yaw, np.zeros(pairs))
