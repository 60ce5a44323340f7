"""The error tree. Every message is one line: what is wrong, then what cures it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SwarmholdError(Exception):
    """Base of every error that a user can cause or cure."""


class ConfigError(SwarmholdError):
    """A configuration value or key is wrong."""


class BundleError(SwarmholdError):
    """A policy bundle is damaged, incomplete or not what its manifest says."""


class SpecMismatchError(BundleError):
    """A bundle speaks another contract than the code or the robot that loads it."""


class MissingExtraError(SwarmholdError):
    """An optional dependency is absent; the message names the extra to install."""


class NotReadyError(SwarmholdError):
    """Something that must be running is not (a robot, a node, a link)."""


class MessageError(SwarmholdError):
    """A message makes no sense; whoever receives it drops it."""


def hint(word: object, known: Iterable[str], prefix: str = "", otherwise: str = "known") -> str:
    """What to say of a word that is not among those known: the nearest, or all of them."""
    words = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), words, n=1)
    return f"did you mean {prefix + close[0]!r}?" if close else f"{otherwise}: {', '.join(words)}"
