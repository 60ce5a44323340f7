"""Teams over several hosts on one machine, or the reason why there can be none."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.network.hosts import Hosts

SWARMHOLD = str(Path(sys.executable).with_name("swarmhold"))


def hosts_or_skip(*names: str, seed: int = 0) -> Hosts:
    """Such hosts, or the test is skipped with the reason why this machine can have none."""
    try:
        with Hosts("trial"):
            pass
    except NotReadyError as error:
        pytest.skip(str(error))
    return Hosts(*names, seed=seed)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Parts:
    """A fleet file flown on such hosts, one `swarmhold fly --host` on each; ends with the block."""

    def __init__(self, hosts: Hosts, file: Path, *options: str) -> None:
        """Start nothing yet.

        Args:
            hosts: with the names of the file.
            file: fleet file; each host's run folder comes to lie beside it, under its name.
            options: further ones, for all.
        """
        self._hosts, self.folder = hosts, file.parent
        self._command = [SWARMHOLD, "fly", "--fleet", str(file), *options]
        self.processes, self.log = {}, {}

    def start(self, *names: str, options: tuple[str, ...] = ()) -> Parts:
        """Start the parts of so many hosts."""
        for name in names:
            where = ("--host", name, "--record", str(self.folder / name), *options)
            self.processes[name] = subprocess.Popen(
                self._hosts.on(name, *self._command, *where),
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                preexec_fn=_die_with_parent,
            )
        return self

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.wait()

    def stop(self) -> None:
        """Ctrl-C on every host."""
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)

    def wait(self) -> dict[str, int]:
        """Until all have ended; exit codes, by host."""
        for name, process in self.processes.items():
            self.log[name] = self.log.get(name) or process.communicate(timeout=150)[1]
        return {name: process.returncode for name, process in self.processes.items()}

    def events(self, name: str) -> list[dict]:
        """What a host's part wrote down so far."""
        file = self.folder / name / "events.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def started(self, name: str) -> bool:
        """Whether the flight has begun there."""
        return any(event["event"] == "started" for event in self.events(name))
