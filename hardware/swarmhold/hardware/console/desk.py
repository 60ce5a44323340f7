"""What the console can do, whoever asks for it: the HTTP interface is a thin shell around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from swarmhold.hardware.console.breaking import Breaking, Checked
from swarmhold.hardware.console.guard import Answer, Audit, Conflict, Gate, Once, digest_of
from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.runs import Runs
from swarmhold.hardware.console.source import Source
from swarmhold.hardware.errors import BundleError, ConfigError, NotReadyError, SwarmholdError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.plan import parse_plan


@dataclass(slots=True)
class Desk:
    """One console.

    Attributes:
        source: of what is shown.
        hub: what was shown.
        runs: flights and bundles.
        gate: who may come in.
        audit: who asked for what.
        ends: set when the server ends, so that streams end too.
    """

    MOST_VIEWERS: ClassVar[int] = 32

    source: Source
    hub: Hub
    runs: Runs
    gate: Gate
    audit: Audit
    ends: threading.Event = field(default_factory=threading.Event)
    _once: Once = field(default_factory=Once)
    _breaking: Breaking = field(init=False)
    _changed: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self._breaking = Breaking(self.source)

    def telemetry_age(self) -> float | None:
        """S since the last picture came; None: none yet."""
        span = self.hub.span
        if span is None:
            return None
        if span[1] != self._changed[0]:
            self._changed = span[1], time.monotonic()
        return time.monotonic() - self._changed[1]

    def robots(self) -> int:
        """Team size, as far as it is known."""
        return len(self.hub.last["robots"]) if self.hub.last else 0

    def about(self) -> dict[str, Any]:
        """For a page that has just been opened."""
        return {
            **self.source.about,
            "read_only": self.gate.token is None,
            "span": self.hub.span,
            "kinds": list(self.source.kinds),
        }

    def faults(self) -> dict[str, Any]:
        """The registry, and the last plan."""
        kinds = [
            {"kind": kind, "unit": unit.value, "type": how.value, "able": kind in self.source.kinds}
            for kind, (unit, how) in KINDS.items()
        ]
        return {"kinds": kinds, "plan": self._breaking.rows(), "running": self._breaking.running}

    def command(
        self, route: str, key: str, order: Mapping[str, Any], act: Callable[[], Answer], peer: str
    ) -> tuple[Answer, bool]:
        """Do what is asked for, once, and write down who asked.

        Args:
            route: what is asked for.
            key: of the request.
            order: how.
            act: does it.
            peer: address of who asks.

        Returns:
            The answer, and whether it is one of before.

        Raises:
            Conflict: the key was used for something else.
        """
        line = {"peer": peer, "command": route, "key": key, "order": order}
        try:
            answer, again = self._once.do(key, digest_of(route, order), lambda: _attempt(act))
        except Conflict as conflict:
            self.audit.note(**line, status=conflict.status, answer=str(conflict))
            raise
        self.audit.note(**line, status=answer.status, answer=answer.body, again=again)
        return answer, again

    def stop(self) -> Answer:
        """Say stop; who confirms it comes by the stream."""
        self.source.stop_all()
        self._breaking.abort()
        return Answer(202, self.source.stopped())

    def plan(self, checked: Sequence[Checked], only_look: bool) -> Answer:
        """Say what would be injected, or inject it."""
        rows = [one.plain() for one in checked]
        if only_look:
            return Answer(200, {"plan": rows, "accepted": sum(not row["refused"] for row in rows)})
        if any(row["refused"] for row in rows):
            return Answer(409, {"detail": "some of the plan is refused", "plan": rows})
        if not self._breaking.start(checked):
            return Answer(409, {"detail": "another plan is under way; abort it first"})
        return Answer(202, {"plan": self._breaking.rows()})

    def read_plan(self, text: str) -> Answer:
        """What a plan file (YAML) would break when; the seed of each fault is the plan's."""
        plan = parse_plan(text)
        faults = [asdict(fault) for fault in plan.faults_drawn()]
        return Answer(200, {"name": plan.name, "robots": plan.robots, "faults": faults})

    def abort(self) -> Answer:
        """Inject no more."""
        self._breaking.abort()
        return Answer(200, {"plan": self._breaking.rows()})

    def promote(self, bundle: str) -> Answer:
        """Make it the one that robots fly when they start next."""
        return Answer(200, self.runs.promote(bundle))

    def go_back(self) -> Answer:
        """Fly the one before."""
        return Answer(200, self.runs.go_back())


def _attempt(act: Callable[[], Answer]) -> Answer:
    """What is refused, or cannot be, is an answer too."""
    try:
        return act()
    except (ConfigError, BundleError, NotReadyError) as error:
        return Answer(409, {"detail": str(error)})
    except (SwarmholdError, OSError) as error:
        return Answer(409, {"detail": f"it cannot be done here: {error}"})
