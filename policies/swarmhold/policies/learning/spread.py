"""Cells over worker processes, or over a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from swarmhold.policies.learning.cell import run_cell
from swarmhold.policies.learning.plan import Cell
from swarmhold.policies.side_by_side import side_by_side

Say = Callable[[str], None]


def spread(cells: list[Cell], folder: Path, workers: int, ray: bool, say: Say) -> None:
    """Run all cells; what is on disk already is not done again.

    Args:
        cells: trainings with their looks.
        folder: results folder; with Ray one that all machines of the cluster share.
        workers: processes side by side.
        ray: whether they are tasks of a Ray cluster.
        say: progress.

    Raises:
        ConfigError: a worker died; Ray is not installed.
        KeyboardInterrupt: passed on; whole iterations and figures are kept.
    """
    if ray:
        _on_ray(cells, folder, say)
    elif workers == 1:
        for number, cell in enumerate(cells, 1):
            run_cell(cell, folder, say)
            say(f"{number} of {len(cells)} trainings done")
    else:
        _in_processes(cells, folder, workers, say)


def _in_processes(cells: list[Cell], folder: Path, workers: int, say: Say) -> None:
    def done(number: int, told: object) -> None:
        say(f"{number} of {len(cells)} trainings done: {told}")

    side_by_side(run_cell, [(cell, folder) for cell in cells], workers, done)


def _on_ray(cells: list[Cell], folder: Path, say: Say) -> None:
    from swarmhold.policies.ray_workers import connect

    cluster = connect()
    task = cluster.remote(num_cpus=1)(run_cell)
    waiting = [task.remote(cell, folder.resolve()) for cell in cells]
    total = len(waiting)
    while waiting:
        ready, waiting = cluster.wait(waiting)
        say(f"{total - len(waiting)} of {total} trainings done: {cluster.get(ready[0])}")
