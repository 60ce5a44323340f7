"""Small offsets between where a robot claims to be and where it is seen, told from lateness.

A robot whose messages are old is farther on its way than they say, which looks like an offset along
that way. By how much more than the quickest a message was late shows from stamps, on clocks that
need not agree. How late the quickest are shows in how far robots that move are ahead of them, by
least squares: lag = sum(ahead . v) / sum(v^2). What is left of an error counts the less, the older
the message, and is summed up by a vector CUSUM (Crosier, Technometrics 30, 1988, equation 7):
C = |S + e / sigma|, S <- (S + e / sigma) max(0, 1 - slack / C).

Pure array functions. `...` are leading batch dimensions, N are subjects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

LATEST_S = 1.0  # s, most that being late excuses
UNSEEN_S = 0.15  # s, most that every message of a robot may be late by, so that nobody can tell
BRAKES_S = 0.1  # s, of its way, that a robot may have stopped short of since it spoke
JITTER_S = 0.02  # s, by which ages vary unseen, and in which a robot hardly turns
HALF_S = 0.1  # s, older than that, at which a sighting counts half
DRIFT = 0.005  # s/s, by which clocks may drift apart
FADES_S = 0.5  # s, in which a sum fades to a third while nothing is learnt
SURE = 3.0  # standard errors of a learnt lag that it may be off by
SURE_S = 0.015  # s, that these come to when older sightings begin to be forgotten
QUIET = 0.33  # limits, above which nothing is learnt of the lag, lest an offset be taken for one
FARTHEST = 4.0  # sigmas, most that one sighting counts with: one that is far off proves little
SLACK = 1.6  # sigmas by which the sum of errors shrinks with every sighting
STEPS = 3  # levels of a sum that observers tell each other
LEAST_REST = 5  # levels that others than the strongest accuser must come to: two of them at least
BEYOND_DOUBT = 2.0  # limits, from which on an observer needs nobody else
MOST = 3.0  # limits, at which a sum ends, for what was wrong may become right
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Sighting:
    """Teammates that were heard and seen at once, arrays (..., N); NaN where one was not.

    Attributes:
        ahead: (..., N, 3) m, from the claimed to the sensed position.
        velocity: (..., N, 3) m/s, as claimed.
        lag: s from stamp to receipt, on two clocks as they are.
        age: s since the receipt.
    """

    ahead: Float
    velocity: Float
    lag: Float
    age: Float


@dataclass(frozen=True, slots=True)
class OffsetState:
    """Memory of an observer.

    Attributes:
        summed: (..., N, 3) sigmas, the CUSUM.
        least: (..., N) s, least time from stamp to receipt; infinity before any.
        square: (..., N) m^2/s^2, sum of squared speeds, from which the lag was learnt.
        lag: (..., N) s, so learnt, of the quickest messages.
    """

    summed: Float
    least: Float
    square: Float
    lag: Float


def offset_init(lead: tuple[int, ...], n: int) -> OffsetState:
    """Memory of an observer that has seen nothing yet."""
    zero = np.zeros((*lead, n))
    return OffsetState(np.zeros((*lead, n, 3)), np.full((*lead, n), np.inf), zero, zero)


@np.errstate(invalid="ignore", over="ignore")  # what cannot be is reported elsewhere
def offset_error(sigma_m: float, state: OffsetState, seen: Sighting) -> Float:
    """(..., N, 3) m from claimed to sensed position that being late does not explain.

    A robot may be further along on its way, by as much as it went in the time that its message may
    be late by, or have stopped short of it. In this time it may also have turned, so that an error
    proves less, the older the message.

    Args:
        sigma_m: m, per axis, without faults.
        state: memory.
        seen: sightings.
    """
    late = _late(state, seen)
    unsure = SURE * sigma_m / np.sqrt(np.maximum(state.square, TINY))
    most = np.minimum(state.lag + unsure + JITTER_S, UNSEEN_S) + late
    since = np.clip(_after(seen), -BRAKES_S, most)
    old = np.maximum(np.maximum(state.lag - unsure, 0.0) + late + seen.age - JITTER_S, 0.0)
    return (seen.ahead - since[..., None] * seen.velocity) / (1.0 + old / HALF_S)[..., None]


@np.errstate(invalid="ignore", over="ignore")
def offset_step(
    sigma_m: float, limit: float, state: OffsetState, seen: Sighting, seconds: Float
) -> tuple[OffsetState, Float]:
    """Sum up one sighting of everybody.

    Args:
        sigma_m: m, per axis, without faults.
        limit: sigmas.
        state: memory.
        seen: sightings.
        seconds: (...) s since the last look.

    Returns:
        New memory, and (..., N) sigmas, the length of the sums.
    """
    seconds = np.asarray(seconds)[..., None]
    quickest = np.fmin(state.least + DRIFT * seconds, seen.lag)
    state = OffsetState(state.summed, quickest, state.square, state.lag)
    error = offset_error(sigma_m, state, seen) / sigma_m
    size = np.sqrt(np.sum(error**2, axis=-1, keepdims=True))
    total = state.summed + error * np.minimum(1.0, FARTHEST / np.maximum(size, TINY))
    length = np.sqrt(np.sum(total**2, axis=-1, keepdims=True))
    shrunk = total * np.clip(length - SLACK, 0.0, MOST * limit) / np.maximum(length, TINY)
    faded = state.summed * np.exp(-seconds / FADES_S)[..., None]
    summed = np.where(np.isnan(shrunk), faded, shrunk)
    length = np.sqrt(np.sum(summed**2, axis=-1))
    square, lag = _learnt(sigma_m, state, seen, length <= QUIET * limit)
    return OffsetState(summed, quickest, square, lag), length


def _late(state: OffsetState, seen: Sighting) -> Float:
    """(..., N) s by which messages took longer than the quickest."""
    return np.clip(np.nan_to_num(seen.lag - state.least), 0.0, LATEST_S)


def _after(seen: Sighting) -> Float:
    """(..., N) s of its way by which a robot is ahead of its message; 0 for one that stands."""
    square = np.sum(seen.velocity**2, axis=-1)
    return np.asarray(np.sum(seen.ahead * seen.velocity, axis=-1) / np.maximum(square, TINY))


def _learnt(sigma_m: float, state: OffsetState, seen: Sighting, quiet: Bool) -> tuple[Float, Float]:
    """(..., N) squared speeds, and the lag of whom nothing speaks against, seen in motion."""
    after = np.clip(_after(seen) - _late(state, seen), -BRAKES_S, UNSEEN_S)
    square = np.sum(seen.velocity**2, axis=-1)
    tells = np.isfinite(after) & (square > TINY) & quiet
    known = np.where(tells, state.square + square, state.square)
    share = np.where(tells, square / np.maximum(known, TINY), 0.0)
    lag = np.where(tells, state.lag + share * (after - state.lag), state.lag)
    return np.minimum(known, (SURE * sigma_m / SURE_S) ** 2), lag


def level_of(sums: Float, limit: float) -> Int:
    """(..., N) how strong evidence is, 0 to `STEPS`, in thirds of the limit."""
    level: Int = np.minimum(sums * (STEPS / limit), STEPS).astype(np.uint8)
    return level


def tally(levels: Int) -> Int:
    """(..., N, `STEPS`) how many of the observers' levels (..., O, N) are 1, 2, ..."""
    return np.stack([(levels == level).sum(axis=-2) for level in range(1, STEPS + 1)], axis=-1)


def enough(counts: Int, opinions: Int, liars: int) -> Bool:
    """(..., N) whether what observers found each for itself is enough together.

    A sum of CUSUMs of sensors that err each for itself finds a change nearly as soon as one CUSUM
    of all that they see (Mei, Biometrika 97, 2010). Those who say the most may be liars and do not
    count; more than half must agree.

    Args:
        counts: (..., N, `STEPS`) observers at each level, see `tally`.
        opinions: (..., N) observers that could have found something.
        liars: most that there may be.
    """
    left, rest = np.full(opinions.shape, liars), np.zeros(opinions.shape, int)
    for level in range(STEPS, 0, -1):
        ignored = np.minimum(left, counts[..., level - 1])
        rest, left = rest + level * (counts[..., level - 1] - ignored), left - ignored
    agree = counts.sum(axis=-1)
    opinions = np.maximum(opinions, agree)
    return np.asarray((rest >= np.maximum(opinions + 1, LEAST_REST)) & (2 * agree > opinions))
