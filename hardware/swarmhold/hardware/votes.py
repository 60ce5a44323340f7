"""How many observers say what of whom: all bits of the accusations counted at once.

A byte's eight bits are spread over the eight bytes of a word; words are then summed over the
observers, and each byte of a sum is the count of one bit.
"""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Int

MOST = 255  # observers that a byte can count
_BLOCK = 2**18  # words that are summed at a time, so that large batches stay within the cache
_SPREAD = (
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=-1, bitorder="little")
    .view("<u8")
    .ravel()
)


def given(accusations: Int, counts: Bool) -> Int:
    """(..., O, N) the words of those who count, 0 of others and of what one says of oneself."""
    words = np.where(counts[..., None], accusations, 0).astype("<u2", copy=False)
    own = np.arange(accusations.shape[-1])
    words[..., own, own] = 0
    return words


def count_votes(accusations: Int, counts: Bool) -> Int:
    """Votes by subject and bit.

    Args:
        accusations: (..., O, N) bits, two bytes each; O is at least N and at most `MOST`.
        counts: (..., O) observers whose word counts; nobody is asked about itself.

    Returns:
        (..., N, 16) how many observers of each subject set each bit, the lowest bit first.
    """
    *lead, observers, n = accusations.shape
    if observers > MOST:
        raise ValueError(f"{observers} observers; at most {MOST} are counted")
    words = given(accusations, counts).view(np.uint8).reshape(*lead, observers, 2 * n)
    step = max(_BLOCK // max(int(np.prod(lead, dtype=int)) * 2 * n, 1), 1)
    total = np.zeros((*lead, 2 * n), np.uint64)
    for start in range(0, observers, step):
        total += _SPREAD[words[..., start : start + step, :]].sum(axis=-2, dtype=np.uint64)
    return total.view(np.uint8).reshape(*lead, n, 16).astype(np.int16)
