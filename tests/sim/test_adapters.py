"""The usual interfaces, held to their own projects' tests."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from pettingzoo.test import parallel_api_test, parallel_seed_test

from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.adapters.gymnasium import SwarmGymEnv, SwarmVectorEnv, register
from swarmhold.sim.adapters.pettingzoo import SwarmParallelEnv
from swarmhold.sim.adapters.torch import TorchFlight, TorchSwarm
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.flight import FlightSim

CELLS = [("rendezvous", "epuck"), ("coverage", "crazyflie")]


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
def test_pettingzoos_own_tests(scenario, robot):
    def make(**options):
        return SwarmParallelEnv(scenario, robot=robot, n_robots=3, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(), num_cycles=450)
    parallel_seed_test(make, num_cycles=20)
    env = make()
    env.reset(seed=4, options={"faults": [[FaultSpec("crash", 1)]]})
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    *_, infos = env.step(actions)
    assert [infos[f"robot_{k}"]["healthy"] for k in range(3)] == [True, False, True]
    assert env.state().shape == (3, 6)


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
def test_gymnasiums_own_check(scenario, robot):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(SwarmGymEnv(scenario, robot=robot, n_robots=3), skip_render_check=True)


def test_the_vector_environment_is_many_single_ones():
    register()
    register()
    options = {"n_robots": 3, "robot": "epuck"}
    many = gymnasium.make_vec("swarmhold/coverage-v0", num_envs=3, **options)
    assert isinstance(many.unwrapped, SwarmVectorEnv)

    def one(**_):
        return gymnasium.make("swarmhold/coverage-v0", **options).unwrapped

    same = SyncVectorEnv([one] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert many.observation_space == same.observation_space
    assert many.action_space == same.action_space
    assert many.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    rng = np.random.default_rng(0)
    # Robots' randomness is keyed by their environment's number too: the first is the same.
    np.testing.assert_array_equal(many.reset(seed=5)[0][0], same.reset(seed=5)[0][0])
    for _ in range(205):
        action = rng.uniform(-1, 1, (3, 3, 2)).astype(np.float32)
        mine, other = many.step(action), same.step(action)
        for k in range(4):
            np.testing.assert_array_equal(mine[k][0], other[k][0])
        assert mine[0] in many.observation_space
        assert ("final_obs" in mine[4]) == ("final_obs" in other[4]) == bool(mine[3].any())
        if mine[3].any():
            np.testing.assert_array_equal(mine[4]["final_obs"][0], other[4]["final_obs"][0])


def test_a_mask_resets_the_masked_only():
    env = SwarmVectorEnv(3, "coverage", n_robots=3)
    before, _ = env.reset(seed=1)
    mask = np.array([False, True, False])
    after, _ = env.reset(seed=[7, 8, 9], options={"reset_mask": mask})
    np.testing.assert_array_equal(before[~mask], after[~mask])
    assert not np.array_equal(before[mask], after[mask])


def test_tensors_are_the_same_world():
    plain, view = (
        SwarmEnv("coverage", "epuck", 2, 3),
        TorchSwarm(SwarmEnv("coverage", "epuck", 2, 3)),
    )
    plain.reset(seed=2)
    view.reset(seed=2)
    action = torch.rand(2, 3, 2) * 2 - 1
    inputs, reward, done, _ = view.step(action)
    step = plain.step(action.double().numpy() * np.asarray(plain.spec.action_bound))
    arrays = step.observation.graph_inputs(step.teammate_health)
    assert all(np.array_equal(arrays[name], inputs[name].numpy()) for name in arrays)
    assert np.allclose(reward, step.outcome.reward) and not done.any()


def test_flight_buffers_are_shared_with_torch():
    view = TorchFlight(FlightSim(2, 3))
    first = view.reset(seed=1).clone()
    seen, reward, *_ = view.step(torch.zeros(2, 3, 4))
    assert seen.data_ptr() == view.sim.observation.__array_interface__["data"][0]
    assert not torch.equal(first, seen) and reward.shape == (2, 3)


@pytest.mark.parametrize("make", [SwarmGymEnv, SwarmVectorEnv, SwarmParallelEnv])
def test_pictures(make):
    env = make(scenario="coverage", n_robots=3, render_mode="rgb_array")
    env.reset(seed=1)
    image = env.render()
    image = image[0] if isinstance(image, tuple) else image
    assert image.shape == (360, 360, 3) and image.dtype == np.uint8
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20
    env.close()
