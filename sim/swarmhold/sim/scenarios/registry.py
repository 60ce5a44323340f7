"""Find scenarios by name: those that ship, those of installed packages, and a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.sim.scenarios.base import Scenario

SHIPPED = (
    *("rendezvous", "coverage", "pursuit", "formation"),
    *("multibroken", "fix"),
    *("navigation", "discovery", "foraging", "warehouse"),
)
GROUP = "swarmhold.scenarios"  # entry points of other packages
VARIABLE = "SWARMHOLD_SCENARIOS"  # folders, separated as in PATH
FOLDER = Path("scenarios")  # of the current directory


def scenario_of(name: str) -> Scenario:
    """The scenario of that name.

    Looked for among those that ship, then in the folder `scenarios` of the current directory and
    the folders of SWARMHOLD_SCENARIOS (a file NAME.py with one `Scenario` in it), then among the
    entry points of installed packages. A path to a file does as well.

    Raises:
        ConfigError: there is none, or the file holds none or cannot be run.
    """
    if name in SHIPPED:
        return _only(importlib.import_module(f"swarmhold.sim.scenarios.{name}"), name)
    if name.endswith(".py"):
        return _from_file(Path(name))
    for folder in _folders():
        if (folder / f"{name}.py").is_file():
            return _from_file(folder / f"{name}.py")
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _checked(point.load(), f"entry point {name}")
    cure = hint(name, SHIPPED, otherwise="shipped")
    raise ConfigError(
        f"unknown scenario {name!r}; {cure} Your own goes into {FOLDER}/{name}.py "
        f"or a folder named in {VARIABLE}"
    )


def _folders() -> Iterator[Path]:
    yield FOLDER
    for part in os.environ.get(VARIABLE, "").split(os.pathsep):
        if part:
            yield Path(part)


def _from_file(path: Path) -> Scenario:
    if not path.is_file():
        raise ConfigError(f"scenario file {path} does not exist")
    label = f"swarmhold_user_scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(label, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[label] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        kind = type(error).__name__
        raise ConfigError(f"scenario file {path} cannot be run: {kind}: {error}") from error
    return _only(module, str(path))


def _only(module: object, where: str) -> Scenario:
    """The one scenario that a module defines."""
    label = getattr(module, "__name__", "")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Scenario) and value.__module__ == label
    ]
    leaves = [kind for kind in found if not any(other.__base__ is kind for other in found)]
    if len(leaves) != 1:
        raise ConfigError(f"{where} defines {len(leaves)} scenarios; it must define exactly one")
    return _checked(leaves[0], where)


def _checked(kind: object, where: str) -> Scenario:
    if not (isinstance(kind, type) and issubclass(kind, Scenario)):
        raise ConfigError(f"{where} is not a subclass of swarmhold.sim.scenarios.base.Scenario")
    if not kind.name:
        raise ConfigError(f"{where}: the scenario has no name")
    return kind()
