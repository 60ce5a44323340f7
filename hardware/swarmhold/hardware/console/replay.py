"""A recorded flight as the pictures that were to be seen while it flew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from swarmhold.hardware import wire
from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.picture import TeamPicture
from swarmhold.hardware.console.source import Unbroken, as_fault
from swarmhold.hardware.errors import ConfigError, MessageError
from swarmhold.hardware.report.recording import about, events_of, messages_of

EVERY_S = 0.1  # between two pictures, as of a live team
KEEPS_S = float("inf")


class Replay(Unbroken):
    """The whole flight is drawn at the start; whoever looks goes through it on his own."""

    def __init__(self, folder: Path) -> None:
        """Read what the launcher wrote.

        Raises:
            ConfigError: the folder is no flight, or holds no recording.
        """
        self._folder, self._lines = folder, events_of(folder)
        self._info = about(folder, self._lines)
        self.about = {
            "title": folder.name,
            "replay": True,
            "flight": str(folder),
            "bundle": self._info.get("digest"),
        }
        self.failure: ConfigError | None = None
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, hub: Hub) -> None:
        """Draw in a thread; pictures can be looked at as they come.

        Raises:
            ConfigError: the recording cannot be read.
        """
        drawn = self._draw(hub)
        next(drawn)  # fails at once, if it does
        self._thread = threading.Thread(target=self._go_on, args=(drawn,), daemon=True)
        self._thread.start()

    def _go_on(self, drawn: Iterator[None]) -> None:
        try:
            for _ in drawn:
                if self._ends.is_set():
                    return
        except ConfigError as error:
            self.failure = error

    def wait(self, seconds: float) -> None:
        """Until all is drawn, for so long at most."""
        assert self._thread is not None
        self._thread.join(seconds)

    def _draw(self, hub: Hub) -> Iterator[None]:
        team = TeamPicture(int(self._info["robots"]))
        takes = self._takes(team)
        truth = [line for line in self._lines if line["event"] == "fault"]
        due = None
        for topic, t, message in messages_of(self._folder):
            due = t if due is None else due
            while t >= due:
                while truth and truth[0]["t"] <= due:
                    _broken(team, truth.pop(0))
                _show(hub, team, due)
                due += EVERY_S
                yield
            if topic in takes:
                with suppress(MessageError):  # no node has taken it either
                    takes[topic](message, t)
        if due is None:
            raise ConfigError(f"{self._folder}: the recording holds no message")
        _show(hub, team, due)
        yield

    def _takes(self, team: TeamPicture) -> dict[str, Callable[[Any, float], None]]:
        """What to do with a message, by topic."""

        def state(robot: int, message: Any, t: float) -> None:
            team.on_state(robot, wire.read_state(message, robot), t)

        def status(robot: int, message: Any, t: float) -> None:
            team.on_status(robot, wire.read_status(message, robot), t)

        def reality(message: Any, t: float) -> None:
            for speaker, word in wire.read_reality(message).items():
                team.on_reality(speaker, word, t)

        out: dict[str, Callable[[Any, float], None]] = {
            "/swarm/health": lambda message, t: team.on_table(wire.read_table(message), t),
            "/swarm/task": lambda message, _: team.on_task(
                wire.read_task(message), str(message.scenario)
            ),
            "/diagnostics": reality,
            "/swarm/estop": lambda message, t: team.on_estop(t) if message.data else None,
        }
        for robot in range(team.robots):
            out[f"/robot_{robot}/state"] = partial(state, robot)
            out[f"/robot_{robot}/status"] = partial(status, robot)
        return out

    def close(self) -> None:
        """Stop drawing."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)


def _broken(team: TeamPicture, line: dict[str, Any]) -> None:
    """What the launcher or a robot itself said of a fault; signals never pass through a topic."""
    kind, lasts = as_fault(line)
    with suppress(MessageError):
        team.on_fault(kind, line["robot"], lasts, float(line["t"]))


def _show(hub: Hub, team: TeamPicture, t: float) -> None:
    picture = team.picture(t)
    picture["bodies"], picture["mode"] = picture["mode"], "REPLAY"
    for entry in team.news():
        hub.happened(entry.plain())
    hub.show(picture)
