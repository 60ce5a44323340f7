"""What the health chain is to make of every kind of fault: the yardstick of the fault matrix.

Detectors never see this; it is for those who test them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.health import HealthState
from swarmhold.hardware.types import Float, Int

LOST, QUARANTINED, PROBATION = (
    HealthState.LOST,
    HealthState.QUARANTINED,
    HealthState.PROBATION,
)
OUT = (LOST, QUARANTINED, PROBATION)  # not in the team
BROKEN = 1  # roster index of the robot that is broken
BACK_S = 2.0  # a robot that reboots is away for so long
LEAST_S, AFTER_S = 3.0, 2.0  # for which any fault acts; and is watched longer than is allowed
SHARE = 0.7  # of the flights in which a fault is to be found; some motors stick unnoticed


@dataclass(frozen=True, slots=True)
class Expected:
    """What a fault is to lead to.

    Attributes:
        states: any of these.
        within_s: after the onset, in most cases.
        severities: at which this holds.
        why_not: why nobody is to be taken out of the team for it; "" where he is.
    """

    states: tuple[HealthState, ...] = ()
    within_s: float = 0.0
    severities: tuple[float, ...] = (1.0,)
    why_not: str = ""

    @property
    def watched_s(self) -> float:
        """S after the onset for which a flight goes on."""
        return max(self.within_s, LEAST_S) + AFTER_S


_GONE = Expected((LOST,), 1.0)
_WRONG = Expected((QUARANTINED,), 1.0)
_WORKS = "it does less than it should, in the right direction, and still works for the team"
_OWN = "teammates see it only as far as it changes its motion; it is for the robot itself to notice"

EXPECTED: Mapping[str, Expected] = {
    "crash": _GONE,
    "freeze": _GONE,
    "reboot": Expected((LOST, HealthState.SUSPECT, PROBATION), 1.0),
    "duplicate": _WRONG,
    "runaway": Expected((QUARANTINED,), 5.0),
    "adversary": Expected((QUARANTINED,), 5.0),
    "overrun": Expected(severities=(0.3, 0.5), why_not=_OWN),
    "slow": Expected(severities=(0.5, 1.0), why_not=_WORKS),
    "motor_off": Expected((QUARANTINED,), 10.0),
    "motor_stuck": Expected((QUARANTINED,), 10.0),
    "battery": Expected(severities=(0.5, 1.0), why_not=_WORKS),
    "sensor_bias": Expected((QUARANTINED,), 1.0, (0.3, 1.0)),
    "sensor_drift": Expected((QUARANTINED,), 4.0, (0.3, 1.0)),
    "sensor_freeze": Expected((QUARANTINED,), 4.0),
    "sensor_noise": Expected((QUARANTINED,), 1.0, (0.3, 1.0)),
    "sensor_nan": _WRONG,
    "link_loss": _GONE,
    "partition": _GONE,
    "delay": Expected(severities=(0.5, 1.0), why_not="late messages are old, not wrong"),
    "drop": Expected(severities=(0.5, 1.0), why_not="what gets through is true"),
    "reorder": Expected(why_not="who is overtaken is dropped, and there are enough others"),
    "spoof": Expected((QUARANTINED,), 1.0, (0.3, 1.0)),
    "replay": Expected((QUARANTINED,), 4.0),
    "clock": Expected(severities=(0.5, 1.0), why_not="ages count by the receiver's own clock"),
    "nan": _WRONG,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind at one severity.

    Attributes:
        kind: of the fault.
        severity: 0 to 1.
        layer: where it was injected, "sim" or "live".
        state: `HealthState` of the robot at the end, most often.
        delay_s: until it was taken out of the team, median of the flights in which it was; None
            if in none.
        found: share of the flights in which it was.
        out: share of those in which it still is at the end.
        collateral: healthy robots taken out, per flight.
        expected: what it is to be.
    """

    kind: str
    severity: float
    layer: str
    state: HealthState
    delay_s: float | None
    found: float
    out: float
    collateral: float
    expected: Expected

    @classmethod
    def of(
        cls, kind: str, severity: float, layer: str, delays_s: Float, states: Int, harmed: Float
    ) -> Cell:
        """From what became of every flight.

        Args:
            kind: of the fault.
            severity: 0 to 1.
            layer: "sim" or "live".
            delays_s: (K) until the broken robot was taken out; infinity where it was not.
            states: (K) `HealthState` of it at the end.
            harmed: (K) healthy robots taken out.
        """
        found = np.isfinite(delays_s)
        return cls(
            kind,
            severity,
            layer,
            HealthState(int(np.bincount(states).argmax())),
            float(np.median(delays_s[found])) if found.any() else None,
            float(found.mean()),
            float(np.isin(states, OUT).mean()),
            float(harmed.mean()),
            EXPECTED[kind],
        )

    @property
    def good(self) -> bool:
        """Whether it is as expected."""
        if self.collateral > 0.0:
            return False
        if self.expected.why_not:
            return self.out < 1.0 - SHARE
        late = self.delay_s is None or self.delay_s > self.expected.within_s
        return self.found >= SHARE and not late and self.state in self.expected.states
