"""Independent pieces of work in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from swarmhold.hardware.errors import ConfigError

Found = TypeVar("Found")


def side_by_side(
    work: Callable[..., Found],
    todo: Sequence[tuple[Any, ...]],
    workers: int,
    done: Callable[[int, Found], None],
) -> list[Found]:
    """Do all of it; what comes out does not depend on the number of processes.

    Args:
        work: function of a module, so that other processes find it.
        todo: its arguments, one tuple for each piece.
        workers: processes side by side; 1: all in this one.
        done: told how many are done, and the last result, in the order in which they end.

    Returns:
        Results in the order of `todo`.

    Raises:
        ConfigError: a piece failed in another process.
    """
    if workers == 1:
        found = []
        for given in todo:
            found.append(work(*given))
            done(len(found), found[-1])
        return found
    context = multiprocessing.get_context("spawn")  # forks of a process with threads hang
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        waiting = [pool.submit(work, *given) for given in todo]
        for number, future in enumerate(as_completed(waiting), 1):
            done(number, future.result())
        pool.shutdown()
        return [future.result() for future in waiting]
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
