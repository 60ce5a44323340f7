"""Random numbers that depend on where they are used, not on what was drawn before.

A number is a hash of keys (episode, step, robot, purpose) and an index, so it is the same in any
order of computation, in any process, and again on a repeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.types import Float, Int

Keys = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(*parts: Keys | Int | int) -> Keys:
    """Hash integers that broadcast against each other (SplitMix64; Steele et al., OOPSLA 2014)."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = (state ^ np.asarray(part).astype(np.uint64)) + _GOLDEN
            state = (state ^ (state >> np.uint64(30))) * _M1
            state = (state ^ (state >> np.uint64(27))) * _M2
            state = state ^ (state >> np.uint64(31))
    return state


def uniform(keys: Keys, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Float:
    """(*keys.shape, *shape) uniform numbers in [low, high)."""
    index = np.arange(int(np.prod(shape, dtype=int)), dtype=np.uint64)
    bits = mix(keys[..., None], index)
    share = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.asarray((low + (high - low) * share).reshape(*keys.shape, *shape))
