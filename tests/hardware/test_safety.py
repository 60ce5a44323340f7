"""The safety filter never makes anything worse, and keeps robots inside and apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.messages import Mode
from swarmhold.hardware.safety import Limit, safe_setpoint, safety_config, staged_mode
from swarmhold.hardware.spec import ROBOTS, policy_spec

HOME = np.zeros(3)
HALF = {"epuck": 1.0, "crazyflie": 4.0, "gritsbot": 1.6}
numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


def guard(robot, action, position=(0, 0, 0), yaw=0.0, bodies=(), age=0.0, velocity=(0, 0, 0)):
    config = safety_config(policy_spec(robot), HALF[robot])
    near = np.array(bodies, float).reshape(-1, 3)
    place = np.array(position, float)
    return safe_setpoint(
        config, robot, np.array(action), place, np.array(velocity, float), yaw, HOME, near, age
    )


@pytest.mark.parametrize("robot", ROBOTS)
@settings(max_examples=200, deadline=None)
@given(
    action=st.tuples(numbers, numbers),
    position=st.tuples(numbers, numbers, numbers),
    yaw=numbers,
    body=st.tuples(numbers, numbers, numbers),
    age=numbers,
)
def test_whatever_comes_in_something_finite_and_bounded_comes_out(
    robot, action, position, yaw, body, age
):
    out, _ = guard(robot, action, position, yaw, [body], age)
    bound = np.asarray(policy_spec(robot).action_bound)
    assert np.isfinite(out).all() and (np.abs(out) <= bound + 1e-6).all()


def test_bad_numbers_stop_the_robot():
    out, why = guard("epuck", (np.nan, 0.0))
    assert out.tolist() == [0.0, 0.0] and why == Limit.FINITE


def test_old_decisions_stop_the_robot():
    out, why = guard("crazyflie", (0.5, 0.5), age=0.4)
    assert out.tolist() == [0.0, 0.0] and why == Limit.AGE


def test_free_space_changes_nothing():
    out, why = guard("epuck", (0.1, 2.0))
    assert out.tolist() == [0.1, 2.0] and why == 0


def test_a_body_ahead_stops_and_a_body_behind_does_not():
    ahead, why = guard("epuck", (0.1, 1.0), bodies=[(0.07, 0.0, 0.0)])
    assert ahead.tolist() == [0.0, 1.0] and why & Limit.SEPARATION
    behind, why = guard("epuck", (0.1, 1.0), bodies=[(-0.07, 0.0, 0.0)])
    assert behind.tolist() == [0.1, 1.0] and not why


def test_quadrotors_slide_past_what_is_beside_them():
    out, why = guard("crazyflie", (0.8, 0.5), bodies=[(0.0, 0.3, 0.0)])
    assert why & Limit.SEPARATION
    assert out[1] <= 0.15 and out[0] == pytest.approx(0.8)


@pytest.mark.parametrize("robot", ROBOTS)
def test_random_driving_never_leaves_the_geofence(robot):
    rng = np.random.default_rng(3)
    spec = policy_spec(robot)
    for _ in range(20):
        position, yaw, dt = np.zeros(3), rng.uniform(-3, 3), 0.05
        wish = rng.uniform(-2, 2, 2) * np.asarray(spec.action_bound)
        for k in range(1500):
            if k % 40 == 0:
                wish = rng.uniform(-2, 2, 2) * np.asarray(spec.action_bound)
            out, _ = guard(robot, wish, position, yaw)
            if spec.drives:
                step, turn = np.array([out[0], 0.0]), out[1]
            else:
                step, turn = out, 0.0
            cos, sin = np.cos(yaw), np.sin(yaw)
            position[0] += (cos * step[0] - sin * step[1]) * dt
            position[1] += (sin * step[0] + cos * step[1]) * dt
            yaw += turn * dt
            assert (np.abs(position[:2]) <= HALF[robot] + 1e-6).all()


def test_two_quadrotors_flying_at_each_other_keep_apart():
    place = np.array([[-2.0, 0.0, 1.0], [2.0, 0.05, 1.0]])
    nearest = np.inf
    for _ in range(400):
        new = place.copy()
        for i in (0, 1):
            wish = (1.0, 0.0) if i == 0 else (-1.0, 0.0)
            other = place[1 - i] - place[i]
            out, _ = guard("crazyflie", wish, place[i], 0.0, [other])
            new[i, :2] += out * 0.05
        place = new
        nearest = min(nearest, float(np.linalg.norm(place[0] - place[1])))
    config = safety_config(policy_spec("crazyflie"), 4.0)
    assert nearest >= config.separation_m - 0.01


def test_lost_input_degrades_in_stages():
    config = safety_config(policy_spec("crazyflie"), 4.0)
    ages = (0.1, 0.5, 3.0, 7.0, np.inf, np.nan)
    wanted = [Mode.ACTIVE, Mode.HOLD, Mode.LAND, Mode.STOP, Mode.STOP, Mode.STOP]
    assert [staged_mode(config, age) for age in ages] == wanted
