"""A table as CSV, as a page and as a plot, all from the stored figures."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.policies.checkpoint import replace_file
from swarmhold.policies.learning.cell import figures_of, machine
from swarmhold.policies.learning.plan import Cell, Column, Row, Table, config_of
from swarmhold.policies.learning.stats import Spread, share_of, spread_of

FIELDS = ("scenario", "arm", "fault", "iqm", "low", "high", "seeds", "commit")


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table."""

    scenario: str
    row: Row
    column: Column
    spread: Spread
    seeds: int


@dataclass(frozen=True, slots=True)
class Results:
    """Stored figures of a table.

    Attributes:
        table: what was asked.
        folder: where the figures lie.
        seeds: training seeds.
        episodes: of each look.
        share: of the training length.
    """

    table: Table
    folder: Path
    seeds: int
    episodes: int
    share: float

    def figures(
        self, scenario: tuple[str, str], row: Row, column: Column, weights: str | None = None
    ) -> list[dict[str, Any]]:
        """What was stored for each seed."""
        found = []
        for seed in range(self.seeds):
            config = config_of(self.table, row, *scenario, seed, self.share)
            cell = Cell(config, (), self.episodes)
            found.append(figures_of(cell, self.folder, weights or row.weights, column))
        return found

    def entries(self) -> list[Entry]:
        """Every cell of the table, in its order."""
        out = []
        for scenario in self.table.scenarios:
            for row in self.table.rows:
                for column in self.table.columns:
                    rng = np.random.default_rng(0)
                    values = [f[self.table.metric] for f in self.figures(scenario, row, column)]
                    found = spread_of(values, rng)
                    out.append(Entry(scenario[0], row, column, found, self.seeds))
        return out

    def recovered(self) -> list[tuple[str, str, Spread | None]]:
        """(scenario, fault, share of the oracle's gain that the supervisor reaches)."""
        trio = {row.weights: row for row in self.table.rows if row.label.startswith("ours, ")}
        if len(trio) < 3:
            return []
        out = []
        for scenario in self.table.scenarios:
            for column in self.table.columns:
                if column.fault is None:
                    continue
                parts = [
                    [f[self.table.metric] for f in self.figures(scenario, trio[source], column)]
                    for source in ("none", "supervisor", "oracle")
                ]
                share = share_of(list(zip(*parts, strict=True)), np.random.default_rng(0))
                out.append((scenario[0], column.label, share))
        return out

    def seconds(self) -> float:
        """Wall time of the trainings, added up."""
        total = 0.0
        for scenario in self.table.scenarios:
            runs = {
                Cell(config_of(self.table, row, *scenario, seed, self.share), (), 0).run
                for row in self.table.rows
                for seed in range(self.seeds)
            }
            paths = (self.folder / "runs" / run / "time.json" for run in runs)
            total += sum(json.loads(path.read_text())["seconds"] for path in paths)
        return total


def commit() -> str:
    """Of the code that ran; empty outside a repository, with a + where files were changed."""
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty=+"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def csv_of(entries: list[Entry], made_by: str) -> str:
    """One line per cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for one in entries:
        figures = (f"{value:.4f}" for value in (one.spread.iqm, one.spread.low, one.spread.high))
        writer.writerow(
            [one.scenario, one.row.label, one.column.label, *figures, one.seeds, made_by]
        )
    return out.getvalue()


def markdown_of(results: Results, entries: list[Entry], made_by: str) -> str:
    """The page."""
    table = results.table
    lines = [
        f"# {table.name}: {table.title}",
        "",
        table.claim,
        "",
        f"Interquartile mean of the {table.metric} over {results.seeds} training seeds with "
        f"{results.episodes} paired episodes each, with 95 % intervals of a bootstrap over seeds "
        "and episodes.",
    ]
    for scenario, robot in table.scenarios:
        mine = [one for one in entries if one.scenario == scenario]
        lines += ["", f"## {scenario}, {robot}", ""]
        lines.append("| | " + " | ".join(column.label for column in table.columns) + " |")
        lines.append("|---" * (len(table.columns) + 1) + "|")
        for row in table.rows:
            cells = [_cell(one.spread) for one in mine if one.row is row]
            lines.append(f"| {row.label} | " + " | ".join(cells) + " |")
    lines += _recovered(results)
    lines += [
        "",
        f"Commit {made_by or 'unknown'}; {machine()}; trainings {results.seconds() / 60:.0f} "
        "minutes, added up over processes that ran side by side. Again, from nothing:",
        "",
        f"    swarmhold bench learning --table {table.name} --seeds {results.seeds} "
        f"--episodes {results.episodes} --out results",
        "",
    ]
    return "\n".join(lines)


def _recovered(results: Results) -> list[str]:
    found = results.recovered()
    if not found:
        return []
    lines = ["", "## Share of the oracle's gain that the supervisor reaches", ""]
    lines += ["| scenario | fault | share |", "|---|---|---|"]
    for scenario, fault, share in found:
        said = "the oracle gains nothing" if share is None else _cell(share)
        lines.append(f"| {scenario} | {fault} | {said} |")
    return lines


def _cell(spread: Spread) -> str:
    return f"{spread.iqm:.3g} [{spread.low:.3g}, {spread.high:.3g}]"


def plot(results: Results, entries: list[Entry], path: Path) -> None:
    """Cells with their intervals, a panel per scenario; needs the extra `plot`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = results.table
    size = (max(6.0, 1.3 * len(table.columns) + 2.0), 3.0 * len(table.scenarios) + 0.6)
    figure, axes = pyplot.subplots(len(table.scenarios), 1, figsize=size, squeeze=False)
    width = 0.8 / len(table.rows)
    colours = matplotlib.colormaps["cividis"](np.linspace(0.05, 0.95, len(table.rows)))
    for axis, (scenario, robot) in zip(axes[:, 0], table.scenarios, strict=True):
        for number, row in enumerate(table.rows):
            mine = [o.spread for o in entries if o.scenario == scenario and o.row is row]
            place = np.arange(len(mine)) + width * (number - (len(table.rows) - 1) / 2)
            middle = np.array([one.iqm for one in mine])
            edge = [[one.iqm - one.low for one in mine], [one.high - one.iqm for one in mine]]
            axis.errorbar(
                place, middle, np.maximum(edge, 0.0), fmt="o", ms=4, capsize=2,
                color=colours[number], label=row.label,
            )  # fmt: skip
        axis.set_xticks(range(len(table.columns)), [column.label for column in table.columns])
        axis.set_ylabel(table.metric)
        axis.set_title(f"{scenario}, {robot}", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    figure.tight_layout()
    replace_file(path, lambda part: figure.savefig(part, format="svg"))
    pyplot.close(figure)


def write(results: Results, folder: Path) -> list[Path]:
    """Write page, CSV and plot of a table into a folder; returns their paths."""
    entries, made_by = results.entries(), commit()
    folder.mkdir(parents=True, exist_ok=True)
    page, values, picture = (folder / f"{results.table.name}.{s}" for s in ("md", "csv", "svg"))
    text = markdown_of(results, entries, made_by)
    shown = text.replace("\n\n## ", f"\n\n![{results.table.title}]({picture.name})\n\n## ", 1)
    replace_file(page, lambda part: part.write_text(shown, encoding="utf-8"))
    replace_file(values, lambda part: part.write_text(csv_of(entries, made_by), encoding="utf-8"))
    plot(results, entries, picture)
    return [page, values, picture]
