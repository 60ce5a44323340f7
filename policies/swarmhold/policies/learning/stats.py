"""Interquartile means and their intervals over seeds and episodes (arXiv 2108.13264).

Of what is either 0 or 1 an interquartile mean says only which is rare; there it is the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import trim_mean

from swarmhold.hardware.types import Float

DRAWS = 2000
LEVEL = 0.95
Average = Callable[[Float], Float]


@dataclass(frozen=True, slots=True)
class Spread:
    """An average with its bootstrap interval."""

    value: float
    low: float
    high: float


def iqm(values: Float) -> Float:
    """Mean of the middle half of the values; along the last axis."""
    return np.asarray(trim_mean(values, 0.25, axis=-1))


def mean(values: Float) -> Float:
    """Along the last axis."""
    return np.asarray(np.mean(values, axis=-1))


def average_of(metric: str) -> tuple[str, Average]:
    """What tables show of a metric: name and function of the average."""
    return ("mean", mean) if metric == "success" else ("iqm", iqm)


def spread_of(
    per_seed: Sequence[Float], rng: np.random.Generator, average: Average = iqm
) -> Spread:
    """Average over all episodes of all seeds; the bootstrap draws seeds, then episodes.

    Args:
        per_seed: episodes of each training seed.
        rng: of the bootstrap.
        average: along the last axis.
    """
    means = average(_draws(per_seed, rng))
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Spread(float(average(np.concatenate(per_seed))), float(low), float(high))


def share_of(lost: Sequence[tuple[Float, Float, Float]], rng: np.random.Generator) -> Spread | None:
    """Share of a gain that is reached: (reached - base) / (best - base), of paired episodes.

    Args:
        lost: base, reached and best figures of the same episodes, for each seed.
        rng: of the bootstrap.

    Returns:
        Of the means; None where the best is no better than the base beyond its interval.
    """
    base, reached, best = (np.concatenate(part) for part in zip(*lost, strict=True))
    picks = rng.integers(0, len(base), (DRAWS, len(base)))
    gain = (best - base)[picks].mean(axis=1)
    if np.percentile(gain, 50 * (1 - LEVEL)) <= 0.0:
        return None
    shares = (reached - base)[picks].mean(axis=1) / np.maximum(gain, 1e-12)
    low, high = np.percentile(shares, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Spread(float((reached - base).mean() / (best - base).mean()), float(low), float(high))


def _draws(per_seed: Sequence[Float], rng: np.random.Generator) -> Float:
    """(DRAWS, K) figures of resampled seeds and episodes."""
    seeds, least = len(per_seed), min(len(part) for part in per_seed)
    table = np.stack([np.asarray(part)[:least] for part in per_seed])
    chosen = rng.integers(0, seeds, (DRAWS, seeds, 1))
    episodes = rng.integers(0, least, (DRAWS, seeds, least))
    drawn: Float = table[chosen, episodes].reshape(DRAWS, -1)
    return drawn
