"""`swarmhold bench bun`: which robot must hear which, found by growth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.bun.arms import ARMS, Study, run_arm
from swarmhold.policies.bun.page import summary, table, write

MOST_ROBOTS = 12  # cost of the dense network grows with the square


@dataclass(frozen=True)
class BunArgs:
    """Hidden goals: block diagonal, edge growth, weight growth and dense, on the same tasks."""

    seeds: int = 3
    """Trainings of every arm, each on a task of its own."""
    updates: int = 1500
    """Gradient steps of a training; 200 before the first edge, 100 from one to the next."""
    robots: int = 6
    """Of the team; as many edges are necessary."""
    budget: int = 0
    """Edges that may be opened; 0: as many as are necessary."""
    out: Path | None = None
    """Folder for a page and a CSV file."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Train and compare."""
    args = parse(BunArgs, argv, "swarmhold bench bun")
    if args.seeds < 1 or args.updates < 1 or args.budget < 0:
        raise ConfigError(
            f"--seeds {args.seeds}, --updates {args.updates}, --budget {args.budget}: need at "
            "least 1 seed, 1 update and no negative budget"
        )
    if not 2 <= args.robots <= MOST_ROBOTS:
        raise ConfigError(f"--robots {args.robots}: give 2 to {MOST_ROBOTS}")
    study = Study(args.robots, args.updates, args.budget or args.robots)
    runs = []
    for seed in range(args.seeds):
        for arm in ARMS:
            note(f"seed {seed}, {arm}: {study.updates} updates")
            runs.append(run_arm(arm, seed, study)[0])
    paths = [] if args.out is None else write(runs, study, args.out)
    if args.json:
        print_json({**summary(runs, study), "files": [str(path) for path in paths]})
    else:
        for line in table(runs):
            say(line)
    for path in paths:
        note(f"written: {path}")
    return 0
