"""Faults by hand: a plan is a list of `FaultSpec`, looked at before anything is broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from swarmhold.hardware.console.source import Source
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.faults import FIELD_S, KINDS, FaultSpec

LATEST_S = 600.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Checked:
    """What would become of one fault.

    Attributes:
        fault: as planned.
        refused: why it would not be injected; "" if it would.
    """

    fault: FaultSpec
    refused: str

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        fault = self.fault
        unit, kind = KINDS[fault.kind]
        return {
            "kind": fault.kind,
            "unit": unit.value,
            "type": kind.value,
            "robot": fault.robot,
            "start_s": fault.start_s,
            "end_s": fault.end_s,
            "severity": fault.severity,
            "refused": self.refused,
        }


def dry_run(plan: Sequence[FaultSpec], robots: int, kinds: Sequence[str]) -> list[Checked]:
    """What would be injected, in the order of time; breaks nothing.

    At most floor((N - 1) / 2) robots may be broken at a time: beyond that the team cannot tell who
    is well.

    Args:
        plan: faults.
        robots: team size N.
        kinds: that can be injected here.
    """
    most = max((robots - 1) // 2, 0)
    out: list[Checked] = []
    for fault in sorted(plan, key=lambda fault: fault.start_s):
        accepted = [c.fault for c in out if not c.refused]
        others = {o.robot for o in accepted if o.end_s > fault.start_s} - {fault.robot}
        refused = ""
        if fault.robot >= robots:
            refused = f"the team has robots 0 to {robots - 1}" if robots else "nobody was heard yet"
        elif fault.kind not in kinds:
            refused = "cannot be injected here"
        elif not fault.duration_s <= FIELD_S:
            refused = f"longer than {FIELD_S:g} s"
        elif fault.start_s > LATEST_S:
            refused = f"starts after {LATEST_S:g} s"
        elif len(others) + 1 > most:
            refused = f"more than {most} of {robots} robots at a time"
        out.append(Checked(fault, refused))
    return out


class Breaking:
    """Injects a plan, fault by fault, and can be told to go no further."""

    def __init__(self, source: Source) -> None:
        """Args: whom to break."""
        self._source = source
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._rows: list[dict[str, Any]] = []

    @property
    def running(self) -> bool:
        """Whether something of a plan is still to come."""
        return self._thread is not None and self._thread.is_alive()

    def rows(self) -> list[dict[str, Any]]:
        """Every fault of the plan, and what became of it."""
        with self._lock:
            return [dict(row) for row in self._rows]

    def start(self, plan: Sequence[Checked]) -> bool:
        """Inject what was not refused; False if another plan is under way."""
        with self._lock:
            if self.running:
                return False
            self._rows = [
                {**checked.plain(), "status": "refused" if checked.refused else "planned"}
                for checked in plan
            ]
            self._ends.clear()
            self._thread = threading.Thread(target=self._go, args=(list(plan),), daemon=True)
            self._thread.start()
        return True

    def abort(self) -> None:
        """Inject no more; what was injected ends when its time is over."""
        self._ends.set()

    def _go(self, plan: list[Checked]) -> None:
        began = time.monotonic()
        for index, checked in enumerate(plan):
            if checked.refused:
                continue
            while time.monotonic() - began < checked.fault.start_s and not self._ends.is_set():
                self._ends.wait(LOOK_S)
            if self._ends.is_set():
                self._mark(index, "aborted")
                continue
            try:
                self._source.inject(checked.fault)
                self._mark(index, "sent")
            except SwarmholdError as error:
                self._mark(index, "failed", str(error))

    def _mark(self, index: int, status: str, why: str = "") -> None:
        with self._lock:
            self._rows[index] |= {"status": status, "refused": why}
