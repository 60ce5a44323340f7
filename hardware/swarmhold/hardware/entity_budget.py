"""A guard in front of the graph for teams that are larger than any the policy was trained with.

After FlickerFusion (arXiv 2410.15876): the surplus of a team is dropped before the policy sees it,
and what is dropped changes from step to step. Here nothing is cut out of an array: weight 0 takes
a teammate out of the graph exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from swarmhold.hardware.draws import mix, uniform
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float, Int, Observation

Entities = Literal["none", "nearest", "flicker"]
LIVE = 0.05  # weights up to this are 0 to the graph


@dataclass(frozen=True, slots=True)
class EntityBudget:
    """Which teammates a robot attends to.

    Attributes:
        most: teammates in the largest team of training.
        mode: "none" leaves everybody in; "nearest" keeps those nearest; "flicker" keeps those
            with the most weight, and draws anew every tick among equals.
    """

    most: int
    mode: Entities = "none"

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ConfigError: the mode is unknown, or the number is negative.
        """
        if self.mode not in get_args(Entities):
            known = ", ".join(get_args(Entities))
            raise ConfigError(f"unknown entity budget {self.mode!r}; choose one of: {known}")
        if self.most < 0:
            raise ConfigError(f"an entity budget of {self.most} teammates; it must be at least 0")

    def limit(self, seen: Observation, weights: Float, robot: Int | int, tick: int) -> Float:
        """Weights with those of the surplus set to 0; robots within their budget keep theirs.

        Args:
            seen: (...) tokens.
            weights: (..., M) attention weights.
            robot: (...) or a part of it that broadcasts, roster index of the observer.
            tick: number of the decision; with the roster index it decides what "flicker" draws.

        Returns:
            (..., M).
        """
        if self.mode == "none" or weights.shape[-1] <= self.most:
            return weights
        live = weights > LIVE
        kept = live & (self._rank(seen, weights, live, robot, tick) < self.most)
        over = live.sum(axis=-1, keepdims=True) > self.most
        return np.where(over & ~kept, 0.0, weights)

    def _rank(
        self, seen: Observation, weights: Float, live: Bool, robot: Int | int, tick: int
    ) -> Int:
        """(..., M) place of each teammate in the order of preference; live ones come first."""
        place = seen.team[..., :3].astype(float)
        known = np.isfinite(place).all(axis=-1)
        first: tuple[Float, ...]
        if self.mode == "nearest":
            distance = np.sqrt(np.sum(np.where(known[..., None], place, 0.0) ** 2, axis=-1))
            first = (distance,)
        else:
            draw = uniform(mix(np.asarray(robot), tick), weights.shape[-1:])
            first = (np.broadcast_to(draw, weights.shape), -weights)
        order = np.lexsort((*first, ~known, ~live), axis=-1)
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[-1]), axis=-1)
        return rank
