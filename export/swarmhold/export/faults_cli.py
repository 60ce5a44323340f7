"""`swarmhold faults`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.markup import escape
from rich.table import Table

from swarmhold.export.capabilities import columns, markdown, shipped
from swarmhold.export.compare_cli import compare_reports
from swarmhold.export.plan_cli import plan, read_report, report, run
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import choose, note, parse, print_json, say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.expectations import Cell
from swarmhold.hardware.files import replace_file
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.matrix import live_matrix
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.operator_token import write_token
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.policies.matrix import fault_matrix
from swarmhold.sim.env import SwarmEnv


@dataclass(frozen=True)
class MatrixArgs:
    """What the health chain makes of every kind of fault."""

    bundle: Path = Path("coverage-epuck")
    """Bundle whose policy flies and whose thresholds count; default: one that ships."""
    layer: Literal["sim", "live", "all"] = "all"
    """Where the faults are injected: in simulated episodes, in live ROS 2 nodes, or in both."""
    robots: int = 6
    """Team size."""
    episodes: int = 8
    """Simulated episodes of each cell."""
    flights: int = 1
    """Live flights of each cell."""
    out: Path | None = None
    """New folder for what the live nodes say; default: flights/matrix-<time>."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class CapabilitiesArgs:
    """What can be done of every kind of fault in which world, as flown plans have shown."""

    flown: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders that `faults run every-kind` wrote; they replace the columns of their worlds."""
    add: bool = False
    """Count their tries beside those of the table that ships, instead."""
    out: Path | None = None
    """File for the table as JSON; default: show it."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class TokenArgs:
    """Make the token that orders to break robots are signed with, for one campaign."""

    file: Annotated[Path, tyro.conf.Positional]
    """New file."""


def main(argv: list[str]) -> int:
    """`faults WHAT`."""
    known = {"matrix": matrix, "plan": plan, "run": run, "report": report}
    known |= {"compare": compare_reports, "capabilities": capabilities, "token": token}
    return choose("faults", "faults", known, argv)


def capabilities(argv: list[str]) -> int:
    """`faults capabilities`."""
    args = parse(CapabilitiesArgs, argv, "swarmhold faults capabilities")
    table = shipped()
    if args.flown:
        upon = table if args.add else None
        table |= columns((read_report(folder) for folder in args.flown), upon)
    told = json.dumps(table, indent=1)
    if args.out is not None:
        replace_file(args.out, lambda part: part.write_text(told + "\n", encoding="utf-8"))
    elif args.json:
        print_json(table)
    else:
        say(markdown(table).rstrip())
    return 0


def token(argv: list[str]) -> int:
    """`faults token`."""
    args = parse(TokenArgs, argv, "swarmhold faults token")
    write_token(args.file)
    say(f"{args.file}: copy it to every host; robots name it in the fleet file, as faults_token")
    return 0


def matrix(argv: list[str]) -> int:
    """`faults matrix`: 0 if every cell is as expected, 1 if not."""
    args = parse(MatrixArgs, argv, "swarmhold faults matrix")
    if args.robots < 3 or args.episodes < 1 or args.flights < 1:
        raise ConfigError("the matrix takes at least 3 robots, 1 episode and 1 flight")
    cells: list[Cell] = []
    if args.layer != "live":
        cells += _simulated(args)
    if args.layer != "sim":
        cells += _live(args)
    if args.json:
        print_json({"cells": [_plain(cell) for cell in cells]})
    else:
        _show(cells)
    return 0 if all(cell.good for cell in cells) else 1


def _simulated(args: MatrixArgs) -> list[Cell]:
    bundle = open_bundle(args.bundle)
    manifest = bundle.manifest
    env = SwarmEnv(manifest.scenario, manifest.robot, args.episodes, args.robots, seed=1)
    policy = OnnxPolicy(bundle)
    try:
        return list(fault_matrix(env, lambda _: OnnxTeam(policy), bundle.health, note))
    finally:
        env.close()


def _live(args: MatrixArgs) -> list[Cell]:
    folder = args.out or Path("flights") / f"matrix-{time.strftime('%Y%m%d-%H%M%S')}"
    config = FleetConfig(args.bundle, args.robots, folder, record=False)
    with stoppable():
        return list(live_matrix(config, args.flights, note))


def _plain(cell: Cell) -> dict[str, Any]:
    found = {
        "kind": cell.kind,
        "severity": cell.severity,
        "layer": cell.layer,
        "state": cell.state.name,
        "delay_s": cell.delay_s,
        "found": cell.found,
        "collateral": cell.collateral,
        "good": cell.good,
    }
    why_not = cell.expected.why_not
    return {**found, "not_applicable": why_not} if why_not else found


def _show(cells: list[Cell]) -> None:
    table = Table()
    for name in ("kind", "severity", "layer", "found", "after", "at the end", "collateral", ""):
        table.add_column(name)
    reasons = list(dict.fromkeys(c.expected.why_not for c in cells if c.expected.why_not))
    for cell in cells:
        after = "" if cell.delay_s is None else f"{cell.delay_s:.2f} s"
        good = "good"
        if cell.expected.why_not:
            good = f"good, left in [{reasons.index(cell.expected.why_not) + 1}]"
        table.add_row(
            cell.kind, f"{cell.severity:g}", cell.layer, f"{cell.found:.0%}", after,
            cell.state.name.lower(), f"{cell.collateral:g}",
            escape(good) if cell.good else "not as expected",
        )  # fmt: skip
    print_tables(table)
    for number, reason in enumerate(reasons, 1):
        say(f"[{number}] {reason}")
