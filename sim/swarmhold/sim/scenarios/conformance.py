"""What every scenario has to keep to, shipped or one's own; `swarmhold play SCENARIO --check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.spec import ROBOTS
from swarmhold.hardware.types import Float, Observation
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.robots import model_of
from swarmhold.sim.scenarios.base import EVERYBODY, Layout, Scenario
from swarmhold.sim.step import Step

STEPS = 25  # decisions of the short checks
EPISODES = 8  # played for the success of the heuristic


def check(scenario: Scenario, robot: str | None = None, robots: int = 5) -> list[str]:
    """Hold a scenario to the contract.

    Args:
        scenario: to be checked.
        robot: class; None: all that it is made for.
        robots: team size, at least 2.

    Returns:
        What is wrong, one line each; empty if nothing is.
    """
    wrong = list(_names(scenario))
    if wrong:
        return wrong
    for kind in scenario.robots if robot is None else (robot,):
        for part in (_layouts, _episodes, _teams_apart, _masked_reset, _snapshots, _blind, _solves):
            try:
                found = list(part(scenario, kind, robots))
            except Exception as error:  # whatever a scenario raises is a finding
                found = [f"{part.__name__.strip('_')} raised {type(error).__name__}: {error}"]
            wrong += [f"{kind}: {line}" for line in found]
    return wrong


def _names(scenario: Scenario) -> Iterator[str]:
    if not scenario.name.isidentifier():
        yield f"name {scenario.name!r} is no identifier"
    if not scenario.title:
        yield "title is empty"
    if not scenario.robots or not set(scenario.robots) <= set(ROBOTS):
        yield f"robots {scenario.robots} must be among {', '.join(ROBOTS)}"
    if not 0 < scenario.episode_s < 3600:
        yield f"episode_s is {scenario.episode_s}; it must be above 0 and below an hour"


def _layouts(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """Shapes, places within the arena, repeatable, and different for different seeds."""
    seen = []
    for size in {1, 2, robots}:
        for seed in range(5):
            layout, again = (
                scenario.layout(np.random.default_rng(seed), size, robot) for _ in range(2)
            )
            if not _equal(layout.position, again.position):
                yield "layout must take its randomness from rng alone"
            yield from _layout(scenario, robot, size, layout)
            if size == robots:
                seen.append(layout.position.tobytes())
    if len(set(seen)) == 1:
        yield "layout does not depend on rng"


def _layout(scenario: Scenario, robot: str, size: int, layout: Layout) -> Iterator[str]:
    half, count = scenario.half_width(robot), len(layout.values)
    shapes = {
        "position": (layout.position, (size, 2)),
        "yaw": (layout.yaw, (size,)),
        "landmarks": (layout.landmarks, (count, 2)),
        "owners": (layout.owners, (count,)),
        "shown": (layout.shown, (count,)),
        "posts": (layout.posts, (len(layout.posts), 3)),
    }
    for name, (array, shape) in shapes.items():
        if array is not None and np.shape(array) != shape:
            yield f"layout.{name} has shape {np.shape(array)} for {size} robots, wanted {shape}"
            return
    if count > scenario.slots(size):
        yield f"layout has {count} landmarks, slots({size}) says {scenario.slots(size)}"
    if np.abs(layout.position).max() > half:
        yield "layout puts robots outside the arena"
    if count and not (np.all(layout.values > 0) and np.all(layout.values <= 1)):
        yield "values of landmarks must be above 0 and at most 1"
    if layout.owners is not None and not np.isin(layout.owners, [EVERYBODY, *range(size)]).all():
        yield "owners must be robots of the team, or EVERYBODY"
    gap = np.linalg.norm(layout.position[:, None] - layout.position, axis=-1)
    nearest = (gap + np.diag(np.full(size, np.inf))).min()
    if scenario.contacts and nearest < 2 * model_of(robot).radius:
        yield f"layout puts robots into each other ({nearest:.2f} m apart)"


def _episodes(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """Figures with teams of all sizes, with faults, under random commands."""
    plan: list[list[FaultSpec]] = [[], [FaultSpec("crash", 0, 0.5)], [FaultSpec("nan", 1, 0.2)], []]
    env = SwarmEnv(scenario, robot, 4, robots, seed=1)
    tracks = []
    for _ in range(2):
        step = env.reset(seed=1, team_sizes=[robots, robots, 2, 1], faults=plan)
        rng, rewards = np.random.default_rng(0), []
        for _ in range(STEPS):
            step = env.step(rng.uniform(-1, 1, (4, robots, 2)) * env.spec.action_bound)
            rewards.append(step.outcome.reward.copy())
            yield from _outcome(step)
            wish = scenario.heuristic(env.spec, step.observation, step.teammate_health)
            if wish.shape != (4, robots, env.spec.action_size) or not np.isfinite(wish).all():
                yield f"heuristic returned shape {wish.shape}, or values that are not finite"
                return
        tracks.append(np.array(rewards))
    if not _equal(*tracks):
        yield "the same seed gave other rewards: state is kept outside of view.memory"
    env.close()


def _outcome(step: Step) -> Iterator[str]:
    out, shape = step.outcome, step.done.shape
    for name in ("reward", "score", "error", "success"):
        value = getattr(out, name)
        if np.shape(value) != shape or not np.isfinite(value).all():
            yield f"outcome.{name} must be {shape[0]} finite numbers"
            return
    if out.success.dtype != bool:
        yield "outcome.success must be bool"
    if out.score.min() < 0 or out.score.max() > 1:
        yield "outcome.score left [0, 1]"
    if out.error.min() < 0:
        yield "outcome.error is negative"


def _teams_apart(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """A team among many is what it is alone."""
    many = _rewards(SwarmEnv(scenario, robot, 3, robots, seed=3))
    alone = _rewards(SwarmEnv(scenario, robot, 1, robots, seed=3, first_env=2))
    if not _equal(many[:, 2:], alone):
        yield "what one team does changes another team"


def _rewards(env: SwarmEnv, prepare: Callable[[SwarmEnv], Any] = SwarmEnv.reset) -> Float:
    prepare(env)
    rewards = []
    for turn in range(STEPS):
        push = np.cos(0.3 * turn + np.arange(env.n_robots))[:, None] * env.spec.action_bound
        rewards.append(env.step(np.tile(push, (env.n_envs, 1, 1))).outcome.reward.copy())
    env.close()
    return np.array(rewards)


def _masked_reset(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """Resetting one team leaves the others alone."""
    env = SwarmEnv(scenario, robot, 2, robots, seed=4)
    other = SwarmEnv(scenario, robot, 2, robots, seed=4)
    for world in (env, other):
        world.reset()
        world.step(np.zeros((2, robots, 2)))
    before = env.step(np.zeros((2, robots, 2)))
    after = env.reset(mask=np.array([True, False]))
    for name in ("position", "value", "mask"):
        if not _equal(
            getattr(before.truth.landmarks, name)[1], getattr(after.truth.landmarks, name)[1]
        ):
            yield "begin changed landmarks of a team that was not reset"
            break
    other.step(np.zeros((2, robots, 2)))
    theirs, ours = _rewards(other, lambda _: None), _rewards(env, lambda _: None)
    if not _equal(theirs[:, 1], ours[:, 1]):
        yield "resetting one team changed another one"


def _snapshots(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """From a snapshot everything goes on as it did."""
    env = SwarmEnv(scenario, robot, 2, robots, seed=5)
    env.reset()
    for _ in range(5):
        env.step(np.ones((2, robots, 2)))
    saved = env.snapshot()
    tracks = []
    for _ in range(2):
        env.restore(saved)
        tracks.append(
            [env.step(0.5 * np.ones((2, robots, 2))).outcome.reward for _ in range(STEPS)]
        )
    if not _equal(*np.array(tracks)):
        yield "a restored snapshot goes on differently: state is kept outside of view.memory"
    env.close()


def _blind(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """The heuristic takes no harm from messages that it is told not to trust."""
    env = SwarmEnv(scenario, robot, 1, robots, seed=6)
    seen = env.reset().observation
    env.close()
    weights = np.zeros((1, robots, robots - 1))
    spoilt = seen.team.copy()
    spoilt[..., :6] = np.nan
    poisoned = Observation(seen.self_token, spoilt, seen.obstacles, seen.obstacle_mask)
    clean, dirty = (scenario.heuristic(env.spec, part, weights) for part in (seen, poisoned))
    if not np.isfinite(dirty).all():
        yield "heuristic passes on NaN of a teammate with weight 0"
    elif not _equal(clean, dirty):
        yield "heuristic listens to a teammate with weight 0"


def _solves(scenario: Scenario, robot: str, robots: int) -> Iterator[str]:
    """The heuristic solves most episodes, and standing still solves fewer."""
    env = SwarmEnv(scenario, robot, EPISODES, robots, seed=7)
    rates = []
    for acts in (True, False):
        step = env.reset(seed=7)
        while not step.done.all():
            wish = scenario.heuristic(env.spec, step.observation, step.teammate_health)
            step = env.step(wish * acts)
        rates.append(float(step.outcome.success.mean()))
    env.close()
    if rates[0] < 0.5:
        yield f"heuristic solves {rates[0]:.0%} of the episodes; at least half are expected"
    if rates[1] >= rates[0]:
        yield f"standing still solves {rates[1]:.0%}, the heuristic {rates[0]:.0%}"


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))
