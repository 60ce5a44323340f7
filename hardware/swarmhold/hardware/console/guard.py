"""Who may look and who may act: hosts, origins, the token, keys against doing a thing twice.

The console listens on this machine alone unless it is told otherwise. That is not enough: any page
in the operator's browser can send requests to it, and a name that an attacker owns can be made to
point here (DNS rebinding). So the names by which it is called must be its own, and so must the
origin of whoever calls.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmhold.hardware.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MOST_KEYS = 1000  # answers that are remembered
KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Gate:
    """Names and token of one console.

    Attributes:
        names: host names, with brackets where they are IPv6 addresses, by which it may be called.
        port: on which it listens.
        token: who has it may act; None: nobody may.
    """

    names: tuple[str, ...]
    port: int
    token: str | None = field(default=None, repr=False)

    def host_is_own(self, host: str | None) -> bool:
        """Whether a `Host` header names this console."""
        return (host or "").lower() in {f"{name}:{self.port}" for name in self.names} | (
            set(self.names) if self.port == 80 else set()
        )

    def origin_is_own(self, origin: str | None) -> bool:
        """Whether an `Origin` header, if there is one, is of a page of this console."""
        if origin is None:
            return True
        scheme, _, host = origin.partition("://")
        return scheme == "http" and self.host_is_own(host)

    def may_act(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header bears the token."""
        if self.token is None:
            return False
        scheme, _, given = (authorization or "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return scheme.lower() == "bearer" and same


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command was answered with."""

    status: int
    body: Mapping[str, Any]


class Conflict(Exception):
    """A key was used for something else, or for something that is not done yet."""

    def __init__(self, status: int, reason: str) -> None:
        """Args: HTTP status, and what is wrong."""
        super().__init__(reason)
        self.status = status


class Once:
    """Remembers what was done under which key, so that a request that is repeated is not."""

    def __init__(self) -> None:
        """Nothing done yet."""
        self._lock = threading.Lock()
        self._done: OrderedDict[str, tuple[str, Answer | None]] = OrderedDict()

    def do(self, key: str, asked: str, act: Callable[[], Answer]) -> tuple[Answer, bool]:
        """Do it, or say what came of it when it was done.

        Args:
            key: of the request.
            asked: digest of what is asked for.
            act: does it.

        Returns:
            The answer, and whether it is one of before.

        Raises:
            Conflict: the key was used for another request, or its first one is still under way.
        """
        with self._lock:
            if key in self._done:
                before, answer = self._done[key]
                if before != asked:
                    raise Conflict(422, "this Idempotency-Key was used for another request")
                if answer is None:
                    raise Conflict(409, "the first request with this Idempotency-Key is under way")
                return answer, True
            self._done[key] = asked, None
        try:
            answer = act()
        except BaseException:
            with self._lock:
                self._done.pop(key, None)
            raise
        with self._lock:
            self._done[key] = asked, answer
            while len(self._done) > MOST_KEYS:
                self._done.popitem(last=False)
        return answer, False


def digest_of(route: str, body: Any) -> str:
    """Of what a request asks for."""
    text = json.dumps([route, body], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Audit:
    """Append-only lines of who asked for what, and what came of it."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if absent, for its owner alone.

        Raises:
            ConfigError: it cannot be written.
        """
        self.path, self._lock = path, threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ConfigError(f"{path}: the audit log cannot be written ({error})") from error
        self._file = os.fdopen(number, "a", encoding="utf-8")

    def note(self, **values: Any) -> None:
        """One line, on the disk before the command is answered."""
        line = json.dumps({"t": time.time(), **values}, default=str)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
