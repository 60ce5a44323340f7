"""What the health chain is to make of every kind of fault: the yardstick of the fault matrix.

Detectors never see this; it is for those who test them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarmhold.hardware.health import HealthState

LOST, QUARANTINED, PROBATION = (
    HealthState.LOST,
    HealthState.QUARANTINED,
    HealthState.PROBATION,
)


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


_GONE = Expected((LOST,), 1.0)
_WRONG = Expected((QUARANTINED,), 1.0)
_WORKS = "it does less than it should, in the right direction, and still works for the team"
_OWN = "teammates see it only as far as it changes its motion; it is for the robot itself to notice"

EXPECTED: Mapping[str, Expected] = {
    "crash": _GONE,
    "freeze": _GONE,
    "reboot": Expected((LOST, HealthState.SUSPECT, PROBATION), 1.0),
    "duplicate": _WRONG,
    "runaway": Expected((QUARANTINED,), 4.0),
    "adversary": Expected((QUARANTINED,), 4.0),
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
    "spoof": Expected((QUARANTINED,), 1.0, (0.3, 1.0)),
    "replay": Expected((QUARANTINED,), 4.0),
    "clock": Expected(severities=(0.5, 1.0), why_not="ages count by the receiver's own clock"),
    "nan": _WRONG,
}
