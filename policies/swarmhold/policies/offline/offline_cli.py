"""`swarmhold bench offline`: a deployed policy fine-tuned on recordings, with and without PJAP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import made, publish
from swarmhold.policies.offline.compare import ARMS, FLIGHTS, NOISE, PLAN, measure

FIELDS = ("arm", "seed", "return", "success", "gap", "effective", "deviation", "steps")


@dataclass(frozen=True)
class OfflineArgs:
    """Fine-tune the carriers of a bar on recordings of a good and a medium policy."""

    seeds: int = 3
    """Recordings, each learned from by both arms."""
    steps: int = PLAN.steps
    """Gradient steps; the critics are alone for the first 2,500."""
    out: Path | None = None
    """Folder that gets offline.md and offline.csv; without it only printed."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Measure both arms."""
    args = parse(OfflineArgs, argv, "swarmhold bench offline")
    if args.seeds < 1 or args.steps <= PLAN.critic_first:
        raise ConfigError(
            f"--seeds {args.seeds}, --steps {args.steps}: need at least 1 seed, and more than "
            f"{PLAN.critic_first} steps, or the policy learns nothing"
        )
    found = measure(args.seeds, replace(PLAN, steps=args.steps), note)
    made_by = commit()
    page = page_of(found, made_by, args.steps)
    if args.out:
        rows = ([row[field] for field in FIELDS] for row in found["rows"])
        publish(args.out, "offline", page, FIELDS, rows, made_by)
    if args.json:
        print_json({**found, "commit": made_by})
    else:
        say(page)
    return 0


def page_of(found: dict[str, Any], made_by: str, steps: int) -> str:
    """The page."""
    lines = [
        "# Offline: a bar in two pairs of hands, learned from recordings",
        "",
        "Two e-pucks bring a bar to a goal, and it slips when they are not its length apart. A "
        f"deployed policy (imitation of the scenario's heuristic) is fine-tuned on {FLIGHTS} "
        f"flights of its own and {FLIGHTS} of a medium one (the same imitation, cut short), both "
        f"with noise of {NOISE:g}, by twin critics and an actor tied to the deployed one, {steps} "
        "steps. The arms differ only in which sequences are replayed. Return of "
        f"{found['episodes']} episodes without noise on layouts of their own, interquartile mean "
        f"over {found['seeds']} seeds of recordings and learning (the two recorded policies are "
        "the same in all), 95 % bootstrap intervals over seeds and episodes.",
        "",
        "| | return | against the deployed one, paired mean | standard deviation over seeds |"
        " success | distance in the batch |",
        "|---|---|---|---|---|---|",
        f"| medium | {_interval(found['medium'])} | | | | |",
        f"| deployed | {_interval(found['deployed'])} | | | | |",
        *(_line(found, name) for name in ARMS),
        "",
        f"PJAP against uniform replay, paired: {_interval(found['difference'])}.",
        "",
        *(_seed(row) for row in found["rows"]),
        *made(
            made_by,
            f"bench offline --seeds {found['seeds']} --steps {steps} --out docs/results",
        ),
    ]
    return "\n".join(lines)


def _line(found: dict[str, Any], name: str) -> str:
    mine = [row for row in found["rows"] if row["arm"] == name]
    success, gap = (float(np.mean([row[key] for row in mine])) for key in ("success", "gap"))
    return (
        f"| {name} | {_interval(found['arms'][name])} | {_interval(found['gain'][name])} "
        f"| {found['spread'][name]:.2f} | {success:.0%} | {gap:.3f} |"
    )


def _seed(row: dict[str, Any]) -> str:
    said = "; ".join(row["refusals"]) or "no safeguard objects"
    return (
        f"- seed {row['seed']}, {row['arm']}: {row['return']:.1f}, {row['effective']:.0f} "
        f"effective sequences, departure from the deployed policy {row['deviation']:.3f} of "
        f"the action range after {row['steps']} steps; {said}"
    )


def _interval(one: dict[str, float]) -> str:
    return f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
