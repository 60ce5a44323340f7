"""White-box attack through the differentiable twin (level 2).

Attackers know the policy, the task and everybody's state. Their set-points are climbed along the
gradient of the scenario's error, back-propagated through bodies, observations and policy, over a
receding horizon; what comes out is a plan for the whole episode, which is then played in the real
environment. Messages stay true: this is harm by motion alone.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Bool, Float
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.redteam.attack import Attack
from swarmhold.policies.redteam.twin import Moment, TeamTwin
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

HORIZON, COMMIT = 30, 15  # decisions looked ahead, and kept of them
STEPS = 3  # of Adam per horizon; every decision is climbed HORIZON / COMMIT times as often
RATE = 1.0  # of Adam, on set-points before their squashing into the bounds


class Planned(Attack):
    """Attackers follow a plan, whatever happens."""

    def __init__(self, name: str, robots: Bool, plan: Float) -> None:
        """Args: name of the row, attackers (E, N), normalised set-points (T, E, N, Da)."""
        super().__init__(name, robots, [[] for _ in robots])
        self._plan = plan

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Set-points (E, N, Da); see `Attack.act`."""
        now = np.rint(step.time_s / env.tick).astype(int)
        wish = self._plan[np.minimum(now, len(self._plan) - 1), np.arange(env.n_envs)]
        return np.where(self.robots[..., None], wish * np.asarray(env.spec.action_bound), action)


def gradient_attack(
    env: SwarmEnv, actor: HealthAttentionActor, robots: Bool, seed: int, episode: int = 0
) -> Planned:
    """Plan an attack on the layouts of an episode.

    Args:
        env: environment; is reset.
        actor: policy under attack, which trusts everybody.
        robots: (E, N) attackers.
        seed: of where the climb starts.
        episode: number of the episode.

    Raises:
        ConfigError: there is no differentiable form of the scenario.
    """
    env.reset(episode=episode)
    twin = TeamTwin(env, copy.deepcopy(actor).requires_grad_(False), robots)
    draw = torch.Generator().manual_seed(seed)
    now, kept = twin.start(), list[Float]()
    shape = (HORIZON, *robots.shape, env.spec.action_size)
    wish = 0.1 * torch.randn(shape, generator=draw, dtype=torch.float64)
    while len(kept) < env.limit:
        wish = climb(twin, now, wish, STEPS)
        with torch.no_grad():
            for sought in torch.tanh(wish[:COMMIT]):
                now = twin.advance(now, sought)
                kept.append(sought.numpy())
        wish = torch.cat([wish[COMMIT:], wish[-1:].expand(COMMIT, *shape[1:])])
    return Planned("gradient", robots, np.stack(kept[: env.limit]))


def harm(twin: TeamTwin, now: Moment, wish: Tensor) -> Tensor:
    """(E) m, mean error over a horizon.

    Args:
        twin: the team.
        now: where it starts.
        wish: (H, E, N, Da) set-points before squashing; those of attackers count.
    """
    errors = []
    for sought in torch.tanh(wish):
        now = twin.advance(now, sought)
        errors.append(twin.error(now))
    return torch.stack(errors).mean(dim=0)


def climb(twin: TeamTwin, now: Moment, wish: Tensor, steps: int) -> Tensor:
    """Set-points after some steps of Adam towards more harm; arguments as in `harm`."""
    wish = wish.detach().clone().requires_grad_()
    climber = torch.optim.Adam([wish], lr=RATE)
    for _ in range(steps):
        climber.zero_grad()
        (-harm(twin, now.cut(), wish).sum()).backward()
        climber.step()
    return wish.detach()
