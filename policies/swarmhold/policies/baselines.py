"""Actors to compare with: none of them lets a health weight remove a teammate.

What they are told of a fault, they are told as the papers do it: by a flag in the teammate's
token. All take the inputs of the exported graph and have the same head as the health-weighted
actor, so that an arm differs from another in what its name says and in nothing else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import PolicySpec
from swarmhold.policies.actor import CLIP, Actor, Tokens, clean, encoder, squash, zoom


class BaselineActor(Actor):
    """Hears every teammate, whatever its health; the weight is a flag, or goes unused."""

    def __init__(self, spec: PolicySpec, width: int, feature_size: int, told: bool) -> None:
        """Args: contract, width, features, and whether the actor sees `1 - health` as a flag."""
        super().__init__(spec, width, feature_size)
        self.told = told
        self.token_size = spec.team_size + 4  # zoomed, and the flag

    def prepare(
        self,
        self_token: Tensor,
        team: Tensor,
        health: Tensor,
        obstacles: Tensor,
        obstacle_mask: Tensor,
        head_count: Tensor | None = None,
    ) -> Tokens:
        """As `Actor.prepare`, but tokens of weight 0 stay, and the weight is a value of theirs."""
        if not self.told:
            health = torch.ones_like(health)
        flag = 1.0 - clean(health).clamp(0.0, 1.0)
        told = super().prepare(self_token, team, health, obstacles, obstacle_mask, head_count)
        heard = squash(clean(team).clamp(-1e6, 1e6) / self.team_scale)
        team = torch.cat([heard, zoom(heard), CLIP * flag[..., None]], dim=-1)
        return told._replace(team=team, team_bias=torch.zeros_like(health))


class MlpActor(BaselineActor):
    """Everything in fixed places, one after the other: what MADDPG (arXiv 1706.02275) acts with.

    Teammates and landmarks beyond the places are not seen; empty places are zero.
    """

    def __init__(self, spec: PolicySpec, width: int, places: tuple[int, int], told: bool) -> None:
        """Args: contract, width, places for teammates and for landmarks and bodies, flag."""
        super().__init__(spec, width, width, told)
        self.mates, self.spots = places
        self.mark_size = spec.obstacle_size + 4  # zoomed, and whether it is real
        size = spec.self_size + 2 + self.mates * self.token_size + self.spots * self.mark_size
        self.encode = nn.Sequential(
            nn.Linear(size, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU()
        )
        self.make_head(spec)

    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """See `Actor.features`; the null token has the whole attention."""
        real = (tokens.mark_bias > -1.0).to(tokens.marks.dtype)[..., None]
        marks = torch.cat([tokens.marks[..., : self.mark_size - 1] * real, real], dim=-1)
        parts = (tokens.own, places(tokens.team, self.mates), places(marks, self.spots))
        nobody = torch.zeros_like(tokens.team_bias)
        shares = torch.cat([nobody, torch.ones_like(nobody[:, :1])], dim=-1)
        return self.encode(torch.cat(parts, dim=-1)), shares


def places(tokens: Tensor, count: int) -> Tensor:
    """(B, count times size): the first tokens of (B, K, size), zeros where there are fewer."""
    empty = torch.zeros_like(tokens[:, :1]).expand(-1, count, -1)
    return torch.cat([tokens, empty], dim=1)[:, :count].flatten(1)


class Mix(nn.Module):
    """Scaled dot-product attention of one query per head, without null token or health."""

    def __init__(self, width: int, heads: int) -> None:
        """Args: width of tokens, and number of heads."""
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, asked: Tensor, tokens: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width) and mean shares (B, K) for queries (B, width), tokens (B, K, width)."""
        query = self.query(asked).unflatten(-1, (self.heads, self.size))
        key = self.key(tokens).unflatten(-1, (self.heads, self.size))
        value = self.value(tokens).unflatten(-1, (self.heads, self.size))
        logits = (query[:, None] * key).sum(dim=-1) / math.sqrt(self.size) + bias[..., None]
        shares = torch.softmax(logits, dim=1)
        mixed = (shares[..., None] * value).sum(dim=1).flatten(1)
        return self.out(mixed), shares.mean(dim=-1)


class Readout(nn.Module):
    """What a frozen random class token reads from tokens by one head of attention.

    The query is the same for all rows, so the keys need not be computed: q.(W x) = (W'q).x, and
    what a bias adds to every logit the softmax takes out again. Values are mixed, then mapped.
    """

    def __init__(self, width: int) -> None:
        """Args: width of tokens."""
        super().__init__()
        self.scale = 1.0 / math.sqrt(width)
        self.register_buffer("ask", torch.randn(width))
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, tokens: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width) and shares (B, K) of tokens (B, K, width)."""
        sought = self.query(self.ask) @ self.key.weight * self.scale
        shares = torch.softmax(tokens @ sought + bias, dim=-1)
        return self.out(self.value((shares[..., None] * tokens).sum(dim=1))), shares


class AacftActor(BaselineActor):
    """Self-attention over one's own, the teammates' and the landmarks' tokens (arXiv 2412.00534).

    A frozen random class token asks, one head, as published. Encoders are shared by tokens of one
    type, where the published code has one per place, and the own token goes to the head as well,
    where the published code has no residual: both help it, and make it work for any team size.
    """

    def __init__(self, spec: PolicySpec, width: int = 64, told: bool = True) -> None:
        """Args: contract, width, and whether the flag is seen."""
        super().__init__(spec, width, 2 * width, told)
        self.encode_self = encoder(spec.self_size + 2, width)
        self.encode_team = encoder(self.token_size, width)
        self.encode_obstacle = encoder(spec.obstacle_size + 5, width)
        self.read = Readout(width)
        self.make_head(spec)

    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """See `Actor.features`; what is not a teammate's share is the null token's."""
        z = self.encode_self(tokens.own)
        mates, marks = self.encode_team(tokens.team), self.encode_obstacle(tokens.marks)
        asker = self.read.ask + torch.zeros_like(z)
        rows = torch.cat([asker[:, None], z[:, None], mates, marks], dim=1)
        free = torch.zeros_like(tokens.count)
        bias = torch.cat([free, tokens.team_bias, tokens.mark_bias], dim=1)
        mixed, shares = self.read(rows, bias)
        heard = shares[:, 2 : 2 + tokens.team.shape[1]]
        rest = 1.0 - heard.sum(dim=-1, keepdim=True)
        return torch.cat([z, mixed], dim=-1), torch.cat([heard, rest], dim=-1)


class FtAttentionActor(BaselineActor):
    """Attention has to find out by itself whom to believe (FT-Attn, arXiv 1910.02240).

    Several heads over the teammates' messages, asked by the own token, with nothing told about
    health and no way to attend to nobody; landmarks have an attention of their own.
    """

    def __init__(self, spec: PolicySpec, width: int = 64, heads: int = 4) -> None:
        """Args: contract, width, and number of heads."""
        super().__init__(spec, width, 3 * width, told=False)
        self.encode_self = encoder(spec.self_size + 2, width)
        self.encode_team = encoder(self.token_size, width)
        self.encode_obstacle = encoder(spec.obstacle_size + 5, width)
        self.team, self.marks = Mix(width, heads), Mix(width, heads)
        self.make_head(spec)

    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """See `Actor.features`; the null token has no share."""
        z = self.encode_self(tokens.own)
        heard, shares = self.team(z, self.encode_team(tokens.team), tokens.team_bias)
        seen, _ = self.marks(z + heard, self.encode_obstacle(tokens.marks), tokens.mark_bias)
        nobody = torch.zeros_like(shares[:, :1])
        return torch.cat([z, heard, seen], dim=-1), torch.cat([shares, nobody], dim=-1)
