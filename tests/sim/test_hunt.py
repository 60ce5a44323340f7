"""The hunts after AACFT: a touch catches, broken pursuers do not count, repairs come first."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults
from swarmhold.sim.play import episodes, heuristic
from swarmhold.sim.scenarios.base import TeamView
from swarmhold.sim.scenarios.fix import CALL, HASTY, Fix
from swarmhold.sim.scenarios.hunt import CATCH_REWARD, flee, whims

CELLS = [(name, robot) for name in ("multibroken", "fix") for robot in ("crazyflie", "epuck")]


def track(env, policy=heuristic, **options):
    steps = [env.reset(**options)]
    while not steps[-1].done.all():
        steps.append(env.step(policy(env, steps[-1])))
    return steps


def deaf(env, step):
    """The heuristic without an ear for calls."""
    seen = step.observation
    calls = (seen.obstacles[..., 4] > 0.5) & (seen.obstacles[..., 7] == CALL)
    seen = replace(seen, obstacle_mask=seen.obstacle_mask * ~calls)
    return env.scenario.heuristic(env.spec, seen, step.teammate_health)


def chased(step, half):
    """(E) mean distance of the healthy robots to the nearest landmark, as a share of the side."""
    place, marks = step.truth.position[..., :2], step.truth.landmarks
    far = np.linalg.norm(place[:, :, None] - marks.position[:, None], axis=-1)
    far = np.where(marks.mask[:, None], far, np.inf).min(axis=2)
    healthy = step.truth.healthy
    share = np.where(healthy, np.minimum(far / (2 * half), 1.0), 0.0).sum(axis=1)
    return np.where(marks.mask.any(axis=1), share / np.maximum(healthy.sum(axis=1), 1), 0.0)


@pytest.mark.parametrize(("name", "robot"), CELLS)
def test_pybullet_plays_the_same_episode(name, robot):
    rewards = []
    for backend in ("batched", "pybullet"):
        env = SwarmEnv(name, robot, 2, 3, backend, contacts=False, seed=4)
        steps = track(env, faults=[[FaultSpec("freeze", 1, 1.0)], []])
        rewards.append([step.outcome.reward for step in steps])
        env.close()
    np.testing.assert_allclose(*rewards, atol=1e-6)


@pytest.mark.parametrize("backend", ["batched", "pybullet"])
@pytest.mark.parametrize(("name", "robot"), CELLS)
def test_the_heuristic_solves_it_among_bodies_and_posts(name, robot, backend):
    env = SwarmEnv(name, robot, 6, 5, backend, seed=2)
    found = episodes(env, [[] for _ in range(6)])
    env.close()
    assert found["success"] >= 0.5


@pytest.mark.parametrize("backend", ["batched", "pybullet"])
def test_one_working_pursuer_catches_and_broken_ones_do_not(backend):
    env = SwarmEnv("multibroken", "crazyflie", 6, 2, backend, seed=1)
    both = [FaultSpec("crash", 0), FaultSpec("crash", 1)]
    last = track(env, faults=[[FaultSpec("crash", 1)]] * 3 + [both] * 3)[-1]
    env.close()
    assert last.outcome.success[:3].any() and not last.outcome.success[3:].any()


def test_the_reward_is_the_distance_and_a_bonus_for_every_catch():
    env = SwarmEnv("multibroken", "crazyflie", 8, 5, seed=3)
    plan = random_faults(np.random.default_rng(0), [5] * 8, ["freeze"], (0, 2), start_s=(1.0, 4.0))
    steps = track(env, faults=plan)
    for before, after in pairwise(steps):
        gone = before.truth.landmarks.mask & ~after.truth.landmarks.mask
        bonus = CATCH_REWARD * gone.sum(axis=1) / 2
        wanted = bonus - chased(after, env.half_width)
        np.testing.assert_allclose(after.outcome.reward, wanted, atol=1e-12)
    assert steps[-1].outcome.score.mean() > 0.5


@pytest.mark.parametrize(
    ("name", "robot", "robots", "window"),
    [
        ("multibroken", "crazyflie", 5, (2.0, 6.0)),
        ("multibroken", "epuck", 5, (2.0, 6.0)),
        ("fix", "crazyflie", 3, (1.0, 3.0)),
        ("fix", "epuck", 3, (1.0, 3.0)),
    ],
)
def test_the_task_is_solved_by_all_and_harder_for_those_who_are_left(name, robot, robots, window):
    env = SwarmEnv(name, robot, 64, robots, seed=1)
    rates = []
    for broken in (0, 2):
        rng, sizes = np.random.default_rng(5), [robots] * 64
        plan = random_faults(rng, sizes, ["freeze"], (broken, broken), start_s=window)
        rates.append(episodes(env, plan)["success"])
    assert rates[0] > 0.85 and 0.0 < rates[1] < rates[0] - 0.1


@pytest.mark.parametrize("robot", ["crazyflie", "epuck"])
def test_a_repair_comes_before_a_full_catch(robot):
    env = SwarmEnv("fix", robot, 32, 3, seed=1)
    plan = [[FaultSpec("freeze", 1 + team % 2, 1.0)] for team in range(32)]
    kind, rash = (track(env, policy, faults=plan, episode=0) for policy in (heuristic, deaf))
    assert kind[-1].outcome.success.mean() > 0.5 > rash[-1].outcome.success.mean()
    hasty = [(steps[-1].outcome.score == HASTY).mean() for steps in (kind, rash)]
    assert hasty[0] < 0.1 and hasty[1] > 0.3
    for steps in (kind, rash):
        score = steps[-1].outcome.score
        assert set(score) <= {0.0, HASTY, 1.0}
        assert np.array_equal(steps[-1].outcome.success, score == 1.0)
        assert not steps[-1].truth.healthy[np.arange(32), 1 + np.arange(32) % 2].any()


@pytest.mark.parametrize("policy", [heuristic, deaf])
def test_a_robot_calls_from_its_fault_until_somebody_comes(policy):
    env = SwarmEnv("fix", "crazyflie", 24, 4, seed=6)
    sizes = [4, 3] * 12
    plan = [
        [FaultSpec("freeze", team % 3, start, 2.0) for start in (0.5, 4.0)]
        + [FaultSpec("spoof", (team + 1) % 3, 2.0)]
        for team in range(24)
    ]
    steps = track(env, policy, team_sizes=sizes, faults=plan)
    calling, helped = np.zeros((2, 24, 4), bool)
    repairs = 0
    for before, after in pairwise(steps):
        truth, place = after.truth, after.truth.position[..., :2]
        far = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1)
        near = (np.where(truth.healthy[:, None], far, np.inf) < 0.25).any(axis=2)
        free = before.truth.landmarks.mask[:, 0]
        caught = free & ~truth.landmarks.mask[:, 0]
        broken = truth.present & ~truth.healthy & free[:, None]
        comes = broken & ~helped & near
        helped = (helped | comes) & ~truth.healthy
        calling = broken & ~helped
        event = comes.sum(axis=1) + caught * np.where(calling.any(axis=1), -1.0, 1.0)
        shown = truth.landmarks.mask[:, 1:]
        assert np.array_equal(shown, calling & ~caught[:, None])
        assert np.array_equal(truth.landmarks.position[:, 1:][shown], place[shown])
        bonus = after.outcome.reward - CATCH_REWARD * event
        assert np.all((bonus <= 0.0) & (bonus >= -1.0))
        repairs += comes.sum()
    assert repairs > 0 and steps[-1].outcome.score.max() > 0.0


coordinate, angle = st.floats(-1.4, 1.4), st.floats(-np.pi, np.pi)


@given(
    st.tuples(coordinate, coordinate, st.floats(0.1, 0.3)),
    st.tuples(angle, st.floats(-0.1, 0.3)),
    st.lists(st.tuples(angle, st.floats(0.0, 2.0)), min_size=1, max_size=4),
)
def test_evaders_flee_round_posts_and_from_working_pursuers_alone(post, start, pursuers):
    def around(centre, bearing, distance):
        return centre + distance * np.array([np.cos(bearing), np.sin(bearing)])

    evader = around(np.array(post[:2]), start[0], post[2] + start[1])
    place = np.array([[around(evader, *pursuer) for pursuer in pursuers]])
    marks, blank = evader[None, None], np.zeros((1, len(pursuers)))

    def moved(healthy, position):
        truth = (position, blank, healthy, marks, np.ones((1, 1)), np.ones((1, 1), bool), 2.0)
        view = TeamView(*truth, time_s=np.zeros(1), posts=np.array([[post]]))
        return flee(Fix.grounds["crazyflie"], view, marks, whims(marks), 0.1)[0, 0]

    there = moved(blank == 0.0, place)
    assert np.linalg.norm(there - post[:2]) >= post[2] - 1e-9
    assert np.abs(there).max() <= 2.0
    if start[1] > 0.1:  # m, out of reach of the post
        assert np.linalg.norm(there - evader) <= 0.1 * Fix.grounds["crazyflie"].speed + 1e-9
    assert np.array_equal(moved(blank > 0.0, place), moved(blank > 0.0, place + 10.0))
