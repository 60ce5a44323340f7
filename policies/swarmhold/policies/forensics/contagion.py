"""Stage 2 of Patient-0: from the flagged robot back along what a critic says accelerates harm.

For a central critic Q_i(o, a): G_ij = |dQ_i/da_j| is how much robot j matters to i, and
D_ij = g.H g with g = d(-Q_i)/da_j and H = d2(-Q_i)/da_j2 whether the harm that j can do to i
accelerates in the direction in which it grows. Second derivatives need a smooth critic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Float

BEFORE = 5  # steps before the detection that are looked at
KINKED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardtanh, nn.Hardswish,
          nn.Hardsigmoid, nn.Threshold)  # fmt: skip
Critic = Callable[[Tensor, Tensor], Tensor]  # observations (B, N, D), actions (B, N, A) to (B, N)


def check_smooth(critic: Critic) -> None:
    """Refuse a critic whose curvature is zero almost everywhere.

    Raises:
        ConfigError: it has kinked units.
    """
    parts = critic.named_modules() if isinstance(critic, nn.Module) else []
    for name, part in parts:
        if isinstance(part, KINKED):
            raise ConfigError(
                f"the critic's {name or 'unit'} is a {type(part).__name__}, whose curvature is "
                "zero almost everywhere; trace back with a critic of tanh, ELU or SiLU units"
            )


def derivatives(critic: Critic, seen: Tensor, actions: Tensor) -> tuple[Float, Float]:
    """Sensitivity G and directional curvature D, both (B, N, N): of robot i's value by robot j.

    Args:
        critic: smooth.
        seen: (B, N, D) observations.
        actions: (B, N, A).

    Raises:
        ConfigError: the critic is not smooth.
    """
    check_smooth(critic)
    robots = actions.shape[1]
    actions = actions.detach().requires_grad_()
    matters, bends = [], []
    harm = -critic(seen.detach(), actions)
    for i in range(robots):
        slope = _gradient(harm[:, i].sum(), actions, keep=True)
        matters.append(slope.detach().norm(dim=-1))
        row = []
        for j in range(robots):
            along = slope[:, j].detach()
            curved = _gradient((slope[:, j] * along).sum(), actions, keep=True)
            row.append((curved[:, j].detach() * along).sum(dim=-1))
        bends.append(torch.stack(row, dim=-1))
    pair = torch.stack(matters, dim=1), torch.stack(bends, dim=1)
    return tuple(part.double().numpy() for part in pair)


def _gradient(value: Tensor, of: Tensor, keep: bool) -> Tensor:
    """Zeros where the value does not depend on it at all."""
    if not value.requires_grad:
        return torch.zeros_like(of)
    (found,) = torch.autograd.grad(
        value, of, create_graph=keep, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(of) if found is None else found


def rates(bends: Float, at: int, before: int = BEFORE) -> Float:
    """(N, N) share of the steps up to the detection in which j's harm to i accelerates.

    Args:
        bends: (T, N, N) directional curvatures.
        at: step of the detection.
        before: steps before it that count.
    """
    window = bends[max(at - before, 0) : at + 1]
    return np.asarray((window > 0.0).mean(axis=0))


def trace_back(rate: Float, matters: Float, flagged: int) -> list[int]:
    """The path of contagion that ends at the flagged robot; its head is where it began.

    Args:
        rate: (N, N) see `rates`.
        matters: (N, N) sensitivities at the detection; they break ties.
        flagged: robot that stage 1 names.
    """
    path, others = [flagged], ~np.eye(len(rate), dtype=bool)
    while True:
        into = np.where(others[path[-1]], rate[path[-1]], -1.0)
        best = into.max()
        if best <= 0.0:
            break
        tied = np.where(into == best, matters[path[-1]], -np.inf)
        source = int(tied.argmax())
        if source in path:
            break
        path.append(source)
    return path[::-1]
