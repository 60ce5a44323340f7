"""From a statistic per step and robot to who was first: references, thresholds, attribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

WINDOW = 5  # steps of the moving average
SAME = 1e-5  # difference below which two values count as equal
NOBODY = -1


def smoothed(values: Float, window: int = WINDOW) -> Float:
    """Mean of the last steps, fewer at the start; (..., T, N) along T."""
    sums = np.cumsum(np.asarray(values, float), axis=-2)
    before = np.concatenate([np.zeros_like(sums[..., :window, :]), sums], axis=-2)
    count = np.minimum(np.arange(1, values.shape[-2] + 1), window)[:, None]
    return np.asarray((sums - before[..., : values.shape[-2], :]) / count)


@dataclass(frozen=True, slots=True)
class Reference:
    """What is usual of each robot at each step.

    Attributes:
        mean: (..., T, N).
        std: (..., T, N).
    """

    mean: Float
    std: Float

    def deviation(self, values: Float) -> Float:
        """(..., T, N) distance from the mean."""
        return np.abs(values - self.mean)

    def sigmas(self, values: Float) -> Float:
        """(..., T, N) the same in standard deviations; 0 where it equals the mean."""
        off = self.deviation(values)
        return np.where(off <= SAME, 0.0, off / np.maximum(self.std, 1e-12))

    def flags(self, values: Float, k: float) -> Bool:
        """(..., T, N) more than k standard deviations off, and not just by rounding."""
        return np.asarray(self.sigmas(values) > k)


def reference_of(runs: Float, axis: int = 0) -> Reference:
    """From runs without a failure.

    Args:
        runs: of the statistic, for instance (R, T, N): twins of one episode, or other episodes.
        axis: of the runs.
    """
    return Reference(runs.mean(axis=axis), runs.std(axis=axis))


def threshold_at(calm: Float, share: float) -> float:
    """The level that so many of the episodes without a failure exceed somewhere.

    Args:
        calm: (E, T, N).
        share: of the episodes.
    """
    return float(np.quantile(calm.max(axis=(-2, -1)), 1.0 - share))


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who was first, arrays over episodes (...).

    Attributes:
        first: (..., N) step of each robot's first flag; T where there is none.
        earliest: (..., N) robots that share the earliest flag.
        patient: (...) of those the one that deviates most there; `NOBODY` without any flag.
    """

    first: Int
    earliest: Bool
    patient: Int

    @property
    def at(self) -> Int:
        """(...) step of the earliest flag; T without any."""
        return np.asarray(self.first.min(axis=-1))


def attribute(flags: Bool, size: Float) -> Attribution:
    """The earliest flag names the patient; ties go to the largest deviation.

    Args:
        flags: (..., T, N).
        size: (..., T, N) of the deviation.
    """
    steps = flags.shape[-2]
    first = np.where(flags.any(axis=-2), flags.argmax(axis=-2), steps)
    at = first.min(axis=-1, keepdims=True)
    earliest = (first == at) & (at < steps)
    when = np.minimum(at, steps - 1)[..., None]
    there = np.take_along_axis(size, when, axis=-2)[..., 0, :]
    patient = np.where(earliest, there, -np.inf).argmax(axis=-1)
    return Attribution(first, earliest, np.where(earliest.any(axis=-1), patient, NOBODY))


def residual_sigmas(expected: Float, observed: Float, noise: Float | float) -> Float:
    """(..., T, N) one-step dynamics residual: observed against commanded motion, in sigmas.

    Args:
        expected: (..., T, N, K) where the command leads within a step.
        observed: (..., T, N, K) where it led.
        noise: standard deviation of a component of their difference without a failure.
    """
    return np.asarray(np.sqrt((((observed - expected) / noise) ** 2).sum(axis=-1)))
