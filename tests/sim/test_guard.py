"""The safety filter in simulation is that of robots, and keeps what it keeps there."""

import numpy as np
import pytest

from swarmhold.hardware.observe import to_body
from swarmhold.hardware.safety import safe_setpoint, safety_config
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.guard import Guard


def made(robot, guarded, envs=4, robots=6):
    env = SwarmEnv("coverage" if robot == "epuck" else "rendezvous", robot, envs, robots,
                   contacts=True)  # fmt: skip
    env.limit = 400
    if guarded:
        env.guard = Guard(env.spec, env.model, env.half_width)
    return env


def touched(robot, guarded):
    """Flights in which all make for the middle at full speed."""
    env = made(robot, guarded, envs=2)
    step, any_touch = env.reset(episode=0), np.zeros((2, 6), bool)
    for _ in range(100):
        truth, bound = step.truth, np.asarray(env.spec.action_bound)
        aim = to_body(-truth.position, truth.yaw)[..., :2]
        action = np.clip(20.0 * aim, -bound, bound)
        if env.spec.drives:
            turn = np.arctan2(aim[..., 1], aim[..., 0])
            action = np.stack([np.full(turn.shape, bound[0]), np.clip(4.0 * turn, -1, 1)], -1)
        step = env.step(action)
        any_touch |= env.physics.touched
    env.close()
    return any_touch.sum()


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
def test_a_crowd_touches_without_it_and_not_with_it(robot):
    assert touched(robot, False) >= 4
    assert touched(robot, True) == 0


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
def test_it_is_the_filter_that_every_node_runs(robot):
    env = made(robot, True)
    env.reset(episode=1)
    rng, bodies, spec = np.random.default_rng(0), env.physics.bodies, env.spec
    bodies.position[..., :2] = rng.uniform(-0.2, 0.2, bodies.position[..., :2].shape)
    wanted = rng.uniform(-1, 1, (4, 6, 2)) * np.asarray(spec.action_bound)
    yaw, present = bodies.yaw(), np.ones((4, 6), bool)
    got = env.guard.filtered(wanted, bodies, yaw, present, env.posts)
    config, changed = safety_config(spec, env.half_width), 0
    for team in range(4):
        for own in range(6):
            offset = np.delete(bodies.position[team] - bodies.position[team, own], own, axis=0)
            near = offset[np.linalg.norm(offset, axis=-1) < env.model.near_range]
            expected, limits = safe_setpoint(
                config, robot, wanted[team, own], bodies.position[team, own],
                bodies.velocity[team, own], float(yaw[team, own]), np.zeros(3),
                to_body(near, np.full(len(near), yaw[team, own])), 0.0,
            )  # fmt: skip
            np.testing.assert_allclose(got[team, own], expected)
            changed += limits != 0
    assert changed >= 4
    env.close()


def test_who_is_far_from_everything_moves_as_without_it():
    step = {}
    for guarded in (True, False):
        env = made("epuck", guarded, 1, 2)
        env.reset(episode=0)
        for _ in range(10):
            step[guarded] = env.step(np.full((1, 2, 2), 0.05)).truth
        env.close()
    np.testing.assert_allclose(step[True].position, step[False].position, atol=1e-9)
