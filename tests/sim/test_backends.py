"""The environment's contract in every backend: masked resets, snapshots, faults, weather."""

import numpy as np
import pytest

from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import HONEST
from swarmhold.sim.physics import BACKENDS

CELLS = [("coverage", "epuck"), ("coverage", "crazyflie")]
WEATHER = Disturbances(
    wind=0.5,
    gust=0.3,
    position_noise=0.01,
    velocity_noise=0.01,
    sensor_delay_s=0.2,
    action_delay_s=0.1,
    link_delay_s=0.2,
    link_drop=0.2,
    mass=0.1,
    motor_gain=0.1,
    battery_s=20.0,
)


def play(env, steps, seed=0, step=None):
    rng, bound = np.random.default_rng(seed), np.asarray(env.spec.action_bound)
    shape = (env.n_envs, env.n_robots, env.spec.action_size)
    return [env.step(rng.uniform(-1, 1, shape) * bound) for _ in range(steps)]


def same(one, two, rows=slice(None)):
    for part in ("position", "velocity", "yaw", "touched"):
        left, right = getattr(one.truth, part)[rows], getattr(two.truth, part)[rows]
        np.testing.assert_array_equal(left, right)
    for part in ("self_token", "team", "obstacles", "obstacle_mask"):
        left = getattr(one.observation, part)[rows]
        np.testing.assert_array_equal(left, getattr(two.observation, part)[rows])
    np.testing.assert_array_equal(one.outcome.reward[rows], two.outcome.reward[rows])


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_masked_reset_leaves_the_rest_alone_and_replays(scenario, robot, backend):
    plan = [[FaultSpec("slow", 0, 0.5)], [FaultSpec("spoof", 1, 0.3)], [FaultSpec("crash", 2, 0.8)]]
    env = SwarmEnv(scenario, robot, 3, 4, backend, disturbances=WEATHER)
    env.reset(seed=[5, 6, 7], faults=plan)
    first = play(env, 12)
    mask = np.array([True, False, True])
    now = env.reset(mask=mask, seed=[5, 6, 7], faults=plan)
    same(now, first[-1], [1])
    assert now.time_s.tolist() == [0.0, pytest.approx(1.2), 0.0]
    for one, two in zip(play(env, 12), first, strict=True):
        same(one, two, [0, 2])


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_snapshot_goes_on_bit_for_bit(scenario, robot, backend):
    env = SwarmEnv(scenario, robot, 2, 4, backend, disturbances=WEATHER)
    env.reset(seed=1, faults=[[FaultSpec("sensor_drift", 0, 0.5)], [FaultSpec("reboot", 1, 0.5)]])
    play(env, 10)
    saved = env.snapshot()
    first = play(env, 10, seed=1)
    env.restore(saved)
    for one, two in zip(play(env, 10, seed=1), first, strict=True):
        same(one, two)


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_acts_repeatably_from_its_onset_and_on_its_team_alone(kind):
    env = SwarmEnv("coverage", "crazyflie", 2, 3, seed=9)
    runs, proofs = [], []
    for faulty in (True, True, False):
        fault = FaultSpec(kind, 1, 0.5, 1.0, seed=4) if faulty else None
        env.reset(episode=0, faults=[[], [fault] if fault else []])
        rng, steps, proof = np.random.default_rng(0), [], []
        for _ in range(25):
            steps.append(env.step(rng.uniform(-1, 1, (2, 3, 2))))
            seen = env.evidence()
            proof.append((seen.age, seen.said.boot_id, seen.said.stamp, seen.claimed))
        runs.append(steps)
        proofs.append(proof)
    for one, two in zip(*runs[:2], strict=True):
        same(one, two)
    for k in range(25):
        same(runs[0][k], runs[2][k], [0])
    for k in range(4):
        same(runs[0][k], runs[2][k])
    changed = [
        not np.array_equal(one[1], two[1], equal_nan=True)
        for k in range(5, 15)
        for one, two in zip(proofs[0][k], proofs[2][k], strict=True)
    ]
    moved = runs[0][14].truth.position[1] - runs[2][14].truth.position[1]
    assert any(changed) or np.abs(moved).max() > 1e-3, "a fault that changes nothing is none"
    during = [step.truth.healthy[1, 1] for step in runs[0][5:14]]
    assert all(during) if kind in HONEST else not any(during)
    assert runs[0][24].truth.healthy.all(), "over when it is over"


def test_mixed_mode_is_pybullet_where_bodies_meet():
    steps = []
    for backend in ("mixed", "pybullet", "batched"):
        env = SwarmEnv("coverage", "epuck", 6, 5, backend)
        step = env.reset(seed=2)
        for _ in range(80):
            healthy = step.teammate_health
            step = env.step(env.scenario.heuristic(env.spec, step.observation, healthy * 0))
        steps.append(step)
    mixed, bullet, twin = (step.truth.position for step in steps)
    apart = np.abs(mixed - bullet).max(axis=(1, 2))
    assert np.median(apart) < 1e-3, "contact is chaotic, most teams hardly touch"
    assert np.abs(twin - bullet).max() > np.median(apart)


def test_weather_costs_nothing_when_it_is_off():
    calm = SwarmEnv("coverage", "crazyflie", 2, 3, seed=1)
    zero = SwarmEnv("coverage", "crazyflie", 2, 3, seed=1, disturbances=Disturbances())
    rough = SwarmEnv("coverage", "crazyflie", 2, 3, seed=1, disturbances=WEATHER)
    for env in (calm, zero, rough):
        env.reset()
    tracks = [play(env, 10)[-1] for env in (calm, zero, rough)]
    same(tracks[0], tracks[1])
    assert np.abs(tracks[0].truth.position - tracks[2].truth.position).max() > 0.01


def test_a_part_of_many_environments_is_that_part():
    whole = SwarmEnv("coverage", "epuck", 4, 3, seed=1, disturbances=WEATHER)
    part = SwarmEnv("coverage", "epuck", 2, 3, seed=1, disturbances=WEATHER, first_env=2)
    whole.reset()
    part.reset()
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = rng.uniform(-0.1, 0.1, (4, 3, 2))
        one, two = whole.step(action), part.step(action[2:])
    np.testing.assert_array_equal(one.truth.position[2:], two.truth.position)
    np.testing.assert_array_equal(one.observation.team[2:], two.observation.team)
