"""How long a silence must last to tell of a robot, and not of the channel.

An observer knows the gaps between the messages that it got, and so for what share of the time the
channel alone keeps it waiting, and for how long. From the tail of that, taken as exponential,
follows the silence beyond which all who would have to err together do so hardly ever: time-outs
for a given rate of mistakes (Chen, Toueg, Aguilera, IEEE Trans. Computers 51, 2002) from the gaps
seen lately (Hayashibara and others, SRDS 2004). On a good channel it is the least that counts, and
so it is in large teams, in which many would have to err.

Pure array functions. `...` are leading batch dimensions, N are subjects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

LATE = 0.5  # share of the least silence, from which on a message was late, or the one before lost
MOST_S = 1.25  # s, most that any channel is waited for
AWAY_S = 2.0  # s, from which on a gap is an absence, and says nothing of the channel
BURST_S = 0.2  # s, least that a channel that is bad stays so
MEMORY_S = 100.0  # s, in which what was learnt fades to a third
CHANCE = 3e-6  # share of the time in which a healthy robot may be lost to chance
FEW = 4  # witnesses, up to which nobody is lost at once whom one of them hears
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class ChannelState:
    """Memory of an observer.

    Attributes:
        age: (..., N) s since each robot was heard, at the last look; infinity if it never was.
        heard_s: (...) s, sum of the gaps between messages, over all robots.
        late_s: (...) s, of these, for which a message was late.
        square: (...) s^2, for how long, summed over that time.
    """

    age: Float
    heard_s: Float
    late_s: Float
    square: Float


def channel_init(lead: tuple[int, ...], n: int) -> ChannelState:
    """Memory of an observer that has heard nothing yet."""
    zero = np.zeros(lead)
    return ChannelState(np.full((*lead, n), np.inf), zero, zero, zero)


def channel_step(
    silent_s: float, state: ChannelState, age: Float, told: Bool, seconds: Float
) -> ChannelState:
    """Learn from the gaps that have just ended.

    Args:
        silent_s: s, least silence that counts.
        state: memory.
        age: (..., N) s since each robot was heard.
        told: (..., N) who was heard since the last look, as the same that it was before.
        seconds: (...) s since the last look.
    """
    with np.errstate(invalid="ignore"):  # who was never heard
        gap = state.age + seconds[..., None] - age
    gap = np.where(told & (gap <= AWAY_S), gap, 0.0)
    late = np.maximum(gap - LATE * silent_s, 0.0)
    keep = np.exp(-seconds / MEMORY_S)
    return ChannelState(
        age,
        keep * state.heard_s + gap.sum(axis=-1),
        keep * state.late_s + late.sum(axis=-1),
        keep * state.square + 0.5 * (late**2).sum(axis=-1),
    )


def patience(silent_s: float, state: ChannelState) -> Float:
    """(..., N) s beyond the least silence that are waited, by how many are there to hear each.

    Args:
        silent_s: s, least.
        state: memory.
    """
    near = state.age <= silent_s
    witnesses = 1 + near.sum(axis=-1, keepdims=True) - near
    share = state.late_s / np.maximum(state.heard_s, TINY)
    mean = np.maximum(state.square / np.maximum(state.late_s, TINY), BURST_S)
    rarer = np.log(np.maximum(share[..., None] / allowed(witnesses), 1.0))
    wait = mean[..., None] * rarer - (1.0 - LATE) * silent_s
    return np.clip(wait, 0.0, max(MOST_S - silent_s, 0.0))


def hearing(heard: Int, present: Int, observers: int) -> tuple[Bool, Bool]:
    """(..., N) whom so few hear that it may be lost at once, and so many that it never is.

    Fewer than `observers`, and nobody where no more than `FEW` are there. In between, the doubt
    must last, for the one who hears it may lie; of two, it never is lost.

    Args:
        heard: (..., N) observers that hear it.
        present: (..., N) observers there are.
        observers: whose word is a fact.
    """
    unheard = heard < np.where(present > FEW, observers, 1)
    return unheard, heard >= np.clip(present - 1, 1, observers)


def allowed(witnesses: Float) -> Float:
    """Share of the time in which a link may be silent, where links fail each for itself.

    Of M witnesses all must err at once, or all but one if they are five or more, which may happen
    in M ways; see `hearing`. Four may be five, with the supervisor. One alone is held to what one
    of two is, for nobody can wait until a single link is surely no longer silent by chance.
    """
    must = np.maximum(witnesses - 1, np.clip(witnesses, 2, FEW))
    ways = np.where(witnesses >= FEW, np.maximum(witnesses, FEW + 1), 1)
    return np.asarray((CHANCE / ways) ** (1.0 / must))
