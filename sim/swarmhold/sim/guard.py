"""The safety filter that every robot's node has, in simulated worlds: the very same function.

Training does without it, so that policies keep apart on their own. Where flights are compared with
those of real nodes, it belongs there, and as often as nodes run it.
"""

from __future__ import annotations

import math

import numpy as np

from swarmhold.hardware.observe import to_body
from swarmhold.hardware.safety import SafetyConfig, safe_setpoint, safety_config
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.surroundings import as_bodies, sideways
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.dynamics import Bodies
from swarmhold.sim.ground.unicycle import TICK
from swarmhold.sim.physics import Physics
from swarmhold.sim.robots import GRITSBOT, PHYSICS_HZ, Model

HOME = np.zeros(3)


class Guard:
    """Of E teams of N robots."""

    def __init__(self, spec: PolicySpec, model: Model, half_width: float) -> None:
        """Args: contract and model of the robots; m, half the fence's side."""
        self._spec, self._near = spec, model.near_range
        self._tick = TICK if model is GRITSBOT else 1.0 / PHYSICS_HZ
        self._config: SafetyConfig = safety_config(spec, half_width)
        fastest = self._config.bound[0]
        stops = self._config.lag_s * fastest + fastest**2 / self._config.brake_mps2
        self._reach = self._config.separation_m + stops
        self._inside = half_width - self._config.fence_m - stops

    def advance(
        self,
        physics: Physics,
        setpoint: Float,
        idle: Bool,
        seconds: float,
        present: Bool,
        posts: Float,
    ) -> Float:
        """Move on by a decision's `seconds`, filtered as often as nodes do between two of them.

        Returns:
            (E, N, Da) what was applied last, as a controller remembers it.
        """
        often = round(self._spec.loop_hz / self._spec.rate_hz)
        rounds = math.gcd(round(seconds / self._tick), often)
        touched, safe = np.zeros_like(physics.touched), setpoint
        for _ in range(rounds):
            bodies = physics.bodies
            safe = self.filtered(setpoint, bodies, bodies.yaw(), present, posts)
            physics.advance(safe, idle, seconds / rounds)
            touched |= physics.touched
        physics.touched[:] = touched
        return safe

    def filtered(
        self, setpoint: Float, bodies: Bodies, yaw: Float, present: Bool, posts: Float
    ) -> Float:
        """Safe set-points (E, N, Da); nothing near: as they were.

        Args:
            setpoint: (E, N, Da) physical units.
            bodies: where they are.
            yaw: (E, N) rad.
            present: (E, N) robots that are there.
            posts: (E, K, 3) m, x, y and radius.
        """
        out, place = setpoint.copy(), bodies.position
        offset = place[:, None, :] - place[:, :, None]
        away = sideways(offset)
        gone = ~present[:, None, :] | np.eye(away.shape[1], dtype=bool)
        away = np.where(gone, np.inf, away)
        for env, robot in zip(*np.nonzero(self._asks(setpoint, place, away, posts)), strict=True):
            near = np.flatnonzero(away[env, robot] < self._near)
            heading = np.asarray(yaw[env, robot])
            others = to_body(offset[env, robot, near], np.full(len(near), heading))
            pillars = as_bodies(posts[env], place[env, robot], float(heading), self._spec.radius_m)
            out[env, robot], _ = safe_setpoint(
                self._config, self._spec.robot, setpoint[env, robot], place[env, robot],
                bodies.velocity[env, robot], float(heading), HOME,
                np.concatenate([others, pillars]), 0.0,
            )  # fmt: skip
        return out

    def _asks(self, setpoint: Float, place: Float, away: Float, posts: Float) -> Bool:
        """(E, N) robots whose set-points the filter could change at all."""
        near = (away < self._reach).any(axis=-1)
        near |= (np.abs(place[..., :2]) > self._inside).any(axis=-1)
        if posts.shape[1]:
            gap = np.linalg.norm(place[:, :, None, :2] - posts[:, None, :, :2], axis=-1)
            gap += self._spec.radius_m - posts[:, None, :, 2]
            near |= (gap < self._reach).any(axis=-1)
        if self._spec.drives:
            return near & (setpoint[..., 0] != 0.0)
        fast = np.linalg.norm(setpoint[..., :2], axis=-1) > self._config.bound[0]
        return np.asarray(near | fast)
