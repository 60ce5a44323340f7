"""The table of the red team: every attack under every source of weights, on paired episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from rich.table import Table

from swarmhold.hardware.cli.config import say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.evaluate import (
    SOURCES,
    Episodes,
    TeamPolicy,
    figures,
    interval,
    run_episodes,
)
from swarmhold.policies.redteam.attack import Attack
from swarmhold.sim.env import SwarmEnv

DRAWS = 2000  # of the bootstrap
TINY = 1e-9  # a mean below this is no scale for ratios


def measure(
    env: SwarmEnv,
    policy: TeamPolicy,
    attacks: Iterable[tuple[int, Attack]],
    settings: HealthSettings,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
    known: TeamPolicy | None = None,
) -> dict[str, Any]:
    """Play every attack under every source of weights.

    Args:
        env: environment; E is the number of paired episodes.
        policy: under attack.
        attacks: level and attack, one row each; made one after the other, so they may be lazy.
        settings: thresholds of the health chain.
        seed: of the bootstrap.
        progress: told before every cell.
        known: see `run_episodes`.

    Returns:
        `nominal`: figures without attack; `rows`: per attack and source the same, with `ratio`
        and `error_ratio`, return and error divided by those without attack, and `uplift`: how
        much larger (m) the error of a level 4 row is than that of level 3, all with intervals.
    """
    rng = np.random.default_rng([seed, 19])
    progress("nominal")
    nobody: list[list[Any]] = [[] for _ in range(env.n_envs)]
    nominal = run_episodes(env, policy, "supervisor", nobody, settings, 0, known=known)
    rows: list[dict[str, Any]] = []
    learned: dict[str, Episodes] = {}
    for level, attack in attacks:
        for source in SOURCES:
            progress(f"level {level}: {attack.name}, weights: {source}")
            found = run_episodes(
                env, policy, source, nobody, settings, 0, attack=attack, known=known
            )
            row = {"level": level, "attack": attack.name, "weights": source}
            row |= {**figures(found, rng), **_ratios(found, nominal, rng), **attack.figures}
            if level == 3:
                learned[source] = found
            elif level == 4 and source in learned:
                gain = found.error_m - learned[source].error_m
                row |= {"uplift_m": float(gain.mean()), "uplift_m_interval": interval(gain, rng)}
            rows.append(row)
    return {
        "scenario": env.scenario.name,
        "robot": env.robot,
        "robots": env.n_robots,
        "episodes": env.n_envs,
        "seed": seed,
        "nominal": figures(nominal, rng),
        "rows": rows,
    }


def _ratios(found: Episodes, nominal: Episodes, rng: np.random.Generator) -> dict[str, Any]:
    """Return and error as multiples of those without attack; episodes are drawn in pairs."""
    out: dict[str, Any] = {}
    picks = rng.integers(0, len(found.returns), (DRAWS, len(found.returns)))
    for name, field in (("ratio", "returns"), ("error_ratio", "error_m")):
        now, usual = getattr(found, field), getattr(nominal, field)
        if abs(usual.mean()) < TINY:
            out |= {name: None, f"{name}_interval": None}
            continue
        drawn = now[picks].mean(axis=1) / usual[picks].mean(axis=1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        out |= {name: float(now.mean() / usual.mean())}
        out |= {f"{name}_interval": [float(low), float(high)]}
    return out


def show(table: dict[str, Any]) -> None:
    """The table for people."""
    view = Table(
        title=f"{table['scenario']}, {table['robots']} {table['robot']}, {table['attackers']} "
        f"attacking, {table['episodes']} paired episodes ({table['backend']})"
    )
    for name in ("attack", "weights"):
        view.add_column(name)
    compared = any("uplift_m" in row for row in table["rows"])
    uplift = ["uplift, cm"] if compared else []
    for name in ("return", "of nominal", "error, cm", "success", *uplift):
        view.add_column(name, justify="right")
    for row in [table["nominal"], *table["rows"]]:
        view.add_row(
            f"{row['level']} {row['attack']}" if "level" in row else "nobody",
            row.get("weights", "supervisor"),
            _cell(row, "returns"),
            _cell(row, "ratio"),
            _cell(row, "error_m", 100.0),
            f"{row['success']:.0%}",
            *([_cell(row, "uplift_m", 100.0)] if compared else []),
        )
    print_tables(view)
    say(
        "Figures of the robots that do not attack. Of nominal: their return as a multiple of the "
        "return without attack"
        + ("; uplift: error of level 4 above that of level 3, cm" if compared else "")
    )


def _cell(row: dict[str, Any], name: str, scale: float = 1.0) -> str:
    """Mean and interval; nothing where there is no figure."""
    if row.get(name) is None:
        return ""
    low, high = (scale * value for value in row[f"{name}_interval"])
    return f"{scale * row[name]:.3g} [{low:.3g}, {high:.3g}]"
