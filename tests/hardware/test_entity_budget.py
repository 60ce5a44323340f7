"""The guard for teams larger than any of training: it only ever takes weights away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.entity_budget import LIVE, EntityBudget
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.messages import SensorFrame, Task
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Observation

SPEC = policy_spec("epuck")
MODES = st.sampled_from(["nearest", "flicker"])


def seen(position):
    """An observation of teammates (..., M, 3), for all else zeros."""
    lead = position.shape[:-2]
    team = np.zeros((*position.shape[:-1], SPEC.team_size))
    team[..., :3] = position
    return Observation(np.zeros((*lead, SPEC.self_size)), team, np.zeros((*lead, 0, 9)), None)


@st.composite
def scenes(draw):
    """Positions, some of them not finite, weights, some of them 0, and a budget."""
    mates, most = draw(st.integers(0, 12)), draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    position = rng.normal(size=(2, 3, mates, 3)) * 10.0 ** rng.integers(-3, 30)
    position[rng.random((2, 3, mates)) < 0.2] = rng.choice([np.nan, np.inf])
    weights = rng.choice([0.0, 0.01, 0.3, 0.5, 1.0], (2, 3, mates), p=[0.2, 0.1, 0.1, 0.1, 0.5])
    return position, weights, most


@given(scenes(), MODES, st.integers(0, 99))
def test_as_many_are_kept_as_the_budget_allows_and_nobody_comes_back(scene, mode, tick):
    position, weights, most = scene
    kept = EntityBudget(most, mode).limit(seen(position), weights, np.arange(3), tick)
    live = weights > LIVE
    np.testing.assert_array_equal(
        (kept > LIVE).sum(axis=-1), np.minimum(live.sum(axis=-1), most), "count"
    )
    assert ((kept == weights) | (kept == 0.0)).all()
    within = live.sum(axis=-1) <= most
    np.testing.assert_array_equal(kept[within], weights[within])


@given(scenes(), MODES)
def test_who_is_nowhere_is_never_preferred(scene, mode):
    position, weights, most = scene
    kept = EntityBudget(most, mode).limit(seen(position), weights, np.arange(3), 1) > LIVE
    known = np.isfinite(position).all(axis=-1) & (weights > LIVE)
    lost = (known & ~kept).any(axis=-1)
    assert not (kept & ~known)[lost].any()


@given(scenes(), st.randoms(use_true_random=False))
def test_nearest_does_not_depend_on_the_order_of_the_roster(scene, random):
    position, weights, most = scene
    order = list(range(position.shape[-2]))
    random.shuffle(order)
    budget = EntityBudget(most, "nearest")
    known = np.isfinite(position).all(axis=-1)
    weights = np.where(known, weights, 0.0)  # among those that are nowhere the roster decides
    kept = budget.limit(seen(position), weights, 0, 0)
    moved = budget.limit(seen(position[..., order, :]), weights[..., order], 0, 0)
    np.testing.assert_array_equal(moved, kept[..., order])


@given(scenes())
def test_nearest_keeps_the_nearest(scene):
    position, weights, most = scene
    kept = EntityBudget(most, "nearest").limit(seen(position), weights, 0, 0) > LIVE
    known = np.isfinite(position).all(axis=-1) & (weights > LIVE)
    distance = np.linalg.norm(np.where(known[..., None], position, 0.0), axis=-1)
    farthest = np.where(kept & known, distance, 0.0).max(axis=-1, initial=0.0)
    assert (distance >= farthest[..., None])[known & ~kept].all()


def test_flicker_takes_turns_repeats_itself_and_prefers_the_trusted():
    position, weights = np.zeros((4, 9, 3)), np.ones((4, 9))
    weights[:, 0], weights[:, 1] = 0.3, 0.0
    budget = EntityBudget(4, "flicker")
    runs = [
        np.stack([budget.limit(seen(position), weights, np.arange(4), t) for t in range(300)])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*runs)
    assert (runs[0][..., :2] == 0.0).all(), "seven are trusted more, and four have room"
    share = runs[0][..., 2:].mean(axis=0)
    assert np.abs(share - 4 / 7).max() < 0.15
    assert (runs[0][:, 0] != runs[0][:, 1]).any(), "robots draw for themselves"


def test_none_leaves_everybody_and_wrong_budgets_are_one_line():
    weights = np.ones((2, 9))
    assert EntityBudget(1).limit(seen(np.zeros((2, 9, 3))), weights, 0, 0) is weights
    with pytest.raises(ConfigError, match="'farthest'; choose one of: none, nearest, flicker"):
        EntityBudget(3, "farthest")
    with pytest.raises(ConfigError, match="-1 teammates"):
        EntityBudget(-1)


@pytest.mark.parametrize(("mode", "looked_at"), [("none", 14), ("nearest", 9), ("flicker", 9)])
def test_a_robot_attends_to_as_many_as_it_was_trained_with(rendezvous_bundle, mode, looked_at):
    policy = OnnxPolicy(open_bundle(rendezvous_bundle))
    assert policy.bundle.manifest.team_sizes_trained == (3, 10)
    task = Task((), (0.0, 0.0, 0.0), 1.0)
    watched = RobotController(policy, task, ControllerConfig(0, 15, entities=mode))
    place = np.random.default_rng(0).uniform(-0.9, 0.9, (15, 2))
    frames = [
        SensorFrame(0.0, (*map(float, spot), 0.0), (0.0, 0.0, 0.0), 0.0, 0.0, 1.0, (), (), ())
        for spot in place
    ]
    others = [RobotController(policy, task, ControllerConfig(i, 15)) for i in range(15)]
    for turn in range(3):
        now = 10.0 + 0.05 * turn
        for robot, frame in zip(others, frames, strict=True):
            watched.on_state(robot.tick(frame, now).state, now)
        status = watched.tick(frames[0], now).status
    shares = np.array(status.attention)[1:]
    assert (shares > 0.0).sum() == looked_at
    assert status.weights == (1.0,) * 15, "who is not attended to is trusted all the same"
    if mode == "nearest":
        distance = np.linalg.norm(place[1:] - place[0], axis=-1)
        assert distance[shares > 0.0].max() < distance[shares == 0.0].min()
