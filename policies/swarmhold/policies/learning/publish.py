"""Results for docs/results: a Markdown page for people and the same figures as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarmhold.hardware.files import replace_file
from swarmhold.sim.bench.measure import machine


def publish(
    folder: Path,
    name: str,
    page: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    made_by: str,
) -> list[Path]:
    """Write `name`.md and `name`.csv, each whole or not at all; returns their paths.

    Args:
        folder: for both; made if there is none.
        name: without ending.
        page: Markdown.
        head: names of the columns; one more, `commit`, is added.
        rows: cells; of floats four decimals are written.
        made_by: commit of the code that measured.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*head, "commit"])
    for row in rows:
        cells = (f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row)
        writer.writerow([*cells, made_by])
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.md", folder / f"{name}.csv"]
    for path, text in zip(paths, (page, out.getvalue()), strict=True):
        replace_file(path, lambda part, text=text: part.write_text(text, "utf-8"))  # type: ignore[misc]
    return paths


def made(made_by: str, command: str, more: str = "") -> list[str]:
    """Last lines of a page: with what it was made, and how to make it again.

    Args:
        made_by: commit of the code that measured; "" where nobody knows.
        command: after `swarmhold`.
        more: to be said of the machine's time.
    """
    on = machine()
    return [
        "",
        f"Commit {made_by or 'unknown'}; {on['processor']}, {on['cores']} cores{more}. Again:",
        "",
        f"    swarmhold {command}",
        "",
    ]
