"""Action normality: who is accused of acting on another policy than everybody's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.health import HealthInput, HealthState, health_init, health_step
from swarmhold.hardware.monitor import BITS, Accusation
from swarmhold.hardware.normality import (
    NormalityConfig,
    Scene,
    Watch,
    believed,
    motion_of,
    normality_init,
    normality_step,
)
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.surroundings import Landmarks
from swarmhold.hardware.types import Kinematics

CONFIG = NormalityConfig(slack=0.1, limit_s=0.5)
TICK = 0.1
NOBODY = np.zeros((1, 5, 5), BITS)
NOWHERE = Landmarks(np.zeros((1, 0, 2)), np.zeros((1, 0)), np.zeros((1, 0), bool))
SCENE = Scene(NOWHERE, np.zeros((1, 0), int), np.zeros((1, 0, 3)), np.zeros(3))


def follow(expected, motion, config=CONFIG, judged=True, state=None, start=0):
    """Steps at which one robot is accused, and the memory, for (T, Da) arrays."""
    state = state or normality_init((), 1, 2)
    found = []
    for step, (told, done) in enumerate(zip(expected, motion, strict=True), start):
        state, _, accused = normality_step(
            config, state, told[None], done[None], np.array([judged]), step * TICK
        )
        found.append(bool(accused[0]))
    return np.flatnonzero(found), state


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.0, 1.0), st.floats(-np.pi, np.pi), st.floats(0.0, 1.0), st.integers(1, 5)
)  # fmt: skip
def test_less_in_the_right_direction_is_no_departure(gain, course, length, lag) -> None:
    told = np.tile(length * np.array([np.cos(course), np.sin(course)]), (60, 1))
    done = gain * told
    done[:lag] = 0.0  # it has yet to speed up
    assert not len(follow(told, done)[0])


def test_the_wrong_direction_accuses_within_two_seconds_and_not_at_once() -> None:
    told = np.tile((1.0, 0.0), (40, 1))
    for wrong in ((-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)):
        when, _ = follow(told, np.tile(wrong, (40, 1)))
        assert 3 <= when[0] <= 20


def test_one_odd_second_accuses_nobody() -> None:
    told = np.tile((0.3, 0.0), (60, 1))
    done = told.copy()
    done[20:25] = (-0.3, 0.2)
    assert not len(follow(told, done)[0])


def test_standing_still_neither_accuses_nor_clears() -> None:
    told = np.tile((1.0, 0.0), (60, 1))
    assert not len(follow(told, np.zeros_like(told))[0])
    _, guilty = follow(told, -told)
    when, _ = follow(told, np.zeros_like(told), state=guilty, start=60)
    assert len(when) == 60, "it has run into a wall"
    when, _ = follow(told, told, state=guilty, start=60)
    assert when[-1] < 59, "it does again what it is told"


@pytest.mark.parametrize("wrong", [40, 400])
def test_who_acts_as_it_should_again_is_cleared_however_long_it_did_not(wrong) -> None:
    told = np.tile((1.0, 0.0), (wrong, 1))
    _, guilty = follow(told, -told)
    when, cleared = follow(told[:40], told[:40], state=guilty, start=wrong)
    assert 0 < len(when) <= 40 - 5, "its motion is smoothed, and a second must pass"
    again, _ = follow(told[:40], -told[:40], state=cleared, start=wrong + 40)
    _, honest = follow(told[:40], told[:40])
    first, _ = follow(told[:40], -told[:40], state=honest, start=40)
    assert again[0] < first[0], "and is found sooner when it relapses"
    slides = np.tile((0.0, 0.09), (40, 1))
    when, _ = follow(told[:40], slides, state=guilty, start=wrong)
    assert len(when) >= 40 - 5, "but not who slides along a wall"


def test_who_stands_for_longer_than_anybody_ever_did_is_accused() -> None:
    told = np.tile((1.0, 0.0), (60, 1))
    lazy = replace(CONFIG, stall_s=3.0)
    when, _ = follow(told, np.zeros_like(told), lazy)
    assert 30 <= when[0] <= 45
    assert not len(follow(0.1 * told, np.zeros_like(told), lazy)[0]), "it is hardly asked to move"
    assert not len(follow(told, 0.3 * told, lazy)[0])


def test_who_may_be_held_is_accused_of_standing_for_no_longer_than_it_stood_when_it_was_not() -> (
    None
):
    lazy, asked = replace(CONFIG, stall_s=3.0), np.array([[1.0, 0.0]])
    state, found = normality_init((), 1, 2), []

    def stand(seconds, held, told=asked):
        nonlocal state
        for _ in range(round(seconds / TICK)):
            now = TICK * len(found)
            state, _, accused = normality_step(
                lazy, state, told, 0.0 * asked, np.ones(1, bool), now, np.array([held])
            )
            found.append(bool(accused[0]))
        return found[-1]

    assert not stand(20.0, held=True), "it may have to"
    assert stand(5.0, held=False)
    assert stand(1.0, held=True) and not stand(2.0, held=True), "somebody stands before it now"
    assert stand(0.2, held=False), "as soon as it stands for no reason again"
    assert not stand(3.0, held=True, told=0.0 * asked), "nobody asks it to move"
    assert not stand(2.0, held=False), "and all begins anew"


def test_without_calibration_nobody_is_accused() -> None:
    told = np.tile((1.0, 0.0), (60, 1))
    assert not len(follow(told, -told, NormalityConfig())[0])
    assert not len(follow(told, -told, judged=False)[0])


def test_motions_are_those_of_the_set_points() -> None:
    position = np.zeros((1, 3))
    moving = Kinematics(position, np.array([[0.0, 0.1, 0.0]]), np.array([np.pi / 2]), np.ones(1))
    np.testing.assert_allclose(motion_of(policy_spec("epuck"), moving), [[0.1, 1.0]], atol=1e-12)
    np.testing.assert_allclose(motion_of(policy_spec("crazyflie"), moving), [[0.1, 0]], atol=1e-12)


def home(seen, weights):
    """The policy of these teams: fly home at half speed."""
    to_home = seen.self_token[..., 5:7]
    return 0.5 * to_home / np.maximum(np.linalg.norm(to_home, axis=-1, keepdims=True), 1e-6)


def fly(watch, robots, steps, courses, weights=None, spoil=None):
    """Robots fly by their courses, told the yaw-frame set-point; returns who is accused."""
    rng = np.random.default_rng(0)
    place = np.concatenate([rng.uniform(2.0, 4.0, (robots, 2)), np.zeros((robots, 1))], axis=1)
    velocity, accused = np.zeros((robots, 3)), np.zeros(robots, bool)
    for step in range(steps):
        said = Kinematics(place.copy(), velocity.copy(), np.zeros(robots), np.zeros(robots))
        if spoil is not None:
            said.position[spoil] = np.nan
        batch = Kinematics(*(x[None] for x in (said.position, velocity, said.yaw, said.yaw_rate)))
        age = np.zeros((1, robots))
        given_now = np.ones((1, robots)) if weights is None else weights(step)
        judged = np.ones((1, robots), bool)
        accused = watch.look(batch, age, given_now, NOBODY, SCENE, judged, step * TICK)[0]
        to_home = -place / np.linalg.norm(place, axis=-1, keepdims=True)
        velocity = 0.5 * np.where(np.isnan(courses)[:, None], to_home, 0.0)
        runs = np.stack([np.cos(courses), np.sin(courses), np.zeros(robots)], axis=-1)
        velocity = np.where(np.isnan(courses)[:, None], velocity, runs)
        place = place + TICK * velocity
    return accused


def test_a_watch_finds_the_runaway_and_nobody_else() -> None:
    courses = np.array([np.nan, np.nan, 1.0, np.nan, np.nan])
    watch = Watch(policy_spec("crazyflie"), CONFIG, home, 1, 5)
    np.testing.assert_array_equal(fly(watch, 5, 30, courses), ~np.isnan(courses))
    assert np.nanmax(watch.departure[0][np.isnan(courses)]) < 0.1


def two_stand(config: NormalityConfig, away: float, fence: float = np.inf) -> list[bool]:
    """Who is accused of two that stand for six seconds, one by a fence and one `away` from it."""
    place = np.array([[[1.93, 0.0, 0.0], [1.93 - away, 0.0, 0.0]]])
    still = Kinematics(place, np.zeros((1, 2, 3)), np.zeros((1, 2)), np.zeros((1, 2)))
    watch = Watch(policy_spec("crazyflie"), replace(config, stall_s=3.0), home, 1, 2)
    scene, all_there = replace(SCENE, half_width=fence), np.ones((1, 2), bool)
    none = np.zeros((1, 2, 2), BITS)
    for step in range(60):
        now = step * TICK
        found = watch.look(still, np.zeros((1, 2)), np.ones((1, 2)), none, scene, all_there, now)
    return found[0].tolist()


@pytest.mark.parametrize(
    ("hold", "away", "accused"), [(0.0, 0.42, True), (0.46, 0.42, False), (0.46, 0.6, True)]
)
def test_who_stands_before_another_may_be_held_by_its_barrier(hold, away, accused) -> None:
    assert two_stand(replace(CONFIG, hold_m=hold), away) == [accused, accused]


@pytest.mark.parametrize(
    ("fence", "away", "accused"),
    [(np.inf, 0.4, True), (4.0, 0.4, True), (2.0, 0.4, False), (2.0, 1.0, True)],
)
def test_who_stands_at_the_fence_may_be_held_there(
    fence: float, away: float, accused: bool
) -> None:
    """Crowds push robots against it; who is alone there is free to leave."""
    assert two_stand(replace(CONFIG, near_m=0.6), away, fence) == [accused, True]


def test_what_cannot_be_true_is_not_judged() -> None:
    courses = np.array([np.nan, np.nan, 1.0, np.nan, np.nan])
    watch = Watch(policy_spec("crazyflie"), CONFIG, home, 1, 5)
    assert not fly(watch, 5, 30, courses, spoil=2).any()
    assert np.isfinite(watch.departure).all()


def test_believing_a_robot_that_has_just_fallen_is_pardoned() -> None:
    courses = np.array([np.nan, np.nan, 1.0, np.nan, np.nan])

    def fall(step):
        weights = np.ones((1, 5))
        weights[0, 0] = float(step < 16)
        return weights

    early, late = (Watch(policy_spec("crazyflie"), CONFIG, home, 1, 5) for _ in range(2))
    assert fly(early, 5, 20, courses)[2]
    assert not fly(late, 5, 20, courses, fall)[2]


def test_robots_listen_to_whom_they_hear_and_have_nothing_against() -> None:
    bits = np.full((3, 3), Accusation.HEARD, BITS)
    bits[0, 1], bits[1, 2] = 0, Accusation.HEARD | Accusation.MISMATCH
    np.testing.assert_array_equal(believed(bits), [[1, 0, 1], [1, 1, 0], [1, 1, 1]])
    assert believed(np.zeros((3, 3), BITS)).all(), "nobody has reported yet"


@pytest.mark.parametrize(("accused", "fallen"), [((1,), (1,)), ((1, 2), (1, 2)), ((0, 1, 2), ())])
def test_the_watcher_alone_convicts_but_not_half_of_the_team(accused, fallen) -> None:
    n, config = 5, HealthSettings().health
    bits = np.zeros((n + 1, n), BITS)
    bits[:, :] = Accusation.HEARD
    bits[n, list(accused)] |= BITS(Accusation.ABNORMAL)
    inputs = HealthInput(bits, np.ones(n + 1, bool), np.zeros(n, bool))
    _, out = health_step(config, health_init((), n), inputs, 1.0)
    assert tuple(np.flatnonzero(out.states == HealthState.QUARANTINED)) == fallen
    assert (out.reasons[list(fallen)] == Accusation.ABNORMAL).all()
    assert (out.weights[list(fallen)] == 0.0).all()
