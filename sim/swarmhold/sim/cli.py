"""`swarmhold validate`: the batched twin against PyBullet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.validate import LIMITS, as_json, plot, tracks


@dataclass(frozen=True)
class ValidateArgs:
    """Same commands through both physics backends, nothing touching: how far they part."""

    sequences: int = 1000
    """Random command sequences of each case."""
    seconds: float = 2.0
    """Length of each."""
    seed: int = 0
    """Of the commands."""
    plot: Path | None = None
    """Draw error over time into this file (png, svg, pdf); needs the extra `plot`."""
    json: bool = False
    """One JSON object on standard output."""


def validate(argv: list[str]) -> int:
    """Exit 0 if every case agrees within its limit after one second, else 1."""
    args = parse(ValidateArgs, argv, "swarmhold validate")
    if args.sequences < 1 or not args.seconds >= 1.0:
        raise ConfigError("need at least one sequence of at least one second")
    found = []
    if not args.json:
        say(f"largest distance from PyBullet, m, over {args.sequences} command sequences")
        say(f"{'case':<42}{'0.5 s':>10}{'1 s':>10}{'end':>10}   limit at 1 s")
    for track in tracks(args.sequences, args.seconds, args.seed):
        found.append(track)
        if not args.json:
            half = track.error_m[len(track.time_s[track.time_s < 0.5 - 1e-9])]
            figures = f"{half:10.1e}{track.at_one_second:10.1e}{track.error_m[-1]:10.1e}"
            limit = f"{LIMITS[track.kind]:.0e} {'' if track.holds else 'BROKEN'}"
            say(f"{track.case + ' (' + track.kind + ')':<42}{figures}   {limit}".rstrip())
    if args.plot is not None:
        plot(found, args.plot)
    if args.json:
        print_json(as_json(found))
    return 0 if all(track.holds for track in found) else 1
