"""The supervisor's pure core: everybody's accusations in, one leased health table out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.health import FusionState, HealthInput, health_init, health_step
from swarmhold.hardware.messages import HealthTable
from swarmhold.hardware.monitor import (
    BITS,
    Accusation,
    MonitorInput,
    MonitorState,
    bits_of,
    monitor_init,
    monitor_step,
)
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """Memory of the supervisor."""

    monitor: MonitorState
    fusion: FusionState


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the supervisor holds of every robot, arrays (..., N).

    Attributes:
        weights: in [0, 1].
        states: `HealthState`.
        reasons: `Accusation` bits; those of everybody say so when too many look bad at once.
    """

    weights: Float
    states: Int
    reasons: Int


def supervisor_init(settings: HealthSettings, lead: tuple[int, ...], n: int) -> SupervisorState:
    """Memory of a supervisor that has heard nothing yet."""
    return SupervisorState(monitor_init(settings.monitor, lead, n), health_init(lead, n))


def supervisor_step(
    settings: HealthSettings,
    state: SupervisorState,
    inputs: MonitorInput,
    accusations: Int,
    estopped: Bool,
    now: float,
    abnormal: Bool | None = None,
) -> tuple[SupervisorState, Verdict]:
    """One look at the fleet.

    The supervisor is one more observer (it hears, it does not see); robots whose messages it
    has not heard lately do not vote.

    Args:
        settings: thresholds.
        state: memory.
        inputs: (..., N) own reception; `sensed` is NaN throughout.
        accusations: (..., N, N) last accusations heard, observer x subject.
        estopped: (..., N) latched e-stops.
        now: s, monotonic.
        abnormal: (..., N) whose motion is not the policy's; None: nobody watches for it.

    Returns:
        New memory and verdict.
    """
    monitor, own_bits = monitor_step(settings.monitor, state.monitor, inputs, now)
    if abnormal is not None:
        own_bits = own_bits | bits_of({Accusation.ABNORMAL: abnormal})
    everybody = np.concatenate([accusations, own_bits[..., None, :]], axis=-2).astype(BITS)
    current = (own_bits & BITS(Accusation.HEARD)) != 0
    reporting = np.concatenate([current, np.ones((*current.shape[:-1], 1), bool)], axis=-1)
    fusion, out = health_step(
        settings.health, state.fusion, HealthInput(everybody, reporting, estopped), now
    )
    common = np.where(out.common[..., None], BITS(Accusation.COMMON), BITS(0))
    return SupervisorState(monitor, fusion), Verdict(out.weights, out.states, out.reasons | common)


def to_table(
    verdict: Verdict, settings: HealthSettings, term: int, seq: int, stamp: float, issuer: str
) -> HealthTable:
    """Put a verdict (no leading dimensions) into the message that robots receive."""
    return HealthTable(
        stamp=stamp,
        term=term,
        seq=seq,
        issuer=issuer,
        lease_s=settings.lease_s,
        weights=tuple(float(weight) for weight in verdict.weights),
        states=tuple(int(state) for state in verdict.states),
        reasons=tuple(int(reason) for reason in verdict.reasons),
    )
