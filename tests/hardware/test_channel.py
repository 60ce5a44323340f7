"""How long an observer waits for the channel: by its gaps, and by who else would have to err."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.channel import (
    AWAY_S,
    CHANCE,
    MOST_S,
    allowed,
    channel_init,
    channel_step,
    patience,
)
from swarmhold.hardware.monitor import Accusation, MonitorConfig, monitor_init, monitor_step

sys.path.insert(0, str(Path(__file__).parent))
from moments import heard

SILENT_S, TICK = 0.25, 0.1


def listen(lost, silent_s=SILENT_S):
    """Ages (T, n) and how long each is waited for, where messages (T, n) are lost."""
    state, age = channel_init((), lost.shape[1]), np.full(lost.shape[1], np.inf)
    ages, waits = [], []
    for gone in lost:
        age = np.where(gone, age + TICK, 0.0)
        state = channel_step(silent_s, state, age, ~gone, np.asarray(TICK))
        ages.append(age)
        waits.append(patience(silent_s, state))
    return np.array(ages), np.array(waits)


def bursts(rng, steps, n, good_s, bad_s=0.3):
    """(steps, n) messages that are lost in spells of a two-state chain."""
    bad, out = np.zeros(n, bool), []
    for draw in rng.uniform(size=(steps, n)):
        bad = np.where(bad, draw >= TICK / bad_s, draw < TICK / good_s)
        out.append(bad)
    return np.array(out)


@pytest.mark.parametrize("n", [2, 3, 4, 8, 100])
def test_on_a_good_channel_the_least_silence_counts(n: int) -> None:
    lost = np.zeros((100, n), bool)
    lost[60:, 0] = True  # and whoever dies on it teaches nothing
    assert (listen(lost)[1] == 0.0).all()


@pytest.mark.parametrize("n", [2, 3])
def test_on_a_bad_channel_few_observers_err_about_as_seldom_as_they_may(n: int) -> None:
    """A listener hears n others; each of them is heard by the rest of these, and by it."""
    lost = bursts(np.random.default_rng(n), 16000, n, 2.7)
    ages, waits = listen(lost)
    late, wait = ages[2000:], waits[2000:]
    assert (late > SILENT_S).mean() > 0.03, "the least silence alone would accuse all the time"
    assert (late > SILENT_S + wait).mean() < 3.0 * allowed(np.array(n))
    assert 0.1 < np.median(wait) < MOST_S - SILENT_S


def test_the_more_would_have_to_err_the_less_is_waited() -> None:
    shares = allowed(np.arange(1, 12))
    assert shares[0] == shares[1] == pytest.approx(np.sqrt(CHANCE))
    assert shares[2] == pytest.approx(np.cbrt(CHANCE))
    assert shares[3] == shares[4] == pytest.approx((CHANCE / 5) ** 0.25)
    assert (np.diff(shares) >= 0.0).all() and shares[-1] > 0.1
    lost = bursts(np.random.default_rng(0), 3000, 11, 2.7)
    few, many = (listen(lost[:, :n])[1][-1].max() for n in (2, 11))
    assert few > 0.4 and many < 0.1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.floats(0.1, 5.0), st.floats(0.1, 3.0), st.integers(0, 99))
def test_no_channel_is_waited_for_without_end(n, good_s, bad_s, seed) -> None:
    waits = listen(bursts(np.random.default_rng(seed), 200, n, good_s, bad_s))[1]
    assert (waits >= 0.0).all() and (SILENT_S + waits <= MOST_S + 1e-9).all()


def test_an_absence_is_no_gap_of_the_channel() -> None:
    lost = np.zeros((100, 3), bool)
    lost[20 : 22 + round(AWAY_S / TICK), 1] = True
    assert (listen(lost)[1] == 0.0).all()


def test_what_was_learnt_fades() -> None:
    lost = np.zeros((8000, 2), bool)
    lost[20:24] = True
    waits = listen(lost)[1].max(axis=-1)
    assert waits[30] > 0.5 and waits[-1] == 0.0


def test_an_observer_that_is_to_find_no_silence_finds_none() -> None:
    assert (listen(bursts(np.random.default_rng(1), 99, 3, 1.0), np.inf)[1] == 0.0).all()


def watched(change):
    """Bits of robot 1 at the end of 10 s in which every fifth gap to robots 0 and 2 was longer."""
    config = MonitorConfig()
    state = monitor_init(config, (), 3)
    for step in range(100):
        gone = np.array([step % 5 in (1, 2), False, step % 5 in (3, 4)])
        age = np.where(gone, np.where(np.array([step % 5 == 2, False, step % 5 == 4]), 0.2, 0.1), 0)
        quiet = heard(3, age=age, control_age=age, fresh=~gone)
        state, _ = monitor_step(config, state, quiet, step * TICK)
    late = heard(3, fresh=np.array([True, False, True]))
    return monitor_step(config, state, replace(late, **change), 100 * TICK)[1][1]


def test_neither_silence_nor_a_stuck_counter_is_what_a_bad_channel_does() -> None:
    ages = np.array([0.0, 0.4, 0.0])
    assert watched({"age": ages, "control_age": ages}) & ~Accusation.SEEN == Accusation.HEARD
    assert watched({"control_age": ages}) & ~Accusation.SEEN == Accusation.HEARD
    ages = np.array([0.0, 1.3, 0.0])
    assert watched({"age": ages, "control_age": ages}) & Accusation.SILENT
    assert watched({"control_age": ages}) & Accusation.STUCK


def test_a_reboot_is_no_gap_of_the_channel() -> None:
    config, waits = MonitorConfig(), []
    for boot in (1.0, 2.0):
        state = monitor_init(config, (), 3)
        for step in range(40):
            back = step >= 20
            age = np.array([0.0, 0.0 if step < 10 or back else (step - 9) * TICK, 0.0])
            quiet = heard(3, age=age, control_age=age, fresh=age == 0.0)
            boots = np.array([1.0, boot if back else 1.0, 1.0])
            quiet = replace(quiet, said=replace(quiet.said, boot_id=boots))
            state, _ = monitor_step(config, state, quiet, step * TICK)
        waits.append(patience(SILENT_S, state.channel).max())
    assert waits[0] > 0.0 and waits[1] == 0.0
