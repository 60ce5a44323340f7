"""Our policies in JaxRobotarium's scenario Navigation: tokens from its state, set-points to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.memory import restart
from swarmhold.hardware.observe import observe
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.surroundings import Landmarks, surroundings_of
from swarmhold.hardware.types import Float, Kinematics, Observation, teammate_index
from swarmhold.sim.ground.engine import ANGULAR_GAIN, LINEAR_GAIN, TICK
from swarmhold.sim.jaxrobotarium.env import JaxRobotariumEnv
from swarmhold.sim.robots import GRITSBOT

ROBOT = "gritsbot"
TICKS = round(1.0 / (policy_spec(ROBOT).rate_hz * TICK))  # of one decision of our policies

Policy = Callable[[Observation, Float], Float]


class Tokens:
    """Builds what robots observe of poses and landmarks, from the start of an episode on.

    As in our own environment, velocities are differences over a decision, teammates are known by
    messages that are one decision old, and who follows a policy sees the landmarks that are its
    own. There are no faults here, and nobody is ever out of reach.
    """

    def __init__(self, seconds: float) -> None:
        """Seconds of a decision."""
        self._seconds, self._spec = seconds, policy_spec(ROBOT)
        self._before: Float | None = None
        self._heard: Kinematics | None = None

    def see(self, poses: Float, goals: Float, last_action: Float) -> Observation:
        """Observe.

        Args:
            poses: (E, N, 3) m, m and rad.
            goals: (E, N, 2) m, one for each robot.
            last_action: (E, N, 2) of this decision's start, divided by its bounds.
        """
        moved = poses - (poses if self._before is None else self._before)
        turned = np.remainder(moved[..., 2] + math.pi, 2.0 * math.pi) - math.pi
        flat, height = np.zeros(poses.shape[:2]), np.full(poses.shape[:2], GRITSBOT.height)
        own = Kinematics(
            np.stack([poses[..., 0], poses[..., 1], height], axis=-1),
            np.stack([moved[..., 0], moved[..., 1], flat], axis=-1) / self._seconds,
            poses[..., 2],
            turned / self._seconds,
        )
        heard = own if self._heard is None else self._heard
        self._before, self._heard = poses.copy(), own
        return self._observe(own, heard, goals, last_action)

    def _observe(
        self, own: Kinematics, heard: Kinematics, goals: Float, last_action: Float
    ) -> Observation:
        n_envs, n_robots = goals.shape[:2]
        others, present = teammate_index(n_robots), np.ones((n_envs, n_robots), bool)
        marks = Landmarks(goals, np.ones((n_envs, n_robots)), present)
        owners = np.broadcast_to(np.arange(n_robots), (n_envs, n_robots))
        nothing = np.zeros((n_envs, 0, 3))
        return observe(
            self._spec,
            own=own,
            last_action=last_action,
            team=Kinematics(
                heard.position[:, others],
                heard.velocity[:, others],
                heard.yaw[:, others],
                heard.yaw_rate[:, others],
            ),
            team_age=np.zeros((n_envs, n_robots, n_robots - 1)),
            surroundings=surroundings_of(own.position, present, marks, owners, nothing, GRITSBOT),
            home=np.zeros(3),
        )


def to_own_landmark(seen: Observation, weights: Float) -> Float:
    """The example of a policy: drive to one's own landmark as the testbed's controller does.

    Args:
        seen: observations with leading dimensions (E, N).
        weights: (E, N, N - 1) of the teammates; this policy does without.

    Returns:
        (E, N, 2) m/s and rad/s.
    """
    spec = policy_spec(ROBOT)
    start = sum(field.size for field in spec.obstacle_fields[:2])  # position, radius, then kind
    mine = (seen.obstacle_mask > 0) & (seen.obstacles[..., start] > 0)
    first = mine.argmax(axis=-1)[..., None, None]
    way = np.take_along_axis(seen.obstacles[..., :2], first, axis=-2)[..., 0, :]
    way = way * mine.any(axis=-1, keepdims=True)
    return np.stack([LINEAR_GAIN * way[..., 0], ANGULAR_GAIN * way[..., 1]], axis=-1)


def bundle_policy(path: Path) -> Policy:
    """The policy of an exported bundle.

    Raises:
        ConfigError: it was trained for another robot class.
    """
    bundle = open_bundle(path)
    check_robot(bundle.manifest.robot)
    return OnnxTeam(OnnxPolicy(bundle))


def check_robot(robot: str) -> None:
    """Raises: ConfigError, if JaxRobotarium has no such robots."""
    if robot != ROBOT:
        raise ConfigError(f"JaxRobotarium has {ROBOT} robots only; this policy is for {robot}")


def navigation(
    n_envs: int, n_robots: int, seed: int = 0, seconds: float = 40.0, barrier: bool = True
) -> JaxRobotariumEnv:
    """Navigation at the rate at which our policies decide, ready for `evaluate`."""
    steps = max(round(seconds / (TICKS * TICK)) - 1, 1)  # JaxRobotarium plays one more
    return JaxRobotariumEnv(
        *("navigation", n_envs, n_robots, seed, steps, TICKS),
        continuous=True,
        barrier=barrier,
        each_tick=True,
    )


def evaluate(env: JaxRobotariumEnv, policy: Policy, episodes: int) -> dict[str, float]:
    """Play a policy of ours in JaxRobotarium.

    Args:
        env: Navigation with continuous actions, as `navigation` builds it.
        policy: maps observations and teammates' weights (E, N, N - 1), here all 1, to set-points
            (E, N, 2), m/s and rad/s, which are cut to their bounds.
        episodes: at least so many; whole batches of E are played.

    Returns:
        Means over episodes: `success` (all at their goals at the end), `error_m` (distance to
        the goal at the end), `returns` (JaxRobotarium's reward, summed, per robot), steps with a
        `collision` or a robot `outside`; and the number of `episodes`.

    Raises:
        ConfigError: another scenario, or discrete actions.
    """
    if env.scenario != "navigation" or not env.continuous:
        raise ConfigError("our policies are played in navigation with continuous=True only")
    batches = -(-episodes // env.n_envs)
    rows = [_episode(env, policy) for _ in range(max(batches, 1))]
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {**found, "episodes": float(len(rows) * env.n_envs)}


def _episode(env: JaxRobotariumEnv, policy: Policy) -> dict[str, float]:
    """Means over one batch of episodes, which all end together."""
    bound = np.asarray(policy_spec(ROBOT).action_bound)
    env.reset()
    restart(policy)
    tokens, goals = Tokens(env.seconds), env.landmarks
    action = np.zeros((env.n_envs, env.n_robots, 2))
    weights = np.ones((env.n_envs, env.n_robots, env.n_robots - 1))
    total, collision, outside, ended = 0.0, 0.0, 0.0, False
    while not ended:
        seen = tokens.see(env.poses, goals, action / bound)
        action = np.clip(
            np.nan_to_num(policy(seen, weights), posinf=0.0, neginf=0.0), -bound, bound
        )
        _, reward, done, info = env.step(action)
        total += float(reward.mean())
        collision += float((info["collision"] > 0).any(axis=-1).mean())
        outside += float((info["boundary"] > 0).any(axis=-1).mean())
        ended = bool(done.all())
    return {
        "success": float(info["success_rate"][:, 0].mean()),
        "error_m": -float(reward.mean()),
        "returns": total,
        "collision": collision,
        "outside": outside,
    }
