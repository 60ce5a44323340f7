"""The PyBullet server through the C functions that its module exports, called by numba.

A Python call into PyBullet costs more than the physics of a free body. The module exports its C
interface, and numba can call it. What it does is proven at start-up against the Python path; where
the proof fails, `bullet.bullet_server` falls back to Python calls and logs why.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pybullet

from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.bullet import DT, TILT_INERTIA, BulletServer
from swarmhold.sim.robots import SPIN_MAX, DriveModel, QuadModel

GROUP = 80  # bodies whose forces travel in one command; the limit of a command is 512 entries
TOLERANCE = 1e-12  # m, against the Python path
_WORLD, _LINK = pybullet.WORLD_FRAME, pybullet.LINK_FRAME
_handle, _int, _double = ctypes.c_uint64, ctypes.c_int, ctypes.c_double

# Result and arguments of every C function that is used; pointers travel as addresses.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "b3ConnectPhysicsDirect": (_handle,),
    "b3DisconnectSharedMemory": (None, _handle),
    "b3SubmitClientCommandAndWaitStatus": (_handle, _handle, _handle),
    "b3InitPhysicsParamCommand": (_handle, _handle),
    "b3PhysicsParamSetGravity": (_int, _handle, _double, _double, _double),
    "b3PhysicsParamSetTimeStep": (_int, _handle, _double),
    "b3PhysicsParamSetNumSubSteps": (_int, _handle, _int),
    "b3PhysicsParameterSetDeterministicOverlappingPairs": (_int, _handle, _int),
    "b3InitStepSimulationCommand": (_handle, _handle),
    "b3CreateCollisionShapeCommandInit": (_handle, _handle),
    "b3CreateCollisionShapeAddSphere": (_int, _handle, _double),
    "b3CreateCollisionShapeAddBox": (_int, _handle, _handle),
    "b3CreateCollisionShapeAddCylinder": (_int, _handle, _double, _double),
    "b3CreateCollisionShapeAddPlane": (_int, _handle, _handle, _double),
    "b3GetStatusCollisionShapeUniqueId": (_int, _handle),
    "b3CreateMultiBodyCommandInit": (_handle, _handle),
    "b3CreateMultiBodyBase": (
        *(_int, _handle, _double, _int, _int),
        *(_handle, _handle, _handle, _handle),
    ),
    "b3GetStatusBodyIndex": (_int, _handle),
    "b3InitChangeDynamicsInfo": (_handle, _handle),
    "b3ChangeDynamicsInfoSetMass": (_int, _handle, _int, _int, _double),
    "b3ChangeDynamicsInfoSetLocalInertiaDiagonal": (_int, _handle, _int, _int, _handle),
    "b3ChangeDynamicsInfoSetLinearDamping": (_int, _handle, _int, _double),
    "b3ChangeDynamicsInfoSetAngularDamping": (_int, _handle, _int, _double),
    "b3ChangeDynamicsInfoSetLateralFriction": (_int, _handle, _int, _int, _double),
    "b3ChangeDynamicsInfoSetRestitution": (_int, _handle, _int, _int, _double),
    "b3ChangeDynamicsInfoSetMaxJointVelocity": (_int, _handle, _int, _double),
    "b3ChangeDynamicsInfoSetActivationState": (_int, _handle, _int, _int),
    "b3CollisionFilterCommandInit": (_handle, _handle),
    "b3SetCollisionFilterGroupMask": (_int, _handle, _int, _int, _int, _int),
    "b3CreatePoseCommandInit": (_handle, _handle, _int),
    "b3CreatePoseCommandSetBasePosition": (_int, _handle, _double, _double, _double),
    "b3CreatePoseCommandSetBaseOrientation": (_int, _handle, _double, _double, _double, _double),
    "b3CreatePoseCommandSetBaseLinearVelocity": (_int, _handle, _handle),
    "b3CreatePoseCommandSetBaseAngularVelocity": (_int, _handle, _handle),
    "b3ApplyExternalForceCommandInit": (_handle, _handle),
    "b3ApplyExternalForce": (None, _handle, _int, _int, _handle, _handle, _int),
    "b3ApplyExternalTorque": (None, _handle, _int, _int, _handle, _int),
    "b3RequestActualStateCommandInit": (_handle, _handle, _int),
    "b3GetStatusActualState": (
        *(_int, _handle, _handle, _handle, _handle),
        *(_handle, _handle, _handle, _handle),
    ),
    "b3InitRequestContactPointInformation": (_handle, _handle),
    "b3GetContactPointInformation": (None, _handle, _handle),
}


class NativeError(SwarmholdError):
    """The native path cannot be used; the message says why."""


class _Contact(ctypes.Structure):
    _fields_ = (
        ("flags", _int),
        ("body_a", _int),
        ("body_b", _int),
        ("link_a", _int),
        ("link_b", _int),
        ("figures", _double * 19),
    )


class _Contacts(ctypes.Structure):
    _fields_ = (("count", _int), ("points", ctypes.POINTER(_Contact)))


_loaded: dict[str, Any] = {}


def _library() -> dict[str, Any]:
    """The C functions and the loops that call them; loaded and compiled once."""
    if _loaded:
        return _loaded
    library = ctypes.CDLL(pybullet.__file__)
    found: dict[str, Any] = {}
    for name, (result, *arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise NativeError(f"this PyBullet does not export {name}") from error
        function.restype, function.argtypes = result, arguments
        found[name[2:]] = function
    try:
        from swarmhold.sim.bullet_loops import make_loops
    except ImportError as error:
        raise NativeError("numba is not installed") from error
    found["loops"] = make_loops(found, GROUP, _WORLD, _LINK)
    _loaded.update(found)
    return _loaded


class NativeServer(BulletServer):
    """See `BulletServer`; a client of its own, since the module's handle is not reachable."""

    native = True

    def _connect(self, gui: bool) -> None:
        if gui:
            raise NativeError("a window needs the Python path")
        self._c = _library()
        self.client = self._c["ConnectPhysicsDirect"]()

    def _submit(self, command: int) -> int:
        return int(self._c["SubmitClientCommandAndWaitStatus"](self.client, command))

    def _start(self, gravity: float) -> None:
        c = self._c
        command = c["InitPhysicsParamCommand"](self.client)
        c["PhysicsParamSetTimeStep"](command, DT)
        c["PhysicsParamSetGravity"](command, 0.0, 0.0, gravity)
        c["PhysicsParamSetNumSubSteps"](command, 0)
        c["PhysicsParameterSetDeterministicOverlappingPairs"](command, 1)
        self._submit(command)
        self._bodies_array = np.zeros(0, np.int32)
        self._values, self._places = np.zeros(6 * GROUP), np.zeros(6 * GROUP)

    def _plane(self) -> int:
        normal = np.array([0.0, 0.0, 1.0])
        return self._new_shape("AddPlane", normal.ctypes.data, 0.0)

    def _box(self, extent: list[float]) -> int:
        half = np.array(extent)
        return self._new_shape("AddBox", half.ctypes.data)

    def _cylinder(self, radius: float, height: float) -> int:
        return self._new_shape("AddCylinder", radius, height)

    def _new_shape(self, kind: str, *values: Any) -> int:
        command = self._c["CreateCollisionShapeCommandInit"](self.client)
        self._c[f"CreateCollisionShape{kind}"](command, *values)
        return int(self._c["GetStatusCollisionShapeUniqueId"](self._submit(command)))

    def _body(self, mass: float, shape: int, place: list[float]) -> int:
        command = self._c["CreateMultiBodyCommandInit"](self.client)
        spot, zero = np.array(place, float), np.zeros(3)
        turn = np.array([0.0, 0.0, 0.0, 1.0])
        addresses = (a.ctypes.data for a in (spot, turn, zero, turn))
        self._c["CreateMultiBodyBase"](command, mass, shape, -1, *addresses)
        return int(self._c["GetStatusBodyIndex"](self._submit(command)))

    def _fixed(self, shape: int, place: list[float]) -> int:
        body, c = self._body(0.0, shape, place), self._c
        command = c["InitChangeDynamicsInfo"](self.client)
        c["ChangeDynamicsInfoSetLateralFriction"](command, body, -1, 0.0)
        c["ChangeDynamicsInfoSetRestitution"](command, body, -1, 0.0)
        self._submit(command)
        return body

    def _move(self, body: int, place: list[float]) -> None:
        command = self._c["CreatePoseCommandInit"](self.client, body)
        self._c["CreatePoseCommandSetBasePosition"](command, *place)
        self._c["CreatePoseCommandSetBaseOrientation"](command, 0.0, 0.0, 0.0, 1.0)
        self._submit(command)

    def _robot(self) -> int:
        model, c = self.model, self._c
        if isinstance(model, DriveModel):
            shape = self._cylinder(model.radius, 0.05)
            inertia = np.array([TILT_INERTIA, TILT_INERTIA, model.inertia])
        else:
            shape = self._new_shape("AddSphere", model.radius)
            inertia = np.array(model.inertia)
        body = self._body(model.mass, shape, [0.0, 0.0, 0.0])
        command = c["InitChangeDynamicsInfo"](self.client)
        c["ChangeDynamicsInfoSetMass"](command, body, -1, model.mass)
        c["ChangeDynamicsInfoSetLocalInertiaDiagonal"](command, body, -1, inertia.ctypes.data)
        c["ChangeDynamicsInfoSetLinearDamping"](command, body, 0.0)
        c["ChangeDynamicsInfoSetAngularDamping"](command, body, 0.0)
        c["ChangeDynamicsInfoSetLateralFriction"](command, body, -1, 0.0)
        c["ChangeDynamicsInfoSetRestitution"](command, body, -1, 0.0)
        c["ChangeDynamicsInfoSetMaxJointVelocity"](command, body, SPIN_MAX)
        state = pybullet.ACTIVATION_STATE_DISABLE_SLEEPING
        c["ChangeDynamicsInfoSetActivationState"](command, body, state)
        self._submit(command)
        if not self.contacts:
            command = c["CollisionFilterCommandInit"](self.client)
            c["SetCollisionFilterGroupMask"](command, body, -1, 0, 0)
            self._submit(command)
        return body

    def set_inertia(self, body: int, mass: float, inertia: list[float]) -> None:
        """See `BulletServer.set_inertia`."""
        c, diagonal = self._c, np.array(inertia)
        command = c["InitChangeDynamicsInfo"](self.client)
        c["ChangeDynamicsInfoSetMass"](command, self.bodies[body], -1, mass)
        c["ChangeDynamicsInfoSetLocalInertiaDiagonal"](
            command, self.bodies[body], -1, diagonal.ctypes.data
        )
        self._submit(command)

    @property
    def _ids(self) -> Any:
        if len(self._bodies_array) != len(self.bodies):
            self._bodies_array = np.array(self.bodies, np.int32)
        return self._bodies_array

    def teleport(self, state: Float, chosen: Bool | None = None) -> None:
        """See `BulletServer.teleport`."""
        rows = np.arange(len(self.bodies)) if chosen is None else np.flatnonzero(chosen)
        self._c["loops"].teleport(
            self.client, self._ids, rows, np.ascontiguousarray(state, float), self.offset
        )

    def step(self, force: Float, torque: Float, place: Float) -> None:
        """See `BulletServer.step`."""
        self._c["loops"].step(
            self.client,
            self._ids,
            np.ascontiguousarray(force, float),
            np.ascontiguousarray(torque, float),
            place + self.offset,
        )

    def fly(self, thrust: Float, torque: Float) -> None:
        """See `BulletServer.fly`."""
        self._c["loops"].fly(
            self.client,
            self._ids,
            np.ascontiguousarray(thrust, float),
            np.ascontiguousarray(torque, float),
        )

    def hop(self, blocks: Any, steps: int) -> None:
        """Steps of quadrotors whose motors and states are in compiled blocks; no drag, no wind."""
        self._c["loops"].hop(
            *(self.client, self._ids, self.offset, blocks.data.reshape(-1)),
            *(blocks.teams, blocks.n_robots, steps, self._values, self._places, blocks.packed),
        )

    def tick(self, blocks: Any, action: Float, hover: float, steps: int, judging: Any) -> int:
        """A control step of `FlightSim` in one call; see `bullet_loops`."""
        return int(
            self._c["loops"].tick(
                *(self.client, self._ids, self.offset, self._values, self._places, steps),
                *(blocks.data.reshape(-1), action, hover, blocks.packed),
                *(blocks.teams, blocks.n_robots, *judging),
            )
        )

    def read(self) -> Float:
        """See `BulletServer.read`."""
        return np.asarray(self._c["loops"].read(self.client, self._ids, self.offset))

    def touching(self) -> Bool:
        """See `BulletServer.touching`."""
        hit = np.zeros(len(self.bodies), bool)
        number = {body: k for k, body in enumerate(self.bodies)}
        self._submit(self._c["InitRequestContactPointInformation"](self.client))
        contacts = _Contacts()
        self._c["GetContactPointInformation"](self.client, ctypes.addressof(contacts))
        for k in range(contacts.count):
            for body in (contacts.points[k].body_a, contacts.points[k].body_b):
                if body in number:
                    hit[number[body]] = True
        return hit

    def picture(self, env: int = 0, width: int = 320, height: int = 240) -> np.ndarray:
        """Not on this path.

        Raises:
            NativeError: always.
        """
        raise NativeError("pictures need the Python path; use backend pybullet")

    def close(self) -> None:
        """Disconnect from the server."""
        if self.client:
            self._c["DisconnectSharedMemory"](self.client)
            self.client = 0


_verdict: list[str | None] = []  # the self-test's result, once it has run


def self_test() -> str | None:
    """Fly the same forces through both paths: one step, 48 steps, and a teleport back.

    Returns:
        None if both agree within `TOLERANCE`; else why the native path is not to be used.
    """
    if not _verdict:
        try:
            _verdict.append(_compare())
        except NativeError as error:
            _verdict.append(str(error))
    return _verdict[0]


def _compare() -> str | None:
    rng, teams, robots = np.random.default_rng(5), 22, 4
    bodies = teams * robots  # more than one command holds
    start = np.zeros((bodies, 13))
    start[:, :3] = rng.uniform(-1, 1, (bodies, 3)) + np.array([0.0, 0.0, 3.0])
    start[:, 3:7] = rng.normal(size=(bodies, 4))
    start[:, 3:7] /= np.linalg.norm(start[:, 3:7], axis=1, keepdims=True)
    start[:, 7:] = rng.normal(size=(bodies, 6))
    thrust = rng.uniform(0.0, 0.5, (48, bodies))
    torque = rng.uniform(-1e-4, 1e-4, (48, bodies, 3))
    push = rng.uniform(-0.1, 0.1, (bodies, 3))
    tracks = []
    for kind in (BulletServer, NativeServer):
        server = kind(QuadModel(), teams, robots, 5.0, False, True)
        track = []
        for _ in range(2):
            server.teleport(start)
            server.fly(thrust[:1], torque[:1])
            track.append(server.read())
            server.fly(thrust[1:], torque[1:])
            track.append(server.read())
            server.step(push, torque[0], track[-1][:, :3])
            track.append(server.read())
        server.close()
        tracks.append(np.array(track))
    apart = float(np.abs(tracks[0] - tracks[1]).max())
    if not apart <= TOLERANCE:
        return f"its states differ by {apart:.1e} from those of the Python calls"
    if not np.array_equal(tracks[1][:3], tracks[1][3:]):
        return "a teleport does not bring it back to the same states"
    return None
