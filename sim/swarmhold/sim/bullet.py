"""The PyBullet server: the reference, with contacts, at 240 Hz, through its Python calls.

Single-link bodies, many teams in one server at offsets, explicit zero damping, deterministic
pairs; built once and reset by teleport, which is bit-equal. `swarmhold.sim.bullet_native` offers
the same through PyBullet's C functions.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from swarmhold.hardware.errors import MissingExtraError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.muted import muted
from swarmhold.sim.robots import GRAVITY, PHYSICS_HZ, SPIN_MAX, DriveModel, Model

try:
    with muted():  # it greets on standard error with the time of its build
        import pybullet
except ImportError as error:  # pragma: no cover - exercised by the missing-extra test
    raise MissingExtraError(
        "PyBullet is not installed; install it with: pip install 'swarmhold[sim]'"
    ) from error

log = logging.getLogger(__name__)
SPACING = 100.0  # m between teams that share a server
DT = 1.0 / PHYSICS_HZ
WORLD, LINK = pybullet.WORLD_FRAME, pybullet.LINK_FRAME
WALL = 0.05  # m, half thickness
HIDDEN = -50.0  # m, height where unused obstacles are kept
ROLLING_M = 0.02  # m, lever of what brakes a sphere that rolls or turns on the floor
TILT_INERTIA = 1e3  # kg m^2: ground robots only turn about the vertical axis


class BulletServer:
    """B bodies of E teams, numbered e * N + n; states are (B, 13).

    A state row is position (3, m, team frame), quaternion x, y, z, w, velocity (3) and angular
    velocity (3), world axes.
    """

    native = False

    def __init__(
        self,
        model: Model,
        n_envs: int,
        n_robots: int,
        half_width: float,
        contacts: bool,
        gravity: bool,
        gui: bool = False,
    ) -> None:
        """Build everything once.

        Args:
            model: robot class.
            n_envs: E.
            n_robots: N.
            half_width: m, walls for ground robots, where contacts are on.
            contacts: whether bodies touch.
            gravity: let Bullet pull; else gravity is part of the forces that are applied.
            gui: open a window.
        """
        self.model, self.n_envs, self.n_robots = model, n_envs, n_robots
        self.half, self.contacts = half_width, contacts
        side = math.ceil(math.sqrt(n_envs))  # on a square, so that no place is a large number
        place = np.stack(np.divmod(np.arange(n_envs), side), axis=-1)
        self.origin = SPACING * np.pad(place.astype(float), [(0, 0), (0, 1)])
        self.offset = np.repeat(self.origin, n_robots, axis=0)
        self._connect(gui)
        self._start(-GRAVITY if gravity else 0.0)
        if not isinstance(model, DriveModel):
            self._floor = self._fixed(self._plane(), [0.0, 0.0, 0.0])
        elif contacts:
            self._build_walls()
        self.bodies = [self._robot() for _ in range(n_envs * n_robots)]
        self._posts: list[list[tuple[int, float]]] = [[] for _ in range(n_envs)]

    def _build_walls(self) -> None:
        for axis in (0, 1):
            extent = [self.half + WALL, self.half + WALL, 0.2]
            extent[axis] = WALL
            shape = self._box(extent)
            for side in (-1, 1):
                for env in range(self.n_envs):
                    place = self.origin[env].tolist()
                    place[axis] += side * (self.half + WALL)
                    self._fixed(shape, place)

    def place_obstacles(self, env: int, posts: Float) -> None:
        """Put upright cylinders where a team finds them; made once, moved afterwards.

        Args:
            env: team.
            posts: (K, 3) x, y and radius, m.
        """
        have = self._posts[env]
        for place, post in enumerate(posts):
            x, y, radius = (float(value) for value in post)
            spot = (self.origin[env] + [x, y, 0.5]).tolist()
            if place < len(have) and have[place][1] == radius:
                self._move(have[place][0], spot)
            else:
                body = self._fixed(self._cylinder(radius, 3.0), spot)
                have[place : place + 1] = [(body, radius)]
        for body, _ in have[len(posts) :]:
            self._move(body, (self.origin[env] + [0.0, 0.0, HIDDEN]).tolist())

    # What the native server replaces, down to `close`.

    def _connect(self, gui: bool) -> None:
        self.client = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)

    def _start(self, gravity: float) -> None:
        pybullet.setTimeStep(DT, physicsClientId=self.client)
        pybullet.setGravity(0, 0, gravity, physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(
            deterministicOverlappingPairs=1, numSubSteps=0, physicsClientId=self.client
        )

    def _plane(self) -> int:
        return self._shape(pybullet.GEOM_PLANE)

    def _box(self, extent: list[float]) -> int:
        return self._shape(pybullet.GEOM_BOX, halfExtents=extent)

    def _cylinder(self, radius: float, height: float) -> int:
        return self._shape(pybullet.GEOM_CYLINDER, radius=radius, height=height)

    def _shape(self, kind: int, **size: Any) -> int:
        return int(pybullet.createCollisionShape(kind, physicsClientId=self.client, **size))

    def _fixed(self, shape: int, place: list[float]) -> int:
        body = int(
            pybullet.createMultiBody(0, shape, basePosition=place, physicsClientId=self.client)
        )
        pybullet.changeDynamics(
            body, -1, lateralFriction=0.0, restitution=0.0, physicsClientId=self.client
        )
        return body

    def _move(self, body: int, place: list[float]) -> None:
        pybullet.resetBasePositionAndOrientation(
            body, place, [0.0, 0.0, 0.0, 1.0], physicsClientId=self.client
        )

    def _robot(self) -> int:
        model = self.model
        if isinstance(model, DriveModel):
            shape = self._cylinder(model.radius, 0.05)
            inertia = [TILT_INERTIA, TILT_INERTIA, model.inertia]
        else:
            shape = self._shape(pybullet.GEOM_SPHERE, radius=model.radius)
            inertia = list(model.inertia)
        body = int(pybullet.createMultiBody(model.mass, shape, physicsClientId=self.client))
        pybullet.changeDynamics(
            body,
            -1,
            mass=model.mass,
            localInertiaDiagonal=inertia,
            linearDamping=0.0,
            angularDamping=0.0,
            lateralFriction=0.0,
            restitution=0.0,
            maxJointVelocity=SPIN_MAX,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=self.client,
        )
        if not self.contacts:
            pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, physicsClientId=self.client)
        return body

    def set_inertia(self, body: int, mass: float, inertia: list[float]) -> None:
        """Give one body (by number) another mass (kg) and inertia (3, kg m^2)."""
        pybullet.changeDynamics(
            self.bodies[body],
            -1,
            mass=mass,
            localInertiaDiagonal=inertia,
            physicsClientId=self.client,
        )

    def roughen(self) -> None:
        """Give floor and quadrotors friction, so that who comes down does not slide for ever.

        For servers that are not native.
        """
        for body in (self._floor, *self.bodies):
            pybullet.changeDynamics(
                body,
                -1,
                lateralFriction=1.0,
                rollingFriction=ROLLING_M,
                spinningFriction=ROLLING_M,
                physicsClientId=self.client,
            )

    def teleport(self, state: Float, chosen: Bool | None = None) -> None:
        """Put bodies into states (B, 13); only the chosen (B) ones."""
        rows = range(len(self.bodies)) if chosen is None else np.flatnonzero(chosen).tolist()
        state = state.copy()
        state[:, :3] += self.offset
        values = state.tolist()
        for k in rows:
            body, row = self.bodies[k], values[k]
            pybullet.resetBasePositionAndOrientation(
                body, row[:3], row[3:7], physicsClientId=self.client
            )
            pybullet.resetBaseVelocity(body, row[7:10], row[10:], physicsClientId=self.client)

    def step(self, force: Float, torque: Float, place: Float) -> None:
        """One physics step under world forces (B, 3) N at `place` (B, 3) and torques (B, 3)."""
        client = self.client
        spots = (place + self.offset).tolist()
        for body, f, t, p in zip(self.bodies, force.tolist(), torque.tolist(), spots, strict=True):
            pybullet.applyExternalForce(body, -1, f, p, WORLD, client)
            pybullet.applyExternalTorque(body, -1, t, WORLD, client)
        pybullet.stepSimulation(client)

    def fly(self, thrust: Float, torque: Float) -> None:
        """Several steps under thrust along body z (S, B) N and body torque (S, B, 3) N m.

        Nothing is read in between, which is what makes it fast.
        """
        client, origin, bodies = self.client, [0.0, 0.0, 0.0], self.bodies
        push, turn, advance = (
            pybullet.applyExternalForce,
            pybullet.applyExternalTorque,
            pybullet.stepSimulation,
        )
        for lifts, torques in zip(thrust.tolist(), torque.tolist(), strict=True):
            for body, lift, t in zip(bodies, lifts, torques, strict=True):
                push(body, -1, [0.0, 0.0, lift], origin, LINK, client)
                turn(body, -1, t, LINK, client)
            advance(client)

    def read(self) -> Float:
        """(B, 13) states."""
        client, rows = self.client, []
        for body in self.bodies:
            place, turn = pybullet.getBasePositionAndOrientation(body, client)
            speed, spin = pybullet.getBaseVelocity(body, client)
            rows.append(place + turn + speed + spin)
        state = np.array(rows)
        state[:, :3] -= self.offset
        return state

    def touching(self) -> Bool:
        """(B) bodies in contact after the last step."""
        hit = np.zeros(len(self.bodies), bool)
        number = {body: k for k, body in enumerate(self.bodies)}
        for contact in pybullet.getContactPoints(physicsClientId=self.client) or ():
            for body in contact[1:3]:
                if body in number:
                    hit[number[body]] = True
        return hit

    def picture(self, env: int = 0, width: int = 320, height: int = 240) -> np.ndarray:
        """(height, width, 3) uint8, a team seen from above at an angle (CPU renderer)."""
        view = pybullet.computeViewMatrixFromYawPitchRoll(
            (self.origin[env] + [0.0, 0.0, 0.2]).tolist(),
            3.0 * max(self.half, 0.5),
            30.0,
            -50.0,
            0.0,
            2,
        )
        lens = pybullet.computeProjectionMatrixFOV(60.0, width / height, 0.05, 50.0)
        image = pybullet.getCameraImage(
            width,
            height,
            view,
            lens,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self.client,
        )
        return np.asarray(image[2], np.uint8).reshape(height, width, 4)[..., :3]

    def close(self) -> None:
        """Disconnect from the server."""
        if pybullet.isConnected(self.client):
            pybullet.disconnect(self.client)


def bullet_server(native: bool, *args: Any, **options: Any) -> BulletServer:
    """A server: native where asked for and proven, else with Python calls.

    Args:
        native: through C functions if their self-test passes.
        args: of `BulletServer`.
        options: of `BulletServer`.
    """
    if native and not options.get("gui"):
        from swarmhold.sim.bullet_native import NativeServer, self_test

        reason = self_test()
        if reason is None:
            return NativeServer(*args, **options)
        log.warning("PyBullet through Python calls, the slower way: %s", reason)
    return BulletServer(*args, **options)
