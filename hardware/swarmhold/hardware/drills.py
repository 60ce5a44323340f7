"""Drills: what may become of supervisors in flight, and what of it a team must not feel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.injection.rogue import WAYS
from swarmhold.hardware.team_health import WeightSource
from swarmhold.hardware.types import Bool, Float, Int

BASELINE = "none"
DRILLS = {
    BASELINE: "no supervisor at all",
    "well": "one that works",
    "kill": "it is killed, and nobody takes over",
    "standby": "it is killed, and a standby takes over",
    "stop": "it is stopped until a standby speaks, then goes on",
    "two": "two are first in line",
    "clock": "its wall clock jumps by an hour",
    "replay": "somebody repeats old tables",
    "lie": "somebody forges tables with a higher term and any weights",
    "absurd": "somebody forges tables with a term far ahead and values that are no weights",
}
ROGUE = WAYS  # drills in which somebody else speaks
LEAST_TEAM = 4
STRIKE_S = (4.0, 7.0)  # s after the start at which it happens
ASLEEP_S = 6.0  # s for which one is stopped, so that a standby notices
JUMP_S = 3600.0
TAIL_S = 5.0  # at the end, over which the task error is averaged


@dataclass(frozen=True, slots=True)
class Drilled:
    """One flight with a drill.

    Attributes:
        drill: a key of `DRILLS`.
        seed: of world, faults and times.
        robot_hours: flown.
        touches: times at which a robot began to touch something.
        breaches: times at which a robot began to be outside the geofence.
        error: m, of the healthy robots' task, mean over the end.
        healthy_weight: that healthy robots gave healthy ones, mean; from when it happened.
        broken_weight: that they gave the broken ones.
        followed: share of their ticks with weights from the supervisor, fading, or their own.
    """

    drill: str
    seed: int
    robot_hours: float
    touches: int
    breaches: int
    error: float
    healthy_weight: float
    broken_weight: float
    followed: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def broken(team_size: int) -> tuple[int, int]:
    """The liar and the one that dies, in every drill; without them weights would not matter."""
    return 1, team_size - 1


def healthy_of(team_size: int) -> Bool:
    """(N) who is not broken in a drill."""
    healthy = np.ones(team_size, bool)
    healthy[list(broken(team_size))] = False
    return healthy


def account(
    drill: str,
    seed: int,
    seconds: float,
    touched: Bool,
    outside: Bool,
    error: float,
    weights: Float,
    sources: Int,
) -> Drilled:
    """What came of a flight.

    Args:
        drill: a key of `DRILLS`.
        seed: of world, faults and times.
        seconds: length of the flight.
        touched: (T, N) who touches something.
        outside: (T, N) who is outside the geofence.
        error: m, of the task at the end.
        weights: (healthy robots, N) that they gave everybody, mean from when it happened.
        sources: `WeightSource` of their ticks from then on.
    """
    n = touched.shape[-1]
    healthy = healthy_of(n)
    own = np.arange(n)[healthy][:, None] == np.arange(n)
    return Drilled(
        drill=drill,
        seed=seed,
        robot_hours=seconds * n / 3600.0,
        touches=onsets(touched),
        breaches=onsets(outside),
        error=error,
        healthy_weight=float(weights[healthy[None] & ~own].mean()),
        broken_weight=float(weights[:, ~healthy].mean()),
        followed={
            source.name.lower(): float((sources == source).mean()) for source in WeightSource
        },
    )


def faults(team_size: int, seed: int) -> list[FaultSpec]:
    """What is broken besides the supervisor: one lies to everybody, one dies later."""
    liar, dead = broken(team_size)
    return [FaultSpec("spoof", liar, 3.0, seed=seed), FaultSpec("crash", dead, 9.0, seed=seed)]


def onsets(now: Bool) -> int:
    """How often something began, of a column for each robot (T, N)."""
    return int((now[1:] & ~now[:-1]).sum() + now[:1].sum())


def strike_at(seed: int) -> float:
    """S after the start, at which the supervisor is hit."""
    return float(np.random.default_rng([seed, 7]).uniform(*STRIKE_S))
