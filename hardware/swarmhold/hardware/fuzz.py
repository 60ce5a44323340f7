"""Throw anything at a policy graph, and see that what comes out is finite and within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.spec import PolicySpec

Feeds = dict[str, NDArray[np.float32]]
Outputs = Mapping[str, NDArray[np.floating]]
ROWS = 4000  # observations of one call
MOST_MATES, MOST_MARKS = 50, 12
SPECIAL = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 3.4e38, -3.4e38, 1.0, 0.05], np.float32
)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What came of it.

    Attributes:
        observations: how many were tried.
        not_finite: of which so many gave an output that is not finite.
        out_of_bounds: and so many an action beyond its bounds.
    """

    observations: int
    not_finite: int
    out_of_bounds: int

    @property
    def good(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.not_finite or self.out_of_bounds)


def fuzz(
    act: Callable[[Feeds], Outputs], spec: PolicySpec, count: int, seed: int, hidden: int = 0
) -> Fuzzed:
    """Run a graph on observations of arbitrary values.

    Args:
        act: outputs by name (`action`, and whatever else has to be finite) for inputs by name.
        spec: layouts and bounds.
        count: observations to try, rounded up to whole calls.
        seed: of all values.
        hidden: values of the hidden state; 0 for a policy without memory.
    """
    bound = np.asarray(spec.action_bound) * (1.0 + 1e-6)
    tried = broken = beyond = 0
    for feeds in observations(spec, count, seed, hidden):
        out = act(feeds)
        finite = [np.isfinite(value).reshape(len(value), -1).all(axis=1) for value in out.values()]
        broken += int((~np.logical_and.reduce(finite)).sum())
        beyond += int((np.abs(out["action"]) > bound).any(axis=1).sum())
        tried += len(out["action"])
    return Fuzzed(tried, broken, beyond)


def observations(spec: PolicySpec, count: int, seed: int, hidden: int = 0) -> Iterator[Feeds]:
    """Inputs of a graph, `ROWS` at a time, each call for another number of teammates and marks.

    A quarter of the values are random bit patterns, a quarter are special ones such as NaN and
    infinities, and the rest are of the sizes that occur.
    """
    for number in range(-(-count // ROWS)):
        rng = np.random.default_rng([seed, number])
        mates = int(rng.integers(1, MOST_MATES + 1)) if number % 4 == 0 else 1 + number % 10
        marks = int(rng.integers(1, MOST_MARKS + 1))
        feeds = {
            "self": _values(rng, (ROWS, spec.self_size)),
            "team": _values(rng, (ROWS, mates, spec.team_size)),
            "health": _values(rng, (ROWS, mates)),
            "obstacles": _values(rng, (ROWS, marks, spec.obstacle_size)),
            "obstacle_mask": _values(rng, (ROWS, marks)),
        }
        yield {**feeds, "hidden": _values(rng, (ROWS, hidden))} if hidden else feeds


def _values(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Float32 of all kinds; a third of the rows hold only values that occur."""
    usual = rng.standard_normal(shape, np.float32) * 2.0
    bits = rng.integers(0, 2**32, shape, np.uint32).view(np.float32)
    special = SPECIAL[rng.integers(0, len(SPECIAL), shape)]
    kind = rng.random(shape, np.float32)
    wild = rng.random(len(usual)) > 1.0 / 3.0
    kind = np.where(wild.reshape(-1, *[1] * (len(shape) - 1)), kind, np.float32(1.0))
    out: NDArray[np.float32] = np.where(kind < 0.25, bits, np.where(kind < 0.5, special, usual))
    return out
