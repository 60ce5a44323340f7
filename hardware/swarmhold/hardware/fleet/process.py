"""One child process: own session, JSON status lines, no way to outlive its launcher."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmhold.hardware.fleet.stop import uninterrupted

TERM_S = 5.0  # between asking and killing
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child: be killed when the launcher dies, however that happens."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


MODULES = {"policy": "policy_node", "supervisor": "supervisor_node", "world": "world_node"}


def node_command(
    node: str, parameters: Mapping[str, Any], name: str, namespace: str, enclave: str | None
) -> list[str]:
    """Program and arguments of a ROS node.

    Args:
        node: what it is: a key of `MODULES`, or a module of `swarmhold_nodes`.
        parameters: ROS parameters by name.
        name: of the process, and of the node where that is another one than usual.
        namespace: "" for none.
        enclave: in the keystore; None without security.
    """
    command = [sys.executable, "-m", f"swarmhold_nodes.{MODULES.get(node, node)}", "--ros-args"]
    if namespace:
        command += ["-r", f"__ns:={namespace}"]
    elif name != node:
        command += ["-r", f"__node:={name}"]
    if enclave is not None:
        command += ["--enclave", enclave]
    for key, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        command += ["-p", f"{key}:={text}"]
    return command


def group_command(robots: Sequence[int], parameters: Path) -> list[str]:
    """Program and arguments of a process with a policy node for each of some robots.

    Args:
        robots: roster indices.
        parameters: ROS parameter file with those of all nodes.
    """
    command = [sys.executable, "-m", "swarmhold_nodes.policy_group", "--robots"]
    return [*command, *map(str, robots), "--ros-args", "--params-file", str(parameters)]


class Child:
    """A started process and the status lines that it prints."""

    def __init__(
        self,
        name: str,
        command: list[str],
        env: dict[str, str],
        log: Path,
        on_line: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """Start it.

        Args:
            name: for messages.
            command: program and arguments.
            env: whole environment.
            log: file that takes its standard error.
            on_line: called with name and values of every status line, from a thread.
        """
        self.name = name
        self._log_path = log
        self._log = log.open("ab")
        self._on_line = on_line
        with uninterrupted():
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.ready = threading.Event()
        self.failure: str | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    values = json.loads(line)
                    event = values["event"]
                except (ValueError, KeyError, TypeError):
                    continue  # libraries print greetings
                if event == "ready":
                    self.ready.set()
                elif event == "failed":
                    self.failure = str(values.get("reason"))
                self._on_line(self.name, values)

    def signal(self, number: signal.Signals) -> float:
        """Send a signal; returns the wall-clock time at which it was sent, s."""
        now = time.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return now

    def tell(self, values: dict[str, Any]) -> None:
        """One JSON line to its standard input; lost if it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(values).encode() + b"\n")
            self._process.stdin.flush()

    def ask_to_end(self) -> None:
        """SIGTERM; a stopped process is continued so that it can obey."""
        if self.running:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)

    def end(self, deadline: float) -> int:
        """Wait until `deadline` (monotonic s), then kill; returns the exit code."""
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            code = self._process.wait()
        self._reader.join(timeout=1.0)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._log.close()
        return code

    def last_words(self) -> str:
        """What it said before it failed: its reason, or the last line of its log."""
        if self.failure:
            return self.failure
        with contextlib.suppress(OSError):
            lines = self._log_path.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
        return f"exit code {self._process.poll()}"


def end_all(children: list[Child]) -> None:
    """End children together: ask all, wait for all, kill who is left."""
    for child in children:
        child.ask_to_end()
    deadline = time.monotonic() + TERM_S
    for child in children:
        child.end(deadline)
