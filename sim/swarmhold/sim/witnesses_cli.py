"""`swarmhold bench witnesses`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.witnesses import KINDS, SHAPES, Learned, fail


@dataclass(frozen=True)
class WitnessesArgs:
    """How fast a team learns of a dead or lying robot whom only some of the others hear."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder, archive or name of a shipped one; of a policy that all robots share."""
    robots: int = 6
    """N."""
    events: int = 10
    """Failures of each kind and shape, each in a flight of its own."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Fly, and tell."""
    args = parse(WitnessesArgs, argv, "swarmhold bench witnesses")
    if args.robots < 4 or args.events < 1:
        raise ConfigError(f"--robots {args.robots}, --events {args.events}: need 4 and 1 at least")
    bundle = open_bundle(args.bundle)
    if bundle.manifest.slices is not None:
        raise ConfigError(
            f"{args.bundle} is cut into slices, each with its own sources; give a bundle that all "
            "robots share, whom they hear is varied here"
        )
    rows = []
    for shape, hears in SHAPES.items():
        for kind in KINDS:
            note(f"heard by {shape}: {kind}")
            events = [fail(bundle, hears, args.robots, kind, seed) for seed in range(args.events)]
            rows.append({"heard_by": shape, "kind": kind, **figures(events)})
    if args.json:
        print_json({"robots": args.robots, "events": args.events, "rows": rows})
        return 0
    say(f"{args.robots} robots, {args.events} failures each; s, median and largest; of all events")
    for row in rows:
        parts = (f"{name} {_told(row[name])}" for name in ("supervisor", "hearers", "everybody"))
        accused = f"{row['accused']} healthy ones accused"
        say(f"  {row['kind']}, heard by {row['heard_by']}: {', '.join(parts)}; {accused}")
    return 0


def figures(events: list[Learned]) -> dict[str, Any]:
    """How many learned, and after which times."""
    out: dict[str, Any] = {}
    for name in ("supervisor", "hearers", "everybody"):
        times = np.array([getattr(event, name) for event in events])
        asked, known = ~np.isnan(times), times[np.isfinite(times)]
        out[name] = {
            "known": len(known),
            "of": int(asked.sum()),
            "p50": float(np.median(known)) if len(known) else None,
            "most": float(known.max()) if len(known) else None,
        }
    return {**out, "accused": sum(event.accused for event in events)}


def _told(found: dict[str, Any]) -> str:
    if not found["of"]:
        return "nobody"
    share = f"{found['known']} of {found['of']}"
    return share if not found["known"] else f"{share} ({found['p50']:.2f}, {found['most']:.2f})"
