"""Steps that every off-policy learner takes: down a loss by one network, and slow copies after."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def descend(optimiser: torch.optim.Optimizer, net: nn.Module, loss: Tensor, clip: float) -> None:
    """One step of this network alone, whatever other networks the loss passes through.

    Args:
        optimiser: of the network's parameters.
        net: the network.
        loss: scalar.
        clip: largest norm of the gradient.
    """
    optimiser.zero_grad()
    own = list(net.parameters())
    for part, slope in zip(own, torch.autograd.grad(loss, own, allow_unused=True), strict=True):
        part.grad = slope
    nn.utils.clip_grad_norm_(own, clip)
    optimiser.step()


def follow(pairs: Iterable[tuple[nn.Module, nn.Module]], tau: float) -> None:
    """Move slow copies a share `tau` of the way to their networks; pairs (slow, fast)."""
    with torch.no_grad():
        for slow, fast in pairs:
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, tau)
