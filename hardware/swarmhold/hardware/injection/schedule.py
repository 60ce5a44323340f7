"""Which faults of one robot act now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.faults import FULL, FaultSpec


@dataclass(frozen=True, slots=True)
class Acting:
    """A fault that acts.

    Attributes:
        fault: what it is.
        since_s: s since its onset.
        draws: its own source of randomness.
    """

    fault: FaultSpec
    since_s: float
    draws: np.random.Generator

    @property
    def size(self) -> float:
        """How much of it there is: severity times `FULL`."""
        return self.fault.severity * FULL.get(self.fault.kind, 1.0)

    @property
    def bearing(self) -> float:
        """rad, the direction that its seed picks."""
        return float(np.random.default_rng(self.fault.seed).uniform(-np.pi, np.pi))


Kinds = Mapping[str, Acting]  # what acts on a robot, by kind


@dataclass(slots=True)
class Schedule:
    """Faults that were ordered; their `start_s` counts from then."""

    _ordered: list[tuple[FaultSpec, float, np.random.Generator]] = field(default_factory=list)

    def add(self, fault: FaultSpec, now: float) -> None:
        """Order a fault at `now` (s)."""
        self._ordered.append((fault, now, np.random.default_rng([fault.seed, 1])))

    def acting(self, now: float) -> dict[str, Acting]:
        """What acts at `now`; of two faults of one kind the later one."""
        if not self._ordered:  # as in every flight but a test, for every message
            return {}
        self._ordered = [row for row in self._ordered if now - row[1] < row[0].end_s]
        return {
            fault.kind: Acting(fault, now - at - fault.start_s, draws)
            for fault, at, draws in self._ordered
            if fault.active(now - at)
        }
