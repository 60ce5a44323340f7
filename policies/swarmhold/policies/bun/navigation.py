"""The scenario `navigation` for joint networks: learnt on a smooth twin, judged in the simulator.

The twin is a quadrotor that follows its velocity set-point with a lag; gradients go through it.
Starts and goals are the scenario's own, and so is the judge, with full bodies and contacts.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Float, Observation, teammate_index
from swarmhold.policies.actor import CLIP, scales
from swarmhold.policies.bun.network import JointNetwork
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.base import nearest_landmark
from swarmhold.sim.scenarios.navigation import Navigation

ROBOT = "crazyflie"
OWN, HEARD = 6, 4  # velocity, last action and way to the goal; position and velocity relative to me
SELF, TEAM = [0, 1, 3, 4], [0, 1, 3, 4]  # of the contract's tokens, in that order
STEP_S, STEPS = 0.2, 36  # of the twin's episodes
LAG_S = 0.25  # time constant of the on-board controller, about
APART = 0.5  # m between centres, from which on coming nearer costs
PRICE = 2.0  # of each metre of that
POOL = 2048  # starts and goals that training draws from


@dataclass(frozen=True, slots=True)
class Judged:
    """Episodes in the simulator.

    Attributes:
        start: mean distance from the goals at the start, in units of the scenario.
        distance: the same over whole episodes.
        on_goal: share of the robots on their goals at the end.
        touched: share of the robots that touched something.
    """

    start: float
    distance: float
    on_goal: float
    touched: float

    @property
    def score(self) -> float:
        """Share of the distance that is made good, on average over the episode."""
        return 1.0 - self.distance / self.start


class NavigationTwin:
    """Differentiable episodes of a team."""

    def __init__(self, robots: int, seed: int) -> None:
        """Draw starts and goals.

        Args:
            robots: N.
            seed: of the pool.
        """
        rng, scenario, spec = np.random.default_rng(seed), Navigation(), policy_spec(ROBOT)
        drawn = [scenario.layout(rng, robots, ROBOT) for _ in range(POOL)]
        self._starts = torch.tensor(np.stack([one.position for one in drawn]), dtype=torch.float32)
        self._goals = torch.tensor(np.stack([one.landmarks for one in drawn]), dtype=torch.float32)
        self._scale = _scales()
        self._speed = spec.action_bound[0]

    def loss(
        self, net: JointNetwork, episodes: int, rng: torch.Generator, dropout: float
    ) -> Tensor:
        """Mean distance from the goals (m), and what coming too near to others costs.

        Args:
            net: decides.
            episodes: B.
            rng: of starts and lost messages.
            dropout: share of the messages that are lost.
        """
        chosen = torch.randint(POOL, (episodes,), generator=rng)
        position, goal = self._starts[chosen], self._goals[chosen]
        n, velocity = position.shape[1], torch.zeros_like(position)
        action, total, same = torch.zeros_like(position), torch.zeros(()), torch.eye(n)
        for _ in range(STEPS):
            own = torch.cat([velocity, action, goal - position], dim=-1)
            heard = between(torch.cat([position, velocity], dim=-1))
            valid = (torch.rand(episodes, n, n, generator=rng) >= dropout).float()
            valid = torch.maximum(valid, same)
            action = net(scaled(own, self._scale[0]), scaled(heard, self._scale[1]), valid)
            position, velocity = follow(position, velocity, self._speed * action)
            away = (goal - position).square().sum(dim=-1).add(1e-6).sqrt().mean()
            gaps = between(position).square().sum(dim=-1).add(1e-6).sqrt() + 1e3 * same
            breach = torch.relu(APART - gaps).sum(dim=-1).mean()
            total = total + away + PRICE * breach
        return total / STEPS


def judge(net: JointNetwork, teams: int, seed: int, noise: float) -> Judged:
    """Fly one episode per team in the simulator.

    Args:
        net: decides.
        teams: E.
        seed: of starts, goals and noise.
        noise: standard deviation of what is added to every scaled input.
    """
    n, rng, scale = net.shape.robots, torch.Generator().manual_seed(seed), _scales()
    distances, touched = [], np.zeros((teams, n), bool)
    with closing(SwarmEnv("navigation", ROBOT, teams, n, "batched", seed=seed)) as env:
        step = env.reset(episode=0)
        while not step.done.all():
            distances.append(float(step.outcome.error.mean()))
            touched |= step.truth.touched
            own, heard = (
                scaled(torch.from_numpy(part).float(), by)
                for part, by in zip(_inputs(step.observation), scale, strict=True)
            )
            own, heard = (x + noise * torch.randn(x.shape, generator=rng) for x in (own, heard))
            with torch.no_grad():
                action = net(own, heard).numpy().astype(float)
            step = env.step(action * np.asarray(env.spec.action_bound))
        score = float(step.outcome.score.mean())
    return Judged(distances[0], float(np.mean(distances)), score, float(touched.mean()))


def _inputs(seen: Observation) -> tuple[Float, Float]:
    """(E, N, 6) and (E, N, N, 4) of the contract's tokens, in physical units."""
    goal, _ = nearest_landmark(seen)
    n = seen.self_token.shape[1]
    heard = np.zeros((len(goal), n, n, HEARD))
    np.put_along_axis(
        heard, teammate_index(n)[None, :, :, None], seen.team[..., TEAM].astype(float), axis=2
    )
    return np.concatenate([seen.self_token[..., SELF], goal], axis=-1), heard


def _scales() -> tuple[Tensor, Tensor]:
    """Of own values and of what is heard, those of the contract."""
    spec = policy_spec(ROBOT)
    team = scales(spec.team_fields)[TEAM]
    return torch.cat([scales(spec.self_fields)[SELF], team[:2]]), team


def follow(position: Tensor, velocity: Tensor, setpoint: Tensor) -> tuple[Tensor, Tensor]:
    """Position and velocity after a step of the twin: m, m/s, all (B, N, 2)."""
    velocity = velocity + (setpoint - velocity) * min(1.0, STEP_S / LAG_S)
    return position + STEP_S * velocity, velocity


def scaled(values: Tensor, by: Tensor) -> Tensor:
    """As the contract's graphs do it."""
    return (values / by).clamp(-CLIP, CLIP)


def between(rows: Tensor) -> Tensor:
    """(B, N, N, F) of others, relative to oneself."""
    return rows[:, None] - rows[:, :, None]
