"""`swarmhold faults compare`: reports of one plan from several worlds, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table

from swarmhold.export.plan_cli import read_report
from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.compare import (
    Line,
    compare,
    markdown,
    names_of,
    plain,
    reasons,
    summary,
    verdict,
)
from swarmhold.hardware.report.html import number, seconds
from swarmhold.policies.learning.publish import made, publish


@dataclass(frozen=True)
class CompareArgs:
    """Say of every fault of a plan which worlds found it, and why others did not."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that `faults run` wrote, of one plan in two worlds or more."""
    out: Path | None = None
    """Folder for PLAN.md and PLAN.csv; default: show it."""
    json: bool = False
    """One JSON object on standard output."""


def compare_reports(argv: list[str]) -> int:
    """`faults compare`: 0 if worlds differ only in what could be found there, 1 if one missed."""
    args = parse(CompareArgs, argv, "swarmhold faults compare")
    if len(args.runs) < 2:
        raise ConfigError("give two folders or more that `swarmhold faults run` wrote")
    reports = [read_report(folder) for folder in args.runs]
    lines, names = compare(reports), names_of(reports)
    if args.out is not None:
        _publish(args.out, lines, names, reports)
    if args.json:
        told = {"plan": reports[0]["plan"]["name"], "worlds": names}
        print_json({**told, "summary": summary(lines, len(names)), "rows": plain(lines, names)})
    elif args.out is None:
        _show(lines, names)
    return 1 if any(line.missed for line in lines) else 0


def _show(lines: Sequence[Line], names: Sequence[str]) -> None:
    table = Table()
    for name in ("", "fault", "robot", *names, "agree"):
        table.add_column(name, no_wrap=True)
    for line in lines:
        cells = [verdict(line, fate) for fate in line.fates]
        place = str(line.index + 1), line.kind, str(line.robot)
        table.add_row(*place, *cells, "yes" if line.agrees else "no")
    print_tables(table)
    for line in lines:
        for text in reasons(line, names):
            say(f"{line.index + 1} {line.kind}, {text}")
    say(summary(lines, len(names)))


def _publish(
    folder: Path, lines: Sequence[Line], names: Sequence[str], reports: Sequence[dict[str, Any]]
) -> None:
    plan = reports[0]["plan"]
    commits = sorted({str(report.get("commit") or "unknown") for report in reports})
    flown = " ".join(f"flights/{name.replace(' ', '-')}" for name in names)
    page = [
        f"# The plan `{plan['name']}` in {len(names)} worlds",
        "",
        f"{len(lines)} faults of {plan['robots']} robots, weights from the supervisor, seed "
        f"{plan['seed']}. Made from the worlds' reports by `swarmhold faults compare`; nothing in "
        "it is written by hand.",
        "",
        summary(lines, len(names)),
        "Seconds until the robot was taken out of the team (median, and in how many of several "
        "flights), or why it was not:",
        "",
        *markdown(lines, names),
        "",
        *_figures(names, reports),
        *made(", ".join(commits), f"faults compare {flown} --out docs/results"),
    ]
    head = ("fault", "kind", "robot", "world", "flights", "found", "delay_s", "reason")
    cells = [
        (line.index + 1, line.kind, line.robot, name, fate.flights, fate.found,
         "" if fate.delay_s is None else fate.delay_s, fate.reason)
        for line in lines for name, fate in zip(names, line.fates, strict=True)
    ]  # fmt: skip
    publish(folder, plan["name"], "\n".join(page), head, cells, ", ".join(commits))


def _figures(names: Sequence[str], reports: Sequence[dict[str, Any]]) -> list[str]:
    """What each world's report says as a whole."""
    out = [
        "| world | bundle | found | delay p50, p95 | false alarms per robot-hour | collisions | "
        "task retained: none, supervisor | deadlines missed |",
        "|---" * 8 + "|",
    ]
    for name, report in zip(names, reports, strict=True):
        told = report["figures"]
        delay, rate = told["detection_delay_s"], told["false_alarms_per_robot_hour"]
        kept = [told["arms"].get(arm, {}).get("retained") for arm in ("none", "supervisor")]
        late = told["deadline_misses"]
        cells = (
            name,
            f"`{report['bundle']}`",
            f"{told['to_be_found'] - told['missed']} of {told['to_be_found']}",
            f"{seconds(delay['p50'])}, {seconds(delay['p95'])}",
            f"{number(rate[0])} [{number(rate[1])}, {number(rate[2])}]",
            "not known" if report.get("link") else str(told["arms"]["supervisor"]["collisions"]),
            ", ".join("not flown" if one is None else f"{one:.0%}" for one in kept),
            "" if late is None else f"{late:.1%}",
        )
        out.append("| " + " | ".join(cells) + " |")
    return out
