"""Fault schedules of AACFT's training: when faults start, and in whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.faults import JITTER, SCHEDULES, scheduled_faults

EPISODE = 8.0
fractions = st.floats(0.0, 1.0)
windows = st.tuples(fractions, fractions).map(
    lambda pair: (EPISODE * min(pair), EPISODE * max(pair))
)
sizes = st.lists(st.integers(1, 50), min_size=1, max_size=12)
counts = st.tuples(st.integers(1, 3), st.integers(0, 2)).map(lambda pair: (pair[0], sum(pair)))


def draw(schedule, progress, window, team_sizes=(5,) * 8, count=(1, 1), seed=0):
    return scheduled_faults(
        *(np.random.default_rng(seed), schedule, progress, team_sizes, ["freeze", "crash"]),
        *(window, EPISODE, count),
    )


def onsets(plan):
    return np.array([fault.start_s for faults in plan for fault in faults])


@given(st.sampled_from(SCHEDULES), fractions, windows, sizes, counts, st.integers(0, 2**31))
def test_plans_fit_the_team_and_the_episode(schedule, progress, window, team_sizes, count, seed):
    plan = draw(schedule, progress, window, team_sizes, count, seed)
    assert plan == draw(schedule, progress, window, team_sizes, count, seed)
    assert len(plan) == len(team_sizes)
    quiet = schedule == "incremental" and progress < 0.25
    for faults, size in zip(plan, team_sizes, strict=True):
        robots = {fault.robot for fault in faults}
        assert len(robots) == len(faults) and robots <= set(range(size))
        least, most = (0, 0) if quiet else (min(part, size - 1) for part in count)
        assert least <= len(faults) <= most
        assert all(0.0 <= fault.start_s <= EPISODE for fault in faults)
        assert {fault.kind for fault in faults} <= {"freeze", "crash"}


@given(fractions, windows)
def test_fixed_is_the_middle_and_uniform_the_window(progress, window):
    assert np.allclose(onsets(draw("fixed", progress, window)), np.mean(window))
    start = onsets(draw("uniform", progress, window))
    assert np.all((start >= window[0]) & (start <= window[1]))
    assert draw("uniform", progress, window) == draw("uniform", 0.0, window)


@given(st.floats(0.25, 0.5, exclude_max=True), windows)
def test_incremental_anneals_from_the_end_to_the_start(progress, window):
    start = onsets(draw("incremental", progress, window, count=(2, 2)))
    middle = EPISODE * (2.0 - 4.0 * progress)
    assert len(start) == 16
    assert np.all(np.abs(start - middle) <= JITTER * EPISODE + 1e-9)


@given(st.floats(0.5, 1.0), windows)
def test_incremental_ends_as_uniform(progress, window):
    assert draw("incremental", progress, window) == draw("uniform", progress, window)


def test_onsets_fill_the_window_and_every_robot_has_its_turn():
    plan = draw("uniform", 0.5, (2.0, 6.0), team_sizes=[5] * 2000)
    share, _ = np.histogram(onsets(plan), bins=4, range=(2.0, 6.0))
    assert np.all(np.abs(share / 2000 - 0.25) < 0.05)
    robots = np.bincount([faults[0].robot for faults in plan], minlength=5)
    assert np.all(np.abs(robots / 2000 - 0.2) < 0.05)


@pytest.mark.parametrize(
    ("schedule", "progress", "window", "message"),
    [
        ("linear", 0.0, (0.0, 1.0), "unknown fault schedule 'linear'; choose one of: fixed"),
        ("fixed", 1.5, (0.0, 1.0), "progress is 1.5"),
        ("fixed", 0.5, (3.0, 1.0), "fault window is 3.0 s to 1.0 s"),
        ("uniform", 0.5, (3.0, 9.0), "within the episode, 0 to 8.0 s"),
    ],
)
def test_bad_schedules_are_one_line(schedule, progress, window, message):
    with pytest.raises(ConfigError, match=message):
        draw(schedule, progress, window)
