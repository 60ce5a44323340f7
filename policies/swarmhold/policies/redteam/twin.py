"""A whole team in torch: bodies, observation, policy and score, with gradients throughout.

What the simulator does per decision, in its order: everybody hears what the others were one
decision ago, decides, and moves for a decision. The observation is the torch form of
`swarmhold.hardware.observe.observe`; bodies move by the simulator's own laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.surroundings import BODY_SLOTS
from swarmhold.hardware.task_error import wanted_landmarks
from swarmhold.hardware.types import TokenKind, teammate_index
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.sim.blocks import STATE
from swarmhold.sim.differentiable import DifferentiableBodies
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.robots import PHYSICS_HZ, DriveModel

SCENARIOS = ("rendezvous", "coverage")  # those whose error is written in torch
TOUCHES = 3  # rounds in which overlapping bodies are pushed apart, as the batched twin does


class Pose(NamedTuple):
    """Kinematics of robots in torch, world frame.

    Attributes:
        position: (..., 3) m.
        velocity: (..., 3) m/s.
        yaw: (...) rad.
        yaw_rate: (...) rad/s.
    """

    position: Tensor
    velocity: Tensor
    yaw: Tensor
    yaw_rate: Tensor


class Marks(NamedTuple):
    """Landmarks and bodies around robots, as in `hardware.types.Surroundings`."""

    position: Tensor
    radius: Tensor
    kind: Tensor
    value: Tensor
    rank: Tensor
    mask: Tensor


def to_body(vector: Tensor, yaw: Tensor) -> Tensor:
    """Turn world vectors (..., 3) into the yaw frame."""
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    x, y, z = vector.unbind(-1)
    return torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1)


def observe(
    own: Pose, last_action: Tensor, team: Pose, team_age: Tensor, marks: Marks, home: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The torch form of `hardware.observe.observe`; arguments as there, without the spec.

    Returns:
        Tokens of the robot itself, its teammates and what is around it, and the mask of these.
    """
    yaw, yaw_team = own.yaw, own.yaw[..., None]
    here, pace = own.position[..., None, :], own.velocity[..., None, :]
    self_token = torch.cat(
        [
            to_body(own.velocity, yaw)[..., :2],
            own.yaw_rate[..., None],
            last_action,
            to_body(home - own.position, yaw)[..., :2],
        ],
        dim=-1,
    )
    turn = team.yaw - yaw_team
    angles = torch.stack([torch.cos(turn), torch.sin(turn), team_age], dim=-1)
    places = (to_body(team.position - here, yaw_team), to_body(team.velocity - pace, yaw_team))
    kinds = marks.kind[..., None] == torch.arange(len(TokenKind))
    rest = (marks.radius[..., None], kinds, marks.value[..., None], marks.rank[..., None])
    spots = torch.cat([to_body(marks.position - here, yaw_team), *rest], dim=-1)
    spots = torch.where(marks.mask[..., None], spots, 0.0)
    return self_token, torch.cat([*places, angles], dim=-1), spots, marks.mask


@dataclass
class Moment:
    """Where a twin is.

    Attributes:
        state: (E, N, 17) of the bodies, see `DifferentiableBodies`.
        heard: what everybody said last, one decision ago.
        last_action: (E, N, Da) divided by its bound.
    """

    state: Tensor
    heard: Pose
    last_action: Tensor

    def cut(self) -> Moment:
        """The same without history."""
        return Moment(
            self.state.detach(),
            Pose(*(part.detach() for part in self.heard)),
            self.last_action.detach(),
        )


class TeamTwin:
    """E teams of N robots under a policy; some of the robots follow given set-points."""

    def __init__(self, env: SwarmEnv, actor: HealthAttentionActor, attackers: np.ndarray) -> None:
        """Copy what does not change from an environment that has just been reset.

        Args:
            env: environment.
            actor: policy of the others.
            attackers: (E, N) robots that follow set-points; the others trust them.

        Raises:
            ConfigError: see `check_twin`.
        """
        check_twin(env)
        self._env, self._actor = env, actor
        self._spec: PolicySpec = env.spec
        self._model = env.model
        self._bodies = DifferentiableBodies(env.model)
        self._steps = round(env.tick * PHYSICS_HZ)
        self._touch = env.scenario.contacts
        self._attackers, self._healthy = torch.from_numpy(attackers), ~attackers
        self._others = torch.from_numpy(teammate_index(env.n_robots))
        self._bound = torch.tensor(env.spec.action_bound, dtype=torch.float64)
        marks = env.landmarks
        self._landmarks = torch.from_numpy(marks.position.copy())
        values = (marks.value, marks.rank(), marks.mask)
        self._values = tuple(torch.from_numpy(np.array(part)) for part in values)
        self._wanted = torch.from_numpy(wanted_landmarks(marks.value, marks.mask, ~attackers))

    def start(self) -> Moment:
        """Where the environment is now."""
        state = torch.from_numpy(self._env.physics.blocks.get(0, STATE))
        return Moment(state, pose_of(state), torch.zeros(*state.shape[:2], len(self._bound)))

    def advance(self, now: Moment, wish: Tensor) -> Moment:
        """One decision.

        Args:
            now: where everybody is.
            wish: (E, N, Da) normalised set-points; those of attackers count.
        """
        own = pose_of(now.state)
        action = torch.where(self._attackers[..., None], wish, 0.0)
        action[~self._attackers] = self._decide(now, own)
        goal = action * self._bound
        state = self._bodies.advance(now.state, self._commands(goal), self._steps)
        return Moment(self._walled(state), own, action)

    def error(self, now: Moment) -> Tensor:
        """(E) m, the scenario's error of the robots that do not attack."""
        place, healthy = now.state[..., :2], torch.from_numpy(self._healthy)
        if self._env.scenario.name == "rendezvous":
            pairs = healthy[:, :, None] & healthy[:, None] & ~torch.eye(place.shape[1]).bool()
            distance = _length(place[:, :, None] - place[:, None])
            return (distance * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)
        gap = _length(self._landmarks[:, :, None] - place[:, None])
        gap = torch.where(healthy[:, None], gap, torch.inf).amin(dim=-1)
        gap = gap.clamp(max=2.0 * self._env.half_width)
        return (gap * self._wanted).sum(dim=-1) / self._wanted.sum(dim=-1).clamp(min=1)

    def _decide(self, now: Moment, own: Pose) -> Tensor:
        """(V, Da) normalised actions of those that do not attack; they trust everybody."""
        heard = Pose(*(part[:, self._others] for part in now.heard))
        age = torch.zeros_like(heard.yaw)
        home = torch.zeros(3, dtype=own.position.dtype)
        tokens = observe(own, now.last_action, heard, age, self._marks(own.position), home)
        alone, team, spots, real = (part[~self._attackers].float() for part in tokens)
        if not spots.shape[1]:
            spots, real = (
                spots.new_zeros(len(spots), 1, spots.shape[-1]),
                real.new_zeros(len(real), 1),
            )
        action, _ = self._actor(alone, team, torch.ones(team.shape[:2]), spots, real)
        return (action / self._bound).double()

    def _marks(self, place: Tensor) -> Marks:
        """The torch form of `surroundings_of`, without posts and owners."""
        n_envs, robots, count = *place.shape[:2], self._landmarks.shape[1]
        distance = _length(place[:, None, :, :2] - place[:, :, None, :2]).detach()
        seen = (distance < self._model.near_range) & ~torch.eye(robots).bool()
        order = torch.where(seen, distance, torch.inf).argsort(dim=-1, stable=True)
        near = order[..., : min(BODY_SLOTS, robots)]
        bodies = place[torch.arange(n_envs)[:, None, None], near]
        height = torch.full((n_envs, count, 1), self._model.height, dtype=place.dtype)
        spots = torch.cat([self._landmarks, height], dim=-1)

        def joined(marks: Tensor, body: Tensor) -> Tensor:
            spread = marks[:, None].expand(n_envs, robots, *marks.shape[1:])
            return torch.cat([spread, body.to(marks.dtype)], dim=2)

        value, rank, real = self._values
        nought = torch.zeros(near.shape, dtype=place.dtype)
        return Marks(
            joined(spots, bodies),
            joined(torch.zeros_like(value), nought + self._model.radius),
            joined(torch.zeros_like(real).long() + TokenKind.LANDMARK, nought + TokenKind.BODY),
            joined(value, nought),
            joined(rank, nought),
            joined(real, seen.gather(-1, near)),
        )

    def _commands(self, goal: Tensor) -> Tensor:
        """Wheel speeds (m/s) of robots that drive, velocities of those that hover."""
        if not isinstance(self._model, DriveModel):
            return goal
        half = goal[..., 1] * self._model.axle / 2
        wheels = torch.stack([goal[..., 0] - half, goal[..., 0] + half], dim=-1)
        return wheels.clamp(-self._model.wheel_speed, self._model.wheel_speed)

    def _walled(self, state: Tensor) -> Tensor:
        """Push overlapping bodies apart and keep ground robots between the walls."""
        place, velocity = state[..., :2], state[..., 7:9]
        if self._touch:
            place = self._apart(place)
        if isinstance(self._model, DriveModel):
            limit = self._env.half_width - (self._model.radius if self._touch else 0.0)
            velocity = torch.where(place.abs() > limit, 0.0, velocity)
            place = place.clamp(-limit, limit)
        return torch.cat([place, state[..., 2:7], velocity, state[..., 9:]], dim=-1)

    def _apart(self, place: Tensor) -> Tensor:
        for _ in range(TOUCHES):
            offset = place[:, :, None] - place[:, None]
            distance = _length(offset)
            depth = (2.0 * self._model.radius - distance).clamp(min=0.0)
            depth = depth * ~torch.eye(place.shape[1]).bool()
            if not bool(depth.any()):
                break
            push = offset / distance[..., None] * (0.5 * depth)[..., None]
            place = place + push.sum(dim=2)
        return place


def check_twin(env: SwarmEnv) -> None:
    """Refuse what has no form in torch.

    Raises:
        ConfigError: the scenario's error or the robot's engine is not written in torch.
    """
    if env.scenario.name not in SCENARIOS or env.robot == "gritsbot":
        raise ConfigError(
            f"gradients are there for {' and '.join(SCENARIOS)} of epuck and crazyflie, "
            f"not for {env.scenario.name} of {env.robot}"
        )


def pose_of(state: Tensor) -> Pose:
    """Kinematics from states (..., 17)."""
    x, y, z, w = state[..., 3:7].unbind(-1)
    yaw = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return Pose(state[..., :3], state[..., 7:10], yaw, state[..., 12])


def _length(vector: Tensor) -> Tensor:
    """Euclidean norm whose slope at zero is zero instead of undefined."""
    return torch.sqrt((vector**2).sum(dim=-1) + 1e-12)
