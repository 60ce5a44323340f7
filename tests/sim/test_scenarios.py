"""The scenarios: contract, success, what they share with JaxRobotarium, and a user's own file."""

import re
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.play import heuristic, play
from swarmhold.sim.scenarios import discovery, foraging, navigation, warehouse
from swarmhold.sim.scenarios.base import Layout, Outcome, Scenario
from swarmhold.sim.scenarios.conformance import check
from swarmhold.sim.scenarios.registry import SHIPPED, scenario_of

CELLS = [(name, robot) for name in SHIPPED for robot in scenario_of(name).robots]
PAGE = Path(__file__).parents[2] / "docs/scenarios.md"


@pytest.mark.parametrize(("name", "robot"), CELLS)
def test_shipped_scenarios_keep_to_the_contract(name, robot):
    assert check(scenario_of(name), robot) == []


@pytest.mark.parametrize(("name", "robot"), CELLS)
@pytest.mark.parametrize("robots", [2, 50])
def test_teams_of_two_and_of_fifty(name, robot, robots):
    env = SwarmEnv(name, robot, 1, robots, seed=2)
    step = env.reset(faults=[[FaultSpec("crash", 1, 0.5)]])
    start = env.kinematics().position
    for _ in range(30):
        step = env.step(heuristic(env, step))
        assert np.isfinite([step.outcome.reward, step.outcome.error]).all()
        assert np.all((step.outcome.score >= 0.0) & (step.outcome.score <= 1.0))
    moved = np.linalg.norm(env.kinematics().position - start, axis=-1)[0]
    if robot != "gritsbot":  # fifty of them fill their arena; the barrier may hold them all
        assert moved.max() > 0.05
    env.close()


class Broken(Scenario):
    """A scenario with every mistake that the suite looks for, one at a time."""

    name, title, robots = "broken", "wrong in one way", ("epuck",)
    calls = 0

    def __init__(self, fault):
        self.fault = fault

    def slots(self, robots):
        return 1

    def half_width(self, robot):
        return 1.0

    def layout(self, rng, robots, robot):
        if self.fault == "random":
            rng = np.random.default_rng()
        if self.fault == "constant":
            rng = np.random.default_rng(0)
        reach = {"outside": 3.0, "crowd": 0.02}.get(self.fault, 0.9)
        values = np.ones(2 if self.fault == "slots" else 1)
        marks = rng.uniform(-0.5, 0.5, (len(values), 2))
        yaw = np.zeros(robots + (self.fault == "shape"))
        grid = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, 4)]), axis=-1).reshape(-1, 2)
        position = grid[rng.permutation(16)[:robots]] * reach
        return Layout(position, yaw, marks, values)

    def begin(self, robot, view):
        if self.fault == "begin":
            view.landmarks[:] *= 0.9
        return {"steps": np.zeros(len(view.position))}

    def advance(self, robot, view, seconds):
        Broken.calls += 1
        if self.fault == "mixed":
            view.landmarks[:] = view.landmarks.mean(axis=0)

    def outcome(self, robot, view):
        error = np.linalg.norm(view.position - view.landmarks[:, :1], axis=-1).mean(axis=1)
        reward = -error
        if self.fault == "hidden state":
            reward = reward + self.calls
        if self.fault == "nan":
            reward = reward * np.nan
        score = 2.0 - error if self.fault == "score" else np.exp(-error)
        done = error < 10.0 if self.fault == "trivial" else error < 0.25
        return Outcome(reward, score, error, done)

    def heuristic(self, spec, seen, weights):
        if self.fault == "raises":
            raise KeyError("oops")
        target = seen.obstacles[..., 0, :2]
        if self.fault == "gullible":
            target = target + seen.team[..., 0, :2]
        turn = np.arctan2(target[..., 1], target[..., 0])
        push = 0.5 * np.linalg.norm(target, axis=-1) * (np.abs(turn) < 0.5)
        action = np.stack([push, 4.0 * turn], axis=-1)
        return action * 0.0 if self.fault == "lazy" else action


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("random", "randomness from rng alone"),
        ("constant", "does not depend on rng"),
        ("outside", "outside the arena"),
        ("crowd", "into each other"),
        ("slots", "slots"),
        ("shape", "layout.yaw has shape"),
        ("begin", "begin changed landmarks"),
        ("mixed", "changes another team"),
        ("hidden state", "kept outside of view.memory"),
        ("nan", "outcome.reward must be"),
        ("score", "left [0, 1]"),
        ("trivial", "standing still solves 100%"),
        ("raises", "raised KeyError"),
        ("gullible", "NaN of a teammate"),
        ("lazy", "heuristic solves 0%"),
    ],
)
def test_the_suite_finds_every_mistake(fault, words):
    assert any(words in line for line in check(Broken(fault))), check(Broken(fault))


def test_the_authoring_page_shows_a_whole_scenario_that_is_found_by_name(
    tmp_path, monkeypatch, capsys
):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code.count("\n") < 80
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/ring.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert play(["ring", "--check"]) == 0
    assert capsys.readouterr().out == "ring: keeps to the contract\n"
    assert play(["ring", "--episodes", "2"]) == 0
    spoilt = code.replace("success=off < 0.05", "success=off < -1.0")
    (tmp_path / "scenarios/ring.py").write_text(spoilt)
    assert play(["ring", "--check"]) == 1
    assert "heuristic solves 0%" in capsys.readouterr().out
    (tmp_path / "scenarios/ring.py").write_text("import nothing_of_the_kind")
    with pytest.raises(ConfigError, match="ModuleNotFoundError"):
        play(["ring"])


def test_every_scenario_has_its_line_and_its_clip_on_the_page():
    text = PAGE.read_text()
    for name in SHIPPED:
        assert f"| `{name}` |" in text
        assert f"(clips/{name}.webp)" in text
        assert (PAGE.parent / f"clips/{name}.webp").stat().st_size > 10_000


def test_a_catch_takes_two_pursuers_where_two_work():
    env = SwarmEnv("pursuit", "crazyflie", 2, 2, seed=1)
    env.reset(faults=[[], [FaultSpec("crash", 1)]])
    for _ in range(env.limit):
        target = env.landmarks.position[:, :1] - env.kinematics().position[..., :2]
        step = env.step(2.0 * target * [[1.0], [0.0]])  # one hunts, the other one stays
    assert step.outcome.success.tolist() == [False, True]


def test_formation_closes_ranks_when_a_robot_breaks():
    env = SwarmEnv("formation", "crazyflie", 1, 4, seed=1)
    step = env.reset(faults=[[FaultSpec("crash", 2, 10.0)]])
    while not step.done.all():
        step = env.step(heuristic(env, step))
    assert step.outcome.success.all()
    slots = env.landmarks.position[0, [0, 1, 3]]
    sides = np.linalg.norm(slots - np.roll(slots, 1, axis=0), axis=-1)
    assert np.allclose(sides, 0.7)  # m, a triangle where a square had been


def test_rewards_and_observations_are_those_of_jaxrobotarium():
    goal = navigation.navigation_reward(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]))
    assert goal.tolist() == [-5.0]
    found = discovery.discovery_reward(np.array([2.0, 0.0]), np.array([1.0, 0.0]), np.array([3, 0]))
    assert found.tolist() == [6.95, 0.0]
    assert foraging.foraging_reward(np.array([3.0])).tolist() == [3.0]
    assert warehouse.warehouse_reward(np.array([2.0]), np.array([1.0])).tolist() == [5.0]
    widths = {"navigation": 5, "discovery": 30, "foraging": 3 * 4 + 3 * 2 + 1, "warehouse": 14}
    for name, width in widths.items():
        env = SwarmEnv(name, "gritsbot", 2, 4, seed=3)
        step = env.reset()
        for _ in range(30):
            step = env.step(heuristic(env, step))
        module = {"navigation": navigation, "discovery": discovery}.get(name)
        module = module or {"foraging": foraging, "warehouse": warehouse}[name]
        seen = module.peer_observation(env._view(env.healthy))
        assert seen.shape == (2, 4, width)
        own = np.concatenate([step.truth.position[..., :2], step.truth.yaw[..., None]], axis=-1)
        assert np.array_equal(seen[..., :3], own)


def test_unknown_names_get_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'warehouse'"):
        scenario_of("warehous")
