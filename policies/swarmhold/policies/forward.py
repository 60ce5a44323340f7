"""The actor's features arranged for learning: the same function with less work.

The last layer of the teammates' encoder is followed by linear maps alone, so it is multiplied
into them. Capped logits need no maximum taken out before the exponential. A health weight
multiplies the exponential, and the null token's share comes from a product of its own, so that
nothing is ever appended to the tokens. And a policy that hears nobody (the reference of the
MIR-F penalty) gets the null token's value from every attention over teammates, so only what
comes after those is computed again.

Attention over a few tokens is written without batched products: thousands of products of 1 x 16
with 16 x 4 cost ten times what the multiplications in them do. The sum over a head's values is
one product with a matrix of zeros and ones instead.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from swarmhold.policies.actor import Actor, Tokens
from swarmhold.policies.attention import CAP, Attention, HealthAttentionActor

FEW = 24  # pairs of query and token up to which attention is written without batched products


class Features(NamedTuple):
    """What the actor's head sees.

    Attributes:
        heard: (B, 3 width + 2) with the teammates.
        alone: the same with every teammate masked, without gradient; None if not asked for.
    """

    heard: Tensor
    alone: Tensor | None


def policy_means(actor: Actor, tokens: Tokens, alone: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Features, normalised mean, and the mean of the policy that hears nobody."""
    if isinstance(actor, HealthAttentionActor):
        seen = learning_features(actor, tokens, alone)
    else:
        seen = Features(actor.features(tokens)[0], None)
    mean = torch.tanh(actor.head(seen.heard)).float()
    if seen.alone is None:
        return seen.heard, mean, None
    with torch.no_grad():
        return seen.heard, mean, torch.tanh(actor.head(seen.alone)).float()


def learning_features(actor: HealthAttentionActor, tokens: Tokens, alone: bool) -> Features:
    """`HealthAttentionActor.features`, cheaper to compute and to differentiate.

    Args:
        actor: policy.
        tokens: prepared inputs.
        alone: whether to compute the features of the policy that hears nobody too.
    """
    width, (first, _, second) = actor.width, actor.blend
    weight = torch.exp(tokens.team_bias)
    z = actor.encode_self(tokens.own)
    hidden = torch.relu(actor.encode_team[0](tokens.team))
    maps = [actor.ask_team.key, actor.ask_team.value, actor.team.key, actor.team.value]
    ask_key, ask_value, key, value = after(maps, actor.encode_team[2], hidden)
    marks = actor.encode_obstacle(tokens.marks)
    own_part = linear(marks, first.weight[:, :width], first.bias)
    served = attend(actor.ask_team, actor.ask_team.query(marks), ask_key, ask_value, weight)
    blended = marks + second(torch.relu(own_part + linear(served, first.weight[:, width:])))
    from_team = attend(actor.team, actor.team.query(z)[:, None], key, value, weight)[:, 0]
    heard = _look(actor, z, from_team, blended, tokens)
    if not alone:
        return Features(heard, None)
    with torch.no_grad():
        nothing = linear(actor.ask_team.null_value, first.weight[:, width:])
        blended = marks + second(torch.relu(own_part + nothing))
        from_team = actor.team.null_value.expand(len(z), -1)
        return Features(heard, _look(actor, z, from_team, blended, tokens))


def _look(
    actor: HealthAttentionActor, z: Tensor, from_team: Tensor, marks: Tensor, tokens: Tokens
) -> Tensor:
    """Ask the marks with what is known of oneself and of the team."""
    stream = actor.obstacles
    query = stream.query(actor.join(torch.cat([z, from_team.to(z.dtype)], dim=-1)))
    key, value, weight = stream.key(marks), stream.value(marks), torch.exp(tokens.mark_bias)
    from_marks = attend(stream, query[:, None], key, value, weight)[:, 0]
    parts = (z, from_team, from_marks, tokens.count)  # of mixed types, cat is ten times slower
    return torch.cat([part.to(z.dtype) for part in parts], dim=-1)


def after(maps: list[nn.Linear], last: nn.Linear, hidden: Tensor) -> list[Tensor]:
    """`[map(last(hidden)) for map in maps]`, the maps multiplied first, in full precision."""
    out = []
    for part in maps:
        with torch.autocast("cpu", enabled=False):
            weight, bias = part.weight @ last.weight, linear(last.bias, part.weight, part.bias)
        out.append(linear(hidden, weight, bias))
    return out


def attend(
    stream: Attention, asked: Tensor, keys: Tensor, values: Tensor, weight: Tensor
) -> Tensor:
    """What an attention mixes, from projected tokens.

    Args:
        stream: the attention; only its null token is used.
        asked: (B, Q, width) queries.
        keys: (B, K, width).
        values: (B, K, width).
        weight: (B, K) factors of the softmax.

    Returns:
        (B, Q, width).
    """
    heads, size = stream.heads, stream.head_width
    member = torch.eye(heads, dtype=asked.dtype).repeat_interleave(size, dim=0)  # width, heads
    null = asked @ (stream.null_key.T.to(asked.dtype) * member)
    few = asked.shape[1] * keys.shape[1] <= FEW
    if few:
        logits = (asked[:, :, None] * keys[:, None]) @ member  # B, Q, K, heads
    else:
        asked, keys = (x.unflatten(-1, (heads, size)).transpose(1, 2) for x in (asked, keys))
        logits = (asked @ keys.transpose(-1, -2)).permute(0, 2, 3, 1)
    powers = _powers(logits, size) * weight[:, None, :, None]
    null_power = _powers(null, size)
    scale = 1.0 / (powers.sum(dim=2) + null_power)  # B, Q, heads
    shares = (powers * scale[:, :, None]).to(values.dtype)
    nothing = (null_power * scale).to(values.dtype) @ (member * stream.null_value.T).T
    if few:
        return ((shares @ member.T) * values[:, None]).sum(dim=2) + nothing
    values = values.unflatten(-1, (heads, size)).transpose(1, 2)
    return (shares.permute(0, 3, 1, 2) @ values).transpose(1, 2).flatten(2) + nothing


def _powers(logits: Tensor, size: int) -> Tensor:
    """Exponentials of capped logits, in full precision."""
    return torch.exp(CAP * torch.tanh(logits.float() * (1.0 / (CAP * math.sqrt(size)))))
