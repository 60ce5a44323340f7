"""Drills with real processes: what is done to the supervisors of a live fleet, and what came of it.

Robots are broken as well (one lies, one dies), or their weights would not matter.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from swarmhold.hardware.drills import (
    ASLEEP_S,
    BASELINE,
    ROGUE,
    TAIL_S,
    Drilled,
    account,
    broken,
    faults,
    healthy_of,
    strike_at,
)
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import check_stop
from swarmhold.hardware.report.flight import Flight, read_flight
from swarmhold.hardware.report.measures import error_curve

LOOK_S = 0.05
Act = Callable[[Fleet], object]


def drilled(config: FleetConfig, drill: str, seconds: float, seed: int) -> Drilled:
    """Fly one drill.

    Args:
        config: what to fly; its folder takes this flight.
        drill: a key of `DRILLS`.
        seconds: length of the flight.
        seed: of world, faults and times.
    """
    flown = replace(
        config,
        seed=seed,
        allow_faults=True,
        alone=(broken(config.robots)[1],),
        record=True,
        supervisor=drill not in (BASELINE, "clock"),
        standbys=1 if drill in ("standby", "stop") else 0,
    )
    at = strike_at(seed)
    with Fleet(flown) as fleet:
        if drill == "clock":
            told = {**fleet.what_to_fly(), "team_size": config.robots, "jump_after_s": at}
            fleet.start("jumped_supervisor", told, "supervisor")
        play(fleet, script(drill, config.robots, seed), seconds)
    return figures(read_flight(config.folder), drill, seed, at)


def play(fleet: Fleet, todo: list[tuple[float, Act]], seconds: float) -> None:
    """Do what is to be done, each at its time (s since the start)."""
    began, waiting = time.monotonic(), sorted(todo, key=lambda cue: cue[0])
    while (now := time.monotonic() - began) < seconds:
        check_stop()
        while waiting and waiting[0][0] <= now:
            waiting.pop(0)[1](fleet)
        time.sleep(LOOK_S)


def script(drill: str, robots: int, seed: int) -> list[tuple[float, Act]]:
    """What happens when in a drill."""
    at = strike_at(seed)
    todo: list[tuple[float, Act]] = [
        (fault.start_s, partial(Fleet.inject, fault=fault)) for fault in faults(robots, seed)
    ]
    if drill in ("kill", "standby"):
        todo.append((at, Fleet.kill_supervisor))
    elif drill == "stop":
        todo += [(at, partial(_signal, number=signal.SIGSTOP))]
        todo += [(at + ASLEEP_S, partial(_signal, number=signal.SIGCONT))]
    elif drill == "two":
        todo.append((0.0, _second))
    elif drill in ROGUE:
        todo.append((at, partial(_rogue, way=drill, seed=seed)))
    return todo


def _signal(fleet: Fleet, number: signal.Signals) -> None:
    fleet.children["supervisor"].signal(number)


def _second(fleet: Fleet) -> None:
    told = {**fleet.what_to_fly(), "team_size": fleet.config.robots, "rank": 0}
    fleet.start("supervisor", told, "supervisor_b")


def _rogue(fleet: Fleet, way: str, seed: int) -> None:
    told = {"way": way, "team_size": fleet.config.robots, "seed": seed}
    fleet.start("rogue_node", told, "rogue")


def figures(flight: Flight, drill: str, seed: int, at: float) -> Drilled:
    """What came of a recorded drill that hit at `at` (s)."""
    logs = [flight.robots[robot] for robot in np.flatnonzero(healthy_of(flight.n))]
    return account(
        drill,
        seed,
        flight.duration,
        touched=flight.touched,
        outside=np.any(np.abs(flight.position) > flight.half_width, axis=-1),
        error=float(error_curve(flight)[flight.t >= flight.t[-1] - TAIL_S].mean()),
        weights=np.array([log.weights[log.t >= at].mean(axis=0) for log in logs]),
        sources=np.concatenate([log.source[log.t >= at] for log in logs]),
    )
