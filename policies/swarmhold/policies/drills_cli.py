"""`swarmhold bench drills`: what a team feels of anything that happens to its supervisors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.table import Table

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.drills import BASELINE, DRILLS, LEAST_TEAM, Drilled
from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.drills import drilled
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.policies.detectors_cli import poisson
from swarmhold.sim.drills import Flight

SHORTEST_S = 15.0  # in which everything has happened, and something came of it


@dataclass(frozen=True)
class DrillsArgs:
    """Kill, stop, double, repeat and forge supervisors; contacts against no supervisor at all."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle to fly."""
    layer: Literal["sim", "live"] = "sim"
    """sim: the nodes' own code in one process and simulated time; live: real processes."""
    drill: tuple[str, ...] = ()
    """Which; default: all. The baseline always flies too."""
    robots: int = 6
    """Team size; in every flight one robot lies and one dies."""
    seeds: int = 8
    """Flights of each drill."""
    seconds: float = 20.0
    """Length of each flight."""
    out: Path | None = None
    """live: new folder for the recordings; default: flights/drills-<time>."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Fly them; 1 if some drill has more contacts or breaches than the baseline."""
    args = parse(DrillsArgs, argv, "swarmhold bench drills")
    for name in args.drill:
        if name not in DRILLS:
            raise ConfigError(f"there is no drill {name!r}; {hint(name, DRILLS)}")
    if args.robots < LEAST_TEAM or args.seeds < 1 or args.seconds < SHORTEST_S:
        raise ConfigError(
            f"give at least {LEAST_TEAM} robots, 1 seed and {SHORTEST_S:g} s, or nothing happens"
        )
    names = list(dict.fromkeys([BASELINE, *(args.drill or DRILLS)]))
    with stoppable():
        flown = list(_flights(args, names))
    rows = [summary(name, flown) for name in names]
    if args.json:
        print_json({"drills": rows, "flights": [flight.to_dict() for flight in flown]})
    else:
        _show(args, rows)
    return 0 if all(row["as_good_as_none"] for row in rows) else 1


def _flights(args: DrillsArgs, names: list[str]) -> Iterator[Drilled]:
    bundle = open_bundle(args.bundle)
    folder = args.out or Path("flights") / f"drills-{time.strftime('%Y%m%d-%H%M%S')}"
    config = FleetConfig(args.bundle, args.robots, folder)
    for seed in range(args.seeds):
        for name in names:
            note(f"flight {seed + 1} of {args.seeds}, {name}: {DRILLS[name]}")
            if args.layer == "sim":
                yield Flight(bundle, args.robots, name, seed).run(args.seconds)
            else:
                own = replace(config, folder=folder / f"{name}-{seed}")
                yield drilled(own, name, args.seconds, seed)


def summary(name: str, flown: list[Drilled]) -> dict[str, Any]:
    """All flights of one drill, beside the baseline's."""
    own, base = (
        [flight for flight in flown if flight.drill == drill] for drill in (name, BASELINE)
    )
    hours = sum(flight.robot_hours for flight in own)
    touches, breaches = (sum(getattr(f, what) for f in own) for what in ("touches", "breaches"))
    before = sum(flight.touches for flight in base), sum(flight.breaches for flight in base)
    return {
        "drill": name,
        "flights": len(own),
        "robot_hours": hours,
        "touches": touches,
        "touches_per_robot_hour": [touches / hours, *poisson(touches, hours)],
        "breaches": breaches,
        "as_good_as_none": touches <= before[0] and breaches <= before[1],
        "error_m": float(np.mean([flight.error for flight in own])),
        "healthy_weight": float(np.mean([flight.healthy_weight for flight in own])),
        "broken_weight": float(np.mean([flight.broken_weight for flight in own])),
        "followed": {
            source: float(np.mean([flight.followed[source] for flight in own]))
            for source in own[0].followed
        },
    }


def _show(args: DrillsArgs, rows: list[dict[str, Any]]) -> None:
    title = f"{args.robots} robots, {args.seeds} flights of {args.seconds:g} s each, {args.layer}"
    table = Table(title=title, title_justify="left")
    for name in ("drill", "contacts", "per robot hour, 95 %", "breaches", "task error",
                 "weight of healthy", "of broken", "weights from"):  # fmt: skip
        table.add_column(name)
    for row in rows:
        rate, low, high = row["touches_per_robot_hour"]
        sources = (f"{share:.0%} {source}" for source, share in row["followed"].items() if share)
        table.add_row(
            row["drill"], str(row["touches"]), f"{rate:.1f} [{low:.1f}, {high:.1f}]",
            str(row["breaches"]), f"{row['error_m']:.3f} m", f"{row['healthy_weight']:.2f}",
            f"{row['broken_weight']:.2f}", ", ".join(sources),
        )  # fmt: skip
    print_tables(table)
