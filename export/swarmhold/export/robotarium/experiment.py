"""Runs the policy on the Robotarium, or in its simulator: navigation, every robot to its goal.

Decisions every three ticks of 33 ms, the barrier certificate in every tick. Nothing here needs
more than numpy and the Robotarium's own package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rps.robotarium as robotarium
from rps.utilities.barrier_certificates import create_uni_barrier_certificate

from swarmhold.export.robotarium.interpreter import Graph
from swarmhold.hardware.observe import observe
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.surroundings import Landmarks, surroundings_of
from swarmhold.hardware.types import Kinematics, teammate_index

HERE = Path(__file__).resolve().parent


class Body:
    """What surroundings ask of a robot: reach of its proximity sensing and its size, m."""

    def __init__(self, near_range: float, height: float, radius: float) -> None:
        self.near_range, self.height, self.radius = near_range, height, radius


class Team:
    """The policy of all robots: set-points from poses."""

    def __init__(self, plan: dict[str, Any], graph: Graph) -> None:
        """Args: what was written beside this file."""
        self._graph, self._spec = graph, policy_spec("gritsbot")
        self._goals, self._seconds = np.array(plan["goals"])[None], plan["decision_s"]
        self._body = Body(**plan["body"])
        self._before: Any = None
        self._heard: Kinematics | None = None
        self._bound = np.asarray(self._spec.action_bound)
        self._action = np.zeros((1, self._goals.shape[1], 2))

    def decide(self, poses: Any) -> Any:
        """Set-points (2, N), m/s and rad/s, of poses (3, N), m and rad."""
        now = np.asarray(poses, float).T[None]
        moved = now - (now if self._before is None else self._before)
        turned = np.remainder(moved[..., 2] + np.pi, 2.0 * np.pi) - np.pi
        flat = np.zeros(now.shape[:2])
        own = Kinematics(
            np.stack([now[..., 0], now[..., 1], flat + self._body.height], axis=-1),
            np.stack([moved[..., 0], moved[..., 1], flat], axis=-1) / self._seconds,
            now[..., 2],
            turned / self._seconds,
        )
        heard = own if self._heard is None else self._heard
        self._before, self._heard = now, own
        seen = self._observe(own, heard)
        robots = now.shape[1]
        action, *_ = self._graph(seen.graph_inputs(np.ones((1, robots, robots - 1))))
        action = np.nan_to_num(action, posinf=0.0, neginf=0.0).reshape(1, robots, 2)
        self._action = np.clip(action, -self._bound, self._bound)
        return self._action[0].T

    def _observe(self, own: Kinematics, heard: Kinematics) -> Any:
        """As in training: teammates by messages one decision old, and one's own goal alone."""
        robots = own.yaw.shape[1]
        others, present = teammate_index(robots), np.ones((1, robots), bool)
        marks = Landmarks(self._goals, np.ones((1, robots)), present)
        owners, nothing = np.arange(robots)[None], np.zeros((1, 0, 3))
        return observe(
            self._spec,
            own=own,
            last_action=self._action / self._bound,
            team=Kinematics(
                heard.position[:, others],
                heard.velocity[:, others],
                heard.yaw[:, others],
                heard.yaw_rate[:, others],
            ),
            team_age=np.zeros((1, robots, robots - 1)),
            surroundings=surroundings_of(own.position, present, marks, owners, nothing, self._body),
            home=np.zeros(3),
        )


def main() -> None:
    """Drive until all are at their goals, or time is up."""
    plan = json.loads((HERE / "experiment.json").read_text())
    with np.load(HERE / "policy.npz") as numbers:
        team = Team(plan, Graph(dict(numbers)))
    start, goals = np.array(plan["start"]).T, np.array(plan["goals"]).T
    robots = start.shape[1]
    arena = robotarium.Robotarium(
        number_of_robots=robots, show_figure=False, sim_in_real_time=False, initial_conditions=start
    )
    guard = create_uni_barrier_certificate()
    error = np.full(robots, np.inf)
    for tick in range(plan["ticks"]):
        poses = arena.get_poses()
        error = np.linalg.norm(poses[:2] - goals, axis=0)
        if (error < plan["goal_radius"]).all():
            break
        if tick % plan["decision_ticks"] == 0:
            wished = team.decide(poses)
        arena.set_velocities(np.arange(robots), guard(wished.copy(), poses))
        arena.step()
    print(json.dumps({"ticks": tick + 1, "error_m": error.round(4).tolist()}))
    arena.call_at_scripts_end()


if __name__ == "__main__":
    main()
