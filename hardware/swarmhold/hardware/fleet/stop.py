"""Ctrl-C and SIGTERM that cannot get lost.

Python drops an exception that a signal handler raises inside a fork hook or a destructor, and
starting processes means forking. So the wish is remembered too, and loops ask for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ASKED = threading.Event()
_HELD = threading.Event()


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this, SIGINT and SIGTERM raise `KeyboardInterrupt`, at once or at the next check."""

    def stop(*_: object) -> None:
        _ASKED.set()
        if not _HELD.is_set():
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        _ASKED.clear()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within this (brief: a fork), a stop is only remembered."""
    _HELD.set()
    try:
        yield
    finally:
        _HELD.clear()


def check_stop() -> None:
    """Raise `KeyboardInterrupt` if a stop was asked for."""
    if _ASKED.is_set():
        raise KeyboardInterrupt
