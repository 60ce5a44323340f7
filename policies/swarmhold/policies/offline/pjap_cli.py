"""`swarmhold bench pjap`: the polynomial games of proximal joint-action prioritisation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import made, publish
from swarmhold.policies.offline.games import EPOCHS
from swarmhold.policies.offline.priority import Focus
from swarmhold.policies.offline.table import FOCUS, PATIENT, STEEPNESS, SWEEP, measure

FIELDS = ("game", "sigma", "data", "arm", "value", "low", "high", "reference", "gap", "seeds")


@dataclass(frozen=True)
class PjapArgs:
    """Replay priorities on games with two players: rewards against those known."""

    seeds: int = 20
    """Data sets of each game."""
    out: Path | None = None
    """Folder that gets pjap.md and pjap.csv; without it only printed."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Play them; 1 if something differs from what is known by more than it may."""
    args = parse(PjapArgs, argv, "swarmhold bench pjap")
    if args.seeds < 2:
        raise ConfigError(f"--seeds {args.seeds}: give at least 2, or there is no interval")
    found = measure(args.seeds)
    made_by = commit()
    page = page_of(found, made_by)
    if args.out:
        rows = ([cell[field] for field in FIELDS] for cell in found["cells"])
        publish(args.out, "pjap", page, FIELDS, rows, made_by)
    if args.json:
        print_json({**found, "commit": made_by})
    else:
        say(page)
    return 0 if all(cell["agrees"] for cell in found["cells"]) else 1


def page_of(found: dict[str, Any], made_by: str) -> str:
    """The page."""
    lines = [
        "# PJAP: replaying what is near the policy, on games with two players",
        "",
        "Two players learn from recorded joint actions, each answering what the other did *then* "
        f"(BRUD). PJAP draws near joint actions more often (arXiv 2407.01343; steepness "
        f"{STEEPNESS:g}, fresh in every step). Final reward, mean over {found['seeds']} data sets "
        "and their 2.5 to 97.5 % range. Reference: a re-run made before this code with constants "
        "recovered from the published figure; the games' own numbers are not printed there.",
        "",
        "| game | data | arm | reward | reference | distance in the batch | reference |",
        "|---|---|---|---|---|---|---|",
        *(_line(cell) for cell in found["cells"]),
        "",
        *_limits(found),
        "",
        "## Steepness",
        "",
        "Twin peaks by steepness, and with the one that leaves a wanted effective number of data "
        f"points, {FOCUS.first:.0%} falling to {FOCUS.last:.0%} of them and at least "
        f"{FOCUS.floor:.0f}:",
        "",
        "| sigma | " + " | ".join(f"{steep:g}" for steep in SWEEP) + " | chosen | ends at |",
        "|---" * (len(SWEEP) + 3) + "|",
        *(_sweep(row) for row in found["steepness"]),
        "",
        *_steep(found["limits"]),
        *made(made_by, f"bench pjap --seeds {found['seeds']} --out docs/results"),
    ]
    return "\n".join(lines)


def _line(cell: dict[str, Any]) -> str:
    data = cell["data"] if cell["sigma"] is None else f"sigma {cell['sigma']:g}"
    value, low, high = (round(cell[key], 3) + 0.0 for key in ("value", "low", "high"))
    reward = f"{value:.3f} [{low:.3f}, {high:.3f}]"
    known = "" if cell["reference_gap"] is None else f"{cell['reference_gap']:.2f}"
    mark = "" if cell["agrees"] else f" (off by more than {cell['tolerance']:g})"
    columns = (cell["game"], data, cell["arm"], reward, f"{cell['reference']:g}{mark}")
    return f"| {' | '.join(columns)} | {cell['gap']:.2f} | {known} |"


def _limits(found: dict[str, Any]) -> list[str]:
    counts = (f"{name} {count}" for name, count in found["reached"].items())
    gate, ways = found["gate"], found["direction"]
    uniform, wrong = gate["uniform"], gate["wrong quadrant"]
    said = "passes" if uniform["passes"] else "refuses"
    return [
        f"Sign agreement, data sets of {found['seeds']} that reach the optimum: "
        + "; ".join(counts) + ". The joint step points against the true gradient in "
        f"{ways['against']} of {ways['pairs']} random cases, and in {ways['as_foretold']} of them "
        "theory says rightly whether (when the data's means times the actions sum to less than 0).",
        "",
        "Data in the wrong quadrant are the limit: priorities cannot invent what is not there. The "
        f"coverage gate {said} the uniform data (median distance of what is replayed "
        f"{uniform['median']:.2f} of the action range), and says of the wrong quadrant: "
        f"{wrong['refusal'] or 'nothing, which is an error'}.",
    ]  # fmt: skip


def _steep(row: dict[str, Any]) -> list[str]:
    return [
        "Too steep, and a handful of points carries all: some data sets then stop on the way. With "
        f"{PATIENT} steps instead of {EPOCHS} they arrive: the best of the three steepest is then "
        f"{row['best_of_patient']:.3f} at sigma {row['sigma']:g}. The floor of "
        f"{Focus().floor:.0f} sequences that training keeps would be too soft for the "
        f"1,000 points here: {row['with_floor']:.3f}.",
    ]


def _sweep(row: dict[str, Any]) -> str:
    values = " | ".join(f"{row['values'][str(steep)]:.3f}" for steep in SWEEP)
    return f"| {row['sigma']:g} | {values} | {row['chosen']:.3f} | {row['chosen_steepness']:.1f} |"
