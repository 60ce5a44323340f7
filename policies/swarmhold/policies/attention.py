"""The actor: attention over teammates, re-weighted by their health.

Each teammate's logit gets `log(health)` added on the key side (AACFT's masked attention,
arXiv 2412.00534, made continuous and fed by a detector instead of an oracle). So weight 1
changes nothing, weight 0 removes the teammate exactly, and two identical teammates at 1/2
count as one. A learned null token is always present and keeps the softmax finite.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import PolicySpec
from swarmhold.policies.actor import Actor, Tokens, encoder

CAP = 8.0  # logits are capped to +-CAP, so that no message can shout the others down


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


class HealthAttentionActor(Actor):
    """Policy of one robot; all robots share it.

    Streams: teammates (health-weighted), landmarks and bodies (never weighted by health), and
    landmarks asking teammates "who is near me?" (health-weighted on the key side again, so
    that a masked robot cannot leak through a landmark).
    """

    leaves_out = True

    def __init__(self, spec: PolicySpec, width: int = 64, heads: int = 4, beside: int = 0) -> None:
        """Build the network for a contract.

        Args:
            spec: token layouts and action bounds.
            width: width of all tokens.
            heads: attention heads.
            beside: values that the head sees beside the features.
        """
        super().__init__(spec, width, 3 * width + 2 + beside)
        self.heads = heads
        self.encode_self = encoder(spec.self_size + 2, width)
        self.encode_team = encoder(spec.team_size + 3, width)
        self.encode_obstacle = encoder(spec.obstacle_size + 5, width)
        self.ask_team = Attention(width, heads)
        self.blend = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.team = Attention(width, heads)
        self.join = nn.Linear(2 * width, width)
        self.obstacles = Attention(width, heads)
        self.make_head(spec)

    def features(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """What attention finds, (B, 3 width + 2), and the attention itself (B, M + 1)."""
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
