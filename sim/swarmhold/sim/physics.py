"""What a physics backend is, and the batched twin: numpy, the same force laws as PyBullet."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.dynamics import Bodies, at_rest, integrate, wrench
from swarmhold.sim.robots import PHYSICS_HZ, DriveModel, Model

FAR = 1000.0  # m, where absent robots are parked


class Physics(Protocol):
    """What every backend offers: E teams of N robots.

    Attributes:
        bodies: (E, N) states after the last step.
        touched: (E, N) whether a robot was in contact during the last step.
    """

    bodies: Bodies
    touched: Bool

    def reset(self, position: Float, yaw: Float, present: Bool) -> None:
        """Put every robot at rest at position (E, N, 2) m, yaw (E, N) rad."""

    def advance(self, setpoint: Float, gain: Float, anchored: Bool, seconds: float) -> None:
        """Hold set-points (E, N, Da) and actuator gains (E, N) for a while.

        `anchored` (E, N) robots do not act; their brakes hold them.
        """

    def close(self) -> None:
        """Free what the backend holds."""


def parked(position: Float, present: Bool, height: float) -> Float:
    """(E, N, 3) start positions, absent robots far away and apart."""
    lead = position.shape[:-1]
    out = np.concatenate([position, np.full((*lead, 1), height)], axis=-1)
    slot = FAR + 2.0 * np.arange(lead[-1])
    out[..., 0] = np.where(present, out[..., 0], slot)
    return out


class BatchedPhysics:
    """Vectorised twin. Contact, where on, is frictionless overlap resolution."""

    def __init__(
        self, model: Model, n_envs: int, n_robots: int, half_width: float, contacts: bool
    ) -> None:
        """See `Physics`; walls stand at +-half_width (m) for ground robots."""
        self._model, self._half, self._contacts = model, half_width, contacts
        self.touched = np.zeros((n_envs, n_robots), bool)
        self._present = np.ones((n_envs, n_robots), bool)
        self.bodies = at_rest(np.zeros((n_envs, n_robots, 3)), np.zeros((n_envs, n_robots)), model)

    def reset(self, position: Float, yaw: Float, present: Bool) -> None:
        """Put every robot at rest."""
        self._present = present
        self.bodies = at_rest(parked(position, present, self._model.height), yaw, self._model)
        self.touched[:] = False

    def advance(self, setpoint: Float, gain: Float, anchored: Bool, seconds: float) -> None:
        """Hold set-points for a while; contacts are resolved at its end."""
        goal = np.where(anchored[..., None], 0.0, setpoint)
        for _ in range(round(seconds * PHYSICS_HZ)):
            force, torque = wrench(self._model, self.bodies, goal, gain)
            integrate(self._model, self.bodies, force, torque)
        self.touched[:] = False
        if self._contacts:
            self._separate(anchored)
        self._walls()

    def _walls(self) -> None:
        if not isinstance(self._model, DriveModel):
            return
        limit = self._half - (self._model.radius if self._contacts else 0.0)
        place = self.bodies.position[..., :2]
        inside = np.clip(place, -limit, limit)
        hit = (inside != place) & self._present[..., None]
        self.bodies.position[..., :2] = np.where(hit, inside, place)
        self.bodies.velocity[..., :2][hit] = 0.0

    def _separate(self, anchored: Bool) -> None:
        """Push overlapping bodies apart; anchored ones do not give way to others."""
        reach = 2.0 * self._model.radius
        place = self.bodies.position[..., :2]
        share = np.where(anchored, 1e-3, 1.0)
        share = share[:, :, None] / (share[:, :, None] + share[:, None, :])
        for _ in range(3):
            offset = place[:, :, None] - place[:, None, :]
            distance = np.linalg.norm(offset, axis=-1) + 1e-12
            depth = np.maximum(reach - distance, 0.0)
            depth[:, np.arange(place.shape[1]), np.arange(place.shape[1])] = 0.0
            if not depth.any():
                break
            self.touched |= depth.any(axis=-1)
            place += np.sum(offset / distance[..., None] * (depth * share)[..., None], axis=2)

    def close(self) -> None:
        """Nothing to free."""


def make_physics(
    backend: str, model: Model, n_envs: int, n_robots: int, half_width: float, contacts: bool
) -> Physics:
    """A backend by name: "batched" or "pybullet".

    Raises:
        ConfigError: the name is unknown.
        MissingExtraError: PyBullet is not installed.
    """
    if backend == "batched":
        return BatchedPhysics(model, n_envs, n_robots, half_width, contacts)
    if backend == "pybullet":
        from swarmhold.sim.bullet import BulletPhysics

        return BulletPhysics(model, n_envs, n_robots, half_width, contacts)
    raise ConfigError(f"unknown backend {backend!r}; choose one of: batched, pybullet")
