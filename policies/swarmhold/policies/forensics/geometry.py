"""Stage 1 of Patient-0: how sharply a policy bends at what it sees.

The remainder L = |J(o + eta) - J(o) - grad J . eta| of a first-order Taylor step, about
|eta . H eta| / 2, is small where a policy is sure and large where a small change turns it over.
All rows are independent; nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Float

EPSILON = 0.01  # length of a step, of the observation's scale
MOST = 0.05  # of any component of a step, of the same
FLAT = 1e-4  # slope of the commitment cost below which a policy is saturated
ROUNDS = 3  # of power iteration
Policy = Callable[[Tensor], Tensor]


def commitment(logits: Policy, seen: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Remainders of the commitment cost -log pi(a*|o) of a discrete policy, a* held fixed.

    The step is epsilon sign(grad) / |grad|, which grows without bound where the policy is
    saturated, so that it is capped; with a slope below `FLAT` there is no direction, and it is 0.

    Args:
        logits: (R, D) to (R, A).
        seen: (R, D) observations.
        epsilon: length of the step.

    Returns:
        (R).
    """
    seen = seen.detach().requires_grad_()
    before = torch.log_softmax(logits(seen), dim=-1)
    chosen = before.argmax(dim=-1, keepdim=True)
    cost = -before.gather(-1, chosen)[:, 0]
    (slope,) = torch.autograd.grad(cost.sum(), seen)
    size = slope.norm(dim=-1, keepdim=True)
    step = (epsilon * slope.sign() / size.clamp(min=1e-6)).clamp(-MOST, MOST)
    with torch.no_grad():
        after = -torch.log_softmax(logits(seen + step), dim=-1).gather(-1, chosen)[:, 0]
        left = (after - cost - (slope * step).sum(dim=-1)).abs()
        return torch.where(size[:, 0] < FLAT, 0.0, left)


def bending(act: Policy, seen: Tensor, epsilon: float = EPSILON, rounds: int = ROUNDS) -> Tensor:
    """Remainders |mu(o + eta) - mu(o) - J eta| of a deterministic, continuous policy.

    With a* = mu(o) held fixed the commitment cost has no slope at o; so the step goes along the
    direction to which the action answers most, the top right-singular vector of J.

    Args:
        act: (R, D) to (R, A).
        seen: (R, D) observations.
        epsilon: length of the step.
        rounds: of power iteration.

    Returns:
        (R).
    """
    seen = seen.detach()
    along = steepest(act, seen, rounds)
    step = (epsilon * along).clamp(-MOST, MOST)
    now, pushed = torch.func.jvp(act, (seen,), (step,))[:2]
    with torch.no_grad():
        return (act(seen + step) - now - pushed).norm(dim=-1).detach()


def steepest(act: Policy, seen: Tensor, rounds: int = ROUNDS) -> Tensor:
    """(R, D) unit vectors: top right-singular vectors of the Jacobians, by power iteration.

    The sign is that of the first component that is not small, so that it does not depend on the
    start.
    """
    back = torch.func.vjp(act, seen)[1]
    along = torch.ones_like(seen) / seen.shape[-1] ** 0.5
    for _ in range(rounds):
        (along,) = back(torch.func.jvp(act, (seen,), (along,))[1])
        along = along / along.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    large = (along.abs() > 0.5 * along.abs().amax(dim=-1, keepdim=True)).int().argmax(dim=-1)
    return along.detach() * along.gather(-1, large[:, None]).sign().detach()


def bending_of_graph(
    act: Callable[[Float], Float], seen: Float, scale: Float, epsilon: float = EPSILON
) -> Float:
    """`bending` of a policy without derivatives, such as a graph in ONNX Runtime.

    Jacobians come from central differences, and singular vectors from their decomposition.

    Args:
        act: (R, V, D) to (R, V, A), V variants of every row.
        seen: (R, D).
        scale: (D) of the observation: steps are in shares of it. 0 leaves a component alone.
        epsilon: length of the step, in shares.

    Returns:
        (R).
    """
    moved = np.flatnonzero(scale > 0.0)
    nudge = epsilon * np.eye(seen.shape[1])[moved] * scale
    there = np.concatenate([seen[:, None] + nudge, seen[:, None] - nudge], axis=1)
    out = act(there)
    slope = (out[:, : len(moved)] - out[:, len(moved) :]) / (2.0 * epsilon)  # per share
    along = np.linalg.svd(np.swapaxes(slope, 1, 2), full_matrices=False)[2][:, 0]
    large = np.abs(along).argmax(axis=-1)[:, None]
    along = along * np.sign(np.take_along_axis(along, large, axis=-1))
    step = np.zeros_like(seen)
    step[:, moved] = np.clip(epsilon * along, -MOST, MOST) * scale[moved]
    # Of both sides together the first order cancels; what is left is the even part of the rest.
    both = act(np.stack([seen + step, seen - step, seen], axis=1))
    return np.asarray(np.linalg.norm((both[:, 0] + both[:, 1]) / 2.0 - both[:, 2], axis=-1))
