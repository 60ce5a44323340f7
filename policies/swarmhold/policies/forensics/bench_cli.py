"""`swarmhold bench autopsy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.forensics.attacked import TWINS, Score, joined, measure
from swarmhold.policies.forensics.spread import trained
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import made, publish
from swarmhold.policies.learning.stats import mean, spread_of

COLUMNS = {
    "among": "attacked robot among the earliest",
    "alone": "alone earliest",
    "named": "named, ties by deviation",
    "early": "flag before the attack",
    "missed": "no flag",
    "calm": "flags an episode without an attack",
}


@dataclass(frozen=True)
class AutopsyArgs:
    """Who failed first, on a toy with the truth at hand: Patient-0's stage 1 and simpler ways."""

    episodes: int = 300
    """Attacked episodes of each seed."""
    seeds: int = 3
    """Trainings, each with starts and attacks of its own."""
    twins: int = TWINS
    """Attack-free episodes from the same start behind each reference."""
    out: Path | None = None
    """Also write autopsy.md and autopsy.csv into this folder."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Train, attack, attribute."""
    args = parse(AutopsyArgs, argv, "swarmhold bench autopsy")
    if args.episodes < 2 or args.seeds < 1 or args.twins < 2:
        raise ConfigError(
            f"--episodes {args.episodes}, --seeds {args.seeds}, --twins {args.twins}: need at "
            "least 2 episodes, 1 seed and 2 twins"
        )
    torch.set_num_threads(1)
    found: list[dict[str, Score]] = []
    for seed in range(args.seeds):
        policies, error = trained(seed)
        note(f"seed {seed}: trained to {error:.3f} m; {args.episodes} attacked episodes")
        found.append(measure(policies, args.episodes, seed, args.twins))
    rows = rows_of(found)
    if args.out is not None:
        _write(rows, args)
    if args.json:
        print_json({"episodes": args.episodes, "seeds": args.seeds, "rows": rows})
    else:
        say("\n".join(_table(rows)))
    return 0


def rows_of(found: list[dict[str, Score]]) -> list[dict[str, Any]]:
    """Shares with intervals over seeds and episodes, one row for each detector."""
    out = []
    for name in found[0]:
        row: dict[str, Any] = {"detector": name}
        for column in COLUMNS:
            per_seed = [getattr(one[name], column).astype(float) for one in found]
            share = spread_of(per_seed, np.random.default_rng(0), mean)
            row[column] = {"value": share.value, "low": share.low, "high": share.high}
        delay = joined([one[name] for one in found]).delay
        told = np.isfinite(delay).any()
        row["delay_steps"] = float(np.nanmean(delay)) if told else float("nan")
        out.append(row)
    return out


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| detector | " + " | ".join(COLUMNS.values()) + " | mean delay, steps |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for row in rows:
        cells = [
            f"{row[c]['value']:.3f} [{row[c]['low']:.3f}, {row[c]['high']:.3f}]" for c in COLUMNS
        ]
        delay = f"{row['delay_steps']:.2f}" if np.isfinite(row["delay_steps"]) else ""
        lines.append(f"| {row['detector']} | " + " | ".join(cells) + f" | {delay} |")
    return lines


def _write(rows: list[dict[str, Any]], args: AutopsyArgs) -> None:
    made_by = commit()
    again = f"bench autopsy --episodes {args.episodes} --seeds {args.seeds}"
    lines = [
        "# Who failed first",
        "",
        "Three robots spread over three landmarks (double integrators, 25 steps, 5 actions), "
        "trained through differentiable episodes. For 5 steps one of them does what its policy "
        "would do least, from one of the first 6 steps on. Stage 1 is Patient-0's (arXiv "
        "2602.08104): the Taylor remainder of the commitment cost, smoothed over 5 steps, "
        "against a reference.",
        "",
        f"{args.episodes} attacked episodes of each of {args.seeds} trainings; shares of all "
        "episodes, a missed or early one being wrong; 95 % intervals of a bootstrap over seeds and "
        f"episodes. References of {args.twins} twins; thresholds at 5 % of calm episodes flagged.",
        "",
        *_table(rows),
        "",
        "- *Among the earliest* is the rule by which the paper counts a hit. Teammates see at once "
        "that the attacked robot moves otherwise, so it is often not the only one.",
        "- Twins start where the attacked episode did, with noise of 1e-4 on what they see; the "
        "attacked episode has none. The last column but one takes a further twin for an episode.",
        "- The residual holds what a robot was commanded against measured motion, with 0.05 m/s of "
        "noise on speeds. It sees an attack on actions in the step in which it happens. An attack "
        "on a sensor is none of its business.",
        *made(made_by, f"{again} --out docs/results"),
    ]
    cells = (
        [row["detector"], column, *(row[column][part] for part in ("value", "low", "high")),
         args.seeds]
        for row in rows for column in COLUMNS
    )  # fmt: skip
    head = ("detector", "column", "value", "low", "high", "seeds")
    assert args.out is not None
    publish(args.out, "autopsy", "\n".join(lines), head, cells, made_by)
