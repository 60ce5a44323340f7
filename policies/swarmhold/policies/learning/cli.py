"""`swarmhold bench learning`: a table of evidence, from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning import cost
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.page import write
from swarmhold.policies.learning.plan import cells_of
from swarmhold.policies.learning.results import Results
from swarmhold.policies.learning.spread import spread
from swarmhold.policies.learning.tables import table_of


@dataclass(frozen=True)
class LearningArgs:
    """Train and evaluate what a table of evidence needs; stopped, it goes on where it was."""

    table: str = "A1"
    """headline, A1 to A4, A6, M1 to M5 or speed; A5 is told with A1 to A3."""
    seeds: int = 3
    """Training seeds of every row."""
    episodes: int = 64
    """Paired evaluation episodes of every cell."""
    out: Path = Path("results")
    """Folder of trainings, figures and pages."""
    workers: int = 1
    """Trainings side by side."""
    ray: bool = False
    """Put the trainings on the Ray cluster of RAY_ADDRESS, or on a local one."""
    share: float = 1.0
    """Share of the training length, to try a table out; figures are then of no account."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Make a table."""
    args = parse(LearningArgs, argv, "swarmhold bench learning")
    if args.table == "M3":
        return _cost(args)
    table = table_of(args.table)
    if args.seeds < 1 or args.episodes < 2 or args.workers < 1 or not 0.0 < args.share <= 1.0:
        raise ConfigError(
            f"--seeds {args.seeds}, --episodes {args.episodes}, --workers {args.workers}, "
            f"--share {args.share:g}: need at least 1 seed, 2 episodes, 1 worker, and a share "
            "above 0 and up to 1"
        )
    cells = cells_of(table, args.seeds, args.episodes, args.share)
    note(f"{table.name}: {len(cells)} trainings, {sum(len(c.looks) for c in cells)} looks")
    try:
        spread(cells, args.out, args.workers, args.ray, note)
    except KeyboardInterrupt:
        again = f"swarmhold bench learning --table {table.name} --out {args.out}"
        raise KeyboardInterrupt(f"nothing is lost; the same command goes on: {again}") from None
    results = Results(table, args.out, args.seeds, args.episodes, args.share)
    paths = write(results, args.out)
    if args.json:
        print_json({"table": table.name, "files": [str(path) for path in paths]})
    else:
        say(paths[0].read_text(encoding="utf-8"))
        say(f"written: {', '.join(str(path) for path in paths)}")
    return 0


def _cost(args: LearningArgs) -> int:
    found = cost.measure(5, 1.0, note)
    paths = cost.write(found, args.out, commit())
    if args.json:
        print_json({"table": "M3", "ratios": found})
    else:
        say(paths[0].read_text(encoding="utf-8"))
    return 0
