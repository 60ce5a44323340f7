"""The actor: attention over teammates, re-weighted by their health.

Each teammate's logit gets `log(health)` added on the key side (AACFT's masked attention,
arXiv 2412.00534, made continuous and fed by a detector instead of an oracle). So weight 1
changes nothing, weight 0 removes the teammate exactly, and two identical teammates at 1/2
count as one. A learned null token is always present and keeps the softmax finite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import Field, PolicySpec

LIVE = 0.05  # weights below this are a hard zero
CLIP = 5.0  # scaled token values are clipped to +-CLIP
CAP = 8.0  # logits are capped to +-CAP, so that no message can shout the others down
MASKED = -1e9


class Attention(nn.Module):
    """Multi-head attention with additive key bias and a null token that is always present."""

    def __init__(self, width: int, heads: int) -> None:
        """Args: width of tokens, and number of heads that it is split into."""
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.null_key = nn.Parameter(0.1 * torch.randn(1, width))
        self.null_value = nn.Parameter(torch.zeros(1, width))

    def forward(self, queries: Tensor, tokens: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: (B, Q, width).
            tokens: (B, K, width).
            bias: (B, K), added to the capped logits.

        Returns:
            Mixed values (B, Q, width), and attention averaged over heads (B, Q, K + 1); the
            last share is the null token's.
        """
        null = torch.zeros_like(tokens[:, :1])
        keys = torch.cat([self.key(tokens), null + self.null_key], dim=1)
        values = torch.cat([self.value(tokens), null + self.null_value], dim=1)
        bias = torch.cat([bias, torch.zeros_like(bias[:, :1])], dim=1)
        q, k, v = (self._split(x) for x in (self.query(queries), keys, values))
        logits = q @ k.transpose(-1, -2) / math.sqrt(self.head_width)
        logits = CAP * torch.tanh(logits / CAP) + bias[:, None, None, :]
        shares = torch.softmax(logits, dim=-1)
        mixed = (shares @ v).transpose(1, 2).flatten(2)
        return mixed, shares.mean(dim=1)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, K, width) to (B, heads, K, head width)."""
        return tokens.unflatten(-1, (self.heads, self.head_width)).transpose(1, 2)


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


class HealthAttentionActor(nn.Module):
    """Policy of one robot; all robots share it.

    Streams: teammates (health-weighted), landmarks and bodies (never weighted by health), and
    landmarks asking teammates "who is near me?" (health-weighted on the key side again, so
    that a masked robot cannot leak through a landmark).
    """

    def __init__(self, spec: PolicySpec, width: int = 64, heads: int = 4) -> None:
        """Build the network for a contract.

        Args:
            spec: token layouts and action bounds.
            width: width of all tokens.
            heads: attention heads.
        """
        super().__init__()
        self.width, self.heads = width, heads
        self.feature_size = 3 * width + 2
        self.register_buffer("self_scale", scales(spec.self_fields))
        self.register_buffer("team_scale", scales(spec.team_fields))
        self.register_buffer("obstacle_scale", scales(spec.obstacle_fields))
        self.register_buffer("bound", torch.tensor(spec.action_bound))
        self.encode_self = encoder(spec.self_size + 2, width)
        self.encode_team = encoder(spec.team_size + 3, width)
        self.encode_obstacle = encoder(spec.obstacle_size + 5, width)
        self.ask_team = Attention(width, heads)
        self.blend = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.team = Attention(width, heads)
        self.join = nn.Linear(2 * width, width)
        self.obstacles = Attention(width, heads)
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

    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """What the head sees, (B, 3 width + 2), and the attention (B, M + 1)."""
        z = self.encode_self(tokens.own)
        mates = self.encode_team(tokens.team)
        marks = self.encode_obstacle(tokens.marks)
        served, _ = self.ask_team(marks, mates, tokens.team_bias)
        marks = marks + self.blend(torch.cat([marks, served], dim=-1))

        from_team, shares = self.team(z[:, None], mates, tokens.team_bias)
        query = self.join(torch.cat([z, from_team[:, 0]], dim=-1))
        from_marks, _ = self.obstacles(query[:, None], marks, tokens.mark_bias)
        features = torch.cat([z, from_team[:, 0], from_marks[:, 0], tokens.count], dim=-1)
        return features, shares[:, 0]


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
