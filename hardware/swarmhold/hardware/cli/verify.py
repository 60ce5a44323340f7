"""`swarmhold verify`: open a bundle exactly as a robot would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import parse, print_json, say


@dataclass(frozen=True)
class VerifyArgs:
    """Check hashes, contract, graph and golden vectors of a bundle."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder or zip archive."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Verify one bundle.

    Args:
        argv: arguments after the verb.

    Returns:
        0 if the bundle may fly; the caller turns the error of a bad one into one line and 2.
    """
    args = parse(VerifyArgs, argv, "swarmhold verify")
    bundle = open_bundle(args.bundle)
    manifest = bundle.manifest
    low, high = manifest.team_sizes_trained
    if args.json:
        print_json(
            {
                "bundle": str(args.bundle),
                "digest": bundle.digest,
                "name": manifest.name,
                "scenario": manifest.scenario,
                "robot": manifest.robot,
                "team_sizes_trained": [low, high],
            }
        )
    else:
        teams = f"teams of {low} to {high}"
        say(f"{args.bundle}: good. {manifest.name}, {teams}, sha256 {bundle.digest[:16]}")
    return 0
