"""Whether JaxRobotarium and what it stands on are installed, and whether its barrier works."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Float
from swarmhold.sim.ground.barrier import SAFETY_RADIUS
from swarmhold.sim.ground.engine import filter_wheels

SOUND = "335fde9c48c7604c120d78067ecbc937003f969d"  # the commit that its submodule names
RPS = "https://github.com/shalin-jain/robotarium_python_simulator"
BARRIER = "rps_jax.utilities.barrier_certificates2"
# Packages in the order in which they must be imported, and what pip is told for each: JaxMARL
# imports JaxRobotarium in a circle and then claims that it is not there, unless it comes first;
# the simulator's parts have no __init__, so that an ordinary install leaves them out.
PACKAGES = {
    "jaxmarl": "jaxmarl",
    "jaxopt": "jaxopt",
    "rps_jax": f'-e "git+{RPS}@{SOUND[:12]}#egg=robotarium_python_simulator"',
    "jaxrobotarium": '"jaxrobotarium @ git+https://github.com/GT-STAR-Lab/JaxRobotarium"',
}
# Share of the excess speed that the filter must take off in the known problem. A filter without
# its constraint matrix takes off none; theirs, whose solver ends early there, takes off 0.35.
HEEDS = 0.2


@dataclass(frozen=True)
class Installed:
    """What `probe` found.

    Attributes:
        jax: the module.
        scenarios: the module that holds JaxRobotarium's scenario classes.
        simulator: class of its simulator.
        barriers: the module that makes its barrier filters.
        versions: by package; "?" for a checkout.
    """

    jax: Any
    scenarios: Any
    simulator: Any
    barriers: Any
    versions: dict[str, str]


def _there(name: str) -> bool:
    """Whether a module can be found; its parents are imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _check_packages() -> None:
    """Raises: ConfigError, naming everything that is missing and the commands that install it."""
    missing = [name for name in PACKAGES if not _there(name)]
    if missing:
        cure = " ".join(PACKAGES[name] for name in missing)
        raise ConfigError(
            f"JaxRobotarium cannot be used: {', '.join(missing)} missing; pip install {cure}"
        )
    if not _there(BARRIER):
        raise ConfigError(
            "JaxRobotarium cannot be used: rps_jax is installed without rps_jax.utilities, as "
            f"ordinary installs are; pip install {PACKAGES['rps_jax']}"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is printed meanwhile; JaxMARL puts the streams of the process's start back itself."""
    names = ("stdout", "stderr", "__stdout__")
    kept = {name: getattr(sys, name) for name in names}
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.__stdout__ = nowhere  # type: ignore[misc]
        try:
            yield
        finally:
            for name, stream in kept.items():
                setattr(sys, name, stream)


def _load(name: str) -> Any:
    """Import without what the package prints meanwhile."""
    with _quiet():
        try:
            return importlib.import_module(name)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"JaxRobotarium cannot be used: {name} does not import "
                f"({type(error).__name__}: {reason}); install what it asks for"
            ) from error


def known_problem() -> tuple[Float, Float]:
    """Two robots, 30 cm apart, that drive at each other: poses (1, 2, 3), commands (1, 2, 2)."""
    poses = np.array([[[-0.15, 0.0, 0.0], [0.15, 0.0, np.pi]]])
    return poses, np.array([[[0.2, 0.0], [0.2, 0.0]]])


def check_barrier(create_barrier: Any) -> None:
    """Whether the barrier makes any use of its constraint matrix, by a problem of known solution.

    Raises:
        ConfigError: it does not.
    """
    poses, command = known_problem()
    exact = filter_wheels(poses, command)[0][0, 0, 0]
    answer = create_barrier(safety_radius=SAFETY_RADIUS)(command[0].T, poses[0].T)
    found, wish = float(np.asarray(answer)[0, 0]), command[0, 0, 0]
    if not wish - found > HEEDS * (wish - exact):
        raise ConfigError(
            f"JaxRobotarium cannot be used: its barrier lets {found:.3f} m/s pass where "
            f"{exact:.3f} is safe, for this rps_jax ignores its constraint matrix; "
            f"pip install {PACKAGES['rps_jax']}"
        )


@functools.cache
def probe() -> Installed:
    """Import all that JaxRobotarium needs, in an order that works, and test its barrier.

    Raises:
        ConfigError: something is missing, does not import, or filters wrongly; one line that
            says which, and what to install.
    """
    _check_packages()
    modules = {name: _load(name) for name in ("jaxmarl", "jaxopt", BARRIER, "jaxrobotarium")}
    jax, simulator = _load("jax"), _load("rps_jax.robotarium")
    check_barrier(modules[BARRIER].create_robust_barriers)
    versions = {name: _version(name) for name in ("jax", *PACKAGES)}
    return Installed(
        jax, modules["jaxrobotarium"], simulator.Robotarium, modules[BARRIER], versions
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "?"
