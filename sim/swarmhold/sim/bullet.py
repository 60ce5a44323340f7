"""The PyBullet backend: the reference, with contacts, at 240 Hz.

Single-link bodies on a plane, many teams in one server at offsets, explicit zero damping,
deterministic pairs, built once and reset by teleport, which is bit-equal.
"""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.errors import MissingExtraError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.dynamics import DT, at_rest, wrench
from swarmhold.sim.physics import parked
from swarmhold.sim.robots import PHYSICS_HZ, DriveModel, Model

try:
    import pybullet
except ImportError as error:  # pragma: no cover - exercised by the missing-extra test
    raise MissingExtraError(
        "PyBullet is not installed; install it with: pip install 'swarmhold[sim]'"
    ) from error

_SPACING = 100.0  # m between teams that share a server


class BulletPhysics:
    """E teams of N robots in one PyBullet server; see `swarmhold.sim.physics.Physics`."""

    def __init__(
        self, model: Model, n_envs: int, n_robots: int, half_width: float, contacts: bool
    ) -> None:
        """Build the world once; walls stand at +-half_width (m) for ground robots."""
        self._model, self._half, self._contacts = model, half_width, contacts
        self._present = np.ones((n_envs, n_robots), bool)
        self.touched = np.zeros((n_envs, n_robots), bool)
        self._offset = np.zeros((n_envs, 1, 3))
        self._offset[:, 0, 1] = _SPACING * np.arange(n_envs)
        self._client = pybullet.connect(pybullet.DIRECT)
        self._start_engine()
        self._build_ground()
        self._ids = [[self._build_robot() for _ in range(n_robots)] for _ in range(n_envs)]
        self.bodies = at_rest(np.zeros((n_envs, n_robots, 3)), np.zeros((n_envs, n_robots)), model)

    def _start_engine(self) -> None:
        pybullet.setTimeStep(DT, physicsClientId=self._client)
        pybullet.setGravity(0, 0, 0, physicsClientId=self._client)  # part of the force law
        pybullet.setPhysicsEngineParameter(
            deterministicOverlappingPairs=1, numSubSteps=0, physicsClientId=self._client
        )

    def _build_ground(self) -> None:
        if not isinstance(self._model, DriveModel):
            plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=self._client)
            pybullet.createMultiBody(0, plane, physicsClientId=self._client)
            return
        if not self._contacts:
            return
        thick = 0.05
        for side, half in (((1, 0), "x"), ((-1, 0), "x"), ((0, 1), "y"), ((0, -1), "y")):
            extent = (
                [thick, self._half + thick, 0.2]
                if half == "x"
                else [self._half + thick, thick, 0.2]
            )
            wall = pybullet.createCollisionShape(
                pybullet.GEOM_BOX, halfExtents=extent, physicsClientId=self._client
            )
            for offset in self._offset[:, 0]:
                middle = offset + np.array([*side, 0.0]) * (self._half + thick)
                body = pybullet.createMultiBody(
                    0, wall, basePosition=middle.tolist(), physicsClientId=self._client
                )
                pybullet.changeDynamics(
                    body, -1, lateralFriction=0.0, restitution=0.0, physicsClientId=self._client
                )

    def _build_robot(self) -> int:
        model = self._model
        if isinstance(model, DriveModel):
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_CYLINDER,
                radius=model.radius,
                height=0.05,
                physicsClientId=self._client,
            )
            # Only yaw can turn: tilting is left to the (unmodelled) ground contact.
            inertia = [1e3, 1e3, model.inertia]
        else:
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_SPHERE, radius=model.radius, physicsClientId=self._client
            )
            inertia = list(model.inertia)
        body: int = pybullet.createMultiBody(model.mass, shape, physicsClientId=self._client)
        pybullet.changeDynamics(
            body,
            -1,
            mass=model.mass,
            localInertiaDiagonal=inertia,
            linearDamping=0.0,
            angularDamping=0.0,
            lateralFriction=0.0,
            restitution=0.0,
            maxJointVelocity=1e4,
            activationState=pybullet.ACTIVATION_STATE_DISABLE_SLEEPING,
            physicsClientId=self._client,
        )
        if not self._contacts:
            pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, physicsClientId=self._client)
        return body

    def reset(self, position: Float, yaw: Float, present: Bool) -> None:
        """Teleport every robot to rest."""
        self._present = present
        self.bodies = at_rest(parked(position, present, self._model.height), yaw, self._model)
        self.touched[:] = False
        self._teleport()

    def _teleport(self) -> None:
        place = (self.bodies.position + self._offset).tolist()
        turn, speed, spin = (
            getattr(self.bodies, name).tolist() for name in ("attitude", "velocity", "spin")
        )
        for env, team in enumerate(self._ids):
            for robot, body in enumerate(team):
                pybullet.resetBasePositionAndOrientation(
                    body, place[env][robot], turn[env][robot], physicsClientId=self._client
                )
                pybullet.resetBaseVelocity(
                    body, speed[env][robot], spin[env][robot], physicsClientId=self._client
                )

    def advance(self, setpoint: Float, gain: Float, anchored: Bool, seconds: float) -> None:
        """Hold set-points for a while, 240 physics steps a second."""
        goal = np.where(anchored[..., None], 0.0, setpoint)
        self.touched[:] = False
        for _ in range(round(seconds * PHYSICS_HZ)):
            force, torque = wrench(self._model, self.bodies, goal, gain)
            self._apply(force, torque)
            pybullet.stepSimulation(physicsClientId=self._client)
            self._read()
        if self._contacts:
            self._note_contacts()
        if isinstance(self._model, DriveModel):
            self._clip_to_walls()

    def _apply(self, force: Float, torque: Float) -> None:
        place = (self.bodies.position + self._offset).tolist()
        forces, torques = force.tolist(), torque.tolist()
        for env, team in enumerate(self._ids):
            for robot, body in enumerate(team):
                pybullet.applyExternalForce(
                    body,
                    -1,
                    forces[env][robot],
                    place[env][robot],
                    pybullet.WORLD_FRAME,
                    physicsClientId=self._client,
                )
                pybullet.applyExternalTorque(
                    body,
                    -1,
                    torques[env][robot],
                    pybullet.WORLD_FRAME,
                    physicsClientId=self._client,
                )

    def _read(self) -> None:
        poses, twists = [], []
        for team in self._ids:
            for body in team:
                place, turn = pybullet.getBasePositionAndOrientation(
                    body, physicsClientId=self._client
                )
                poses.append((*place, *turn))
                speed, spin = pybullet.getBaseVelocity(body, physicsClientId=self._client)
                twists.append((*speed, *spin))
        shape = self.bodies.position.shape[:2]
        pose = np.array(poses).reshape(*shape, 7)
        twist = np.array(twists).reshape(*shape, 6)
        self.bodies.position = pose[..., :3] - self._offset
        self.bodies.attitude = np.ascontiguousarray(pose[..., 3:])
        self.bodies.velocity = np.ascontiguousarray(twist[..., :3])
        self.bodies.spin = np.ascontiguousarray(twist[..., 3:])

    def _note_contacts(self) -> None:
        where = {body: (e, r) for e, team in enumerate(self._ids) for r, body in enumerate(team)}
        for contact in pybullet.getContactPoints(physicsClientId=self._client) or ():
            for body in contact[1:3]:
                if body in where:
                    self.touched[where[body]] = True

    def _clip_to_walls(self) -> None:
        """Without contacts walls clip, as in the rendezvous definition; with them, a net."""
        if self._contacts:
            return
        place = self.bodies.position[..., :2]
        outside = (np.abs(place) > self._half) & self._present[..., None]
        if outside.any():
            self.bodies.position[..., :2] = np.where(
                outside, np.clip(place, -self._half, self._half), place
            )
            self.bodies.velocity[..., :2][outside] = 0.0
            self._teleport()

    def close(self) -> None:
        """Disconnect from the server."""
        if pybullet.isConnected(self._client):
            pybullet.disconnect(self._client)
