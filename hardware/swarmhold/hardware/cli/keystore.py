"""`swarmhold keystore`: keys and permissions of a team, from its fleet file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.security.keystore import make_keystore


@dataclass(frozen=True)
class KeystoreArgs:
    """Make the SROS 2 keystore of a team, or bring it up to date; keys that are there stay."""

    fleet: Annotated[Path, tyro.conf.Positional]
    """Fleet file; it must name the ROS domain."""
    keystore: Annotated[Path, tyro.conf.Positional]
    """Folder; made if absent."""
    days: int = 365
    """Validity of new certificates; that of the authority, once made, bounds all others."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Make a keystore."""
    args = parse(KeystoreArgs, argv, "swarmhold keystore")
    fleet = load_fleet(args.fleet)
    if fleet.domain is None:
        raise ConfigError(f"permissions are for one ROS domain; write domain: into {args.fleet}")
    if not 1 <= args.days <= 36500:
        raise ConfigError(f"--days is {args.days}; it must lie in 1 to 36500")
    made = make_keystore(args.keystore, fleet.access, fleet.domain, args.days)
    if args.json:
        print_json(asdict(made))
        return 0
    count = len(made.new) + len(made.kept)
    say(f"{args.keystore}: {count} enclaves on domain {fleet.domain}, {len(made.new)} of them new")
    for enclave in made.gone:
        say(
            f"{enclave} is no longer in the team; whoever has its key can still join until its "
            "certificate ends, or a new keystore is made"
        )
    return 0
