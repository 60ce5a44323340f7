"""`swarmhold bench bun`: which robot must hear which, found by growth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.bun import navigation_study
from swarmhold.policies.bun.arms import Study, study_of
from swarmhold.policies.bun.page import summary, table, write

MOST_ROBOTS = 12  # cost of the dense network grows with the square
UPDATES = {"hidden-goal": 1500, "navigation": 700}
ROBOTS = {"hidden-goal": (6,), "navigation": (4, 8)}


@dataclass(frozen=True)
class BunArgs:
    """Sparse joint policies against block-diagonal and dense ones, on the same tasks."""

    task: Literal["hidden-goal", "navigation"] = "hidden-goal"
    """Goals that only another one sees; or the scenario of that name."""
    seeds: int = 3
    """Trainings of every arm, each on a task of its own."""
    updates: int = 0
    """Gradient steps of a training; 0: as in docs/results."""
    robots: tuple[int, ...] = ()
    """Team size, for navigation one or more; default: 6, for navigation 4 and 8."""
    budget: int = 0
    """Edges that may be opened for hidden goals; 0: as many as are necessary."""
    workers: int = 1
    """Trainings side by side, each on one core; figures do not depend on it."""
    out: Path | None = None
    """Folder for a page and a CSV file."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Train and compare."""
    args = parse(BunArgs, argv, "swarmhold bench bun")
    if args.seeds < 1 or args.updates < 0 or args.budget < 0 or args.workers < 1:
        raise ConfigError(
            f"--seeds {args.seeds}, --updates {args.updates}, --budget {args.budget}, "
            f"--workers {args.workers}: need at least 1 seed and 1 worker, and nothing negative"
        )
    teams, updates = args.robots or ROBOTS[args.task], args.updates or UPDATES[args.task]
    wrong = [robots for robots in teams if not 2 <= robots <= MOST_ROBOTS]
    if wrong:
        raise ConfigError(f"--robots {wrong[0]}: give 2 to {MOST_ROBOTS}")
    if args.task == "navigation":
        rows = navigation_study.study(teams, args.seeds, updates, args.workers, note)
        files = navigation_study.write(rows, updates, args.out) if args.out else []
        lines = [line for robots in teams for line in (*navigation_study.table(rows, robots), "")]
        _show(args, navigation_study.summary(rows), lines, files)
        return 0
    if len(teams) > 1:
        raise ConfigError("--robots takes one team size for hidden goals")
    study = Study(teams[0], updates, args.budget or teams[0])
    runs = study_of(args.seeds, study, args.workers, note)
    files = write(runs, study, args.out) if args.out else []
    _show(args, summary(runs, study), table(runs), files)
    return 0


def _show(args: BunArgs, found: dict[str, object], lines: list[str], files: list[Path]) -> None:
    if args.json:
        print_json({**found, "files": [str(path) for path in files]})
    else:
        for line in lines:
            say(line)
    for path in files:
        note(f"written: {path}")
