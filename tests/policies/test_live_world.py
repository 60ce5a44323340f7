"""The live world and the training environment show a robot the same, in every scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.registry import SHIPPED, scenario_of
from swarmhold.sim.world import World

N, SEED, DECISIONS = 4, 5, 12
ROBOTS = {"epuck": "coverage-epuck", "crazyflie": "coverage-crazyflie"}
CELLS = [(name, robot) for name in SHIPPED for robot in scenario_of(name).robots if robot in ROBOTS]


class Looking(OnnxPolicy):
    """Asks for nothing, and remembers what it was shown."""

    seen: Observation

    def act(self, seen: Observation, weights: Float, hidden: Float | None = None) -> PolicyStep:
        self.seen = seen
        step = super().act(seen, weights, hidden)
        return replace(step, action=np.zeros_like(step.action))


class Team:
    """Controllers over a world, as its nodes run them, without the messages' delays."""

    def __init__(self, world: World, bundle: object) -> None:
        self.world = world
        self.policies = [Looking(bundle) for _ in range(N)]  # type: ignore[arg-type]
        config = [ControllerConfig(i, N, self.policies[i].bundle.spec.loop_hz) for i in range(N)]
        pairs = zip(self.policies, config, strict=True)
        self.robots = [RobotController(policy, world.task, own) for policy, own in pairs]

    def look(self, now: float) -> list[Observation]:
        """What each is shown at `now`, having heard where everybody is at that very time."""
        frames = self.world.frames(now)
        for robot in self.robots:
            robot.on_task(self.world.task)
        for _ in range(2):  # the policy is asked in every other tick
            ticks = [
                robot.tick(frame, now) for robot, frame in zip(self.robots, frames, strict=True)
            ]
            for tick in ticks:
                for robot in self.robots:
                    robot.on_state(tick.state, now)
        for robot, frame in zip(self.robots, frames, strict=True):
            robot.tick(frame, now)
            robot.tick(frame, now)
        return [policy.seen for policy in self.policies]


def marks(seen: Observation, robot: int | None = None) -> Float:
    """Tokens of what is there, in a fixed order.

    Without heights: in training landmarks hang where robots should fly, live where they do.
    """
    tokens, there = seen.obstacles, seen.obstacle_mask > 0.5
    if robot is not None:
        tokens, there = tokens[0, robot], there[0, robot]
    rows = np.delete(tokens[there], 2, axis=-1)
    return rows[np.lexsort(np.round(rows, 4).T)]


@pytest.mark.parametrize(("scenario", "robot"), CELLS)
def test_robots_see_live_what_they_saw_in_training(
    scenario: str, robot: str, request: pytest.FixtureRequest
) -> None:
    folder = request.config.rootpath / "export/swarmhold/export/bundles" / ROBOTS[robot]
    env = SwarmEnv(scenario, robot, 1, N, backend="pybullet", seed=SEED)
    world = World(scenario, robot, N, SEED)
    team = Team(world, open_bundle(folder))
    step, changed = env.reset(episode=0), set()
    rng = np.random.default_rng(1)
    bound = np.asarray(env.spec.action_bound)
    for decision in range(DECISIONS + 1):
        changed.add(world.task)
        for i, seen in enumerate(team.look(10.0 + decision * env.tick)):
            np.testing.assert_allclose(marks(seen), marks(step.observation, i), atol=2e-5)
            moving = seen.self_token[[0, 1, 2, -2, -1]]  # all but the last action
            trained = step.observation.self_token[0, i, [0, 1, 2, -2, -1]]
            np.testing.assert_allclose(moving, trained, atol=2e-5)
            if decision == 0:
                np.testing.assert_allclose(seen.team, step.observation.team[0, i], atol=2e-5)
        action = rng.uniform(-1, 1, (1, N, 2)) * bound
        step = env.step(action)
        world.advance(env.tick, action[0], np.zeros(N, bool))
    if scenario in ("pursuit", "multibroken", "fix", "formation"):
        assert len(changed) > DECISIONS // 2, "what moves is told anew"
    env.close()
    world.close()
