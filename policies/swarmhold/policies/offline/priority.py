"""Which recorded sequences to replay: those whose joint action is near the policy's own.

Proximal joint-action prioritisation (PJAP, arXiv 2407.01343). Offline actor-critics let each
robot answer actions that its teammates took when the data were made. Where these are far from
what the team does now, the answers are to partners that exist no more, and may point away from
the joint optimum. Only the sampling changes: priority falls with the distance between recorded
and present joint action, and is refreshed as the policy moves.

The steepness is not set by hand, because the right one depends on data and action size: it is the
one that leaves a wanted effective number of sequences. All functions take any leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float, Int

LEAST = 1e-3  # lowest priority, the highest being 1
WHOLE = 200_000  # decisions up to which all sequences are refreshed at once
BESIDE = 1024  # sequences that are refreshed beside the replayed ones where there are more
STEEPEST = 1e6
HALVINGS = 28


def mean_gap(action: Float, policy: Float, counts: Bool | Float) -> Float:
    """Distance of recorded joint actions to the policy's, as the published code has it.

    Args:
        action: (..., T, N, A) what was applied, normalised to [-1, 1].
        policy: (..., T, N, A) what the policy would do.
        counts: (..., T, N) robots that were alive, whole and under the policy's control. What
            the others did is part of the world, and says nothing about being near the policy.

    Returns:
        (...) mean absolute difference over what counts; infinite where nothing does.
    """
    weight = np.asarray(counts, float)
    gap = np.abs(action - policy).mean(axis=-1) * weight
    total = weight.sum(axis=(-2, -1))
    return np.where(total > 0.0, gap.sum(axis=(-2, -1)) / np.maximum(total, 1.0), np.inf)


def euclidean(action: Float, policy: Float) -> Float:
    """(...) length of the difference of joint actions (..., N): the polynomial games' distance."""
    return np.asarray(np.linalg.norm(action - policy, axis=-1))


def priorities(distance: Float, steepness: Float | float, least: float = LEAST) -> Float:
    """exp(-(steepness distance)^2) relative to the nearest sequence, and at least `least`.

    Taken relative to the nearest, since only ratios count in a draw and a team that is far from
    all data must not fall to the floor with all of it. The exponent 0.99 that the published code
    draws with is a factor of the steepness, and so left out.

    Args:
        distance: (..., K); infinite for what must not be drawn.
        steepness: (...) or one for all.
        least: lowest priority.
    """
    known = np.isfinite(distance)
    square = np.where(known, distance, 0.0) ** 2
    nearest = np.where(known, square, np.inf).min(axis=-1, keepdims=True)
    apart = np.where(known, square - nearest, 0.0)
    found = np.exp(-(np.asarray(steepness)[..., None] ** 2) * apart)
    return np.where(known, np.maximum(found, least), 0.0)


def effective_size(weight: Float) -> Float:
    """(...) effective number of draws, (sum w)^2 / sum w^2, of weights (..., K)."""
    square = (weight**2).sum(axis=-1)
    return np.asarray(weight.sum(axis=-1) ** 2 / np.where(square > 0.0, square, 1.0))


@dataclass(frozen=True, slots=True)
class Focus:
    """How many sequences, effectively, are to carry the replay.

    Attributes:
        first: share of all at the start.
        last: share at the end.
        floor: sequences below which it never goes.
    """

    first: float = 0.3
    last: float = 0.1
    floor: float = 256.0

    def target(self, count: int, progress: float) -> float:
        """Effective size wanted of `count` sequences; progress in [0, 1], geometric between."""
        share = self.first * (self.last / self.first) ** min(max(progress, 0.0), 1.0)
        return max(share * count, self.floor)


def steepness_for(
    distance: Float, target: float, beside: Float | float = 1.0, least: float = LEAST
) -> Float:
    """The steepness at which priority times `beside` has the effective size `target`.

    Args:
        distance: (..., K).
        target: effective number of sequences.
        beside: (..., K) further factors of the draw: quality, balance of faults.
        least: lowest priority.

    Returns:
        (...) by bisection; 0 where even uniform priorities have no more than the target.
    """
    low, high = (np.full(distance.shape[:-1], edge) for edge in (-6.0, np.log10(STEEPEST)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        size = effective_size(priorities(distance, 10.0**middle, least) * beside)
        low, high = (
            np.where(size > target, middle, low),
            np.where(size > target, high, middle),
        )
    whole = effective_size(priorities(distance, 0.0, least) * beside)
    return np.where(whole > target, 10.0**low, 0.0)


def due(count: int, length: int, replayed: Int, rng: np.random.Generator) -> Int:
    """Sequences whose distance is to be computed anew.

    All of them where they are few. Refreshing only what was replayed, as the first published
    version did, leaves low priorities exactly where the policy is heading.

    Args:
        count: sequences.
        length: decisions in each.
        replayed: those drawn since the last refresh.
        rng: picks the others where there are too many.
    """
    if count * length <= WHOLE:
        return np.arange(count)
    return np.union1d(replayed, rng.choice(count, min(BESIDE, count), replace=False))


@dataclass(frozen=True, slots=True)
class Gate:
    """What data must be like before a policy may be trained on them.

    Attributes:
        least: effective sequences.
        farthest: median distance of what is replayed, as a share of the action range (2).
    """

    least: float = 256.0
    farthest: float = 0.25

    def judge(self, distance: Float, weight: Float) -> Coverage:
        """How data cover a policy.

        The median is that of the draw, not of the data: far data beside enough near ones do no
        harm, as they are hardly replayed.

        Args:
            distance: (K) as `mean_gap`.
            weight: (K) in proportion to the probability of a draw.
        """
        known = np.isfinite(distance) & (weight > 0.0)
        if not known.any():
            return Coverage(self, 0.0, np.inf, np.inf)
        order = np.argsort(distance[known])
        far, share = distance[known][order], np.cumsum(weight[known][order])
        middle = far[np.searchsorted(share, 0.5 * share[-1])]
        size = float(effective_size(weight))
        return Coverage(self, size, float(middle) / 2.0, float(np.median(far)) / 2.0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A gate's finding.

    Attributes:
        gate: that judged.
        effective: sequences.
        median: distance of what is replayed, share of the action range.
        median_all: of all data alike.
    """

    gate: Gate
    effective: float
    median: float
    median_all: float

    @property
    def refusal(self) -> str:
        """Why there is to be no training; empty where there may be."""
        if self.effective < self.gate.least * (1.0 - 1e-6):
            return (
                f"only {self.effective:.0f} effective sequences, fewer than {self.gate.least:.0f}; "
                "record more flights of the deployed policy"
            )
        if self.median > self.gate.farthest:
            return (
                f"what would be replayed is {self.median:.2f} of the action range away from the "
                f"policy (median), more than {self.gate.farthest:g}; record flights of the "
                "deployed policy, with small exploration"
            )
        return ""

    def demand(self) -> None:
        """Pass, or say why not.

        Raises:
            ConfigError: the data do not cover the policy.
        """
        if self.refusal:
            raise ConfigError(f"the data do not cover the policy: {self.refusal}")
