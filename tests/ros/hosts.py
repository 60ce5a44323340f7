"""Hosts on one machine: network namespaces, each with an address, joined by a cable.

A bench for tests, not a part of what flies: it needs root, and nothing on a robot would use it.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from cable import DEVICE, Trouble

_COUNT = itertools.count()
CABLE = Path(__file__).with_name("cable.py")
SWARMHOLD = str(Path(sys.executable).with_name("swarmhold"))


def hosts_or_skip(*names: str, seed: int = 0) -> Hosts:
    """Such hosts, or the test is skipped with the reason why this machine can have none."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    return Hosts(*names, seed=seed)


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "hosts as network namespaces need root"
    if shutil.which("ip") is None:
        return "hosts as network namespaces need ip (apt install iproute2)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "the cable between hosts needs /dev/net/tun"
    name = f"trial{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    _ip("netns", "del", name)
    return None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Hosts:
    """Context manager around namespaces and cable; leaving it takes all of it down.

    Attributes:
        addresses: by name of the host.
    """

    def __init__(self, *names: str, seed: int = 0) -> None:
        """So many hosts, with dice of that seed in the cable."""
        self.names = names
        self.addresses = {name: f"10.77.0.{i + 1}" for i, name in enumerate(names)}
        self._spaces = {name: f"t{os.getpid()}-{next(_COUNT)}-{name}" for name in names}
        self._seed = seed

    def __enter__(self) -> Hosts:
        for space in self._spaces.values():
            _ip("netns", "add", space)
        self._cable = subprocess.Popen(
            [sys.executable, str(CABLE), str(self._seed), *self._spaces.values()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_die_with_parent,
        )
        try:
            self._answer()
            for name, space in self._spaces.items():
                _ip("-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", DEVICE)
                _ip("-n", space, "link", "set", DEVICE, "addrgenmode", "none")
                for device in ("lo", DEVICE):
                    _ip("-n", space, "link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cable.stdin.close()
        self._cable.wait(timeout=10)
        self._cable.stdout.close()
        for space in self._spaces.values():
            _ip("netns", "del", space)

    def on(self, name: str, *command: str) -> list[str]:
        """The command, to be run on a host."""
        return ["ip", "netns", "exec", self._spaces[name], *command]

    def _answer(self) -> dict:
        return json.loads(self._cable.stdout.readline())

    def _tell(self, **command) -> dict:
        self._cable.stdin.write(json.dumps(command) + "\n")
        self._cable.stdin.flush()
        return self._answer()

    def trouble(self, source: str, *targets: str, both: bool = True, **what) -> None:
        """Give the way from a host to others (and back) trouble; see `Trouble`; none: mended."""
        a = self.names.index(source)
        lines = [(a, self.names.index(target)) for target in targets]
        lines += [(b, a) for a, b in lines] if both else []
        self._tell(lines=lines, trouble=asdict(Trouble(**what)))

    def cut(self, source: str, *targets: str, both: bool = True) -> None:
        """Cut the way from a host to others, and back."""
        self.trouble(source, *targets, both=both, cut=True)

    def mend(self, source: str, *targets: str) -> None:
        """The way is as new, both ways."""
        self.trouble(source, *targets)

    def passed(self) -> dict[tuple[str, str], dict[str, int]]:
        """Frames, bytes (of IP packets) and multicasts that have passed, and frames lost."""
        return {(self.names[a], self.names[b]): counted for a, b, counted in self._tell()["lines"]}

    def total(self, what: str) -> int:
        """The same, summed over all ways."""
        return sum(counted[what] for counted in self.passed().values())


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
