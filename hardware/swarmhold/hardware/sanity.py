"""What messages say against themselves: leaps, frozen senses, odd clocks, two senders.

Pure array functions, as in `monitor`, which calls them. `...` are leading batch dimensions. No
sighting is needed for any of it, only the messages of one robot held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

FOLLOW = 0.02  # share of a message's lag in the usual one
FORGOTTEN_S = 1.0  # s between two messages, after which the one says nothing of the other


@dataclass(frozen=True, slots=True)
class SanityConfig:
    """Thresholds.

    Attributes:
        leap_m: distance between two claimed positions beyond what the claimed speeds explain; it
            is calibrated on fault-free flights and stored with the bundle.
        frozen_looks: messages in a row that claim a speed and one and the same place.
        moving_mps: least speed of theirs.
        clock_s: departure of a clock from what it used to show.
        clock_looks: messages in a row that do so.
        hold_s: how long a sudden event is reported.
        twin_s: a boot id that comes back within this time belongs to a second sender.
    """

    leap_m: float = 0.5
    frozen_looks: int = 6
    moving_mps: float = 0.02
    clock_s: float = 0.25
    clock_looks: int = 3
    hold_s: float = 0.5
    twin_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Said:
    """What was received last of each robot, arrays (..., N) over senders.

    Attributes:
        position: (..., N, 3) m, world ENU, as claimed.
        velocity: (..., N, 3) m/s, world ENU, as claimed.
        stamp: s, sender's clock.
        heard_at: s, receiver's clock.
        boot_id: 0 if none was heard.
        fresh: a message arrived since the last look.
    """

    position: Float
    velocity: Float
    stamp: Float
    heard_at: Float
    boot_id: Float
    fresh: Bool


@dataclass(frozen=True, slots=True)
class SanityState:
    """Memory of an observer.

    Attributes:
        position: (..., N, 3) m, of the message before; NaN before any.
        speed: (..., N) m/s, of the message before.
        stamp: (..., N) s, of the message before.
        repeats: (..., N) messages in a row that claim to move and do not.
        lag: (..., N) s, usual time from stamp to receipt, on the two clocks as they are.
        odd: (..., N) messages in a row with another lag.
        boots: (..., N, 2) boot id now, and the one before it.
        leapt_at: (..., N) s.
        twin_at: (..., N) s.
        changed_at: (..., N) s, of the boot id.
    """

    position: Float
    speed: Float
    stamp: Float
    repeats: Int
    lag: Float
    odd: Int
    boots: Float
    leapt_at: Float
    twin_at: Float
    changed_at: Float


@dataclass(frozen=True, slots=True)
class Insane:
    """Findings, (..., N), and what they rest on.

    Attributes:
        leap: claims a place that its speeds do not explain.
        frozen: claims to move and one and the same place.
        clock: shows another time than it used to.
        twin: two senders.
        beyond: m by which it moved farther than its speeds explain; NaN where nothing is known.
        late: s by which the message came later than usual; 0 where nothing is known.
    """

    leap: Bool
    frozen: Bool
    clock: Bool
    twin: Bool
    beyond: Float
    late: Float


def sanity_init(lead: tuple[int, ...], n: int) -> SanityState:
    """Memory of an observer that has heard nothing yet."""
    shape = (*lead, n)
    never, nan = np.full(shape, -np.inf), np.full(shape, np.nan)
    none = np.zeros(shape, np.int16)
    return SanityState(
        np.full((*shape, 3), np.nan), nan, nan, none, nan, none, np.zeros((*shape, 2)),
        never, never, never,
    )  # fmt: skip


@np.errstate(invalid="ignore", over="ignore")  # what cannot be is reported elsewhere
def sanity_step(
    config: SanityConfig, state: SanityState, said: Said, now: float
) -> tuple[SanityState, Insane]:
    """Hold the last message of each robot against those before it.

    Args:
        config: thresholds.
        state: memory.
        said: what was received.
        now: s, monotonic.

    Returns:
        New memory and findings.
    """
    speed = np.sqrt(np.sum(said.velocity**2, axis=-1))
    beyond = _beyond(state, said, speed)
    sound = said.fresh & np.isfinite(speed) & np.isfinite(said.position).all(axis=-1)
    same = (said.position == state.position).all(axis=-1) & (speed > config.moving_mps)
    lag = said.heard_at - said.stamp
    late = lag - state.lag
    strange = np.abs(late) > config.clock_s
    leapt_at = np.where(sound & (beyond > config.leap_m), now, state.leapt_at)
    repeats = np.where(sound, np.where(same, state.repeats + 1, 0), state.repeats)
    timed = said.fresh & np.isfinite(lag)
    odd = np.where(timed, np.where(strange, state.odd + 1, 0), state.odd)
    # The usual lag follows slowly, and takes a new one only where there was none.
    share = np.where(strange, 0.0, FOLLOW)
    near = np.where(np.isnan(state.lag), lag, state.lag + share * late)
    boots, changed_at, twin_at = _boots(config, state, said, now)
    kept = sound[..., None]
    new = SanityState(
        position=np.where(kept, said.position, state.position),
        speed=np.where(sound, speed, state.speed),
        stamp=np.where(sound, said.stamp, state.stamp),
        repeats=np.minimum(repeats, 1000).astype(np.int16),
        lag=np.where(timed, near, state.lag),
        odd=np.minimum(odd, 1000).astype(np.int16),
        boots=boots,
        leapt_at=leapt_at,
        twin_at=twin_at,
        changed_at=changed_at,
    )
    return new, Insane(
        leap=now - leapt_at <= config.hold_s,
        frozen=repeats >= config.frozen_looks,
        clock=odd >= config.clock_looks,
        twin=now - twin_at <= config.twin_s,
        beyond=beyond,
        late=np.where(np.isnan(late), 0.0, late),
    )


def _beyond(state: SanityState, said: Said, speed: Float) -> Float:
    """(..., N) m that a robot moved beyond what its speeds explain; NaN where nothing is known.

    The time between two messages is that between their stamps, so that late and bunched messages
    are no leaps. After a second without any, or a reboot, nothing is known.
    """
    moved = np.sqrt(np.sum((said.position - state.position) ** 2, axis=-1))
    between = said.stamp - state.stamp
    tells = (np.abs(between) <= FORGOTTEN_S) & (said.boot_id == state.boots[..., 0])
    beyond = moved - np.maximum(speed, state.speed) * np.maximum(between, 0.0)
    return np.where(tells, beyond, np.nan)


def _boots(
    config: SanityConfig, state: SanityState, said: Said, now: float
) -> tuple[Float, Float, Float]:
    """Boot ids; one that comes back soon belongs to a second sender under the same name."""
    known, before = state.boots[..., 0], state.boots[..., 1]
    changed = said.fresh & (said.boot_id > 0) & (said.boot_id != known) & (known > 0)
    back = changed & (said.boot_id == before) & (now - state.changed_at <= config.twin_s)
    first = np.where(said.fresh & (said.boot_id > 0), said.boot_id, known)
    boots = np.stack([first, np.where(changed, known, before)], axis=-1)
    return boots, np.where(changed, now, state.changed_at), np.where(back, now, state.twin_at)
