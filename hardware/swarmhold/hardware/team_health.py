"""The local core: what one robot makes of its team without asking anybody.

Monitor, fusion of its own with heard accusations, and the merge with the supervisor's table.
Leading dimensions `...` are none in a robot and (env, robot) in simulated evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from swarmhold.hardware.authority import bounded, merge_weights
from swarmhold.hardware.health import (
    FusionState,
    HealthInput,
    HealthState,
    health_init,
    health_step,
)
from swarmhold.hardware.monitor import (
    BITS,
    Accusation,
    MonitorInput,
    MonitorState,
    monitor_init,
    monitor_step,
)
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Int

_HARD = BITS(Accusation.MISMATCH | Accusation.CORRUPT)  # own evidence that nobody can overrule


class WeightSource(IntEnum):
    """Where the weights in use come from."""

    LOCAL = 0
    SUPERVISOR = 1
    FADING = 2


@dataclass(frozen=True, slots=True)
class LocalState:
    """Memory of the local core."""

    monitor: MonitorState
    fusion: FusionState


@dataclass(frozen=True, slots=True)
class LocalOutput:
    """What the robot acts on and tells others.

    Attributes:
        weights: (..., N); the robot's own entry is 1.
        accusations: (..., N) `Accusation` bits for the next state message.
        states: (..., N) local `HealthState`.
        source: (...) `WeightSource`.
        common: (...) too many look bad at once for it to be their fault.
    """

    weights: Float
    accusations: Int
    states: Int
    source: Int
    common: Bool


class Look(NamedTuple):
    """What the local core is given in a tick, in the order in which `local_step` takes it."""

    inputs: MonitorInput
    heard: Int
    table: Float
    table_age_s: Float
    own: Bool


def local_init(settings: HealthSettings, lead: tuple[int, ...], n: int) -> LocalState:
    """Memory of a robot that has heard nothing yet."""
    return LocalState(monitor_init(settings.monitor, lead, n), health_init(lead, n))


def local_step(
    settings: HealthSettings,
    state: LocalState,
    inputs: MonitorInput,
    heard: Int,
    table: Float,
    table_age_s: Float,
    own: Bool,
    now: float,
) -> tuple[LocalState, LocalOutput]:
    """One look at the team, one verdict.

    Args:
        settings: thresholds.
        state: memory.
        inputs: what was received and sensed since the last step.
        heard: (..., N, N) accusations last heard, observer x subject.
        table: (..., N) weights of the supervisor's last table.
        table_age_s: (...) s since it was received; infinity if none was.
        own: (..., N) True at the robot's own entry.
        now: s, monotonic.

    Returns:
        New memory and output.
    """
    monitor, bits = monitor_step(settings.monitor, state.monitor, inputs, now)
    bits = np.where(own, BITS(0), bits)
    reporting = (bits & BITS(Accusation.HEARD)) != 0
    accusations = np.where(own[..., :, None], bits[..., None, :], heard)
    fusion, verdict = health_step(
        settings.health,
        state.fusion,
        HealthInput(accusations, reporting | own, np.zeros(own.shape, bool)),
        now,
    )
    hard = (bits & _HARD) != 0
    # A teammate that was never heard, or not for long, has nothing to say.
    deaf = ~(inputs.age <= settings.stale_s) & ~own
    table = bounded(table, verdict.weights, own)
    merged = merge_weights(
        table, table_age_s, verdict.weights, hard | deaf, settings.lease_s, settings.fade_s
    )
    source = np.where(
        table_age_s <= settings.lease_s,
        WeightSource.SUPERVISOR,
        np.where(
            table_age_s <= settings.lease_s + settings.fade_s,
            WeightSource.FADING,
            WeightSource.LOCAL,
        ),
    )
    weights = np.where(own, 1.0, merged)
    states = np.where(own, HealthState.HEALTHY, verdict.states).astype(np.int8)
    return LocalState(monitor, fusion), LocalOutput(weights, bits, states, source, verdict.common)
