"""Interquartile means and their intervals over seeds and episodes (arXiv 2108.13264)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import trim_mean

from swarmhold.hardware.types import Float

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """An interquartile mean with its bootstrap interval."""

    iqm: float
    low: float
    high: float


def iqm(values: Float) -> float:
    """Mean of the middle half of the values; along the last axis."""
    return np.asarray(trim_mean(values, 0.25, axis=-1))[()]


def spread_of(per_seed: Sequence[Float], rng: np.random.Generator) -> Spread:
    """Interquartile mean over all episodes of all seeds; the bootstrap draws seeds, then episodes.

    Args:
        per_seed: episodes of each training seed.
        rng: of the bootstrap.
    """
    means = _draws(per_seed, rng)
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Spread(float(iqm(np.concatenate(per_seed))), float(low), float(high))


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
    """(DRAWS) interquartile means of resampled seeds and episodes."""
    seeds, least = len(per_seed), min(len(part) for part in per_seed)
    table = np.stack([np.asarray(part)[:least] for part in per_seed])
    chosen = rng.integers(0, seeds, (DRAWS, seeds, 1))
    episodes = rng.integers(0, least, (DRAWS, seeds, least))
    drawn: Float = table[chosen, episodes].reshape(DRAWS, -1)
    return np.asarray(iqm(drawn))
