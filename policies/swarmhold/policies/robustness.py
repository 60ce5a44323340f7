"""The robustness page of a bundle: every fault, an adversary, false alarms, twice the team."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.evaluate import SOURCES, Episodes, interval
from swarmhold.policies.learning.cell import Act, look
from swarmhold.policies.learning.plan import Cell, Column
from swarmhold.policies.learning.tables import ADVERSARY, ALARMS, DOUBLE, NOMINAL

COLUMNS = (NOMINAL, *(Column(kind, kind) for kind in KINDS), ADVERSARY, ALARMS, DOUBLE)
METRICS = ("score", "success", "returns", "error_m")


def robustness(
    cell: Cell,
    act: Act,
    settings: HealthSettings,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, bytes]:
    """Measure a policy under everything.

    Args:
        cell: scenario, robot class and team size, and the paired episodes of each figure.
        act: makes the policy, for the robots and for who watches them.
        settings: thresholds of the health chain.
        folder: in which the trained attacker is kept, and found again.
        say: progress.

    Returns:
        `robustness.md` and `robustness.json`.

    Raises:
        ConfigError: one episode is no evidence.
    """
    if cell.episodes < 2:
        raise ConfigError(f"--robustness {cell.episodes}: at least 2 episodes are needed")
    config = cell.config
    rows: list[dict[str, Any]] = []
    for column in COLUMNS:
        say(f"robustness: {column.label}")
        for source in SOURCES:
            found = look(cell, folder, act, settings, source, column)
            rows.append({"case": column.label, "weights": source, **_figures(found)})
    table = {
        "scenario": config.scenario,
        "robot": config.robot,
        "robots": config.robots,
        "episodes": cell.episodes,
        "faulty": NOMINAL.faulty,
        "rows": rows,
    }
    return {
        "robustness.json": (json.dumps(table, indent=1) + "\n").encode(),
        "robustness.md": _page(table).encode(),
    }


def _figures(found: Episodes) -> dict[str, Any]:
    """Means, and the bootstrap interval of the score."""
    figures: dict[str, Any] = {name: float(np.mean(getattr(found, name))) for name in METRICS}
    return {**figures, "score_interval": interval(found.score, np.random.default_rng(0))}


def _page(table: dict[str, Any]) -> str:
    """The table for people, a line per case."""
    lines = [
        f"# Robustness of {table['scenario']}, {table['robot']}",
        "",
        f"{table['robots']} robots, {table['episodes']} paired episodes of the batched simulator "
        f"per figure; a fault befalls {table['faulty']:.0%} of the team at 10 to 40 % of the "
        "episode. Score of the healthy robots over its last quarter, with 95 % intervals, by who "
        "tells the weights: nobody (all 1), the real detectors and supervisor, the truth.",
        "",
        "| case | all 1 | supervisor | truth | success with the supervisor |",
        "|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(row["case"] for row in table["rows"]):
        mine = {row["weights"]: row for row in table["rows"] if row["case"] == case}
        cells = (
            f"{mine[s]['score']:.3f} [{mine[s]['score_interval'][0]:.3f}, "
            f"{mine[s]['score_interval'][1]:.3f}]"
            for s in SOURCES
        )
        lines.append(
            f"| {case} | " + " | ".join(cells) + f" | {mine['supervisor']['success']:.0%} |"
        )
    lines += [
        "",
        "`trained adversary` is a PPO attacker in a tenth of the team that learned against this "
        "policy; `5 % false alarms` makes robots distrust healthy teammates for a twentieth of "
        "the time; `N x 2` is a team of twice the size, without faults.",
    ]
    return "\n".join(lines) + "\n"
