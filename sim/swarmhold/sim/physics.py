"""What a physics backend is, and the batched twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.dynamics import Bodies, upright, wheel_commands
from swarmhold.sim.robots import GRAVITY, GRITSBOT, PHYSICS_HZ, DriveModel, Model

FAR = 1000.0  # m, where absent robots are parked
BACKENDS = ("batched", "numpy", "pybullet", "pybullet-native", "mixed")


class Physics:
    """E teams of N robots; the batched twin, and the base of the PyBullet backends.

    Contact, where on, is frictionless overlap resolution after each decision: good enough to
    learn in, and flagged, so that what matters can be replayed in PyBullet.

    Attributes:
        blocks: state, motors, wind and factors of all bodies.
        bodies: (E, N) states after the last step.
        touched: (E, N) whether a robot was in contact during the last step.
        arena: half widths (m), x and y.
    """

    def __init__(
        self,
        model: Model,
        n_envs: int,
        n_robots: int,
        half_width: float,
        contacts: bool,
        compiled: bool | None = None,
    ) -> None:
        """Build the world; walls stand at +-half_width (m) for ground robots.

        Args:
            model: robot class.
            n_envs: E.
            n_robots: N.
            half_width: m.
            contacts: whether bodies touch.
            compiled: see `Blocks`.
        """
        self._model, self._half, self._contacts = model, half_width, contacts
        self._ground, self.arena = isinstance(model, DriveModel), (half_width, half_width)
        self.blocks = Blocks(model, n_envs, n_robots, np.float64, False, compiled)
        self.touched = np.zeros((n_envs, n_robots), bool)
        self._present = np.ones((n_envs, n_robots), bool)
        self._posts = np.zeros((n_envs, 0, 3))
        self._refresh()

    def reset(
        self,
        position: Float,
        yaw: Float,
        present: Bool,
        mask: Bool | None = None,
        posts: Float | None = None,
    ) -> None:
        """Put robots at rest.

        Args:
            position: (E, N, 2) m.
            yaw: (E, N) rad.
            present: (E, N); absent robots are parked far away and apart.
            mask: (E) teams to reset; None: all.
            posts: (E, K, 3) upright cylinders: x, y and radius, m; radius 0 for none.
        """
        chosen = np.ones(len(present), bool) if mask is None else mask
        state = self._at_rest(position, yaw, present)
        if mask is not None:
            state = np.where(mask[:, None, None], state, self.blocks.get(0, STATE))
        self.blocks.put(0, state)
        self._present = np.where(chosen[:, None], present, self._present)
        self.touched[chosen] = False
        if posts is not None:
            if posts.shape[1] != self._posts.shape[1]:
                self._posts = np.zeros_like(posts)
            self._posts = np.where(chosen[:, None, None], posts, self._posts)
        self._after_reset(chosen)
        self._refresh()

    def attend(self, position: Float, yaw: Float, present: Bool) -> None:
        """Robots come and go: who is new stands at its place at rest, who is gone is parked.

        Args:
            position: (E, N, 2) m.
            yaw: (E, N) rad.
            present: (E, N) who is there from now on.
        """
        changed = present != self._present
        state = self._at_rest(position, yaw, present)
        self.blocks.put(0, np.where(changed[..., None], state, self.blocks.get(0, STATE)))
        self._present = present.copy()
        self.touched[changed] = False
        self._after_reset(changed.any(axis=1))
        self._refresh()

    def _at_rest(self, position: Float, yaw: Float, present: Bool) -> Float:
        place = np.concatenate(
            [position, np.full((*present.shape, 1), self._model.height)], axis=-1
        )
        place[..., 0] = np.where(present, place[..., 0], FAR + 2.0 * np.arange(present.shape[1]))
        state = np.zeros((*present.shape, STATE))
        state[..., :3], state[..., 3:7] = place, upright(yaw)
        if not self._ground:
            state[..., Row.MOTOR :] = self._model.mass * GRAVITY / 4
        return state

    def _after_reset(self, chosen: Bool) -> None:
        """For backends that keep a state of their own; teams (E) in which bodies were moved."""

    def _refresh(self) -> None:
        state = self.blocks.get(0, 13)
        self.bodies = Bodies(state[..., :3], state[..., 7:10], state[..., 3:7], state[..., 10:13])

    def advance(self, setpoint: Float, anchored: Bool, seconds: float) -> None:
        """Hold set-points (E, N, Da) for a while.

        `anchored` (E, N) robots do not act; their brakes or their hover hold them.
        """
        goal = np.where(anchored[..., None], 0.0, setpoint)
        if isinstance(self._model, DriveModel):
            left, right = wheel_commands(self._model, goal)
            goal = np.stack([left, right], axis=-1) * self._model.wheel_speed
        self.blocks.put(Row.COMMAND, goal)
        self.touched[:] = False
        self._move(round(seconds * PHYSICS_HZ))
        self._refresh()
        self._resolve(anchored)

    def _move(self, steps: int) -> None:
        self.blocks.advance(steps)

    def _resolve(self, anchored: Bool) -> None:
        place = self.bodies.position[..., :2]
        before = place.copy()
        if self._contacts:
            self._separate(place, anchored)
            self._keep_off_posts(place)
        hit = self._walls(place)
        if (place != before).any():
            self.blocks.put(Row.POSITION, place)
        if hit is not None:
            self.bodies.velocity[..., :2][hit] = 0.0
            self.blocks.put(Row.VELOCITY, self.bodies.velocity)

    def _walls(self, place: Float) -> Bool | None:
        if not self._ground:
            return None
        limit = self._half - (self._model.radius if self._contacts else 0.0)
        hit = (np.abs(place) > limit) & self._present[..., None]
        if not hit.any():
            return None
        np.copyto(place, np.clip(place, -limit, limit), where=hit)
        return hit

    def _separate(self, place: Float, anchored: Bool) -> None:
        """Push overlapping bodies apart; anchored ones do not give way to others."""
        reach = 2.0 * self._model.radius
        share = np.where(anchored, 1e-3, 1.0)
        share = share[:, :, None] / (share[:, :, None] + share[:, None, :])
        for _ in range(3):
            offset = place[:, :, None] - place[:, None, :]
            distance = np.sqrt(np.sum(offset**2, axis=-1)) + 1e-12
            depth = np.maximum(reach - distance, 0.0)
            depth[:, np.arange(place.shape[1]), np.arange(place.shape[1])] = 0.0
            if not depth.any():
                break
            self.touched |= depth.any(axis=-1)
            place += np.sum(offset / distance[..., None] * (depth * share)[..., None], axis=2)

    def _keep_off_posts(self, place: Float) -> None:
        if not self._posts.shape[1]:
            return
        offset = place[:, :, None] - self._posts[:, None, :, :2]
        distance = np.sqrt(np.sum(offset**2, axis=-1)) + 1e-12
        radius = self._posts[:, None, :, 2]
        depth = np.where(radius > 0, np.maximum(radius + self._model.radius - distance, 0.0), 0.0)
        self.touched |= depth.any(axis=-1)
        place += np.sum(offset / distance[..., None] * depth[..., None], axis=2)

    def snapshot(self) -> dict[str, Float]:
        """All that is needed to go on from here, bit-equal."""
        return {
            "blocks": self.blocks.data.copy(),
            "touched": self.touched.copy(),
            "present": self._present.copy(),
            "posts": self._posts.copy(),
        }

    def restore(self, saved: dict[str, Float]) -> None:
        """Go back to a snapshot."""
        self.blocks.data[:] = saved["blocks"]
        self.touched[:], self._present = saved["touched"], saved["present"].copy()
        self._posts = saved["posts"].copy()
        self._after_reset(np.ones(len(self.touched), bool))
        self._refresh()

    def close(self) -> None:
        """Free what the backend holds."""


def make_physics(
    backend: str,
    model: Model,
    n_envs: int,
    n_robots: int,
    half_width: float,
    contacts: bool,
    **options: Any,
) -> Physics:
    """A backend by name.

    Args:
        backend: "batched" (numba where installed), "numpy" (the twin without it), "pybullet",
            "pybullet-native", or "mixed" (the twin, with contacts by PyBullet).
        model: robot class.
        n_envs: E.
        n_robots: N.
        half_width: m.
        contacts: whether bodies touch; for the Robotarium, whether its barrier filter runs.
        options: of the backend's class.

    Raises:
        ConfigError: the name is unknown.
        MissingExtraError: PyBullet is not installed.
    """
    shape = (model, n_envs, n_robots, half_width, contacts)
    if model is GRITSBOT and backend in ("batched", "numpy"):
        from swarmhold.sim.ground.physics import GroundPhysics

        compiled = False if backend == "numpy" else None
        return GroundPhysics(model, n_envs, n_robots, barrier=contacts, compiled=compiled)
    if backend == "batched":
        return Physics(*shape, **options)
    if backend == "numpy":
        return Physics(*shape, compiled=False, **options)
    if backend == "mixed":
        from swarmhold.sim.bullet_physics import MixedPhysics

        return MixedPhysics(*shape, **options)
    if backend in ("pybullet", "pybullet-native"):
        from swarmhold.sim.bullet_physics import BulletPhysics

        return BulletPhysics(*shape, native=backend == "pybullet-native", **options)
    raise ConfigError(f"unknown backend {backend!r}; choose one of: {', '.join(BACKENDS)}")
