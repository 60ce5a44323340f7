"""JaxRobotarium beside ours: what is missing is said in one line, and what is there agrees."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import TokenKind
from swarmhold.sim.ground.engine import ANGULAR_GAIN, LINEAR_GAIN, Robotarium, filter_wheels
from swarmhold.sim.jaxrobotarium import (
    SCENARIOS,
    JaxRobotariumEnv,
    __main__,
    check,
    env,
    install,
    policy,
)

# What the peer's own imports warn of is not ours.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def peer():
    try:
        return install.probe()
    except ConfigError as error:
        pytest.skip(str(error))


def test_what_is_missing_is_one_line(monkeypatch, capsys):
    install.probe.cache_clear()
    monkeypatch.setattr(install, "_there", lambda name: name in ("jaxmarl", "rps_jax"))
    with pytest.raises(ConfigError) as caught:
        install.probe()
    line = str(caught.value)
    assert "jaxopt, jaxrobotarium missing" in line and "\n" not in line
    assert 'pip install jaxopt "jaxrobotarium @ git+https://github.com/GT-STAR-Lab' in line
    assert __main__.main([]) == 2
    printed = capsys.readouterr()
    assert printed.err.strip() == f"error: {line}" and not printed.out
    with pytest.raises(ConfigError, match="missing"):
        JaxRobotariumEnv("navigation")


def test_parts_that_installs_leave_out_are_named(monkeypatch):
    assert not install._there("no_such_package.part") and install._there("numpy.linalg")
    install.probe.cache_clear()
    monkeypatch.setattr(install, "_there", lambda name: name != install.BARRIER)
    with pytest.raises(ConfigError, match=r"without rps_jax.utilities.*pip install -e"):
        install.probe()
    with pytest.raises(ConfigError, match=r"no_such_module does not import \(ModuleNot"):
        install._load("no_such_module")


def test_a_barrier_that_ignores_its_constraints_is_found_out():
    def exact(safety_radius):
        def run(wish, poses):
            return filter_wheels(poses.T[None], wish.T[None])[0][0].T

        return run

    install.check_barrier(exact)
    with pytest.raises(ConfigError, match=r"lets 0.200 m/s pass where -0.080 is safe"):
        install.check_barrier(lambda safety_radius: lambda wish, poses: wish)
    with pytest.raises(ConfigError, match="lets nan"):
        install.check_barrier(lambda safety_radius: lambda wish, poses: wish * np.nan)


def test_wrong_arguments_are_one_line():
    for arguments, message in (
        (("maze",), "choose one of: navigation"),
        (("navigation", 0), "too few"),
        (("navigation", 1, 8), "room for 7 robots, not 8"),
        (("arctic_transport", 1, 3), "made for 4 robots"),
    ):
        with pytest.raises(ConfigError, match=message):
            JaxRobotariumEnv(*arguments)


def test_teams_of_other_sizes_get_the_same_kinds_of_robots():
    made = env._options("discovery", 5, {"num_landmarks": 2})
    assert made["heterogeneity"]["values"] == [[0.45, 0.0]] * 3 + [[0.0, 0.25]] * 2
    assert made["num_landmarks"] == 2 and env._options("rware", 2, {}) == {}


def test_tokens_hold_motion_teammates_and_ones_own_goal():
    spec, tokens = policy_spec("gritsbot"), policy.Tokens(0.1)
    poses = np.array([[[0.0, 0.0, math.pi / 2], [0.5, 0.0, 0.0], [-0.5, 0.3, 1.0]]])
    goals = np.array([[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]])
    still = np.zeros((1, 3, 2))
    seen = tokens.see(poses, goals, still)
    assert seen.self_token.shape == (1, 3, spec.self_size) and not seen.self_token[..., :5].any()
    assert np.allclose(seen.team[0, 0, 0, :2], [0.0, -0.5], atol=1e-6), "to the right"
    first = seen.obstacles[0, np.arange(3), np.arange(3)]
    assert (seen.obstacle_mask[0, :, :3] == np.eye(3)).all(), "everybody sees his own goal"
    assert np.allclose(first[0, :2], [1.0, 0.0], atol=1e-6) and first[0, 4 + TokenKind.LANDMARK]
    moved = poses + np.array([[0.0, 0.01, 0.0], [0.1, 0.0, 0.02], [0.0, 0.0, 0.0]])
    later = tokens.see(moved, goals, still + 0.5)
    assert np.allclose(later.self_token[0, 0, :5], [0.1, 0.0, 0.0, 0.5, 0.5], atol=1e-6)
    assert np.allclose(later.self_token[0, 1, 2], 0.2)
    assert np.allclose(later.team[0, 0, 0, :2], [-0.01, -0.5], atol=1e-6), "as of a decision ago"


def test_the_example_of_a_policy_is_the_testbeds_controller():
    rng = np.random.default_rng(0)
    poses = check.layouts(rng, 4, 3, 0.5)
    goals = poses[:, [1, 2, 0], :2]
    seen = policy.Tokens(0.099).see(poses, goals, np.zeros((4, 3, 2)))
    command = policy.to_own_landmark(seen, np.ones((4, 3, 2)))
    way, yaw = goals - poses[..., :2], poses[..., 2]
    ahead = way[..., 0] * np.cos(yaw) + way[..., 1] * np.sin(yaw)
    aside = way[..., 1] * np.cos(yaw) - way[..., 0] * np.sin(yaw)
    assert np.allclose(
        command, np.stack([LINEAR_GAIN * ahead, ANGULAR_GAIN * aside], -1), atol=1e-5
    )


@pytest.mark.parametrize("changing", [False, True])
def test_both_move_alike_for_a_hundred_ticks(peer, changing):
    double, single = check.motion_gap(True, changing), check.motion_gap(False, changing)
    assert double["saturated"] > 0.5, "wheels are at their limit mostly"
    assert double["position_m"] < 1e-12 and double["yaw_rad"] < 1e-12
    assert single["position_m"] < 5e-5 and single["yaw_rad"] < 1e-4, "float32"


@pytest.mark.parametrize("n_robots", [2, 3, 6])
def test_our_command_is_the_optimum_of_its_program(peer, n_robots):
    found = check.program_gap(n_robots, cases=200)
    assert found["missed_m_s"] < 1e-9 and found["slope"] < 1e-9
    assert check.wishes(n_robots, 200, 0).bound.mean() > 0.05


def test_its_solver_agrees_where_no_constraint_binds(peer):
    found = check.filter_gap(False)
    assert 0.1 < found["bound"] < 0.9
    assert found["idle_median_m_s"] < 1e-3, "its tolerance is 1e-4 in other units"
    assert found["bound_median_m_s"] > found["idle_median_m_s"], "there it ends early"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_its_scenarios_are_environments_of_arrays(peer, scenario):
    sim = JaxRobotariumEnv(scenario, 3, seed=1, max_steps=3, ticks=2, barrier=False)
    robots = SCENARIOS[scenario][1]
    first = sim.reset(seed=5)
    assert first.shape[:2] == (3, robots) and np.isfinite(first).all() and sim.n_actions == 5
    runs = []
    for _ in range(2):
        sim.reset(seed=5)
        runs.append([sim.step(np.full((3, robots), 1)) for _ in range(4)])
    for one, other in zip(*runs, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
        assert one[0].shape == first.shape and one[1].shape == (3, robots)
    assert [bool(row[2].all()) for row in runs[0]] == [False, False, False, True], "one more"
    with pytest.raises(ConfigError, match="give actions"):
        sim.step(np.zeros((3, robots, 2)))


def test_continuous_commands_move_the_robots_as_ours(peer):
    sim = JaxRobotariumEnv("navigation", 4, seed=2, ticks=10, continuous=True, barrier=False)
    sim.reset()
    ours, rng = Robotarium(4, 3, barrier=False), np.random.default_rng(1)
    ours.reset(sim.poses)
    for _ in range(5):
        command = rng.uniform([-0.3, -4.0], [0.3, 4.0], (4, 3, 2))
        sim.step(command)
        ours.drive(command, 10)
        assert np.abs(sim.poses[..., :2] - ours.poses[..., :2]).max() < 1e-5
    sim.poses = ours.poses * 0.0
    assert not sim.poses.any() and sim.landmarks.shape == (4, 3, 2)


def test_our_policies_are_played_in_navigation(peer):
    found = policy.evaluate(policy.navigation(8, 3), policy.to_own_landmark, episodes=9)
    assert found["episodes"] == 16.0
    assert found["success"] > 0.8 and found["error_m"] < 0.1
    with pytest.raises(ConfigError, match="continuous=True only"):
        policy.evaluate(JaxRobotariumEnv("rware"), policy.to_own_landmark, 1)


def test_the_command_line_prints_every_comparison(monkeypatch, capsys):
    given = SimpleNamespace(versions={"jax": "0"})
    monkeypatch.setattr(__main__, "probe", lambda: given)
    monkeypatch.setattr(__main__, "cross_check", lambda: {"motion": {"position_m": 1e-6}})
    monkeypatch.setattr(__main__, "evaluate", lambda *_: {"success": 1.0})
    monkeypatch.setattr(__main__, "navigation", lambda *_: None)
    assert __main__.main(["--check", "--play", "example"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "versions: jax 0",
        "motion: position_m 1e-06",
        "example in navigation: success 1",
    ]
    assert __main__.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"versions": {"jax": "0"}}


def test_bundles_for_other_robots_are_refused():
    bundles = Path(__file__).parents[2] / "export/swarmhold/export/bundles"
    with pytest.raises(ConfigError, match="gritsbot robots only; this policy is for epuck"):
        policy.bundle_policy(bundles / "rendezvous-epuck")


def test_a_bundle_acts_on_tokens_of_navigation(monkeypatch):
    bundles = Path(__file__).parents[2] / "export/swarmhold/export/bundles"
    monkeypatch.setattr(policy, "ROBOT", "epuck")
    act = policy.bundle_policy(bundles / "coverage-epuck")
    tokens = policy.Tokens(0.1)
    poses = check.layouts(np.random.default_rng(0), 2, 3, 0.5)
    seen = tokens.see(poses, poses[:, ::-1, :2], np.zeros((2, 3, 2)))
    assert act(seen, np.ones((2, 3, 2))).shape == (2, 3, 2)
