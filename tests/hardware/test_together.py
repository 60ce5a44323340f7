"""Robots that tick together hold of each other, and do, what each would have alone."""

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.drivers.loopback import LoopbackDriver, LoopbackWorld
from swarmhold.hardware.messages import Task
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.stack import row, stacked
from swarmhold.hardware.together import tick_together

N = 7
MARKS = tuple((float(x), float(-x), 1.0) for x in np.linspace(-0.4, 0.4, N))
TASK = Task(MARKS, (0.0, 0.0, 0.0), 1.0)


@pytest.fixture(scope="module")
def policy(coverage_bundle):
    return OnnxPolicy(open_bundle(coverage_bundle))


def team(policy):
    return [RobotController(policy, TASK, ControllerConfig(i, N, boot_id=i + 1)) for i in range(N)]


def assert_same(first, second):
    """To the bit what is held of others; to single precision what comes from the graph."""
    assert first.state == second.state
    for name in ("weights", "states", "source", "mode", "missed", "period_s", "limited"):
        assert getattr(first.status, name) == getattr(second.status, name), name
    np.testing.assert_allclose(first.status.attention, second.status.attention, atol=1e-6)
    np.testing.assert_allclose(first.command.action, second.command.action, atol=1e-6)


def test_together_and_alone_come_to_the_same(policy):
    """Messages get lost, one robot dies and one lies; the company changes all the time."""
    rng = np.random.default_rng(5)
    place = np.concatenate([rng.uniform(-0.4, 0.4, (N, 2)), np.zeros((N, 1))], axis=1)
    world = LoopbackWorld(policy_spec("epuck"), place, rng.uniform(-3, 3, N))
    drivers = [LoopbackDriver(world, i) for i in range(N)]
    for driver in drivers:
        driver.connect()
    alone, together, shapes = team(policy), team(policy), set()
    for step in range(120):
        now = 10.0 + 0.05 * step
        frames = [driver.read() for driver in drivers]
        shapes |= {len(frame.bodies) for frame in frames}
        first = [robot.tick(frame, now) for robot, frame in zip(alone, frames, strict=True)]
        cut = int(rng.integers(1, N + 1)) if step % 3 else N
        second = []
        for members in (slice(0, cut), slice(cut, N)):
            if together[members]:
                second += tick_together(together[members], frames[members], now)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
        for driver, tick in zip(drivers, first, strict=True):
            driver.command(tick.command)
        for sender, tick in enumerate(first):
            state = tick.state
            if sender == 2 and step > 50:
                continue
            if sender == 4 and step > 30:
                state = replace(state, position=(0.9, 0.9, 0.0))
            for receiver in range(N):
                if rng.random() > 0.1:
                    alone[receiver].on_state(state, now + 0.01)
                    together[receiver].on_state(state, now + 0.01)
        world.advance(0.05)
    assert {0.0} < set(first[0].status.weights), "some are trusted, and some are not"
    assert len(shapes) > 1, "robots with other numbers of bodies do not go through at once"


def test_robots_of_other_bundles_are_ticked_for_themselves(policy, coverage_bundle):
    robots = team(policy)[:2]
    robots.append(team(OnnxPolicy(open_bundle(coverage_bundle)))[2])
    world = LoopbackWorld(policy_spec("epuck"), np.zeros((N, 3)), np.zeros(N))
    drivers = [LoopbackDriver(world, i) for i in range(3)]
    for driver in drivers:
        driver.connect()
    ticks = tick_together(robots, [driver.read() for driver in drivers], 1.0)
    assert [tick.state.robot for tick in ticks] == [0, 1, 2]


def test_structures_are_stacked_and_taken_apart(policy):
    parts = [robot.kept[0] for robot in team(policy)[:3]]
    whole = stacked(parts)
    assert whole.monitor.votes.shape == (3, N, 5) and whole.fusion.last_now.shape == (3,)
    assert np.array_equal(row(whole, 1).fusion.weight, parts[1].fusion.weight)
    with pytest.raises(TypeError, match="neither an array"):
        stacked(["a", "b"])
