"""What all actors share: the graph's inputs, their cleaning and scaling, and the head."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from swarmhold.hardware.entity_budget import LIVE  # weights up to this are a hard zero
from swarmhold.hardware.spec import Field, PolicySpec

CLIP = 5.0  # scaled token values are clipped to +-CLIP
MASKED = -1e9


def encoder(size: int, width: int) -> nn.Sequential:
    """Two-layer encoder shared by all tokens of one type."""
    return nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width))


def scales(fields: tuple[Field, ...]) -> Tensor:
    """One scale per token value."""
    return torch.tensor([field.scale for field in fields for _ in range(field.size)])


class Tokens(NamedTuple):
    """The actor's inputs, cleaned and scaled.

    Attributes:
        own: (B, Ds + 2) own token and head-count.
        count: (B, 2) head-count, squashed and scaled.
        team: (B, M, Dt + 3).
        team_bias: (B, M) added to the logits: log(health), or `MASKED`.
        marks: (B, O, Do + 5).
        mark_bias: (B, O) 0, or `MASKED`.
    """

    own: Tensor
    count: Tensor
    team: Tensor
    team_bias: Tensor
    marks: Tensor
    mark_bias: Tensor


class Actor(nn.Module):
    """Policy of one robot, which all robots share; what it makes of the tokens is open.

    Attributes:
        width: of all tokens.
        feature_size: values that the head sees.
        leaves_out: whether a token of weight 0 is as good as absent, so that it need not be there.
        memory: values of the hidden state; 0 for a policy that remembers nothing.
    """

    leaves_out = False
    memory = 0

    def __init__(self, spec: PolicySpec, width: int, feature_size: int) -> None:
        """Build what all actors share.

        Args:
            spec: token layouts and action bounds.
            width: width of all tokens.
            feature_size: values that the head sees.
        """
        super().__init__()
        self.width, self.feature_size = width, feature_size
        self.register_buffer("self_scale", scales(spec.self_fields))
        self.register_buffer("team_scale", scales(spec.team_fields))
        self.register_buffer("obstacle_scale", scales(spec.obstacle_fields))
        self.register_buffer("bound", torch.tensor(spec.action_bound))

    def make_head(self, spec: PolicySpec) -> None:
        """The layers from features to action; called last, so that seeds mean what they meant."""
        width = self.width
        self.head = nn.Sequential(
            nn.Linear(self.feature_size, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
            nn.Linear(width, spec.action_size),
        )
        with torch.no_grad():
            self.head[-1].weight.mul_(0.1)
            self.head[-1].bias.zero_()

    @abstractmethod
    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """What the head sees, (B, feature_size), and the attention (B, M + 1)."""
        raise NotImplementedError

    def forward(
        self,
        self_token: Tensor,
        team: Tensor,
        health: Tensor,
        obstacles: Tensor,
        obstacle_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The exported graph.

        Args:
            self_token: (B, Ds), SI units, like all tokens.
            team: (B, M, Dt).
            health: (B, M) weights in [0, 1].
            obstacles: (B, O, Do).
            obstacle_mask: (B, O) 1 for real entries.

        Returns:
            Action (B, Da) in physical units, and attention over teammates and null (B, M + 1).
        """
        mean, attention = self.mean(self_token, team, health, obstacles, obstacle_mask)
        return mean * self.bound, attention

    def mean(
        self,
        self_token: Tensor,
        team: Tensor,
        health: Tensor,
        obstacles: Tensor,
        obstacle_mask: Tensor,
        head_count: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Normalised action in [-1, 1] and attention; arguments as in `forward`.

        Args:
            self_token: see `forward`.
            team: see `forward`.
            health: see `forward`.
            obstacles: see `forward`.
            obstacle_mask: see `forward`.
            head_count: (B) replaces the sum of live weights (for the fallback policy of
                MIR-F, which sees nobody but still knows how many work).
        """
        tokens = self.prepare(self_token, team, health, obstacles, obstacle_mask, head_count)
        features, shares = self.features(tokens)
        return torch.tanh(self.head(features)), shares

    def prepare(
        self,
        self_token: Tensor,
        team: Tensor,
        health: Tensor,
        obstacles: Tensor,
        obstacle_mask: Tensor,
        head_count: Tensor | None = None,
    ) -> Tokens:
        """Clean, scale and mask; nothing in here is learned. Arguments as in `mean`."""
        health = clean(health).clamp(0.0, 1.0)
        live = health > LIVE
        bias = torch.where(live, torch.log(health.clamp(min=LIVE)), MASKED)
        team = squash(torch.where(live[..., None], clean(team), 0.0) / self.team_scale)
        real = clean(obstacle_mask) > 0.5
        spots = squash(torch.where(real[..., None], clean(obstacles), 0.0) / self.obstacle_scale)
        spot_bias = torch.where(real, torch.zeros_like(obstacle_mask), MASKED)
        own = squash(clean(self_token) / self.self_scale)
        if head_count is None:
            head_count = torch.where(live, health, 0.0).sum(dim=-1)
        count = torch.stack([head_count / (1.0 + head_count), head_count / 10.0], dim=-1)
        marks = torch.cat([spots, zoom(spots)], dim=-1)
        return Tokens(
            own=torch.cat([own, count], dim=-1),
            count=count,
            team=torch.cat([team, zoom(team)], dim=-1),
            team_bias=bias,
            marks=torch.cat([marks, count[:, None, :] + torch.zeros_like(marks[..., :2])], dim=-1),
            mark_bias=spot_bias,
        )


def clean(values: Tensor) -> Tensor:
    """NaN becomes 0; infinities are left to the clip."""
    return torch.where(torch.isnan(values), torch.zeros_like(values), values)


def squash(values: Tensor) -> Tensor:
    """Clip scaled token values."""
    return values.clamp(-CLIP, CLIP)


def zoom(tokens: Tensor) -> Tensor:
    """(..., 3) squared planar distance, and the planar position magnified.

    The square lets attention compare distances, since -|x - y|^2 is a dot product of
    (x, |x|^2, 1) and (y, 1, |y|^2); the magnified position resolves the last decimetres.
    """
    planar = tokens[..., :2]
    return torch.cat([(planar**2).sum(dim=-1, keepdim=True), (10.0 * planar).clamp(-1, 1)], dim=-1)
