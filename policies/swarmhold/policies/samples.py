"""A batch of episodes as flat rows for gradient steps: cleaned and scaled once, not per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.actor import MASKED, Actor, Tokens
from swarmhold.policies.recurrent import Past
from swarmhold.policies.rollout import ACTOR_KEYS, CRITIC_KEYS, Batch
from swarmhold.policies.sequences import LENGTH, cut, past_of

CHUNK = 2048  # most rows that go through the network at once
ROUND = 256


class Chunk(NamedTuple):
    """Rows that go through the network at once.

    Attributes:
        rows: (C) their numbers.
        share: (C) of the mean over the minibatch; 0 where a row only fills up.
        tokens: their inputs.
        past: their hidden states, if they are sequences, one decision after the other.
    """

    rows: Tensor
    share: Tensor
    tokens: Tokens
    past: Past | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of robots that act, in order of (time, team, robot).

    Attributes:
        tokens: prepared inputs of the actor, real entries first.
        mates: (rows) teammates that count.
        marks: (rows) landmarks and bodies that exist.
        action: (rows, Da) normalised.
        mean: (rows, Da) policy mean at collection.
        numbers: (S, L N) rows of a team's robots in L decisions, -1 where one does not act; L is
            1 for a policy without memory, and S counts the sequences in all episodes.
        critic: inputs of the critic, each (S, L, ...).
        insight: (rows, I) what the critic on the shared trunk sees beside the features.
        length: L.
        hidden: (rows, H) hidden states before the decisions; H is 0 without memory.
    """

    tokens: Tokens
    mates: np.ndarray
    marks: np.ndarray
    action: Tensor
    mean: Tensor
    numbers: np.ndarray
    critic: list[Tensor]
    insight: Tensor
    length: int
    hidden: Tensor

    def pieces(self, numbers: np.ndarray, trim: bool = True) -> list[Chunk]:
        """A minibatch, some of `numbers`, in pieces: sequences for a policy with memory."""
        if self.hidden.shape[1]:
            return self.sequences(numbers)
        return self.chunks(numbers[numbers >= 0], trim)

    def sequences(self, numbers: np.ndarray) -> list[Chunk]:
        """As `chunks`, but each robot's decisions stay together; rows as `recurrent_means` asks."""
        lines = numbers.reshape(len(numbers), self.length, -1).swapaxes(0, 1)
        lines = lines.reshape(self.length, -1)
        lines = lines[:, (lines >= 0).any(axis=0)]
        count = max((lines >= 0).sum(), 1)
        mates, marks = (
            np.where(lines >= 0, n[np.maximum(lines, 0)], 0).max(axis=0)
            for n in (self.mates, self.marks)
        )
        order = np.lexsort((mates, marks))
        pieces = np.array_split(order, -(-lines.size // CHUNK)) if len(order) else []
        whole = max(1, ROUND // self.length)
        size = -(-max(map(len, pieces), default=0) // whole) * whole
        out = []
        for piece in pieces:
            some = np.full((self.length, size), -1)
            some[:, : len(piece)] = lines[:, piece]
            rows = torch.from_numpy(np.maximum(some, 0).ravel())
            share = torch.from_numpy(((some >= 0).ravel() / count).astype(np.float32))
            most = (max(1, int(n[piece].max())) for n in (mates, marks))
            tokens = _pick(self.tokens, rows, *most)
            out.append(Chunk(rows, share, tokens, past_of(some, self.hidden)))
        return out

    def chunks(self, rows: np.ndarray, trim: bool = True) -> list[Chunk]:
        """Rows in pieces, alike ones together, without columns that no row needs.

        Pieces are filled up with rows that do not count, to a multiple of `ROUND`: products of
        ever new shapes are slow, because the library prepares code for each.

        Args:
            rows: numbers of the rows.
            trim: whether to leave out columns and rows (no: all pieces have one shape).
        """
        full = self.tokens
        if trim:
            rows = rows[np.lexsort((self.mates[rows], self.marks[rows]))]
        mates, marks = full.team_bias.shape[1], full.mark_bias.shape[1]
        out = []
        pieces = np.array_split(rows, -(-len(rows) // CHUNK)) if len(rows) else []
        size = CHUNK if not trim else -(-max(map(len, pieces), default=0) // ROUND) * ROUND
        for piece in pieces:
            share = np.zeros(size, np.float32)
            share[: len(piece)] = 1.0 / len(rows)
            if trim:
                mates, marks = (max(1, int(n[piece].max())) for n in (self.mates, self.marks))
            picked = torch.from_numpy(np.resize(piece, size))
            out.append(Chunk(picked, torch.from_numpy(share), _pick(full, picked, mates, marks)))
        return out


def _pick(full: Tokens, rows: Tensor, mates: int, marks: int) -> Tokens:
    return Tokens(
        own=full.own[rows],
        count=full.count[rows],
        team=full.team[:, :mates][rows],
        team_bias=full.team_bias[:, :mates][rows],
        marks=full.marks[:, :marks][rows],
        mark_bias=full.mark_bias[:, :marks][rows],
    )


def samples_of(actor: Actor, batch: Batch) -> Samples:
    """Flatten and prepare a batch; nothing in here is learned."""
    valid = batch.valid
    with torch.no_grad():
        tokens = actor.prepare(*(torch.from_numpy(batch.actor[k][valid]) for k in ACTOR_KEYS))
    arrange = _real_first if actor.leaves_out else _as_they_are
    team, team_bias, mates = arrange(tokens.team, tokens.team_bias)
    marks, mark_bias, spots = arrange(tokens.marks, tokens.mark_bias)
    flat = valid.reshape(-1, valid.shape[-1])
    numbers = np.where(flat, np.cumsum(flat).reshape(flat.shape) - 1, -1).reshape(valid.shape)
    length = LENGTH if actor.memory else 1
    return Samples(
        tokens=tokens._replace(team=team, team_bias=team_bias, marks=marks, mark_bias=mark_bias),
        mates=mates,
        marks=spots,
        action=torch.from_numpy(batch.action[valid]),
        mean=torch.from_numpy(batch.mean[valid]),
        numbers=cut(numbers, length, fill=-1).reshape(-1, length * valid.shape[-1]),
        critic=[torch.from_numpy(cut(batch.critic[k][:-1], length)) for k in CRITIC_KEYS],
        insight=torch.from_numpy(insight(batch.critic)[:-1][valid]),
        length=length,
        hidden=torch.from_numpy(batch.hidden[valid] if actor.memory else np.zeros((0, 0))),
    )


def _real_first(values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, np.ndarray]:
    """Sort entries so that masked ones come last; attention does not depend on their order."""
    masked = bias <= MASKED
    order = torch.argsort(masked.to(torch.int8), dim=1, stable=True)
    moved = torch.gather(values, 1, order[..., None].expand_as(values))
    return moved, torch.gather(bias, 1, order), (~masked).sum(dim=1).numpy()


def _as_they_are(values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, np.ndarray]:
    """Every column counts, and its place too."""
    return values, bias, np.full(bias.shape[0], bias.shape[1])


def insight(critic: dict[str, np.ndarray]) -> np.ndarray:
    """Truth beside the features of a shared trunk: the robot's own, the team's mean and spread.

    Args:
        critic: inputs of the critic, each (T + 1, E, ...).

    Returns:
        (T + 1, E, N, 3 times the size of a robot's true state).
    """
    robots, present = critic["robots"], critic["present"][..., None]
    count = np.maximum(present.sum(axis=-2, keepdims=True), 1.0)
    mean = (robots * present).sum(axis=-2, keepdims=True) / count
    spread = np.sqrt((((robots - mean) ** 2) * present).sum(axis=-2, keepdims=True) / count)
    team = (np.broadcast_to(part, robots.shape) for part in (mean, spread))
    return np.concatenate([robots, *team], axis=-1, dtype=np.float32)
