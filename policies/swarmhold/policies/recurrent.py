"""The health-weighted actor with a memory: a GRU between what attention finds and the head.

The head sees both, so that the memory only has to add what the present does not tell. Learning
follows MAPPO (arXiv 2103.01955, appendix): truncated back-propagation through sequences of ten
decisions, each from the hidden state that was stored when the decision was made. On-policy data
is a few gradient steps old, so that these states still fit; for older data see `imitate.py`.

Health weights act on what the memory hears now. What a teammate has said before it was masked
stays in the hidden state until the GRU lets go of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import PolicySpec
from swarmhold.policies.actor import Tokens, clean
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.forward import learning_features


class Gru(nn.Module):
    """Gated recurrent unit (arXiv 1406.1078, the form of `torch.nn.GRUCell`).

    What it reads is multiplied apart from what it remembers, for a whole sequence at once.
    """

    def __init__(self, size: int, memory: int) -> None:
        """Args: values that it reads, and values of the hidden state."""
        super().__init__()
        self.read = nn.Linear(size, 3 * memory)
        self.recall = nn.Linear(memory, 3 * memory)

    def step(self, read: Tensor, hidden: Tensor) -> Tensor:
        """Hidden state after a decision.

        Args:
            read: (B, 3 H), `self.read` of the features.
            hidden: (B, H) before, in [-1, 1].

        Returns:
            (B, H), between the state before and a new one in (-1, 1).
        """
        reset, keep, new = read.chunk(3, dim=-1)
        reset_, keep_, new_ = self.recall(hidden).chunk(3, dim=-1)
        new = torch.tanh(new + torch.sigmoid(reset + reset_) * new_)
        return new + torch.sigmoid(keep + keep_) * (hidden - new)


class RecurrentActor(HealthAttentionActor):
    """`HealthAttentionActor` that remembers; its graph has one more input and output."""

    def __init__(self, spec: PolicySpec, memory: int, width: int = 64, heads: int = 4) -> None:
        """Args: contract, values of the hidden state, width of tokens, and attention heads."""
        super().__init__(spec, width, heads, beside=memory)
        self.memory = memory
        self.gru = Gru(self.feature_size - memory, memory)

    def forward(
        self,
        self_token: Tensor,
        team: Tensor,
        health: Tensor,
        obstacles: Tensor,
        obstacle_mask: Tensor,
        hidden: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The exported graph; arguments as in `Actor.forward`.

        Args:
            self_token: (B, Ds).
            team: (B, M, Dt).
            health: (B, M).
            obstacles: (B, O, Do).
            obstacle_mask: (B, O).
            hidden: (B, H) from the decision before; zeros to start. NaN counts as 0, and values
                are cut to [-1, 1], so that nothing that got in by mistake stays for ever.

        Returns:
            Action (B, Da), attention (B, M + 1), and hidden state (B, H) for the next decision.
        """
        tokens = self.prepare(self_token, team, health, obstacles, obstacle_mask)
        found, shares = self.features(tokens)
        after = self.gru.step(self.gru.read(found), clean(hidden).clamp(-1.0, 1.0))
        mean = torch.tanh(self.head(torch.cat([found, after], dim=-1)))
        return mean * self.bound, shares, after


class Past(NamedTuple):
    """Hidden states of S sequences of L decisions.

    Attributes:
        stored: (L, S, H) before each decision, as it was when the decision was made.
        follows: (L, S) whether a decision goes on from the one above it; the others, and all of
            the first row, start from what is stored.
    """

    stored: Tensor
    follows: Tensor


def at_once(hidden: Tensor) -> Past:
    """Single decisions with these hidden states (S, H)."""
    return Past(hidden[None], torch.zeros(1, len(hidden), dtype=torch.bool))


class RecurrentMeans(NamedTuple):
    """What a recurrent actor makes of L S rows of tokens.

    Attributes:
        features: (L S, F) what the head sees.
        mean: (L S, Da) normalised.
        alone: (L S, Da) the mean of the policy that hears nobody now and remembers the same;
            without gradient; None if not asked for.
        hidden: (L S, H) after each decision.
    """

    features: Tensor
    mean: Tensor
    alone: Tensor | None
    hidden: Tensor


def recurrent_means(
    actor: RecurrentActor, tokens: Tokens, alone: bool, past: Past
) -> RecurrentMeans:
    """The actor over sequences, as `forward.policy_means` is for one without memory.

    Args:
        actor: policy.
        tokens: L S rows, the S sequences side by side, one decision after the other.
        alone: whether to compute the policy that hears nobody too.
        past: hidden states.
    """
    found = learning_features(actor, tokens, alone)
    with torch.autocast("cpu", enabled=False):  # rounding would add up along a sequence
        read = actor.gru.read(found.heard.float()).unflatten(0, past.follows.shape)
        before, after = [past.stored[0]], [actor.gru.step(read[0], past.stored[0])]
        for step in range(1, len(read)):
            follows = past.follows[step][:, None]
            before.append(torch.where(follows, after[-1], past.stored[step]))
            after.append(actor.gru.step(read[step], before[-1]))
        hidden = torch.cat(after)
    features, mean = _act(actor, found.heard, hidden)
    if found.alone is None:
        return RecurrentMeans(features, mean, None, hidden)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        lonely = actor.gru.step(actor.gru.read(found.alone.float()), torch.cat(before))
    with torch.no_grad():
        return RecurrentMeans(features, mean, _act(actor, found.alone, lonely)[1], hidden)


def _act(actor: RecurrentActor, found: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What the head sees, and the normalised mean."""
    features = torch.cat([found, hidden.to(found.dtype)], dim=-1)
    return features, torch.tanh(actor.head(features)).float()
