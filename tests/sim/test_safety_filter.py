"""The safety filter against bad policies in PyBullet: nobody is touched, nobody leaves."""

from __future__ import annotations

import numpy as np
import pytest

from swarmhold.hardware.messages import SensorFrame
from swarmhold.hardware.safety import safe_setpoint, safety_config
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.surroundings import as_bodies
from swarmhold.hardware.types import Float
from swarmhold.sim.world import World

N, SECONDS, HZ = 6, 12.0, 20.0
WAYS = ("random", "flip", "ram", "fence", "posts")


def wish(way: str, spec: PolicySpec, frame: SensorFrame, rng: np.random.Generator, held: Float):
    """What a bad policy wants: anything, full speed to and fro, at a teammate, out, at a post."""
    bound = np.asarray(spec.action_bound)
    if way == "random":
        return held * bound
    if way == "flip":
        return rng.choice([-1.0, 1.0], 2) * bound
    place = np.asarray(frame.position[:2])
    if way == "ram" and frame.sightings:
        x, y, _ = min(frame.sightings, key=lambda seen: np.hypot(seen[0], seen[1]))
        bearing = np.arctan2(y, x)
    else:
        target = -place if way == "posts" else place
        bearing = np.arctan2(target[1] + 1e-3 * held[1], target[0] + 1e-3 * held[0]) - frame.yaw
    if spec.drives:
        turn = np.clip(4.0 * np.arctan2(np.sin(bearing), np.cos(bearing)), -1.0, 1.0)
        return np.array([1.0, turn]) * bound
    return np.array([np.cos(bearing), np.sin(bearing)]) * bound


def fly(robot: str, way: str, seed: int, guarded: bool = True):
    """Contacts, least distance (m) and largest distance from the middle along an axis (m)."""
    scenario = "formation" if way == "posts" else "rendezvous"
    world, spec = World(scenario, robot, N, seed), policy_spec(robot)
    config = safety_config(spec, world.half_width)
    posts = np.asarray(world.task.posts, float).reshape(-1, 3)
    rng = np.random.default_rng(seed)
    touches, nearest, farthest, gap = 0, np.inf, 0.0, np.inf
    for step in range(round(SECONDS * HZ)):
        if step % round(HZ) == 0:
            held = rng.uniform(-1, 1, (N, 2))
        goal = np.zeros((N, 2))
        for i, frame in enumerate(world.frames(step / HZ)):
            goal[i] = wish(way, spec, frame, rng, held[i])
            if guarded:
                place = np.asarray(frame.position)
                bodies = np.asarray(frame.bodies, float).reshape(-1, 3)
                near = as_bodies(posts, place, frame.yaw, spec.radius_m)
                goal[i], _ = safe_setpoint(
                    config, robot, goal[i], place, np.asarray(frame.velocity), frame.yaw,
                    np.zeros(3), np.concatenate([bodies, near]), 0.0,
                )  # fmt: skip
        world.advance(1.0 / HZ, goal, np.zeros(N, bool))
        touches += int(world.touched.sum())
        place = world.position[:, :2]
        apart = np.linalg.norm(place[:, None] - place, axis=-1) + np.diag(np.full(N, np.inf))
        nearest, farthest = min(nearest, apart.min()), max(farthest, np.abs(place).max())
        for x, y, radius in posts:
            gap = min(gap, np.linalg.norm(place - [x, y], axis=-1).min() - radius)
    inside = farthest <= world.half_width
    world.close()
    return touches, nearest, gap, inside


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
def test_no_set_point_makes_robots_touch_or_leave(robot: str, way: str) -> None:
    for seed in (1, 2):
        touches, nearest, gap, inside = fly(robot, way, seed)
        radius = policy_spec(robot).radius_m
        assert touches == 0 and nearest > 2.0 * radius and gap > radius and inside


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
def test_without_the_filter_they_do(robot: str) -> None:
    assert fly(robot, "ram", 1, guarded=False)[0] > 0
    assert fly(robot, "posts", 1, guarded=False)[0] > 0
    touches, _, _, inside = fly(robot, "fence", 1, guarded=False)
    assert touches > 0 or not inside
