"""Small offsets between where a robot claims to be and where it is seen, summed up over time."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.monitor import (
    Accusation,
    MonitorConfig,
    monitor_init,
    monitor_step,
)

sys.path.insert(0, str(Path(__file__).parent))
from moments import heard

A, MONITOR = Accusation, MonitorConfig()
OFFSET = replace(MONITOR, sigma_m=0.01, offset_limit_s=2.0)


def sighted(off, steps, config=OFFSET, velocity=(0.0, 0.0, 0.0), dt=0.05, seed=0):
    """Robot 1 claims to be `off` m from where it is seen, with noise; how often it is accused."""
    rng, state = np.random.default_rng(seed), monitor_init(config, (), 3)
    accused = []
    for k in range(steps):
        place = rng.normal(0.0, 0.01, (3, 3))
        place[1] += off
        seen = heard(3, claimed=place)
        moves = np.tile(np.asarray(velocity), (3, 1))
        state, bits = monitor_step(
            config, state, replace(seen, said=replace(seen.said, velocity=moves)), k * dt
        )
        accused.append((bits & A.MISMATCH) != 0)
    return np.array(accused)


@pytest.mark.parametrize("dt", [0.05, 0.1])
def test_a_small_offset_that_stays_is_summed_up(dt):
    accused = sighted((0.03, 0.0, 0.0), round(3.0 / dt), dt=dt)
    assert not accused[:, [0, 2]].any(), "noise alone is nothing"
    first = accused[:, 1].argmax() * dt
    assert accused[-1, 1] and 0.2 < first < 1.5, "after the same time whatever the rate"
    assert not sighted((0.03, 0.0, 0.0), 60, MONITOR).any(), "where nothing was calibrated"


def test_one_sighting_far_off_is_no_offset():
    off = np.zeros((60, 3))
    off[20] = 5.0
    state = monitor_init(OFFSET, (), 3)
    for k, error in enumerate(off):
        claimed = np.zeros((3, 3))
        claimed[1] = error
        state, bits = monitor_step(OFFSET, state, heard(3, claimed=claimed), 0.05 * k)
        assert not (bits & A.MISMATCH).any()


@pytest.mark.parametrize(("behind", "across", "caught"), [(0.03, 0.0, False), (0.0, 0.03, True)])
def test_a_message_that_is_late_leaves_a_robot_behind_itself(behind, across, caught):
    """At 0.3 m/s 3 cm are 0.1 s; that explains nothing of what lies across its way."""
    accused = sighted((-behind, across, 0.0), 60, velocity=(0.3, 0.0, 0.0))
    assert accused[:, 1].any() == caught


def test_a_message_known_to_be_late_is_no_measure_of_small_errors():
    for late, caught in ((0.0, True), (0.6, False)):
        state = monitor_init(OFFSET, (), 3)
        for k in range(60):
            claimed = np.zeros((3, 3))
            claimed[1, 0] = 0.03 if k > 10 else 0.0
            now = np.full(3, 0.05 * k)
            behind = now - np.array([0.0, late if k > 10 else 0.0, 0.0])
            seen = heard(3, claimed=claimed)
            seen = replace(seen, said=replace(seen.said, stamp=behind, heard_at=now))
            state, bits = monitor_step(OFFSET, state, seen, 0.05 * k)
        assert bool(bits[1] & A.MISMATCH) == caught


def test_an_offset_that_ends_is_forgiven():
    state, bits = monitor_init(OFFSET, (), 3), None
    for k in range(200):
        claimed = np.zeros((3, 3))
        claimed[1, 0] = 0.04 if k < 100 else 0.0
        state, bits = monitor_step(OFFSET, state, heard(3, claimed=claimed), 0.05 * k)
        if k == 99:
            assert bits[1] & A.MISMATCH
    assert not bits[1] & A.MISMATCH
