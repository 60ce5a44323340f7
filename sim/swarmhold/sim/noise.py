"""Random numbers of the simulator: each is a hash of (key of the episode, step, stream, index).

So a team draws the same numbers whether it is simulated alone, among thousands, in another
process, or again after a snapshot.
"""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.draws import Keys, mix, uniform
from swarmhold.hardware.types import Float

__all__ = ["Keys", "mix", "normal", "uniform"]


def normal(keys: Keys, shape: tuple[int, ...]) -> Float:
    """(*keys.shape, *shape) standard normal numbers (Box and Muller)."""
    u = 1.0 - uniform(mix(keys, 1), shape)
    v = uniform(mix(keys, 2), shape)
    return np.asarray(np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v))
