"""`swarmhold fly`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.fleet import Fleet, FleetConfig
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.fleet.story import parse_fault, play
from swarmhold.hardware.injection import LIVE_KINDS
from swarmhold.hardware.runtime import OnnxPolicy


@dataclass(frozen=True)
class FlyArgs:
    """Fly a bundle on N simulated robots, one OS process each, over ROS 2."""

    bundle: Path
    """Bundle folder or zip archive."""
    robots: int
    """Team size."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    seconds: float = 30.0
    """Length of the flight."""
    seed: int = 0
    """Of the world: start poses, landmarks, sensing noise."""
    record: Path | None = None
    """New folder for recording, events and logs; default: flights/<time>."""
    fault: tuple[str, ...] = ()
    """Faults, each kind:robot@start[+duration], e.g. crash:2@8+5 freeze:1@10 spoof:0@4."""
    domain: int | None = None
    """ROS domain; default: a free one."""
    reweight: bool = True
    """Use health weights; without, all weights are 1."""
    entities: Entities = "none"
    """Whom to attend to in a team larger than any of training: all, the nearest, or in turns."""
    supervisor: bool = True
    """Start the supervisor; without, robots rely on local evidence."""
    standbys: int = 0
    """Warm supervisors that take over when the one before them falls silent."""
    json: bool = False
    """Print where everything lies as JSON."""


def main(argv: list[str]) -> int:
    """Fly, break, record; leave no process behind."""
    args = parse(FlyArgs, argv, "swarmhold fly")
    faults = [parse_fault(text) for text in args.fault]
    if args.seconds <= 0:
        raise ConfigError(f"--seconds is {args.seconds:g}; it must be above 0")
    if args.standbys < 0 or (args.standbys and not args.supervisor):
        raise ConfigError(f"--standbys {args.standbys} needs a supervisor, and at least 0")
    for fault in faults:
        if fault.robot >= args.robots:
            raise ConfigError(
                f"fault names robot {fault.robot} of {args.robots}; they count from 0"
            )
    folder = args.record or Path("flights") / time.strftime("%Y%m%d-%H%M%S")
    config = FleetConfig(
        bundle=args.bundle,
        robots=args.robots,
        folder=folder,
        keys=args.key,
        seed=args.seed,
        domain=args.domain,
        reweight=args.reweight,
        entities=args.entities,
        supervisor=args.supervisor,
        standbys=args.standbys,
        allow_faults=any(fault.kind in LIVE_KINDS for fault in faults),
    )
    with stoppable():
        fleet = Fleet(config)
        warning = OnnxPolicy(fleet.bundle).team_size_warning(args.robots)
        if warning:
            note(f"warning: {warning}")
        note(f"starting {args.robots} robots, world and supervisor on ROS domain {fleet.domain}")
        try:
            with fleet:
                play(fleet, args.seconds, faults, fleet.bundle.manifest.name)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"all processes ended; what was recorded: {folder}") from None
    found = {"folder": str(folder), "recording": _mcap(folder), "domain": fleet.domain}
    if args.json:
        print_json(found)
    else:
        say(f"flown; recording: {found['recording']}; next: swarmhold report {folder}")
    return 0


def _mcap(folder: Path) -> str | None:
    files = sorted((folder / "mcap").glob("*.mcap"))
    return str(files[0]) if files else None
