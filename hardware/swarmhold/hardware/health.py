"""From accusations to weights: fusion with corroboration, and the health state machine.

The same pure functions run in the supervisor, inside every robot, and over simulated batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from swarmhold.hardware.channel import hearing
from swarmhold.hardware.monitor import BITS, Accusation, bits_of
from swarmhold.hardware.offsets import STEPS, enough
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.hardware.votes import count_votes, given

# What a robot's own messages prove against it, to everybody who hears them.
PROOFS = (
    *(Accusation.CORRUPT, Accusation.LEAP, Accusation.FROZEN),
    *(Accusation.TWIN, Accusation.ALIEN),
)
# Places of bits in what `count_votes` counts; in this hot path, attributes of enums are dear.
_PROVES = np.array([bit.bit_length() - 1 for bit in PROOFS])
_SILENT, _STUCK, _MISMATCH, _REBOOT, _SEEN, _HEARD, _OFF, _OFFS = (
    bit.bit_length() - 1
    for bit in (
        *(Accusation.SILENT, Accusation.STUCK, Accusation.MISMATCH, Accusation.REBOOT),
        *(Accusation.SEEN, Accusation.HEARD, Accusation.OFFSET, Accusation.OFFSETS),
    )
)
_MOST_OFF = BITS(Accusation.OFFSET | Accusation.OFFSETS)
_MOST_RELAPSES = 10


class HealthState(IntEnum):
    """What the team holds of a robot."""

    HEALTHY = 0
    SUSPECT = 1
    LOST = 2
    QUARANTINED = 3
    PROBATION = 4
    ESTOPPED = 5


_HEALTHY, _SUSPECT, _LOST, _QUARANTINED, _PROBATION, _ESTOPPED = (int(s) for s in HealthState)


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Constants of fusion and state machine.

    Attributes:
        observers: distinct accusers that make evidence hard.
        alone_s: how long one observer's doubt must last to count as loss.
        clear_s: doubt-free time from SUSPECT to HEALTHY.
        return_s: a robot that was lost for less comes back through SUSPECT.
        dwell_s: least evidence-free time in quarantine.
        probation_s: first probation; it doubles with every relapse, up to `probation_max_s`.
        probation_max_s: longest probation, and how long one is healthy for a relapse to be
            forgotten.
        suspect_weight: weight of a robot under reversible doubt.
        down_s: time constant of a weight that falls on soft evidence.
        up_s: time constant of a weight that rises.
    """

    observers: int = 2
    alone_s: float = 0.9
    clear_s: float = 1.0
    return_s: float = 3.0
    dwell_s: float = 3.0
    probation_s: float = 5.0
    probation_max_s: float = 60.0
    suspect_weight: float = 0.6
    down_s: float = 0.2
    up_s: float = 1.0


@dataclass(frozen=True, slots=True)
class FusionState:
    """Memory of fusion, arrays (..., N) over subjects.

    Attributes:
        last_now: (...) s, time of the last step.
        state: `HealthState`.
        since: s, when the state was entered.
        doubt_at: s, when evidence was last present.
        doubt_since: s, when the present doubt began; infinity without doubt.
        relapses: quarantines, losses and sudden reboots that are not forgotten.
        weight: present weight.
        reason: evidence bits that brought the robot into its state.
    """

    last_now: Float
    state: Int
    since: Float
    doubt_at: Float
    doubt_since: Float
    relapses: Int
    weight: Float
    reason: Int


@dataclass(frozen=True, slots=True)
class HealthInput:
    """Accusations of all observers.

    Attributes:
        accusations: (..., O, N) `Accusation` bits. The first N observers are the robots in roster
            order; a further one may be the supervisor itself.
        reporting: (..., O) the observer's report is current.
        estopped: (..., N) latched by the operator.
    """

    accusations: Int
    reporting: Bool
    estopped: Bool


@dataclass(frozen=True, slots=True)
class HealthOutput:
    """The verdict, arrays (..., N).

    Attributes:
        weights: in [0, 1].
        states: `HealthState`.
        reasons: `Accusation` bits that brought the robot into its state.
        common: (...) more robots than can be held on soft evidence look bad at once: wind, a bad
            channel or a bad threshold rather than they.
    """

    weights: Float
    states: Int
    reasons: Int
    common: Bool


def health_init(lead: tuple[int, ...], n: int) -> FusionState:
    """Everybody starts healthy with weight 1."""
    shape = (*lead, n)
    return FusionState(
        last_now=np.full(lead, np.nan),
        state=np.zeros(shape, np.int8),
        since=np.full(shape, -np.inf),
        doubt_at=np.full(shape, -np.inf),
        doubt_since=np.full(shape, np.inf),
        relapses=np.zeros(shape, np.int16),
        weight=np.ones(shape),
        reason=np.zeros(shape, BITS),
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Fused evidence, (..., N).

    Attributes:
        gone: crashed, frozen or out of reach.
        soft: lies about its place, or acts on another policy; capped.
        hard: what its own messages prove.
        reboot: has another boot id.
        doubt: reversible.
        heard: somebody hears it.
        vouched: so many hear it that one who does not has a bad link, or lies.
        reasons: `Accusation` bits of what was found.
        common: (...) too many look bad at once.
    """

    gone: Bool
    soft: Bool
    hard: Bool
    reboot: Bool
    doubt: Bool
    heard: Bool
    vouched: Bool
    reasons: Int
    common: Bool


def _fuse(config: HealthConfig, state: FusionState, inputs: HealthInput) -> _Evidence:
    """Count accusers among observers that report and are themselves trusted.

    Crash and freeze need `observers` distinct accusers (one if nobody else reports), and silence
    that fewer hear it, see `hearing`: links fail in bursts, each for itself. A false pose needs a
    majority of those with an opinion and `observers` accusers (PMC-style diagnosis, Preparata,
    Metze, Chien 1967), who together may be surer than each, see `offsets`. Abnormal motion is for
    the supervisor alone to see; half of the team abnormal at once means that the watcher is wrong.
    """
    n = state.state.shape[-1]
    trusted = inputs.reporting.copy()
    known = (state.state == _HEALTHY) | (state.state == _SUSPECT)
    trusted[..., :n] &= known  # neither outcasts vote, nor who has only just come back
    votes = count_votes(inputs.accusations, trusted)
    present = trusted.sum(axis=-1, keepdims=True) - trusted[..., :n]  # nobody judges itself
    needed = np.where(present > 1, config.observers, 1)
    silent, stuck, proofs = votes[..., _SILENT], votes[..., _STUCK], votes[..., _PROVES]
    reboot, heard = votes[..., _REBOOT] >= needed, votes[..., _HEARD]
    opinions = votes[..., _SEEN]
    lying, accusers = _lying(config, votes, given(inputs.accusations, trusted), needed)
    abnormal = ((inputs.accusations[..., n:, :] & BITS(Accusation.ABNORMAL)) != 0).any(axis=-2)
    common = _beyond(lying) | _beyond(abnormal)
    abnormal &= 2 * abnormal.sum(axis=-1, keepdims=True) < n
    lying = _limit_soft(lying, accusers, opinions)
    unheard, vouched = hearing(heard, present, config.observers)
    gone = ((silent >= needed) & unheard) | (stuck >= needed)
    found = proofs >= needed[..., None]
    said = {
        Accusation.SILENT: gone, Accusation.MISMATCH: lying, Accusation.REBOOT: reboot,
        Accusation.ABNORMAL: abnormal,
        **{bit: found[..., index] for index, bit in enumerate(PROOFS)},
    }  # fmt: skip
    return _Evidence(
        gone=gone,
        soft=lying | abnormal,
        hard=np.asarray(found.any(axis=-1)),
        reboot=reboot,
        doubt=(silent > 0) | (stuck > 0) | (proofs > 0).any(axis=-1),
        heard=heard > 0,
        vouched=vouched,
        reasons=bits_of(said),
        common=common,
    )


def _lying(config: HealthConfig, votes: Int, words: Int, needed: Int) -> tuple[Bool, Float]:
    """(..., N) whose place is false, and how many accusers they have.

    Args: constants, votes (..., N, 16) by bit, words (..., O, N) of those who count, and how many
    accusers (..., N) are needed.
    """
    accusers, opinions = votes[..., _MISMATCH], votes[..., _SEEN]
    sure = (accusers >= np.minimum(needed, config.observers)) & (2 * accusers > opinions)
    most = (words >= _MOST_OFF).sum(axis=-2)  # both of the bits
    levels = np.stack([votes[..., _OFF] - most, votes[..., _OFFS] - most, most], axis=-1)
    together = enough(levels, opinions, config.observers - 1)
    return sure | together, np.maximum(accusers, levels @ np.arange(1, STEPS + 1) / STEPS)


def _beyond(accused: Bool) -> Bool:
    """(...) more than floor((n - 1) / 2) of a team of at least three."""
    n = accused.shape[-1]
    return np.asarray((accused.sum(axis=-1) > (n - 1) // 2) & (n > 2))


def _limit_soft(lying: Bool, accusers: Float, opinions: Int) -> Bool:
    """At most floor((n - 1) / 2) robots are held on cross-check evidence; the clearest first."""
    n = lying.shape[-1]
    if n <= 2 or lying.sum(axis=-1).max() <= (n - 1) // 2:
        return lying
    share = np.where(lying, accusers / np.maximum(opinions, 1), -1.0)
    order = np.argsort(np.argsort(-share, axis=-1, kind="stable"), axis=-1)
    return np.asarray(lying & (order < (n - 1) // 2))


def health_step(
    config: HealthConfig, state: FusionState, inputs: HealthInput, now: float
) -> tuple[FusionState, HealthOutput]:
    """Fuse accusations and advance every robot's state.

    Args:
        config: constants.
        state: memory.
        inputs: accusations of all observers.
        now: s, monotonic.

    Returns:
        New memory and the verdict.
    """
    found = _fuse(config, state, inputs)
    evidence = found.gone | found.soft | found.hard
    doubt = evidence | found.doubt
    doubt_at = np.where(doubt, now, state.doubt_at)
    doubt_since = np.where(doubt, np.minimum(state.doubt_since, now), np.inf)
    after = _transition(config, state, found, now, doubt_at, doubt_since, inputs.estopped)
    changed = after != state.state
    relapses = _relapses(config, state, after, now)
    restarted = (after == _PROBATION) & found.reboot
    since = np.where(changed | restarted, now, state.since)
    reason = np.where(found.reasons != 0, found.reasons, state.reason)
    reason = np.where(after == _HEALTHY, 0, reason).astype(BITS, copy=False)
    doubted = now - doubt_at < config.clear_s
    weight = _weight(config, state, after, doubted, now - since, relapses, now)
    new = FusionState(
        last_now=np.full(state.last_now.shape, now),
        state=after,
        since=since,
        doubt_at=doubt_at,
        doubt_since=doubt_since,
        relapses=relapses,
        weight=weight,
        reason=reason,
    )
    return new, HealthOutput(weight, after, reason, found.common)


def _transition(
    config: HealthConfig,
    state: FusionState,
    found: _Evidence,
    now: float,
    doubt_at: Float,
    doubt_since: Float,
    estopped: Bool,
) -> Int:
    """The state machine; later rules win over earlier ones."""
    s, calm = state.state, now - doubt_at
    held = now - state.since
    is_in = [s == member for member in range(len(HealthState))]
    after = s.copy()
    after[is_in[_HEALTHY] & found.doubt] = _SUSPECT
    after[is_in[_SUSPECT] & (calm >= config.clear_s)] = _HEALTHY
    trial = _probation_s(config, state.relapses)
    after[is_in[_PROBATION] & (held >= trial) & (calm >= config.clear_s)] = _HEALTHY
    after[is_in[_QUARANTINED] & (calm >= config.dwell_s) & (held >= config.dwell_s)] = _PROBATION
    # No news is no recovery: only a heartbeat that somebody hears brings a lost robot back.
    back = is_in[_LOST] & (calm > 0.0) & found.heard
    after[back & (held < config.return_s)] = _SUSPECT
    after[back & (held >= config.return_s)] = _PROBATION
    active = ~is_in[_QUARANTINED] & ~is_in[_ESTOPPED]
    after[active & ~is_in[_LOST] & found.reboot] = _PROBATION
    after[back & found.reboot] = _PROBATION
    alone = (now - doubt_since >= config.alone_s) & ~found.vouched
    after[active & (found.gone | (is_in[_SUSPECT] & alone))] = _LOST
    after[active & (found.soft | found.hard)] = _QUARANTINED
    after[estopped] = _ESTOPPED
    return after


def _probation_s(config: HealthConfig, relapses: Int) -> Float:
    """Probation grows with every relapse: min(max, first * 2^k)."""
    grown: Float = config.probation_s * 2.0 ** np.maximum(relapses - 1, 0)
    return np.minimum(grown, config.probation_max_s)


def _relapses(config: HealthConfig, state: FusionState, after: Int, now: float) -> Int:
    """One more for whoever falls; who was healthy for long enough before has fewer to its name."""
    changed, was_healthy = after != state.state, state.state == _HEALTHY
    fallen = changed & ((after == _LOST) | (after == _QUARANTINED))
    fallen |= was_healthy & (after == _PROBATION)
    good = np.minimum((now - state.since) / config.probation_max_s, _MOST_RELAPSES)
    forgotten = np.where(changed & was_healthy, np.floor(good), 0.0)
    left = np.maximum(state.relapses - forgotten, 0.0)
    relapses: Int = np.minimum(left + fallen, _MOST_RELAPSES).astype(np.int16)
    return relapses


def _weight(
    config: HealthConfig,
    state: FusionState,
    after: Int,
    doubted: Bool,
    held: Float,
    relapses: Int,
    now: float,
) -> Float:
    """Weights fall fast and rise slowly; outcasts are at 0 at once.

    On probation a robot is trusted by how much of it lies behind it, the later the more relapses
    it has to its name, and while somebody doubts it, no more than a suspect.
    """
    shown = np.clip(held / _probation_s(config, relapses), 0.0, 1.0) ** np.maximum(relapses, 1)
    shown = np.where(doubted, np.minimum(shown, config.suspect_weight), shown)
    on_trial = after == _PROBATION
    target = np.where(after == _SUSPECT, config.suspect_weight, 1.0)
    dt = np.where(np.isnan(state.last_now), 0.0, now - state.last_now)[..., None]
    falling = target < state.weight
    share = 1.0 - np.exp(-dt / np.where(falling, config.down_s, config.up_s))
    weight = state.weight + share * (target - state.weight)
    passed = (after == _HEALTHY) & (state.state == _PROBATION)
    risen = np.minimum(np.where(on_trial, shown, 1.0), state.weight + dt / config.up_s)
    weight = np.where(on_trial | passed, risen, weight)
    out = (after == _LOST) | (after == _QUARANTINED) | (after == _ESTOPPED)
    weight = np.where(out, 0.0, np.clip(weight, 0.0, 1.0))
    return np.where((after == _HEALTHY) & (weight > 0.99), 1.0, weight)
