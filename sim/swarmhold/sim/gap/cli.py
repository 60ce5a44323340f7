"""`swarmhold gap`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
import yaml

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.motion import read_motions
from swarmhold.hardware.signing import load_public
from swarmhold.sim.gap.analysis import Gap, analyse, as_json
from swarmhold.sim.gap.fit import Found
from swarmhold.sim.gap.page import render


@dataclass(frozen=True)
class GapArgs:
    """How far robots are from their simulation: a recorded flight through the twin."""

    flight: Annotated[Path, tyro.conf.Positional]
    """Folder of a flight with a recording."""
    bundle: Path | None = None
    """Bundle for the closed loop; default: that of the flight."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    closed_loop: bool = True
    """Also fly the bundle in the simulator from where the recording begins."""
    out: Path = Path("gap.html")
    """Page to write."""
    ranges: Path | None = None
    """Also write the suggested ranges here, for `swarmhold train --config`."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Read, fit, fly, write."""
    args = parse(GapArgs, argv, "swarmhold gap")
    recorded = read_motions(args.flight)
    bundle = open_bundle(args.bundle or recorded.info["bundle"], load_public(args.key))
    if args.bundle is None and bundle.digest != recorded.info["digest"]:
        raise ConfigError(
            f"{recorded.info['bundle']} is no longer the bundle that flew (sha256 "
            f"{recorded.info['digest'][:16]}); give one with --bundle"
        )
    found = analyse(recorded, bundle, args.closed_loop, note)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(render(found), encoding="utf-8")
    if args.ranges is not None:
        told = yaml.safe_dump({"disturbances": found.ranges}, sort_keys=False)
        args.ranges.write_text(told, encoding="utf-8")
    if args.json:
        print_json({**as_json(found), "page": str(args.out)})
    else:
        _show(found, args)
    return 0


def _told(value: Found) -> str:
    if not value.known:
        return f"not known: {value.why}"
    low, high = value.interval
    return f"{value.estimate:.3f} ({low:.3f} to {high:.3f})"


def _show(found: Gap, args: GapArgs) -> None:
    for robot, one in enumerate(found.fits):
        if one.why:
            say(f"robot {robot}: {one.why}")
            continue
        told = "; ".join(f"{name.value} {_told(value)}" for name, value in one.found.items())
        say(f"robot {robot}: {told}")
    team = [f"{k.value} {v.estimate:.3f}" for k, v in found.team.items() if v.known]
    say(f"team: {', '.join(team) or 'nothing is known'}")
    say(f"ranges to train with: {found.ranges or 'none'}")
    say(f"page: {args.out}")
