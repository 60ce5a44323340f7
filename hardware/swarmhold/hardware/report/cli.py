"""`swarmhold report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.flight import Flight, read_flight
from swarmhold.hardware.report.page import Story, render


@dataclass(frozen=True)
class ReportArgs:
    """Flight recordings to one HTML page.

    Give one flight, or up to three of the same seed: with faults and supervisor, without
    faults, with faults and all weights 1; which is which is read from the recordings.
    """

    flights: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Flight folders."""
    out: Path = Path("report.html")
    """Page to write."""
    json: bool = False
    """Print the figures as JSON."""


def main(argv: list[str]) -> int:
    """Read, measure, write."""
    args = parse(ReportArgs, argv, "swarmhold report")
    if not args.flights:
        raise ConfigError("give at least one flight folder")
    story = sort_flights([read_flight(folder) for folder in args.flights])
    page, figures = render(story)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page, encoding="utf-8")
    if args.json:
        print_json({**figures, "report": str(args.out), "recording": str(story.helped.recording)})
    else:
        say(f"report: {args.out}")
    return 0


def sort_flights(flights: list[Flight]) -> Story:
    """Who is who among one to three flights.

    Raises:
        ConfigError: the flights do not belong together, or two have the same part.
    """
    seeds = {
        (f.info["scenario"], f.info["robot"], f.info["robots"], f.info["seed"]) for f in flights
    }
    if len(seeds) > 1:
        raise ConfigError("the flights differ in scenario, robots or seed; report them one by one")
    if len(flights) == 1:
        return Story(flights[0])
    helped = [f for f in flights if f.faults and f.info["reweight"]]
    alone = [f for f in flights if f.faults and not f.info["reweight"]]
    nominal = [f for f in flights if not f.faults]
    if len(helped) != 1 or len(alone) > 1 or len(nominal) > 1:
        raise ConfigError(
            "of several flights exactly one must have faults and re-weighting, at most one faults "
            "without, at most one no faults"
        )
    return Story(helped[0], nominal[0] if nominal else None, alone[0] if alone else None)
