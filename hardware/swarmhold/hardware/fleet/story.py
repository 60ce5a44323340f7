"""A flight with a story: faults at given times, watched live, ended cleanly."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console, Group
from rich.live import Live as LiveView
from rich.table import Table
from rich.text import Text

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.spares import Spares
from swarmhold.hardware.fleet.stop import check_stop

_STYLE = {
    "HEALTHY": "green",
    "SUSPECT": "yellow",
    "PROBATION": "cyan",
    "LOST": "red",
    "QUARANTINED": "magenta",
    "ESTOPPED": "red",
}


def parse_fault(text: str) -> FaultSpec:
    """`kind:robot@start[+duration]`, times in s after the start of the flight.

    Raises:
        ConfigError: the text does not fit, or there is no such kind.
    """
    try:
        kind, rest = text.split(":", 1)
        robot, times = rest.split("@", 1)
        start, _, duration = times.partition("+")
        fault = FaultSpec(
            kind,
            int(robot),
            float(start),
            float(duration) if duration else float("inf"),
            seed=int(robot) + 1,
        )
    except ValueError as error:
        raise ConfigError(
            f"fault {text!r} is not of the form kind:robot@start[+duration], e.g. crash:2@8+5"
        ) from error
    return fault


def parse_join(text: str) -> tuple[int, float]:
    """`robot` or `robot@time`: who is absent, and when it joins (s; infinity for never).

    Raises:
        ConfigError: the text does not fit.
    """
    try:
        robot, _, at = text.partition("@")
        found = int(robot), float(at) if at else float("inf")
    except ValueError as error:
        raise ConfigError(
            f"join {text!r} is not of the form robot or robot@time, e.g. 3@10"
        ) from error
    if found[0] < 0 or not found[1] >= 0.0:
        raise ConfigError(f"join {text!r}: robots count from 0, times are not before the start")
    return found


@dataclass(frozen=True, slots=True)
class Cue:
    """One thing to do at one time.

    Attributes:
        at: s after the start.
        text: what it is, for people.
        act: does it.
    """

    at: float
    text: str
    act: Callable[[Fleet], object]


def cues(faults: Sequence[FaultSpec], joins: Mapping[int, float] | None = None) -> list[Cue]:
    """What to do when; a fault with a duration is also undone, and robots join (s) by index."""
    out = [
        Cue(at, f"robot {robot} joins", partial(Fleet.respawn, robot=robot))
        for robot, at in (joins or {}).items()
        if at < float("inf")
    ]
    for fault in faults:
        robot = fault.robot
        inject = partial(Fleet.inject, fault=fault)
        out.append(Cue(fault.start_s, f"{fault.kind} robot {robot}", inject))
        if fault.end_s == float("inf"):
            continue
        if fault.kind in ("crash", "reboot"):
            out.append(
                Cue(fault.end_s, f"robot {robot} boots", partial(Fleet.respawn, robot=robot))
            )
        elif fault.kind == "freeze":
            out.append(Cue(fault.end_s, f"robot {robot} goes on", partial(Fleet.thaw, robot=robot)))
    return sorted(out, key=lambda cue: cue.at)


def play(
    fleet: Fleet,
    seconds: float,
    faults: Sequence[FaultSpec],
    title: str,
    joins: Mapping[int, float] | None = None,
    spares: Spares | None = None,
    watch: Callable[[Fleet, float], None] = lambda _, __: None,
) -> None:
    """Let a started fleet fly, and break it on cue.

    Args:
        fleet: started.
        seconds: length of the flight.
        faults: times count from now.
        title: heads the live view.
        joins: when (s) absent robots are started, by index.
        spares: who takes whose place; None: nobody.
        watch: looks at the fleet and the time (s), and raises what ends the flight early.

    Raises:
        NotReadyError: a node ended that nobody had broken.
    """
    todo = cues(faults, joins)
    done: list[str] = []
    dead: set[int] = set()
    started = time.monotonic()
    console = Console(stderr=True)
    view = LiveView(console=console, refresh_per_second=4, transient=False)
    live = console.is_terminal
    if live:
        view.start()
    try:
        while (now := time.monotonic() - started) < seconds:
            check_stop()
            while todo and todo[0].at <= now:
                cue = todo.pop(0)
                cue.act(fleet)
                done.append(f"{cue.at:5.1f} s  {cue.text}")
                if not live:
                    print(f"{title}: {done[-1].strip()}", file=sys.stderr, flush=True)
            dead = {f.robot for f in faults if f.kind in ("crash", "reboot") and f.start_s <= now}
            fleet.check(dead)
            watch(fleet, now)
            todo = [*_relief(fleet, spares, now), *todo]
            if live:
                view.update(render(fleet, title, now, seconds, done))
            time.sleep(0.05)
    finally:
        if live:
            view.stop()


def _relief(fleet: Fleet, spares: Spares | None, now: float) -> list[Cue]:
    """Spares that are to take a place now."""
    due = [] if spares is None else spares.look(fleet.live.table.get("states", []), now)
    return [
        Cue(now, f"a spare takes the place of robot {robot}", partial(Fleet.take_over, robot=robot))
        for robot in due
    ]


def render(fleet: Fleet, title: str, now: float, seconds: float, done: Sequence[str]) -> Group:
    """The live view: one row per robot, the task error, what was done."""
    table = Table(title=f"{title}: {now:4.1f} of {seconds:.0f} s", title_justify="left")
    for name in ("robot", "supervisor says", "weight", "last heard", "position"):
        table.add_column(name)
    line, world = fleet.live.table, fleet.live.world
    states, weights = line.get("states", []), line.get("weights", [])
    ages, places = line.get("ages", []), world.get("positions", [])
    for robot in range(fleet.config.robots):
        state = states[robot] if robot < len(states) else "?"
        age = ages[robot] if robot < len(ages) else None
        place = places[robot] if robot < len(places) else None
        table.add_row(
            str(robot),
            Text(state, style=_STYLE.get(state, "")),
            f"{weights[robot]:.2f}" if robot < len(weights) else "",
            f"{age:.2f} s" if age is not None else "never",
            f"{place[0]:+.2f} {place[1]:+.2f} m" if place else "",
        )
    error = world.get("error")
    text = f"task error of the robots that act: {error:.3f} m" if error is not None else ""
    return Group(table, Text(text), *(Text(entry, style="dim") for entry in done[-6:]))
