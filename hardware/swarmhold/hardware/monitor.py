"""What one observer notices about the others: silence, a stuck loop, a false pose, garbage.

Where a robot claims to be is held against where it is seen twice over: far off in several sightings
is a vote at once; a little off, but always, is summed up, see `offsets`. How much it came to is
told to others, for a majority is to find it; only twice the limit is beyond doubt for oneself.

Pure array functions. `...` are leading batch dimensions: none in a robot or the supervisor,
(env, observer) in simulated evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntFlag

import numpy as np

from swarmhold.hardware.channel import ChannelState, channel_init, channel_step, patience
from swarmhold.hardware.offsets import (
    BEYOND_DOUBT,
    LATEST_S,
    OffsetState,
    Sighting,
    level_of,
    offset_init,
    offset_step,
)
from swarmhold.hardware.sanity import Said, SanityConfig, SanityState, sanity_init, sanity_step
from swarmhold.hardware.types import Bool, Float, Int

TOO_LATE_S = 0.2  # s, known to be late, from which on a message is no measure of small errors
BITS = np.uint16  # what accusations are stored and sent as


class Accusation(IntFlag):
    """Bits that travel in the state message, two bytes per teammate."""

    SILENT = 1
    STUCK = 2
    MISMATCH = 4
    CORRUPT = 8
    REBOOT = 16
    SEEN = 32  # no accusation: the observer has a cross-check opinion of this robot
    HEARD = 64  # no accusation: the observer hears this robot's heartbeat
    ABNORMAL = 128  # moves as the shared policy would not have it move, see `normality`
    LEAP = 256  # claims positions that its claimed speeds do not explain
    FROZEN = 512  # claims to move and one and the same place
    CLOCK = 1024  # its clock has jumped, or its messages come late; no reason to distrust it
    TWIN = 2048  # two senders under one name
    ALIEN = 4096  # flies another bundle
    COMMON = 8192  # in tables, of everybody: too many look bad at once for it to be their fault
    OFFSET = 16384  # is always a little off: level 1 of 3, see `offsets`
    OFFSETS = 32768  # level 2; both are level 3


def bits_of(found: Mapping[Accusation, Bool]) -> Int:
    """(...) `Accusation` bits of findings (...) by kind."""
    packed: Int = np.zeros(next(iter(found.values())).shape, BITS)
    for bit, on in found.items():
        packed |= np.multiply(on, BITS(bit), dtype=BITS)
    return packed


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """Thresholds of the monitors.

    Attributes:
        silent_s: least age of the last message that counts as silence, see `channel`.
        stuck_s: age of the last advance of the control counter that counts as stuck.
        mismatch_m: distance between claimed and sensed position that counts as a vote; it is
            calibrated on fault-free flights and stored with the bundle.
        speed_mps: m/s, of the robots; what a message is late by, times this, is allowed on top.
        sigma_m: m, per axis, of a claimed against a sensed position without faults; calibrated.
        offset_limit: sigmas, of the CUSUM of cross-checks; 0: not calibrated, only votes count.
        touch_m: distance between two robots at which they may push each other about; 0: they do so
            as a habit, and limits allow for it.
        mismatch_window: sightings that are remembered.
        mismatch_votes: votes in the window that make an accusation.
        corrupt_votes: messages in a row that make an accusation.
        reboot_s: how long a changed boot id is reported.
        own_gap_s: a longer gap between two steps means that the observer itself was asleep.
        common_share: share of the heard team that, silent at once, means that the observer's
            own channel is at fault.
        sanity: thresholds of what messages say against themselves.
    """

    silent_s: float = 0.25
    stuck_s: float = 0.25
    mismatch_m: float = 0.05
    speed_mps: float = 0.0
    sigma_m: float = 0.05
    offset_limit: float = 0.0
    touch_m: float = 0.0
    mismatch_window: int = 5
    mismatch_votes: int = 3
    corrupt_votes: int = 3
    reboot_s: float = 0.5
    own_gap_s: float = 0.2
    common_share: float = 0.6
    sanity: SanityConfig = field(default_factory=SanityConfig)


@dataclass(frozen=True, slots=True)
class MonitorInput:
    """What was received and sensed, arrays (..., N) over subjects.

    Attributes:
        age: s since the last message was received; infinity if none ever was.
        control_age: s since the control counter last advanced; infinity if never heard.
        claimed: (..., N, 3) m, world ENU, claimed position extrapolated to now.
        sensed: (..., N, 3) m, world ENU, position by own sensing; NaN where not seen.
        corrupt: the last message held values that are not finite or out of range.
        alien: the last message named another bundle.
        said: the last message as it was.
    """

    age: Float
    control_age: Float
    claimed: Float
    sensed: Float
    corrupt: Bool
    alien: Bool
    said: Said

    @property
    def fresh(self) -> Bool:
        """A message arrived since the last step."""
        return self.said.fresh


@dataclass(frozen=True, slots=True)
class MonitorState:
    """Memory of one observer (or a batch of them).

    Attributes:
        last_now: (...) s, time of the last step.
        channel: gaps between messages.
        votes: (..., N, W) last cross-check votes, -1 where there was none yet.
        offset: CUSUMs of cross-checks, and how late robots usually are.
        garbage: (..., N) corrupt messages in a row.
        sanity: what messages said before.
    """

    last_now: Float
    channel: ChannelState
    votes: Int
    offset: OffsetState
    garbage: Int
    sanity: SanityState


def monitor_init(config: MonitorConfig, lead: tuple[int, ...], n: int) -> MonitorState:
    """Memory of an observer that has heard nothing yet."""
    return MonitorState(
        last_now=np.full(lead, np.nan),
        channel=channel_init(lead, n),
        votes=np.full((*lead, n, config.mismatch_window), -1, np.int8),
        offset=offset_init(lead, n),
        garbage=np.zeros((*lead, n), np.int16),
        sanity=sanity_init(lead, n),
    )


def monitor_step(
    config: MonitorConfig, state: MonitorState, inputs: MonitorInput, now: float
) -> tuple[MonitorState, Int]:
    """One look at the team.

    Args:
        config: thresholds.
        state: memory.
        inputs: what was received and sensed since the last step.
        now: s, monotonic.

    Returns:
        New memory, and accusations (..., N), `Accusation` bits. The caller clears
        the observer's own entry.
    """
    seconds = np.nan_to_num(now - state.last_now)
    awake = ~(seconds > config.own_gap_s)[..., None]
    sanity, odd = sanity_step(config.sanity, state.sanity, inputs.said, now)
    told = inputs.fresh & awake & (sanity.changed_at != now)
    channel = channel_step(config.silent_s, state.channel, inputs.age, told, seconds)
    heard, silent, stuck, deaf = _freshness(config, channel, inputs)
    votes, mismatch, opinion = _cross_check(config, state, inputs, odd.late)
    offset, level, off = _offset(config, state.offset, inputs, odd.late, seconds)
    level = np.where(opinion, level, 0)
    garbage = np.where(inputs.fresh, np.where(inputs.corrupt, state.garbage + 1, 0), state.garbage)
    garbage = np.minimum(garbage, 1000).astype(np.int16)
    found = {
        Accusation.SILENT: silent & awake & ~deaf,
        Accusation.STUCK: stuck & awake,
        Accusation.MISMATCH: mismatch | off,
        Accusation.CORRUPT: garbage >= config.corrupt_votes,
        Accusation.REBOOT: now - sanity.changed_at <= config.reboot_s,
        Accusation.SEEN: opinion,
        Accusation.HEARD: heard & ~silent,
        Accusation.LEAP: odd.leap,
        Accusation.FROZEN: odd.frozen,
        Accusation.CLOCK: odd.clock,
        Accusation.TWIN: odd.twin,
        Accusation.ALIEN: heard & inputs.alien,
        Accusation.OFFSET: (level & 1) != 0,
        Accusation.OFFSETS: (level & 2) != 0,
    }
    return (
        replace(
            state,
            last_now=np.full(state.last_now.shape, now),
            channel=channel,
            votes=votes,
            offset=offset,
            garbage=garbage,
            sanity=sanity,
        ),
        bits_of(found),
    )


def _freshness(
    config: MonitorConfig, channel: ChannelState, inputs: MonitorInput
) -> tuple[Bool, Bool, Bool, Bool]:
    """(..., N) who was ever heard, is silent, is stuck; (..., 1) if it is the observer's channel.

    A bad channel is waited for, see `channel`, by which a control counter lags behind as well.
    """
    heard = np.isfinite(inputs.age)
    wait = patience(config.silent_s, channel)
    silent = heard & (inputs.age > config.silent_s + wait)
    stuck = heard & ~silent & (inputs.control_age > config.stuck_s + wait)
    count = np.maximum(heard.sum(axis=-1, keepdims=True), 1)
    late = silent.sum(axis=-1, keepdims=True)
    return heard, silent, stuck, (late >= 2) & (late > config.common_share * count)


def sighting_of(inputs: MonitorInput, late: Float, touch_m: float) -> Sighting:
    """What small errors can be learnt of.

    In a message that is known to be late a robot may have turned, and one that touches another may
    be pushed, so that it says nothing of them.

    Args:
        inputs: what was received and sensed.
        late: (..., N) s, what messages are known to be late by.
        touch_m: m between robots that may touch.
    """
    tells = inputs.fresh & (late <= TOO_LATE_S) & ~touching(inputs.sensed, touch_m)
    said = inputs.said
    with np.errstate(invalid="ignore"):  # what cannot be is reported elsewhere
        ahead = np.where(tells[..., None], inputs.sensed - inputs.claimed, np.nan)
        timely = inputs.fresh & (np.abs(late) <= TOO_LATE_S)  # of a clock that has not jumped
        lag = np.where(timely, said.heard_at - said.stamp, np.nan)
    return Sighting(ahead, said.velocity, lag, inputs.age)


def touching(sensed: Float, touch_m: float) -> Bool:
    """(..., N) who is seen (..., N, 3) next to somebody else."""
    at = np.moveaxis(sensed, -1, 0)
    with np.errstate(invalid="ignore"):  # who is not seen is next to nobody
        square = sum((axis[..., :, None] - axis[..., None, :]) ** 2 for axis in at)
        return np.asarray((square < touch_m**2).sum(axis=-1) > 1)


def _offset(
    config: MonitorConfig, state: OffsetState, inputs: MonitorInput, late: Float, seconds: Float
) -> tuple[OffsetState, Int, Bool]:
    """Memory, level of a small offset, and whether it is beyond doubt."""
    limit = config.offset_limit
    if limit == 0.0:
        none = np.zeros(inputs.age.shape, np.uint8)
        return state, none, none != 0
    seen = sighting_of(inputs, late, config.touch_m)
    state, sums = offset_step(config.sigma_m, limit, state, seen, seconds)
    return state, level_of(sums, limit), sums > BEYOND_DOUBT * limit


def _cross_check(
    config: MonitorConfig, state: MonitorState, inputs: MonitorInput, late: Float
) -> tuple[Int, Bool, Bool]:
    """Claimed against sensed position: votes, accusation, and whether it has an opinion."""
    allowed = config.mismatch_m + config.speed_mps * np.clip(late, 0.0, LATEST_S)
    error = np.sqrt(np.sum((inputs.claimed - inputs.sensed) ** 2, axis=-1))
    sighted = inputs.fresh & np.isfinite(error)
    vote = (error > allowed).astype(np.int8)
    shifted = np.concatenate([state.votes[..., 1:], vote[..., None]], axis=-1)
    votes = np.where(sighted[..., None], shifted, state.votes)
    opinion = (votes >= 0).sum(axis=-1) >= config.mismatch_votes
    accused = (votes == 1).sum(axis=-1) >= config.mismatch_votes
    return votes, accused, opinion
