"""Tokens of operators: one word in a file that nobody else may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from swarmhold.hardware.errors import ConfigError

LEAST_TOKEN = 16  # characters


def new_token() -> str:
    """A token that nobody knows yet."""
    return secrets.token_urlsafe(24)


def write_token(path: Path) -> None:
    """Make a token in a new file of its owner's alone.

    Raises:
        ConfigError: the file exists, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists already; choose a new file") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another") from error
    with os.fdopen(handle, "w") as file:
        file.write(new_token() + "\n")


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        ConfigError: it cannot be read, is too short, or anybody may read it.
    """
    try:
        token = path.read_text().strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the token cannot be read ({error})") from error
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        raise ConfigError(f"{path} may be read by others; chmod 600 {path}")
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{path}: a token is one word of at least {LEAST_TOKEN} characters")
    return token
