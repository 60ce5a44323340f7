"""The live layer of the fault matrix: real processes, broken one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.expectations import AFTER_S, BACK_S, BROKEN, EXPECTED, OUT, Cell
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import check_stop
from swarmhold.hardware.health import HealthState

SETTLE_S = {"duplicate": 4.0}  # a new node listens for so long for others of its name
ONSET_S = 1.0  # of all else
PATIENCE_S = 5.0  # until everybody is healthy
LOOK_S = 0.02  # between two looks at what the supervisor says
ATTEMPTS = 4  # flights of a machine that stops everything now and then, for one that counts


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one flight.

    Attributes:
        state: of the broken robot at the end.
        delay_s: until it was taken out of the team; infinity if it never was.
        harmed: healthy robots that were.
    """

    state: HealthState
    delay_s: float
    harmed: int


def live_matrix(
    config: FleetConfig, flights: int, say: Callable[[str], None] = lambda _: None
) -> Iterator[Cell]:
    """Every kind at every severity.

    Args:
        config: what to fly; its folder takes one folder for each flight.
        flights: of each cell.
        say: progress.
    """
    for kind in KINDS:
        for severity in EXPECTED[kind].severities:
            say(f"{kind}, severity {severity:g}, live")
            yield live_cell(config, kind, severity, flights)


def live_cell(config: FleetConfig, kind: str, severity: float, flights: int = 1) -> Cell:
    """One cell of the matrix; arguments as in `live_matrix`."""
    folder = config.folder / f"{kind}-{severity:g}"
    seen = [_counted(config, folder / f"{n}", kind, severity, n) for n in range(flights)]
    delays = np.array([flight.delay_s for flight in seen])
    states = np.array([int(flight.state) for flight in seen])
    harmed = np.array([flight.harmed for flight in seen])
    return Cell.of(kind, severity, "live", delays, states, harmed)


def _counted(config: FleetConfig, folder: Path, kind: str, severity: float, seed: int) -> Seen:
    """A flight in which nothing but the robot was held up, if there is one."""
    for attempt in range(ATTEMPTS):
        flown = replace(config, folder=folder / f"{attempt}", allow_faults=True)
        fault = FaultSpec(kind, BROKEN, severity=severity, seed=seed)
        with Fleet(flown) as fleet:
            seen = _flight(fleet, fault)
        if not fleet.held_up:
            break
    return seen


def _flight(fleet: Fleet, fault: FaultSpec) -> Seen:
    _await_calm(fleet, fleet.started_at + SETTLE_S.get(fault.kind, ONSET_S))
    began, out, settled, harmed = fleet.inject(fault), np.inf, np.inf, set()
    back = began + BACK_S if fault.kind == "reboot" else np.inf
    expected = EXPECTED[fault.kind]
    while (now := time.time()) < min(began + expected.watched_s, settled + AFTER_S):
        check_stop()
        if now >= back:
            fleet.respawn(fault.robot)
            back = np.inf
        states = _states(fleet)
        taken = {robot for robot, state in enumerate(states) if state in OUT}
        if fault.robot in taken:
            out = min(out, now - began)
        as_expected = states[fault.robot] in expected.states and back == np.inf
        settled = min(settled, now) if as_expected else np.inf
        harmed |= taken - {fault.robot}
        time.sleep(LOOK_S)
    return Seen(_states(fleet)[fault.robot], out, len(harmed))


def _await_calm(fleet: Fleet, ready: float) -> None:
    """Wait until `ready` (s), and until everybody is healthy; whoever is not counts as harmed."""
    while time.time() < ready or set(_states(fleet)) != {HealthState.HEALTHY}:
        check_stop()
        fleet.check(set())
        if time.time() > ready + PATIENCE_S:
            if not _states(fleet):
                raise NotReadyError(f"the supervisor says nothing; see {fleet.config.folder}/logs")
            return
        time.sleep(LOOK_S)


def _states(fleet: Fleet) -> list[HealthState]:
    return [HealthState[state] for state in fleet.live.table.get("states", [])]
