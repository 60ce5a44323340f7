"""Robots that join a running episode and robots that leave it, in every kind of physics."""

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv

ALWAYS = (-np.inf, np.inf)
WEATHER = Disturbances(
    sensor_delay_s=0.2, action_delay_s=0.2, link_delay_s=0.2, link_drop=0.2, battery_s=20.0
)
BACKENDS = ("batched", "mixed", "pybullet", "pybullet-native")


def plan(env, **robots):
    """Times of robots, as r1=(join, leave), the same in every team."""
    out = np.tile(ALWAYS, (env.n_envs, env.n_robots, 1))
    for name, times in robots.items():
        out[:, int(name[1:])] = times
    return out


def play(env, steps=200, **options):
    """Steps of the heuristic, and what the robots notice at each."""
    step = env.reset(**options)
    seen = [(step, env.evidence())]
    for _ in range(steps):
        step = env.step(env.scenario.heuristic(env.spec, step.observation, step.teammate_health))
        seen.append((step, env.evidence()))
    return seen


def same(one, two, teams=slice(None)):
    for part in ("position", "velocity", "yaw", "touched", "present", "healthy"):
        left, right = getattr(one.truth, part)[teams], getattr(two.truth, part)[teams]
        np.testing.assert_array_equal(left, right)
    for part in ("self_token", "team", "obstacles", "obstacle_mask"):
        left = getattr(one.observation, part)[teams]
        np.testing.assert_array_equal(left, getattr(two.observation, part)[teams])
    np.testing.assert_array_equal(one.teammate_health[teams], two.teammate_health[teams])
    np.testing.assert_array_equal(one.outcome.reward[teams], two.outcome.reward[teams])


@pytest.mark.parametrize("backend", ["batched", "mixed", "pybullet"])
@pytest.mark.parametrize("weather", [None, WEATHER], ids=["calm", "delayed"])
def test_who_joins_is_heard_sensed_and_trusted_from_then_on(backend, weather):
    env = SwarmEnv("coverage", "epuck", 2, 4, backend, seed=2, disturbances=weather)
    steps = play(env, 40, presence=plan(env, r3=(2.0, np.inf)))
    for step, seen in steps[:20]:
        assert not step.truth.present[:, 3].any() and not step.truth.healthy[:, 3].any()
        assert (step.teammate_health[:, :3, 2] == 0.0).all()
        assert np.isinf(seen.age[:, :3, 3]).all() and np.isnan(seen.sensed[:, :3, 3]).all()
        assert (np.abs(step.truth.position[:, 3]) > 500.0).any(axis=-1).all()
    step, seen = steps[20]
    np.testing.assert_allclose(step.truth.position[:, 3, :2], env.places.position[:, 3], atol=1e-9)
    assert (step.truth.charge[:, 3] == 1.0).all()
    for step, seen in steps[20:]:
        assert step.truth.healthy.all() and (step.teammate_health == 1.0).all()
        late = 1e-9 if weather is None else 2.0
        assert seen.age[:, :3, 3].max() <= late and seen.age[:, 3, :3].max() <= late
        apart = np.linalg.norm(seen.claimed[:, :3, 3] - step.truth.position[:, None, 3], axis=-1)
        assert apart.max() < (0.05 if weather is None else 0.3), "no word of where it was parked"
        truth = step.truth.position
        near = np.linalg.norm(truth[:, :3] - truth[:, 3:], axis=-1) < env.model.peer_range
        np.testing.assert_array_equal(np.isfinite(seen.sensed[:, :3, 3]).all(axis=-1), near)
        assert np.abs(step.observation.self_token[:, 3]).max() < 10.0
    travelled = steps[40][0].truth.position[:, 3] - steps[20][0].truth.position[:, 3]
    assert np.linalg.norm(travelled, axis=-1).max() > 0.05
    env.close()


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
@pytest.mark.parametrize("backend", ["batched", "pybullet"])
def test_who_leaves_is_gone_and_falls_silent(backend, robot):
    env = SwarmEnv("coverage", robot, 2, 4, backend, seed=2)
    steps = play(env, 40, presence=plan(env, r0=(-1.0, 2.0)))
    assert steps[19][0].truth.healthy.all()
    for k, (step, seen) in enumerate(steps[20:]):
        assert not step.truth.present[:, 0].any() and not step.truth.touched[:, 0].any()
        assert (step.teammate_health[:, 1:, 0] == 0.0).all()
        assert (step.teammate_health[:, 1:, 1:] == 1.0).all()
        np.testing.assert_allclose(seen.age[:, 1:, 0], 0.1 * k, atol=1e-9)
        assert np.isnan(seen.sensed[:, 1:, 0]).all()
    still = [step.truth.position[:, 0] for step, _ in steps[21:]]
    np.testing.assert_allclose(still, np.broadcast_to(still[0], np.shape(still)), atol=1e-6)
    env.close()


@pytest.mark.parametrize("backend", ["batched", "numpy", "mixed", "pybullet"])
def test_a_plan_in_which_nobody_moves_is_no_plan(backend):
    fault = [[FaultSpec("reboot", 0, 0.0, 0.5)], [FaultSpec("partition", 1, 0.0)]]
    runs = []
    for given in (False, True):
        env = SwarmEnv("coverage", "epuck", 2, 4, backend, seed=2, disturbances=WEATHER)
        presence = plan(env, r1=(0.0, np.inf)) if given else None
        runs.append(play(env, 15, presence=presence, faults=fault, team_sizes=[4, 3]))
        env.close()
    for (one, seen), (two, other) in zip(*runs, strict=True):
        same(one, two)
        np.testing.assert_array_equal(seen.age, other.age)


@pytest.mark.parametrize("backend", BACKENDS)
def test_teams_are_apart_and_a_snapshot_knows_who_is_to_come(backend):
    runs = []
    for changing in (False, True):
        env = SwarmEnv("coverage", "epuck", 2, 4, backend, seed=2, disturbances=WEATHER)
        times = plan(env)
        if changing:
            times[1, 2:] = (0.7, np.inf), (-np.inf, 1.1)
        runs.append(play(env, 20, presence=times))
        if changing:
            env.reset(presence=times, episode=0)
            zeros = np.zeros((2, 4, 2))
            for _ in range(5):
                env.step(zeros)
            saved = env.snapshot()
            first = [env.step(zeros) for _ in range(10)]
            env.restore(saved)
            for one in first:
                same(one, env.step(zeros))
            assert first[1].truth.present[1, 2] and not first[5].truth.present[1, 3]
        env.close()
    if backend != "mixed":  # there, a team may meet another one's server
        for (one, _), (two, _) in zip(*runs, strict=True):
            same(one, two, [0])


@pytest.mark.parametrize("scenario", ["rendezvous", "coverage", "pursuit", "formation"])
def test_a_team_that_grows_and_shrinks_still_solves_its_task(scenario):
    env = SwarmEnv(scenario, "epuck", 8, 6, seed=4)
    times = plan(env, r1=(3.0, np.inf), r2=(5.0, np.inf), r5=(-1.0, 8.0))
    step = play(env, env.limit, presence=times)[-1][0]
    assert step.truth.present.sum(axis=1).tolist() == [5] * 8
    assert step.outcome.success.mean() >= 0.7


@pytest.mark.parametrize("scenario", ["navigation", "discovery", "foraging", "warehouse"])
def test_rewards_stay_finite_and_sane_when_robots_come_and_go(scenario):
    env = SwarmEnv(scenario, "gritsbot", 2, 4, seed=4)
    quiet = play(env, 60, episode=0)
    busy = play(env, 60, episode=0, presence=plan(env, r1=(1.0, np.inf), r3=(-1.0, 3.0)))
    largest = max(np.abs(step.outcome.reward).max() for step, _ in quiet)
    for step, _ in busy:
        assert np.isfinite(step.outcome.reward).all() and np.isfinite(step.outcome.error).all()
        assert np.abs(step.outcome.reward).max() <= 2.0 * largest + 10.0
        there = step.truth.position[..., :2][step.truth.present]
        assert np.abs(there).max() < 2.0 * env.half_width


def test_faults_hold_for_those_who_join():
    env = SwarmEnv("coverage", "epuck", 2, 4, seed=2)
    faults = [[FaultSpec("partition", 3, 0.0)], [FaultSpec("crash", 3, 0.5), FaultSpec("nan", 2)]]
    step, seen = play(env, 12, presence=plan(env, r3=(1.0, np.inf)), faults=faults)[-1]
    assert np.isinf(seen.age[:, :3, 3]).all(), "on the other side, and broken before it came"
    assert step.truth.present.all() and step.truth.healthy[:, 3].tolist() == [True, False]
    assert (step.truth.position[1, 3, :2] == env.places.position[1, 3]).all()


def test_smaller_teams_have_plans_of_their_own_and_begin_anew():
    env = SwarmEnv("coverage", "epuck", 2, 4, seed=2)
    step = env.reset(team_sizes=[3, 4], presence=plan(env, r2=(0.3, 0.5), r3=(0.3, 0.5)))
    counts = [step.truth.present.sum(axis=1).tolist()]
    for _ in range(6):
        counts.append(env.step(np.zeros((2, 4, 2))).truth.present.sum(axis=1).tolist())
    assert counts == [[2, 2]] * 3 + [[3, 4]] * 2 + [[2, 2]] * 2
    step = env.reset(mask=np.array([True, False]))
    assert step.truth.present.sum(axis=1).tolist() == [4, 2]
    assert step.truth.landmarks.mask.sum(axis=1).tolist() == [4, 4]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (np.zeros((2, 3, 2)), r"shape \(2, 3, 2\); \(2, 4, 2\) is needed"),
        (np.tile((3.0, 2.0), (2, 4, 1)), "robot 0 of team 0 joins at 3 s and leaves at 2 s"),
        (np.full((2, 4, 2), np.nan), "before it leaves"),
    ],
)
def test_wrong_plans_are_one_line(times, words):
    env = SwarmEnv("coverage", "epuck", 2, 4)
    with pytest.raises(ConfigError, match=words):
        env.reset(presence=times)
