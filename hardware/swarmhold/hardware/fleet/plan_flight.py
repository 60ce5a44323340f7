"""A fault plan against live ROS 2 nodes: real processes, signalled or told what to do wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.expectations import OUT
from swarmhold.hardware.fleet.compose import signalled
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.story import play
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.plan import Abort, FaultPlan

SOURCES = ("free", "none", "supervisor")


class PlanAborted(SwarmholdError):
    """A criterion of the plan was met; whatever was to come is not injected."""


@dataclass(frozen=True, slots=True)
class PlanFlown:
    """A flight of a plan.

    Attributes:
        folder: of the flight.
        aborted: why it ended early; "" if it did not.
        aborted_s: s of the plan.
    """

    folder: Path
    aborted: str = ""
    aborted_s: float = float("inf")


def fly_plan(config: FleetConfig, plan: FaultPlan, source: str, title: str) -> PlanFlown:
    """Fly it in real time.

    Args:
        config: what flies; faults are allowed for this flight, all of which is recorded.
        plan: what is broken when.
        source: one of `SOURCES`: who tells the weights. "free" flies without the faults.
        title: for people.
    """
    faults = () if source == "free" else plan.faults_drawn()
    trusted = source != "none"
    flown = replace(
        config,
        reweight=trusted,
        allow_faults=True,
        record=True,
        alone=signalled(faults),
        each=tuple(own.model_copy(update={"reweight": trusted}) for own in config.each),
    )
    with Fleet(flown) as fleet:
        fleet.log("plan", name=plan.name, source=source)  # from now on its times count
        guard = Guard(plan.abort)
        try:
            play(fleet, plan.length_s, faults, title, watch=guard.look)
        except PlanAborted as error:
            fleet.log("aborted", reason=str(error))
            fleet.stop_team()
            return PlanFlown(config.folder, str(error), guard.now)
    return PlanFlown(config.folder)


class Guard:
    """Holds a flight against the plan's abort criteria."""

    def __init__(self, abort: Abort) -> None:
        """Args: criteria."""
        self._abort, self.now = abort, 0.0

    def look(self, fleet: Fleet, now: float) -> None:
        """Look at what world and supervisor said last.

        Raises:
            PlanAborted: a criterion is met.
        """
        self.now = now
        touched = fleet.live.world.get("touched", [])
        if self._abort.contacts is not None and len(touched) >= self._abort.contacts:
            raise PlanAborted(f"robots {touched} touched something")
        beyond = fleet.live.world.get("beyond", 0.0)
        if self._abort.outside_m is not None and beyond > self._abort.outside_m:
            raise PlanAborted(f"a robot is {beyond:.2f} m beyond the fence")
        states = fleet.live.table.get("states", [])
        out = [robot for robot, state in enumerate(states) if HealthState[state] in OUT]
        if self._abort.out is not None and len(out) >= self._abort.out:
            raise PlanAborted(f"robots {out} are out of the team")
