"""What simulated robots have that their twin does not know of, for `swarmhold gap` to find.

Off unless somebody asks for it: a rehearsal of the difference between simulation and robots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.types import Float

LIMITS = {"latency": (0.0, 1.0), "wheel_scale": (0.2, 3.0), "drag": (0.0, 10.0)}
PLAIN = {"latency": 0.0, "wheel_scale": 1.0, "drag": 1.0}


@dataclass(frozen=True, slots=True)
class Hidden:
    """Of N robots.

    Attributes:
        latency: (N) s from the tick that a set-point answers until the motors obey it.
        wheel_scale: (N) factor on the speed of both wheels; ground robots.
        drag: (N) factor on the rotor drag; quadrotors.
    """

    latency: Float
    wheel_scale: Float
    drag: Float

    @property
    def plain(self) -> bool:
        """Whether nothing is hidden."""
        return all((getattr(self, name) == value).all() for name, value in PLAIN.items())


def nothing_hidden(robots: int) -> Hidden:
    """Robots that are as their twin has them."""
    return Hidden(*(np.full(robots, PLAIN[field.name]) for field in fields(Hidden)))


def parse_hidden(words: Sequence[str], robots: int) -> Hidden:
    """Parse words such as `latency=0.06`, of all robots, or `wheel_scale:2=0.85`, of one.

    Args:
        words: later ones win.
        robots: N.

    Raises:
        ConfigError: a word is none of these; the message says which are.
    """
    found = nothing_hidden(robots)
    for word in words:
        name, robot, value = _parts(word)
        if robot is not None and robot >= robots:
            raise ConfigError(f"{word} names robot {robot} of {robots}; they count from 0")
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ConfigError(f"{word}: {name} must lie in {low:g} to {high:g}")
        getattr(found, name)[slice(None) if robot is None else robot] = value
    return found


def _parts(word: str) -> tuple[str, int | None, float]:
    left, _, right = word.partition("=")
    name, _, robot = left.partition(":")
    if name not in LIMITS:
        raise ConfigError(f"{word!r} hides nothing that is known; {hint(name, list(LIMITS))}")
    try:
        return name, int(robot) if robot else None, float(right)
    except ValueError as error:
        raise ConfigError(
            f"{word!r} is not NAME=VALUE or NAME:ROBOT=VALUE, e.g. latency=0.06"
        ) from error
