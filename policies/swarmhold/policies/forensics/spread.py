"""Three robots spread over three landmarks: a toy with gradients, for figures on attribution.

Double integrators with the constants of the particle environments (arXiv 1706.02275): damping
0.25, steps of 0.1 s, 5 m/s^2 in one of four directions or none. Policies are trained by gradients
through whole episodes; no learner is in between.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

ROBOTS, STEPS, ACTIONS = 3, 25, 5
STEP_S, DAMPING, PUSH = 0.1, 0.25, 5.0  # s, share of the speed lost in a step, m/s^2
SEEN = 4 + 2 * ROBOTS + 2 * (ROBOTS - 1)
TEAMS, ITERATIONS, RATE, WIDTH = 128, 250, 3e-3, 64
_WAYS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


class Policies(nn.Module):
    """A tanh network for each robot, side by side."""

    def __init__(self, outputs: int = ACTIONS, inputs: int = SEEN) -> None:
        """Args: sizes of what comes out and goes in."""
        super().__init__()
        sizes = (inputs, WIDTH, WIDTH, outputs)
        self.weight = nn.ParameterList(
            torch.randn(ROBOTS, a, b) / a**0.5 for a, b in pairwise(sizes)
        )
        self.bias = nn.ParameterList(torch.zeros(ROBOTS, 1, b) for b in sizes[1:])

    def forward(self, seen: Tensor) -> Tensor:
        """(B, N, D) to (B, N, outputs)."""
        out = seen.transpose(0, 1)
        for layer, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            out = torch.baddbmm(bias, out, weight)
            out = torch.tanh(out) if layer < len(self.weight) - 1 else out
        return out.transpose(0, 1)


class Team:
    """B teams.

    Attributes:
        place: (B, N, 2) m.
        speed: (B, N, 2) m/s.
        marks: (B, N, 2) m, landmarks.
    """

    def __init__(self, teams: int, draw: torch.Generator) -> None:
        """Args: how many, and where places come from."""
        self.place = 2.0 * torch.rand(teams, ROBOTS, 2, generator=draw) - 1.0
        self.marks = 2.0 * torch.rand(teams, ROBOTS, 2, generator=draw) - 1.0
        self.speed = torch.zeros(teams, ROBOTS, 2)

    def times(self, count: int) -> Team:
        """Every team so many times, one after the other."""
        other = object.__new__(Team)
        for name, part in vars(self).items():
            setattr(other, name, part.repeat_interleave(count, dim=0))
        return other

    def some(self, chosen: slice) -> Team:
        """Fewer of them."""
        other = object.__new__(Team)
        for name, part in vars(self).items():
            setattr(other, name, part[chosen])
        return other

    def seen(self) -> Tensor:
        """(B, N, SEEN) own speed and place, ways to landmarks, ways to teammates."""
        here = self.place[:, :, None]
        marks = (self.marks[:, None] - here).flatten(2)
        mates = [torch.roll(self.place, -k, dims=1) - self.place for k in range(1, ROBOTS)]
        return torch.cat([self.speed, self.place, marks, *mates], dim=-1)

    def move(self, chosen: Tensor) -> None:
        """One step of (B, N, ACTIONS) shares of actions."""
        self.speed = pushed(self.speed, chosen)
        self.place = self.place + STEP_S * self.speed

    def error(self) -> Tensor:
        """(B) m, mean distance from a landmark to the nearest robot."""
        apart = (self.marks[:, :, None] - self.place[:, None]).square().sum(dim=-1)
        return (apart + 1e-6).sqrt().amin(dim=-1).mean(dim=-1)


def pushed(speed: Tensor, chosen: Tensor) -> Tensor:
    """(B, N, 2) m/s after a step, from (B, N, 2) and shares of actions (B, N, ACTIONS)."""
    return (1.0 - DAMPING) * speed + STEP_S * PUSH * (chosen @ _WAYS)


def one_hot(action: Tensor) -> Tensor:
    """(..., ACTIONS) of (...) indices."""
    return nn.functional.one_hot(action, ACTIONS).float()


def trained(seed: int, iterations: int = ITERATIONS) -> tuple[Policies, float]:
    """Policies, and their error at the end of new episodes, m.

    Args:
        seed: of everything.
        iterations: of `TEAMS` episodes.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policies = Policies()
        rate = torch.optim.Adam(policies.parameters(), lr=RATE)
        for done in range(iterations):
            for group in rate.param_groups:
                group["lr"] = RATE * (1.0 - done / iterations)
            team, cost = Team(TEAMS, draw), torch.zeros(())
            for _ in range(STEPS):
                logits = policies(team.seen())
                team.move(nn.functional.gumbel_softmax(logits, hard=True))
                cost = cost + team.error().mean()
            rate.zero_grad()
            (cost / STEPS).backward()
            nn.utils.clip_grad_norm_(policies.parameters(), 1.0)
            rate.step()
    with torch.no_grad():
        team = Team(256, draw)
        for _ in range(STEPS):
            team.move(one_hot(policies(team.seen()).argmax(dim=-1)))
    return policies, float(team.error().mean())
