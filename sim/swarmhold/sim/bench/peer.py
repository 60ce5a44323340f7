"""Other projects measured beside ours: each in its own process and virtual environment.

A script of `peers/` is run by the peer's interpreter. It says that it is ready in one JSON line,
then runs one round for every line that it is sent, and answers with steps and CPU-seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from swarmhold.hardware.errors import ConfigError

SCRIPTS = Path(__file__).parent / "peers"
ENDS_S = 10.0  # s that a script gets to end by itself


class Peer:
    """A running peer.

    Attributes:
        name: of the script.
        versions: of the peer and what it stands on.
        notes: what its script found wrong with it.
    """

    def __init__(self, name: str, python: Path, **options: Any) -> None:
        """Start it, and wait until it is ready.

        Args:
            name: script in `peers/`, without ending.
            python: interpreter of a virtual environment in which the peer is installed.
            options: handed to the script.

        Raises:
            ConfigError: unknown peer, no such interpreter, or the peer does not run in it.
        """
        script = SCRIPTS / f"run_{name}.py"  # the prefix, lest a script hides its peer
        if not script.is_file():
            known = ", ".join(sorted(path.stem[4:] for path in SCRIPTS.glob("run_*.py")))
            raise ConfigError(f"unknown peer {name!r}; choose one of: {known}")
        if not os.access(python, os.X_OK) or python.is_dir():
            raise ConfigError(f"peer {name}: {python} is no Python interpreter")
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self._folder = tempfile.TemporaryDirectory()  # peers write logs where they run
        self._process = subprocess.Popen(
            [
                str(python.absolute()),
                str(script),
                *(f"{key}={value}" for key, value in options.items()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=self._folder.name,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
        ready = self._answer()
        self.versions: dict[str, str] = ready["versions"]
        self.notes: list[str] = ready.get("notes", [])

    def round(self) -> tuple[float, float]:
        """Run one round: steps done, and CPU-seconds spent.

        Raises:
            ConfigError: the peer has died.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # if it has died, the answer says so
            self._process.stdin.write("round\n")
            self._process.stdin.flush()
        found = self._answer()
        return float(found["steps"]), float(found["cpu_s"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # peers may print what they like
            if line.startswith('{"swarmhold"'):
                return dict(json.loads(line))
        self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors if line.strip()]
        self.close()
        raise ConfigError(
            f"peer {self.name} does not run: {said[-1] if said else 'no word of why'}"
        )

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        self._folder.cleanup()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
