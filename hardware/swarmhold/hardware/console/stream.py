"""Server-sent events of one page: pictures as they come, or a recording in its own time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from swarmhold.hardware.console.desk import Desk

PULSE_S = 0.25  # the console lives, though the team may be silent


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def live(desk: Desk) -> AsyncIterator[str]:
    """The latest picture whenever there is one; a slow page misses some, and is never behind."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    leave = desk.hub.listen(wake)
    shown: str | None = None
    known, stop = 0, ""
    try:
        while not desk.ends.is_set():
            news.clear()
            entries = desk.hub.happenings(known)
            if entries:
                known = entries[-1]["id"]
                yield _event("happened", _json(entries))
            latest = desk.hub.latest
            if latest is not None and latest is not shown:
                shown = latest
                yield _event("picture", latest)
            else:
                yield _event("pulse", _json({"silent_s": desk.telemetry_age()}))
            status = _json(desk.source.stopped())
            if status != stop:
                stop = status
                yield _event("stop", status)
            try:
                await asyncio.wait_for(news.wait(), PULSE_S)
            except TimeoutError:
                continue
    finally:
        leave()


async def replayed(desk: Desk, at: float | None, speed: float) -> AsyncIterator[str]:
    """Pictures from a time on, in the time that lies between them.

    Args:
        desk: of the console.
        at: s, wall clock of the recording; None: from its beginning.
        speed: how many times as fast.
    """
    hub, loop = desk.hub, asyncio.get_running_loop()
    leave = hub.listen(lambda: None)
    try:
        while hub.span is None and not desk.ends.is_set():
            yield _event("pulse", _json({"silent_s": None}))
            await asyncio.sleep(PULSE_S)
        first = at if at is not None or hub.span is None else hub.span[0]
        assert first is not None
        began, t, known = loop.time(), first, 0
        picture = hub.at(first)
        yield _event("stop", _json(desk.source.stopped()))
        while not desk.ends.is_set():
            entries = hub.happenings(known, until=t)
            if entries:
                known = entries[-1]["id"]
                yield _event("happened", _json(entries))
            if picture is not None:
                yield _event("picture", picture)
            following = hub.following(t)
            if following is None:
                picture = None
                yield _event("pulse", _json({"silent_s": 0.0, "ended": True}))
                await asyncio.sleep(PULSE_S)
                continue
            t, picture = following
            await asyncio.sleep(max(began + (t - first) / speed - loop.time(), 0.0))
    finally:
        leave()
