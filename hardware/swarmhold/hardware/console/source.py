"""Where pictures come from: a live team, a recorded flight, or a simulation. One page for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.errors import ConfigError, MissingExtraError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.report.recording import ENDS

GROUP = "swarmhold.teams"  # entry points "module:function", which make a simulated team
StopStatus = dict[str, Any]
NOT_GIVEN: StopStatus = {"given": False, "seconds": 0.0, "robots": {}, "confirmed": [], "note": ""}


def as_fault(line: Mapping[str, Any]) -> tuple[str, float]:
    """Kind and length (s) of a fault in a flight's events; 0 s ends those of that kind."""
    if line["kind"] in ENDS:
        return ENDS[line["kind"]][0], 0.0
    return line["kind"], float(line.get("duration_s", 1e6))


class Source(Protocol):
    """A team to look at; commands come from threads of the server."""

    @property
    def about(self) -> Mapping[str, Any]:
        """`title`, and whether it is a `replay`; `bundle`, `flight`, `domain` where known."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of faults that can be injected here; empty: none."""

    def start(self, hub: Hub) -> None:
        """Show pictures from now on."""

    def stop_all(self) -> None:
        """Say stop to everybody, by all ways there are, until the console ends.

        Raises:
            NotReadyError: there is nobody to stop.
        """

    def stopped(self) -> StopStatus:
        """Who has confirmed; keys as in `NOT_GIVEN`."""

    def inject(self, fault: FaultSpec) -> None:
        """Break a robot now; its `start_s` has passed.

        Raises:
            ConfigError: that cannot be done here.
        """

    def close(self) -> None:
        """Free everything."""


class Unbroken:
    """What a source says that has nobody to stop or to break."""

    kinds: Sequence[str] = ()

    def stop_all(self) -> None:
        """Refuse."""
        raise NotReadyError("this is a recording; there is nobody to stop")

    def stopped(self) -> StopStatus:
        """Nothing was given."""
        return dict(NOT_GIVEN)

    def inject(self, fault: FaultSpec) -> None:
        """Refuse."""
        raise ConfigError(f"this is a recording; there is nobody to inject {fault.kind} into")


def simulated(name: str, options: Mapping[str, Any]) -> Source:
    """A team in simulation.

    Args:
        name: scenario.
        options: arguments of the function behind the entry point.

    Raises:
        MissingExtraError: nothing that is installed can simulate.
        ConfigError: there is no such scenario.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not points:
        raise MissingExtraError("no simulation is installed; pip install 'swarmhold[sim]'")
    source: Source = points[0].load()(name, **options)
    return source
