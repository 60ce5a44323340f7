"""Scenarios, faults and the environment around them."""

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults
from swarmhold.sim.scenarios.registry import scenario_of
from swarmhold.sim.world import World

CELLS = [(s, r) for s in ("rendezvous", "coverage") for r in ("epuck", "crazyflie")]


def play(env, steps=200, policy="heuristic", **options):
    step = env.reset(**options)
    total, steps_seen = np.zeros(env.n_envs), [step]
    for _ in range(steps):
        action = np.zeros((env.n_envs, env.n_robots, 2))
        if policy == "heuristic":
            action = env.scenario.heuristic(env.spec, step.observation, step.teammate_health)
        step = env.step(action)
        total += step.outcome.reward
        steps_seen.append(step)
    return total, steps_seen


def one_fault(kind, robot=1, **options):
    return [[FaultSpec(kind, robot, start_s=1.0, **options)]]


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
@pytest.mark.parametrize("robots", [3, 8])
def test_the_heuristic_solves_the_task(scenario, robot, robots):
    env = SwarmEnv(scenario, robot, 6, robots, seed=1)
    _, steps = play(env)
    assert steps[-1].outcome.success.mean() >= 0.8


@pytest.mark.parametrize("scenario", ["rendezvous", "coverage"])
def test_twenty_robots(scenario):
    _, steps = play(SwarmEnv(scenario, "epuck", 2, 20, seed=1))
    assert steps[-1].outcome.score.mean() > 0.9


def test_the_return_scale_of_the_definition_holds():
    env = SwarmEnv("rendezvous", "epuck", 64, 10)
    still, _ = play(env, policy="still", episode=0)
    heuristic, _ = play(env, episode=0)
    assert still.mean() == pytest.approx(-66.4, abs=3.0)
    assert heuristic.mean() == pytest.approx(-9.6, abs=1.0)


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
def test_equal_seeds_are_bit_equal_and_others_are_not(scenario, robot):
    runs = []
    for seed in (3, 3, 4):
        env = SwarmEnv(scenario, robot, 2, 4, seed=seed)
        _, steps = play(env, steps=20, faults=[[FaultSpec("spoof", 0)], []])
        runs.append((steps[-1].observation.team, env.evidence().sensed))
    for a, b in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_both_backends_play_the_same_episode():
    finals = []
    for backend in ("batched", "pybullet"):
        env = SwarmEnv("rendezvous", "epuck", 1, 3, backend, contacts=False, seed=2)
        _, steps = play(env, steps=40)
        finals.append(steps[-1].truth.position)
        env.close()
    np.testing.assert_allclose(*finals, atol=1e-9)


@pytest.mark.parametrize("kind", ["crash", "freeze"])
def test_dead_robots_stop_and_fall_silent(kind):
    env = SwarmEnv("rendezvous", "epuck", 1, 4)
    _, steps = play(env, steps=40, faults=one_fault(kind))
    moved = np.abs(steps[40].truth.position[0, 1] - steps[15].truth.position[0, 1]).max()
    assert moved < 1e-9
    age = env.evidence().age[0]
    assert age[0, 1] > 2.5 and age[0, 2] < 0.2
    assert not steps[-1].truth.healthy[0, 1]
    assert steps[-1].teammate_health[0, 0, 0] == 0.0


def test_a_reboot_comes_back_with_another_boot_id():
    env = SwarmEnv("rendezvous", "epuck", 1, 3)
    play(env, steps=20, faults=one_fault("reboot", duration_s=2.0))
    during = env.evidence()
    assert during.age[0, 0, 1] > 0.5 and during.said.boot_id[0, 0, 1] == 1
    _, steps = play(env, steps=45, faults=one_fault("reboot", duration_s=2.0))
    after = env.evidence()
    assert after.age[0, 0, 1] < 0.2 and after.said.boot_id[0, 0, 1] == 2
    assert steps[-1].truth.healthy[0, 1]


def test_every_reboot_has_a_boot_id_of_its_own():
    env = SwarmEnv("rendezvous", "epuck", 1, 3)
    play(
        env, steps=45, faults=[[FaultSpec("reboot", 1, 0.5, 0.5), FaultSpec("reboot", 1, 2.5, 0.5)]]
    )
    assert env.evidence().said.boot_id[0, 0].tolist() == [1, 3, 1]


def test_runaways_leave_and_tell_the_truth():
    env = SwarmEnv("rendezvous", "crazyflie", 1, 3)
    _, steps = play(env, steps=60, faults=one_fault("runaway"))
    path = steps[60].truth.position[0, 1] - steps[30].truth.position[0, 1]
    assert np.linalg.norm(path) > 2.0
    seen = env.evidence()
    assert np.abs(seen.claimed[0, 0, 1] - steps[-1].truth.position[0, 1]).max() < 0.1


def test_slow_robots_still_belong_to_the_team():
    env = SwarmEnv("rendezvous", "epuck", 1, 3)
    _, steps = play(env, steps=25, faults=one_fault("slow", severity=1.0))
    slow = np.linalg.norm(steps[-1].truth.velocity[0, 1])
    assert slow <= 0.25 * 0.1507 and steps[-1].truth.healthy.all()


def test_spoofers_tell_each_receiver_something_else_and_drive_truthfully():
    env = SwarmEnv("rendezvous", "epuck", 1, 6)
    _, steps = play(env, steps=30, faults=one_fault("spoof"))
    claims = env.evidence().claimed[0, [0, 2, 3, 4, 5], 1, :2]
    truth = steps[-1].truth.position[0, 1, :2]
    assert np.linalg.norm(claims - truth, axis=-1).min() > 0.02
    assert np.linalg.norm(claims[:, None] - claims[None], axis=-1).max() > 0.2
    assert np.abs(claims).max() <= 1.1
    honest = env.evidence().claimed[0, 0, 2, :2] - steps[-1].truth.position[0, 2, :2]
    assert np.abs(honest).max() < 0.03


def test_garbage_and_lost_links():
    env = SwarmEnv("rendezvous", "epuck", 1, 4)
    play(env, steps=20, faults=one_fault("nan"))
    assert env.evidence().corrupt[0, 0].tolist() == [False, True, False, False]
    _, steps = play(env, steps=30, faults=one_fault("link_loss"))
    seen = env.evidence()
    assert seen.age[0, 0, 1] > 1.5, "nobody hears it"
    assert seen.age[0, 1, 0] > 1.5, "and it hears nobody"
    assert np.linalg.norm(steps[20].truth.velocity[0, 1]) > 0.0


def test_dead_bodies_stay_visible():
    env = SwarmEnv("rendezvous", "epuck", 1, 3)
    _, steps = play(env, steps=200, faults=one_fault("crash"))
    step = steps[-1]
    place = step.truth.position[0]
    for robot in (0, 2):
        near = np.linalg.norm(place[robot, :2] - place[1, :2]) < env.model.near_range
        bodies = step.observation.obstacle_mask[0, robot].sum()
        other = 2 - robot
        also = np.linalg.norm(place[robot, :2] - place[other, :2]) < env.model.near_range
        assert bodies == near + also


def test_absent_robots_do_not_exist_for_anybody():
    env = SwarmEnv("coverage", "epuck", 2, 5)
    _, steps = play(env, steps=30, team_sizes=[3, 5])
    step = steps[-1]
    assert step.truth.present.sum(axis=1).tolist() == [3, 5]
    assert step.truth.landmarks.mask.sum(axis=1).tolist() == [3, 5]
    assert (step.teammate_health[0, 0] == [1, 1, 0, 0]).all()
    assert np.isinf(env.evidence().age[0, 0, 3:]).all()
    alone = SwarmEnv("coverage", "epuck", 1, 3)
    _, small = play(alone, steps=30)
    np.testing.assert_array_equal(step.truth.position[0, :3], small[-1].truth.position[0])


def test_coverage_wants_the_valuable_landmarks_when_robots_die():
    env = SwarmEnv("coverage", "epuck", 4, 5, seed=5)
    plan = [[FaultSpec("crash", env_index % 5, start_s=8.0)] for env_index in range(4)]
    _, steps = play(env, faults=plan)
    assert steps[-1].outcome.score.mean() > 0.85
    blind = SwarmEnv("coverage", "epuck", 4, 5, seed=5)
    step = blind.reset(faults=plan)
    for _ in range(200):
        ones = np.ones_like(step.teammate_health)
        step = blind.step(blind.scenario.heuristic(blind.spec, step.observation, ones))
    assert step.outcome.score.mean() < steps[-1].outcome.score.mean()


def test_fault_plans_are_drawn_from_the_seed():
    def draw(seed):
        return random_faults(np.random.default_rng(seed), [5] * 8, list(KINDS), count=(1, 2))

    assert draw(1) == draw(1) != draw(2)
    for faults in draw(1):
        assert len({fault.robot for fault in faults}) == len(faults)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scenario_of("chess"), "unknown scenario 'chess'"),
        (lambda: SwarmEnv("rendezvous", n_envs=0), "at least 1"),
        (lambda: SwarmEnv("rendezvous", "turtle"), "unknown robot class"),
        (lambda: SwarmEnv("rendezvous", n_envs=2).reset(team_sizes=[99, 1]), "between 1 and 10"),
        (lambda: SwarmEnv("rendezvous").reset(faults=[[FaultSpec("crash", 10)]]), "names robot 10"),
        (lambda: SwarmEnv("rendezvous").reset(faults=[]), "covers 0 environments"),
    ],
)
def test_bad_arguments_are_one_line(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
def test_the_live_world_senses_and_obeys(scenario, robot):
    world = World(scenario, robot, 4, seed=3)
    frames = world.frames(stamp=7.0)
    assert [frame.stamp for frame in frames] == [7.0] * 4
    assert len(world.task.landmarks) == (4 if scenario == "coverage" else 0)
    for robot_index, frame in enumerate(frames):
        assert robot_index not in frame.sighted
        for other, seen in zip(frame.sighted, frame.sightings, strict=True):
            true = np.linalg.norm(world.position[other] - world.position[robot_index])
            assert np.linalg.norm(seen) == pytest.approx(true, abs=0.2)
    before = world.position.copy()
    idle = np.array([True, False, False, False])
    for _ in range(20):
        world.advance(0.05, np.tile([0.1, 0.0], (4, 1)), idle)
    moved = np.linalg.norm((world.position - before)[:, :2], axis=-1)
    assert moved[0] < 0.01 and (moved[1:] > 0.02).all()
    assert world.task_error(np.ones(4, bool)) > 0.0
    world.advance(0.05, np.full((4, 2), np.nan), ~idle)
    assert np.isfinite(world.position).all()
    world.close()
