"""Figures of a table, read back from where the trainings left them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.policies.learning.cell import figures_of
from swarmhold.policies.learning.plan import Cell, Column, Row, Table, config_of
from swarmhold.policies.learning.stats import Spread, average_of, mean, share_of, spread_of


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

    def entries(self, metric: str | None = None) -> list[Entry]:
        """Every cell of the table, in its order; of another metric than the table's, if named."""
        out = []
        for scenario in self.table.scenarios:
            for row in self.table.rows:
                for column in self.table.columns:
                    rng = np.random.default_rng(0)
                    found = self.figures(scenario, row, column)
                    name = metric or self.table.metric
                    cell = spread_of([one[name] for one in found], rng, average_of(name)[1])
                    out.append(Entry(scenario[0], row, column, cell, self.seeds))
        return out

    def against_first(self) -> list[Entry]:
        """What every further row has more of the metric than the first, in the mean.

        Both of a pair met the same layouts and faults, and were trained from the same seed, so
        that what is hard for all falls out of the interval.
        """
        first, metric, out = self.table.rows[0], self.table.metric, []
        for scenario in self.table.scenarios:
            for row in self.table.rows[1:]:
                for column in self.table.columns:
                    pairs = zip(
                        self.figures(scenario, row, column),
                        self.figures(scenario, first, column),
                        strict=True,
                    )
                    more = [mine[metric].astype(float) - its[metric] for mine, its in pairs]
                    cell = spread_of(more, np.random.default_rng(0), mean)
                    out.append(Entry(scenario[0], row, column, cell, self.seeds))
        return out

    def recovered(self) -> list[tuple[str, str, Spread | None]]:
        """(scenario, fault, share of the oracle's gain that the supervisor reaches)."""
        trio = {row.weights: row for row in self.table.rows if row.label.startswith("ours, ")}
        if len(trio) < 3:
            return []
        out = []
        for scenario in self.table.scenarios:
            for column in self.table.columns:
                if column.fault is None and not column.attack:
                    continue
                parts = [
                    [f[self.table.metric] for f in self.figures(scenario, trio[source], column)]
                    for source in ("none", "supervisor", "oracle")
                ]
                share = share_of(list(zip(*parts, strict=True)), np.random.default_rng(0))
                out.append((scenario[0], column.label, share))
        return out

    def runs(self, scenario: tuple[str, str], row: Row) -> list[Path]:
        """Folders of the trainings behind a row, one per seed."""
        configs = (
            config_of(self.table, row, *scenario, seed, self.share) for seed in range(self.seeds)
        )
        return [self.folder / "runs" / Cell(config, (), 0).run for config in configs]

    def log(self, run: Path, warm: bool = False) -> list[dict[str, float]]:
        """What a training logged, one entry per iteration; its warm start only if asked for."""
        start = 0 if warm else json.loads((run / "config.json").read_text())["warm_start"]
        lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
        return [line for line in lines if line["iteration"] > start]

    def seconds(self) -> float:
        """Wall time of the trainings, added up."""
        return float(sum(spent["seconds"] for spent in self._spent()))

    def commits(self) -> set[str]:
        """Of the code that trained."""
        return {spent["commit"] for spent in self._spent() if spent.get("commit")}

    def _spent(self) -> list[dict[str, Any]]:
        table = self.table
        runs = {
            run for pair in table.scenarios for row in table.rows for run in self.runs(pair, row)
        }
        return [json.loads((run / "time.json").read_text()) for run in runs]
