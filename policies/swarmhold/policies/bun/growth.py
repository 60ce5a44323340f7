"""Open what has the steepest gradient, a block or a weight at a time.

A closed entry holds 0; what it would change is the gradient of the loss there, so that the
largest one is the steepest coordinate (arXiv 2410.02516). Opening changes nothing by itself. The
paper opens single weights of any layer; blocks of the first layer are ours, because a robot has
to hear another one for the sake of a single weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.bun.network import JointNetwork


@dataclass(frozen=True, slots=True)
class GrowthRule:
    """When, and how much.

    Attributes:
        budget: edges, or weights, that may be open between robots.
        start: updates before the first opening.
        every: updates from one to the next.
        at_once: opened then.
        batches: updates right before it whose gradients are added up.
        stop: share of the median gradient of what robots have to do with themselves; edges whose
            own is below that are not worth opening.
        prune_every: updates between two looks for edges that are not used; 0: never.
        prune_below: share of the median norm of a robot's own weights, below which one is closed.
        price: score, in shares of the same median, that a unit of radio cost takes from an edge.
    """

    budget: int
    start: int = 200
    every: int = 100
    at_once: int = 1
    batches: int = 8
    stop: float = 0.05
    prune_every: int = 0
    prune_below: float = 0.02
    price: float = 0.0

    def opens(self, update: int) -> bool:
        """Whether something is opened after an update."""
        return update >= self.start and (update - self.start) % self.every == 0

    def reads(self, update: int) -> bool:
        """Whether the gradients of an update count for the next opening."""
        ahead = -(update - self.start) % self.every if update >= self.start else self.start - update
        return ahead < self.batches


class Growth(Protocol):
    """What training asks after every backward pass."""

    def after(self, net: JointNetwork, update: int) -> None:
        """Read gradients, and open or close."""


class NoGrowth:
    """For networks that stay as they are."""

    def after(self, net: JointNetwork, update: int) -> None:
        """Do nothing."""


@dataclass
class EdgeGrowth:
    """Opens whole blocks of the first layer.

    Attributes:
        rule: when, and how many.
        radio: (N, N) cost of hearing sender j at receiver i; None: nothing costs anything.
        story: (update, "opened" or "closed", receiver, sender) so far.
    """

    rule: GrowthRule
    radio: np.ndarray | None = None
    story: list[tuple[int, str, int, int]] = field(default_factory=list)
    _scores: Tensor | float = 0.0
    _own: Tensor | float = 0.0

    def after(self, net: JointNetwork, update: int) -> None:
        """Add up gradients; open the best closed edge when it is time."""
        if self.rule.reads(update):
            assert net.links.grad is not None and net.own.grad is not None
            self._scores = self._scores + net.links.grad.square().sum(dim=(1, 3)).sqrt()
            self._own = self._own + net.own.grad.square().sum(dim=(1, 2)).sqrt()
        if self.rule.opens(update):
            self._open(net, update)
            self._scores = self._own = 0.0
        if self.rule.prune_every and update and update % self.rule.prune_every == 0:
            self._prune(net, update)

    def scores(self, net: JointNetwork) -> np.ndarray:
        """(N, N) in shares of the median gradient of robots' own weights; -inf: not to be had."""
        assert isinstance(self._scores, Tensor) and isinstance(self._own, Tensor)
        score = (self._scores / self._own.median().clamp_min(1e-30)).numpy().astype(float)
        if self.radio is not None:
            score = score - self.rule.price * self.radio
        score[net.edges().numpy() | np.eye(len(score), dtype=bool)] = -np.inf
        for receiver in range(len(score)):
            for sender in range(len(score)):
                if self._closings(receiver, sender) > 1:  # it may come back once
                    score[receiver, sender] = -np.inf
        return score

    def _open(self, net: JointNetwork, update: int) -> None:
        for _ in range(self.rule.at_once):
            if int(net.edges().sum()) >= self.rule.budget:
                return
            score = self.scores(net)
            receiver, sender = np.unravel_index(int(score.argmax()), score.shape)
            if score[receiver, sender] < self.rule.stop:
                return
            net.link_mask[receiver, :, sender] = True
            self.story.append((update, "opened", int(receiver), int(sender)))

    @torch.no_grad()
    def _prune(self, net: JointNetwork, update: int) -> None:
        """Close what has stayed small; what was opened a moment ago had no time to grow."""
        norm = net.links.square().sum(dim=(1, 3)).sqrt()
        least = self.rule.prune_below * net.own.square().sum(dim=(1, 2)).sqrt().median()
        opened = {(one, other): at for at, word, one, other in self.story if word == "opened"}
        for receiver, sender in torch.nonzero(net.edges() & (norm < least)).tolist():
            if update - opened.get((receiver, sender), 0) >= self.rule.every:
                net.link_mask[receiver, :, sender] = False
                self.story.append((update, "closed", receiver, sender))

    def _closings(self, receiver: int, sender: int) -> int:
        return sum(one[1:] == ("closed", receiver, sender) for one in self.story)


@dataclass
class WeightGrowth:
    """Opens single weights of all layers, as the paper does.

    Attributes:
        rule: when, and how many; `budget` and `at_once` count weights.
    """

    rule: GrowthRule
    _scores: list[Tensor] = field(default_factory=list)

    def after(self, net: JointNetwork, update: int) -> None:
        """Add up gradients; open the best closed weights when it is time."""
        if self.rule.reads(update):
            found = [weight.grad.abs() for weight, _ in net.sparse() if weight.grad is not None]
            known = self._scores or [torch.zeros_like(one) for one in found]
            self._scores = [one + other for one, other in zip(known, found, strict=True)]
        if self.rule.opens(update):
            self._open(net)
            self._scores = []

    def _open(self, net: JointNetwork) -> None:
        n = net.shape.robots
        apart = ~torch.eye(n, dtype=torch.bool)[:, None, :, None]
        masks = [mask for _, mask in net.sparse()]
        left = self.rule.budget - sum(int((mask & apart).sum()) for mask in masks)
        closed = [
            torch.where(~mask & apart, score, -1.0).flatten()
            for mask, score in zip(masks, self._scores, strict=True)
        ]
        count = min(self.rule.at_once, left)
        if count <= 0:
            return
        best = torch.topk(torch.cat(closed), count).indices
        start = 0
        for mask, scores in zip(masks, closed, strict=True):
            mine = best[(best >= start) & (best < start + len(scores))] - start
            mask.view(-1)[mine] = True
            start += len(scores)
