"""Hosts on one machine: network namespaces, each with an address, joined by a cable."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.fleet.stop import uninterrupted
from swarmhold.hardware.network.cable import Trouble

NETWORK = "10.77.0"
END_S = 10.0  # for the cable to end
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
Way = tuple[str, str]  # from a host to another one


def need_hosts() -> None:
    """Check what can be seen of whether this machine can have such hosts.

    Raises:
        NotReadyError: it cannot.
    """
    if os.geteuid() != 0:
        raise NotReadyError("hosts as network namespaces need root: sudo -E")
    for tool, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(tool) is None:
            raise NotReadyError(f"hosts as network namespaces need {tool}: apt install {package}")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise NotReadyError("the cable between hosts needs /dev/net/tun: modprobe tun")


def inside(space: str, *command: str) -> list[str]:
    """The command, to be run in a network namespace (path); its process is the command's own."""
    return ["nsenter", f"--net={space}", "--", *command]


def entrance_of(flight: Mapping[str, Any]) -> tuple[bool, str]:
    """Where others join the team of a flight.

    Args:
        flight: its first event.

    Returns:
        Whether the team has hosts of its own, and the path of the network namespace; "" if it is
        there no more.

    Raises:
        NotReadyError: only root may know.
    """
    found = flight.get("entrance")
    if not isinstance(found, dict):
        return False, ""
    try:  # a path may have come to mean something else
        there = os.readlink(str(found.get("path"))) == found.get("name")
    except PermissionError as error:
        raise NotReadyError("hosts as network namespaces need root: sudo -E") from error
    except OSError:
        there = False
    return True, str(found["path"]) if there else ""


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Hosts:
    """Context manager around namespaces and cable; leaving it takes all of it down.

    They end with the process too, however that ends.

    Attributes:
        names: of the hosts.
        addresses: by name of the host.
    """

    def __init__(self, *names: str, seed: int = 0) -> None:
        """So many hosts, with dice of that seed in the cable."""
        self.names = names
        self.addresses = {name: f"{NETWORK}.{i + 1}" for i, name in enumerate(names)}
        self._seed = seed

    def __enter__(self) -> Hosts:
        """Start the cable.

        Raises:
            NotReadyError: this machine cannot have such hosts.
        """
        need_hosts()
        with uninterrupted():
            self._cable = subprocess.Popen(
                [sys.executable, "-m", "swarmhold.hardware.network.cable", str(self._seed),
                 *self.addresses.values()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for the launcher; nodes end before their cable
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        try:
            answer = self._answer()
            self._spaces = dict(zip(self.names, answer["namespaces"], strict=True))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._cable.stdin is not None and self._cable.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._cable.stdin.close()
        try:
            self._cable.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._cable.kill()
            self._cable.wait()
        self._cable.stdout.close()

    @property
    def pid(self) -> int:
        """Process of the cable."""
        return self._cable.pid

    def on(self, name: str, *command: str) -> list[str]:
        """The command, to be run on a host; its process is the command's own."""
        return inside(self._spaces[name], *command)

    def space(self, name: str) -> tuple[str, str]:
        """Path and the kernel's name of a host's network namespace."""
        return self._spaces[name], os.readlink(self._spaces[name])

    def _answer(self) -> dict[str, Any]:
        assert self._cable.stdout is not None
        line = self._cable.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {}
        if answer.get("event") not in ("ready", "passed"):
            raise NotReadyError(f"no cable between hosts: {answer.get('reason', 'it has ended')}")
        return answer

    def _tell(self, **command: Any) -> dict[str, Any]:
        assert self._cable.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # which the answer tells
            self._cable.stdin.write(json.dumps(command) + "\n")
            self._cable.stdin.flush()
        return self._answer()

    def check(self) -> None:
        """Notice a cable that has ended.

        Raises:
            NotReadyError: it has.
        """
        if self._cable.poll() is not None:
            raise NotReadyError(f"the cable between hosts ended with {self._cable.returncode}")

    def set(self, troubles: Mapping[Way, Trouble]) -> None:
        """Give ways such troubles from now on, all at once; all others stay as they are."""
        self._tell(
            troubles=[
                [self.names.index(source), self.names.index(target), asdict(trouble)]
                for (source, target), trouble in troubles.items()
            ]
        )

    def trouble(self, source: str, *targets: str, both: bool = True, **what: Any) -> None:
        """Give the way from a host to others (and back) trouble; see `Trouble`; none: mended."""
        ways = [(source, target) for target in targets]
        ways += [(target, source) for target in targets] if both else []
        self.set(dict.fromkeys(ways, Trouble(**what)))

    def cut(self, source: str, *targets: str, both: bool = True) -> None:
        """Cut the way from a host to others, and back."""
        self.trouble(source, *targets, both=both, cut=True)

    def mend(self, source: str, *targets: str) -> None:
        """The way is as new, both ways."""
        self.trouble(source, *targets)

    def passed(self) -> dict[Way, dict[str, int]]:
        """Frames, bytes (of IP packets) and multicasts that have passed, and frames lost."""
        return {(self.names[a], self.names[b]): counted for a, b, counted in self._tell()["lines"]}

    def total(self, what: str) -> int:
        """The same, summed over all ways."""
        return sum(counted[what] for counted in self.passed().values())
