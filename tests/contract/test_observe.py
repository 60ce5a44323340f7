"""The one observation builder: frames, shapes, invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.observe import observe, to_body
from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.hardware.types import Kinematics, Surroundings, TokenKind, teammate_index


def kinematics(rng, *lead):
    return Kinematics(
        rng.uniform(-1, 1, (*lead, 3)),
        rng.uniform(-1, 1, (*lead, 3)),
        rng.uniform(-np.pi, np.pi, lead),
        rng.uniform(-1, 1, lead),
    )


def surroundings(rng, *lead):
    return Surroundings(
        rng.uniform(-1, 1, (*lead, 3)),
        np.full(lead, 0.05),
        np.full(lead, TokenKind.LANDMARK),
        rng.uniform(0, 1, lead),
        np.zeros(lead),
        np.ones(lead, bool),
    )


def scene(seed, *lead, mates=3, landmarks=2):
    rng = np.random.default_rng(seed)
    return dict(
        own=kinematics(rng, *lead),
        last_action=rng.uniform(-1, 1, (*lead, 2)),
        team=kinematics(rng, *lead, mates),
        team_age=rng.uniform(0, 1, (*lead, mates)),
        surroundings=surroundings(rng, *lead, landmarks),
        home=np.zeros((*lead, 3)),
    )


def turned(scene, angle):
    """The same scene with the world frame turned by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])

    def turn(k):
        return Kinematics(k.position @ matrix.T, k.velocity @ matrix.T, k.yaw + angle, k.yaw_rate)

    s = scene["surroundings"]
    turned_surroundings = Surroundings(
        s.position @ matrix.T, s.radius, s.kind, s.value, s.rank, s.mask
    )
    return scene | dict(
        own=turn(scene["own"]),
        team=turn(scene["team"]),
        surroundings=turned_surroundings,
        home=scene["home"] @ matrix.T,
    )


def test_body_frame_puts_what_lies_ahead_on_x():
    ahead = to_body(np.array([0.0, 2.0, 1.0]), np.array(np.pi / 2))
    assert ahead == pytest.approx([2.0, 0.0, 1.0])


@pytest.mark.parametrize("robot", ROBOTS)
def test_token_widths_follow_the_spec(robot):
    spec = policy_spec(robot)
    seen = observe(spec, **scene(0, 4, 3))
    assert seen.self_token.shape == (4, 3, spec.self_size)
    assert seen.team.shape == (4, 3, 3, spec.team_size)
    assert seen.obstacles.shape == (4, 3, 2, spec.obstacle_size)


@given(st.integers(0, 2**31), st.floats(-np.pi, np.pi))
def test_observation_does_not_know_where_north_is(seed, angle):
    spec = policy_spec("epuck")
    before = scene(seed)
    a, b = observe(spec, **before), observe(spec, **turned(before, angle))
    for name in ("self_token", "team", "obstacles"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-5)


@given(st.integers(0, 2**31))
def test_batched_call_equals_single_calls(seed):
    spec = policy_spec("crazyflie")
    batch = scene(seed, 5)
    together = observe(spec, **batch)

    def row(value, i):
        if isinstance(value, np.ndarray):
            return value[i]
        names = type(value).__slots__
        return type(value)(**{name: getattr(value, name)[i] for name in names})

    for i in range(5):
        alone = observe(spec, **{key: row(value, i) for key, value in batch.items()})
        np.testing.assert_array_equal(alone.team, together.team[i])
        np.testing.assert_array_equal(alone.obstacles, together.obstacles[i])


def test_masked_entries_are_zero_even_if_they_hold_garbage():
    values = scene(1)
    s = values["surroundings"]
    position = s.position.copy()
    position[1] = np.nan
    mask = np.array([True, False])
    values["surroundings"] = Surroundings(position, s.radius, s.kind, s.value, s.rank, mask)
    seen = observe(policy_spec("epuck"), **values)
    assert np.isfinite(seen.obstacles).all()
    assert not seen.obstacles[1].any()


def test_lonely_robot_gets_one_padding_entry_of_weight_zero():
    seen = observe(policy_spec("epuck"), **scene(2, mates=0, landmarks=0))
    inputs = seen.graph_inputs(np.zeros(0))
    assert inputs["team"].shape == (1, 1, 9)
    assert inputs["health"].tolist() == [[0.0]]
    assert inputs["obstacle_mask"].tolist() == [[0.0]]


def test_wrong_token_width_is_named():
    values = scene(3)
    values["last_action"] = np.zeros(5)
    with pytest.raises(ValueError, match="self token has 10 values, the spec says 7"):
        observe(policy_spec("epuck"), **values)


def test_teammate_index_skips_the_robot_itself():
    assert teammate_index(3).tolist() == [[1, 2], [0, 2], [0, 1]]
    assert teammate_index(1).shape == (1, 0)
