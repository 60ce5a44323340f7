"""Two players, one shared polynomial reward: where learning from others' data goes wrong.

Each player has one action and answers the other's *recorded* action (best response under data,
BRUD). Constants of arXiv 2407.01343 are not printed there: those of the twin peaks were recovered
from its published figure, in which starting reward, peaks and three plateaus agree with them.
All seeds play side by side, arrays (S, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.policies.offline.priority import (
    Focus,
    effective_size,
    euclidean,
    priorities,
    steepness_for,
)

BATCH = 64  # recorded joint actions in a step
EPOCHS = 100  # steps, as published
BOWL, WALL, PULL = 1.0, 4.0, 5.0  # A, B, C of the twin peaks
PEAK = ((PULL - 2.0 * BOWL) / (2.0 * WALL)) ** 0.5
CENTRE = 0.3  # of the decoupled game


@dataclass(frozen=True, slots=True)
class Game:
    """A reward of two actions.

    Attributes:
        name: of the game.
        reward: R(x, y), symmetric.
        slope: dR/dx; dR/dy is the same with x and y swapped.
        start: (x, y) of the policy.
        step: length of a gradient step.
        limit: actions stay within +-limit.
        best: highest reward.
    """

    name: str
    reward: Callable[[Float, Float], Float]
    slope: Callable[[Float, Float], Float]
    start: tuple[float, float]
    step: float
    limit: float
    best: float

    def climb(self, policy: Float, data: Float) -> Float:
        """(..., 2) BRUD: mean over the data (..., B, 2) of each player's slope against the other.

        With the policy's own joint action as data it is the true gradient.
        """
        mine, other = policy[..., None, :], data[..., ::-1]
        return self.slope(mine, other).mean(axis=-2)


DECOUPLED = Game(
    "decoupled",
    lambda x, y: -((x - CENTRE) ** 2) - (y - CENTRE) ** 2,
    lambda x, y: -2.0 * (x - CENTRE) + 0.0 * y,
    start=(-0.5, 0.5), step=0.05, limit=np.inf, best=0.0,
)  # fmt: skip
SIGN = Game(
    "sign agreement", lambda x, y: x * y, lambda x, y: y + 0.0 * x,
    start=(-0.2, 0.4), step=0.1, limit=1.0, best=1.0,
)  # fmt: skip
TWIN = Game(
    "twin peaks",
    lambda x, y: -BOWL * (x**2 + y**2) - WALL * (x * y) ** 2 + PULL * x * y,
    lambda x, y: -2.0 * BOWL * x - 2.0 * WALL * x * y**2 + PULL * y,
    start=(-0.5, 0.5), step=0.02, limit=np.inf,
    best=float(PEAK**2 * (PULL - 2.0 * BOWL) - WALL * PEAK**4),
)  # fmt: skip


def around(
    rng: np.random.Generator,
    seeds: int,
    centre: tuple[float, float],
    spread: float,
    points: int = 1000,
    limit: float = np.inf,
) -> Float:
    """(S, points, 2) joint actions, normal around a point, clipped to +-limit."""
    drawn = np.asarray(centre) + spread * rng.normal(size=(seeds, points, 2))
    return np.clip(drawn, -limit, limit)


def uniform(rng: np.random.Generator, seeds: int, points: int = 2000) -> Float:
    """(S, points, 2) joint actions, uniform in [-1, 1]^2."""
    return rng.uniform(-1.0, 1.0, (seeds, points, 2))


@dataclass(frozen=True, slots=True)
class Played:
    """How games ended.

    Attributes:
        value: (S) reward of the final joint policy.
        gap: (S) mean distance of the last batch's actions from the policy's, per player.
        steepness: (S) in the last step; 0 for uniform draws.
        effective: (S) effective number of data points in the last step.
        policy: (S, 2).
    """

    value: Float
    gap: Float
    steepness: Float
    effective: Float
    policy: Float


def play(
    game: Game,
    data: Float,
    steepness: float | Focus,
    rng: np.random.Generator,
    epochs: int = EPOCHS,
) -> Played:
    """Gradient ascent by BRUD on draws of the data; priorities are fresh in every step.

    Args:
        game: the reward.
        data: (S, K, 2) recorded joint actions.
        steepness: of the priorities: 0 for uniform draws, or chosen by effective size.
        rng: of the draws.
        epochs: steps.
    """
    policy = np.tile(np.asarray(game.start), (len(data), 1))
    weight, batch, steep = np.ones(data.shape[:2]), data, np.zeros(len(data))
    for epoch in range(epochs):
        away = euclidean(data, policy[:, None])
        if isinstance(steepness, Focus):
            target = steepness.target(data.shape[1], epoch / max(epochs - 1, 1))
            steep = steepness_for(away, target, least=0.0)
        else:
            steep = np.full(len(data), steepness)
        weight = priorities(away, steep, least=0.0)
        batch = _draw(rng, data, weight)
        policy = policy + game.step * game.climb(policy, batch)
        policy = np.clip(policy, -game.limit, game.limit)
    return Played(
        value=game.reward(policy[:, 0], policy[:, 1]),
        gap=np.abs(batch - policy[:, None]).mean(axis=(1, 2)),
        steepness=steep,
        effective=effective_size(weight),
        policy=policy,
    )


def _draw(rng: np.random.Generator, data: Float, weight: Float) -> Float:
    """(S, BATCH, 2) data points, drawn in proportion to weight (S, K)."""
    sums = np.cumsum(weight, axis=1)
    at = rng.random((len(data), BATCH)) * sums[:, -1:]
    rows = zip(sums, at, strict=True)
    ids = np.stack([np.searchsorted(row, points, side="right") for row, points in rows])
    ids = np.minimum(ids, data.shape[1] - 1)
    return np.take_along_axis(data, ids[..., None], axis=1)
