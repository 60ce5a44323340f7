"""Spare bodies in the world: nobody at first, then a robot of the roster."""

import numpy as np
import pytest

from swarmhold.sim.world import World


@pytest.mark.parametrize(
    ("scenario", "robot"),
    [("rendezvous", "epuck"), ("coverage", "crazyflie"), ("discovery", "gritsbot")],
)
def test_a_spare_body_waits_at_the_fence_and_is_then_the_robot(scenario, robot):
    world = World(scenario, robot, 3, seed=4, spares=1)
    bare = World(scenario, robot, 3, seed=4)
    np.testing.assert_array_equal(world.position, bare.position)
    assert world.task == bare.task, "spares change nothing of the task"
    before, rest = world.position.copy(), np.zeros((3, 2))
    assert world.take_over(1) and not world.take_over(2)
    moved = np.linalg.norm(world.position - before, axis=-1) > 1e-9
    assert moved.tolist() == [False, True, False]
    edge = np.abs(world.position[1, :2]).max()
    assert 0.6 * world.half_width < edge < world.half_width
    away = np.zeros(3, bool)
    drive = rest.copy()
    drive[1, 0] = 0.05
    start = world.position.copy()
    for _ in range(10):
        world.advance(world.tick * 12, drive, away)
    went = np.linalg.norm(world.position - start, axis=-1)
    assert went[1] > 1e-3 and went[[0, 2]].max() < 1e-3, "the new body obeys, and no other"
    frames = world.frames(0.0)
    assert len(frames) == 3 and max(max(frame.sighted, default=0) for frame in frames) < 3
    np.testing.assert_allclose(frames[1].position, world.position[1])
    world.close()
    bare.close()
