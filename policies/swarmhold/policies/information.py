"""MIR3's regulariser (arXiv 2310.09833): an upper bound of I(state; joint action) as a penalty.

CLUB (arXiv 2006.12013) with a Gaussian q(y | x). Its quadratic "negatives", a mean over all
pairs of samples, have a closed form that costs one pass:
`mean_y' (y'_d - mu_d)^2 = (mu_d - mean y_d)^2 + var y_d`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import ROBOT_SIZE
from swarmhold.policies.rollout import Batch

BATCH = 256
FIT = 40  # steps by which q follows the data, per iteration
RATE = 1e-3


class Club(nn.Module):
    """q(y | x) = N(mu(x), diag sigma^2(x)), fitted to current data, and the bound from it."""

    def __init__(self, x_size: int, y_size: int, width: int = 64) -> None:
        """Args: values of the state, of the joint action, and the width of the hidden layers."""
        super().__init__()
        self.mu = nn.Sequential(nn.Linear(x_size, width), nn.ReLU(), nn.Linear(width, y_size))
        self.spread = nn.Sequential(
            nn.Linear(x_size, width), nn.ReLU(), nn.Linear(width, y_size), nn.Tanh()
        )

    def fit(self, x: Tensor, y: Tensor, counts: Tensor, steps: int) -> float:
        """Maximum likelihood on the current distribution; the order is torch's randomness.

        Args:
            x: (B, X) states.
            y: (B, Y) joint actions.
            counts: (B, Y) 1 where an action is a working robot's.
            steps: gradient steps.

        Returns:
            Mean negative log likelihood of the last step.
        """
        optimiser = torch.optim.Adam(self.parameters(), lr=RATE)
        loss = torch.zeros(())
        for _ in range(steps):
            rows = torch.randint(len(x), (min(BATCH, len(x)),))
            mu, log_var = self.mu(x[rows]), self.spread(x[rows])
            wrong = 0.5 * ((y[rows] - mu) ** 2 / log_var.exp() + log_var) * counts[rows]
            loss = wrong.sum() / counts[rows].sum().clamp(min=1.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def bound(self, x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
        """(B) nats, CLUB's estimate per sample against all of `y`; arguments as `fit`."""
        mu, variance = self.mu(x), self.spread(x).exp()
        mean, spread = moments(y, counts)
        negatives = (mu - mean) ** 2 + spread
        information = (negatives - (y - mu) ** 2) / (2.0 * variance)
        total: Tensor = (information * counts).sum(dim=-1)
        return total


def make_club(config: TrainConfig) -> Club | None:
    """Q of a run; None where MIR3 is not its regulariser."""
    if config.regulariser != "mir3":
        return None
    size = config.robots * policy_spec(config.robot).action_size
    return Club(config.robots * ROBOT_SIZE, size)


def deviation(y: Tensor, counts: Tensor) -> Tensor:
    """(B) squared departure from the average action: what MIR3 must be compared with.

    With a deterministic policy and a well fitted q the bound tends to this, divided by twice the
    variance, plus a constant.
    """
    mean, _ = moments(y, counts)
    total: Tensor = (((y - mean) ** 2) * counts).sum(dim=-1)
    return total


def moments(y: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """(Y) mean and variance of the actions that count."""
    number = counts.sum(dim=0).clamp(min=1.0)
    mean = (y * counts).sum(dim=0) / number
    return mean, (((y - mean) ** 2) * counts).sum(dim=0) / number


def joint(
    robots: np.ndarray, action: np.ndarray, healthy: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """States, joint actions and what counts of them, as rows.

    Args:
        robots: (..., N, S) true states.
        action: (..., N, Da) normalised.
        healthy: (..., N) robots that act themselves.

    Returns:
        (B, N S), (B, N Da) and (B, N Da).
    """
    lead = int(np.prod(healthy.shape[:-1]))
    acts = np.broadcast_to(healthy[..., None], action.shape)
    given = np.clip(action, -1.0, 1.0) * acts
    parts = (robots, given, acts)
    x, y, counts = (torch.from_numpy(p.reshape(lead, -1).astype(np.float32)) for p in parts)
    return x, y, counts


def inform(
    config: TrainConfig, club: Club | None, batch: Batch, strength: float
) -> tuple[Batch, dict[str, float]]:
    """Take the regulariser of the joint action from an on-policy batch's reward.

    Args:
        config: of the run; its regulariser.
        club: q of MIR3, fitted to this batch first; None for the other regularisers.
        batch: T decisions of E teams.
        strength: its weight.

    Returns:
        The batch, and figures for the log.
    """
    if config.regulariser not in ("mir3", "deviation"):
        return batch, {}
    steps = len(batch.reward)
    x, y, counts = joint(batch.critic["robots"][:steps], batch.action, batch.valid)
    figures = {}
    if club is not None:
        figures["club_loss"] = club.fit(x, y, counts, FIT)
        penalty = club.bound(x, y, counts)
    else:
        penalty = deviation(y, counts)
    figures["penalty"] = float(penalty.mean())
    taken = strength * penalty.reshape(batch.reward.shape).numpy()
    return replace(batch, reward=batch.reward - taken), figures
