"""Cells over worker processes, or over a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning.cell import run_cell
from swarmhold.policies.learning.plan import Cell

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
    context = multiprocessing.get_context("spawn")  # forks of a process with threads hang
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        waiting = [pool.submit(run_cell, cell, folder) for cell in cells]
        for number, future in enumerate(as_completed(waiting), 1):
            say(f"{number} of {len(cells)} trainings done: {future.result()}")
        pool.shutdown()
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, (KeyboardInterrupt, ConfigError)):
            raise
        raise ConfigError(f"a training failed: {error}") from error


def _begin() -> None:
    """A worker: Ctrl-C is the parent's to handle, and without the parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _on_ray(cells: list[Cell], folder: Path, say: Say) -> None:
    from swarmhold.policies.ray_workers import connect

    cluster = connect()
    task = cluster.remote(num_cpus=1)(run_cell)
    waiting = [task.remote(cell, folder.resolve()) for cell in cells]
    total = len(waiting)
    while waiting:
        ready, waiting = cluster.wait(waiting)
        say(f"{total - len(waiting)} of {total} trainings done: {cluster.get(ready[0])}")
