"""What must be installed before anything is started."""

from __future__ import annotations

import importlib.util

from swarmhold.hardware.errors import MissingExtraError


def need(module: str, extra: str | None) -> None:
    """Raise `MissingExtraError` where a module is absent; `extra` brings it."""
    if importlib.util.find_spec(module) is None:
        cure = f"pip install 'swarmhold[{extra}]'" if extra else "run make setup in a checkout"
        raise MissingExtraError(f"{module} is not installed; {cure}")
