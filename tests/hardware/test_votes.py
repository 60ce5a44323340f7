"""Votes are counted as they would be one at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware import votes
from swarmhold.hardware.votes import count_votes


def one_at_a_time(accusations, counts):
    *lead, observers, n = accusations.shape
    out = np.zeros((*lead, n, 16), int)
    for place in np.ndindex(*lead, observers, n):
        *team, observer, subject = place
        if counts[(*team, observer)] and observer != subject:
            for bit in range(16):
                out[(*team, subject, bit)] += (int(accusations[place]) >> bit) & 1
    return out


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 1), st.sampled_from([(), (3,)]))
def test_counts_of_all_bits(seed, n, more, lead):
    rng = np.random.default_rng(seed)
    accusations = rng.integers(0, 2**16, (*lead, n + more, n)).astype(np.uint16)
    counts = rng.random((*lead, n + more)) < 0.7
    before = accusations.copy()
    assert (count_votes(accusations, counts) == one_at_a_time(accusations, counts)).all()
    assert (accusations == before).all()


def test_large_teams_are_counted_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    accusations = rng.integers(0, 2**16, (2, 21, 20)).astype(np.uint16)
    counts = np.ones((2, 21), bool)
    whole = count_votes(accusations, counts)
    monkeypatch.setattr(votes, "_BLOCK", 200)
    assert (count_votes(accusations, counts) == whole).all()
    full = np.full((255, 3), 0xFFFF, np.uint16)
    assert (count_votes(full, np.ones(255, bool)) == 254).all()
    with pytest.raises(ValueError, match="at most 255"):
        count_votes(np.zeros((256, 3), np.uint16), np.ones(256, bool))
