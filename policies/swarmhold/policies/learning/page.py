"""A table as CSV, as a page and as a plot, all from the stored figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swarmhold.hardware.files import replace_file
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.plan import Column, Row, Table
from swarmhold.policies.learning.publish import publish
from swarmhold.policies.learning.results import Entry, Results
from swarmhold.policies.learning.sections import on_attention, on_progress, on_time
from swarmhold.policies.learning.stats import Spread, average_of
from swarmhold.sim.bench.measure import machine

MOST_COLUMNS = 10
MARKERS = "osD^vPX*"  # so that rows can be told apart without colours
MEANS = {"iqm": "Interquartile mean", "mean": "Mean"}
FIELDS = ("scenario", "arm", "fault", "{}", "low", "high", "seeds")


def markdown_of(results: Results, entries: list[Entry], made_by: str) -> str:
    """The page."""
    table = results.table
    lines = [
        f"# {table.name}: {table.title}",
        "",
        table.claim,
        "",
        f"{MEANS[average_of(table.metric)[0]]} of the {table.metric} over {results.seeds} training "
        f"seeds with {results.episodes} paired episodes each, with 95 % intervals of a bootstrap "
        "over seeds and episodes.",
    ]
    for scenario, robot in table.scenarios:
        mine = [one for one in entries if one.scenario == scenario]
        lines += ["", f"## {scenario}, {robot}", "", *_grid(table, table.rows, mine)]
        for metric in table.also:
            other = [one for one in results.entries(metric) if one.scenario == scenario]
            lines += ["", f"The same, {metric}:", "", *_grid(table, table.rows, other)]
    lines += _against_first(results) + _recovered(results)
    if table.logs:
        lines += on_progress(results) + on_attention(results)
    if table.solved:
        lines += on_time(results)
    made_on, older = machine(), sorted(results.commits() - {made_by})
    trained = f", trained at {', '.join(older)}" if older else ""
    lines += [
        "",
        f"Commit {made_by or 'unknown'}{trained}; {made_on['processor']}, {made_on['cores']} "
        f"cores; trainings {results.seconds() / 60:.0f} minutes, added up over processes that ran "
        "side by side. Again, from nothing:",
        "",
        f"    swarmhold bench learning --table {table.name} --seeds {results.seeds} "
        f"--episodes {results.episodes} --out results",
        "",
    ]
    return "\n".join(lines)


def _grid(table: Table, rows: Sequence[Row], entries: list[Entry]) -> list[str]:
    """Rows by columns, or the other way round where there are many columns."""
    across: list[Row] | list[Column] = list(table.columns)
    down: list[Row] | list[Column] = list(rows)
    if len(across) > MOST_COLUMNS:
        across, down = down, across
    lines = ["| | " + " | ".join(one.label for one in across) + " |"]
    lines.append("|---" * (len(across) + 1) + "|")
    cells = {(id(one.row), id(one.column)): _cell(one.spread) for one in entries}
    for line in down:
        found = (cells.get((id(line), id(top))) or cells[id(top), id(line)] for top in across)
        lines.append(f"| {line.label} | " + " | ".join(found) + " |")
    return lines


def _against_first(results: Results) -> list[str]:
    table = results.table
    lines = [
        "",
        f"## Compared with {table.rows[0].label}, pair by pair",
        "",
        f"Mean difference of the {table.metric} on the same layouts and faults, trained from the "
        "same seed.",
    ]
    entries = results.against_first()
    for scenario, _ in table.scenarios:
        mine = [one for one in entries if one.scenario == scenario]
        lines += ["", f"{scenario}:", "", *_grid(table, table.rows[1:], mine)]
    return lines if entries else []


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
    return f"{spread.value:.3g} [{spread.low:.3g}, {spread.high:.3g}]"


def plot(results: Results, entries: list[Entry], path: Path) -> None:
    """Cells with their intervals, a panel per scenario; needs the extra `plot`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = results.table
    size = (max(6.0, 1.3 * len(table.columns) + 2.0), 3.0 * len(table.scenarios) + 0.6)
    figure, axes = pyplot.subplots(len(table.scenarios), 1, figsize=size, squeeze=False)
    width = 0.8 / len(table.rows)
    colours = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.85, len(table.rows)))
    for axis, (scenario, robot) in zip(axes[:, 0], table.scenarios, strict=True):
        for number, row in enumerate(table.rows):
            mine = [o.spread for o in entries if o.scenario == scenario and o.row is row]
            place = np.arange(len(mine)) + width * (number - (len(table.rows) - 1) / 2)
            middle = np.array([one.value for one in mine])
            edge = [[one.value - one.low for one in mine], [one.high - one.value for one in mine]]
            mark = MARKERS[number % len(MARKERS)]
            axis.errorbar(
                place, middle, np.maximum(edge, 0.0), fmt=mark, ms=4, capsize=2,
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
    name, metric = results.table.name, results.table.metric
    picture = folder / f"{name}.svg"
    text = markdown_of(results, entries, made_by)
    shown = text.replace("\n\n## ", f"\n\n![{results.table.title}]({picture.name})\n\n## ", 1)
    head = [field.format(average_of(metric)[0]) for field in FIELDS]
    rows = (
        [one.scenario, one.row.label, one.column.label,
         one.spread.value, one.spread.low, one.spread.high, one.seeds]
        for one in entries
    )  # fmt: skip
    paths = publish(folder, name, shown, head, rows, made_by)
    plot(results, entries, picture)
    return [*paths, picture]
