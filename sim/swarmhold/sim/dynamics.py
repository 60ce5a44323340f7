"""Force laws of the robots, shared by the batched twin and the PyBullet world.

A force law maps body states and set-points to a world force and torque, held over one physics
step. The twin integrates them in Bullet's own order (semi-implicit Euler, world angular
velocity, exponential map), so both backends agree to round-off until something touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.sim.robots import GRAVITY, PHYSICS_HZ, DriveModel, Model, QuadModel

DT = 1.0 / PHYSICS_HZ


@dataclass(slots=True)
class Bodies:
    """Rigid bodies, mutable arrays with leading dimensions `...`.

    Attributes:
        position: (..., 3) m, world ENU.
        velocity: (..., 3) m/s, world ENU.
        attitude: (..., 4) quaternion x, y, z, w (Bullet's order), body to world.
        spin: (..., 3) rad/s, world.
        motor: (..., 4) state of the actuators: thrust (N) and torque (N m, body) of a quadrotor.
    """

    position: Float
    velocity: Float
    attitude: Float
    spin: Float
    motor: Float

    def copy(self) -> Bodies:
        """An independent copy."""
        return Bodies(*(getattr(self, name).copy() for name in self.__slots__))

    def yaw(self) -> Float:
        """(...) rad, heading of the body's x axis."""
        x, y, z, w = np.moveaxis(self.attitude, -1, 0)
        return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def at_rest(position: Float, yaw: Float, model: Model) -> Bodies:
    """Bodies standing (or hovering) still at given poses.

    Args:
        position: (..., 3) m.
        yaw: (...) rad.
        model: decides the trimmed actuator state.
    """
    lead = position.shape[:-1]
    attitude = np.zeros((*lead, 4))
    attitude[..., 2], attitude[..., 3] = np.sin(yaw / 2), np.cos(yaw / 2)
    motor = np.zeros((*lead, 4))
    if isinstance(model, QuadModel):
        motor[..., 0] = model.mass * GRAVITY
    zeros = np.zeros_like(position)
    return Bodies(position.astype(float).copy(), zeros.copy(), attitude, zeros.copy(), motor)


def rotate(attitude: Float, vector: Float) -> Float:
    """Body to world: q v q* by the two-cross-product form."""
    axis, w = attitude[..., :3], attitude[..., 3:]
    twice = 2.0 * np.cross(axis, vector)
    return vector + w * twice + np.cross(axis, twice)


def unrotate(attitude: Float, vector: Float) -> Float:
    """World to body."""
    axis, w = -attitude[..., :3], attitude[..., 3:]
    twice = 2.0 * np.cross(axis, vector)
    return vector + w * twice + np.cross(axis, twice)


def wrench(model: Model, bodies: Bodies, setpoint: Float, gain: Float) -> tuple[Float, Float]:
    """Force and torque over the next physics step; advances `bodies.motor`.

    Args:
        model: robot class.
        bodies: (...) states.
        setpoint: (..., Da) velocity set-points in physical units, yaw frame.
        gain: (...) actuator effectiveness in [0, 1].

    Returns:
        Force (..., 3) N and torque (..., 3) N m, both world; gravity included.
    """
    if isinstance(model, DriveModel):
        return _drive_wrench(model, bodies, setpoint, gain)
    return _quad_wrench(model, bodies, setpoint, gain)


def _drive_wrench(
    model: DriveModel, bodies: Bodies, setpoint: Float, gain: Float
) -> tuple[Float, Float]:
    """Tyres accelerate the body towards the wheels' speeds, within their grip."""
    speed, turn = drive_targets(model, setpoint)
    yaw = bodies.yaw()
    cos, sin = np.cos(yaw), np.sin(yaw)
    vx, vy = bodies.velocity[..., 0], bodies.velocity[..., 1]
    along, across = cos * vx + sin * vy, cos * vy - sin * vx
    limit = np.where(speed == 0.0, model.grip, model.drive * model.grip)
    push = np.clip((gain * speed - along) / DT, -limit, limit)
    hold = np.clip(-across / DT, -model.grip, model.grip)
    twist_max = model.grip * model.axle / 2 / (model.inertia / model.mass)
    twist = np.clip((gain * turn - bodies.spin[..., 2]) / DT, -twist_max, twist_max)
    zero = np.zeros_like(push)
    force = np.stack([cos * push - sin * hold, sin * push + cos * hold, zero], axis=-1)
    torque = np.stack([zero, zero, twist], axis=-1)
    return force * model.mass, torque * model.inertia


def drive_targets(model: DriveModel, setpoint: Float) -> tuple[Float, Float]:
    """Forward speed (m/s) and turn rate (rad/s) after each wheel has saturated."""
    left, right = wheel_commands(model, setpoint)
    return (
        (left + right) / 2 * model.wheel_speed,
        (right - left) / model.axle * model.wheel_speed,
    )


def wheel_commands(model: DriveModel, setpoint: Float) -> tuple[Float, Float]:
    """Left and right wheel commands in [-1, 1] for (forward speed, yaw rate) set-points."""
    mean = setpoint[..., 0] / model.wheel_speed
    half = setpoint[..., 1] * model.axle / 2 / model.wheel_speed
    return np.clip(mean - half, -1, 1), np.clip(mean + half, -1, 1)


# Gains of the on-board cascade: velocity -> attitude -> body rate, and height -> climb rate.
_VELOCITY, _HEIGHT, _CLIMB, _TILT, _RATE = 3.0, 2.0, 6.0, 12.0, 30.0


def _quad_wrench(
    model: QuadModel, bodies: Bodies, setpoint: Float, gain: Float
) -> tuple[Float, Float]:
    """Cascaded on-board controller, motor lag and linear rotor drag (Foerster 2015, eq. 3.22)."""
    yaw = bodies.yaw()
    cos, sin = np.cos(yaw), np.sin(yaw)
    goal_x = cos * setpoint[..., 0] - sin * setpoint[..., 1]
    goal_y = sin * setpoint[..., 0] + cos * setpoint[..., 1]
    climb = np.clip(_HEIGHT * (model.height - bodies.position[..., 2]), -1.0, 1.0)
    wanted = np.stack(
        [
            _VELOCITY * (goal_x - bodies.velocity[..., 0]),
            _VELOCITY * (goal_y - bodies.velocity[..., 1]),
            _CLIMB * (climb - bodies.velocity[..., 2]) + GRAVITY,
        ],
        axis=-1,
    )
    lift = np.maximum(wanted[..., 2:], 0.3 * GRAVITY)
    planar = wanted[..., :2]
    size = np.linalg.norm(planar, axis=-1, keepdims=True)
    planar = planar * np.minimum(1.0, np.tan(model.tilt_max) * lift / np.maximum(size, 1e-9))
    wanted = np.concatenate([planar, lift], axis=-1)
    axis = wanted / np.linalg.norm(wanted, axis=-1, keepdims=True)

    up = np.zeros_like(axis)
    up[..., 2] = 1.0
    body_z = rotate(bodies.attitude, up)
    tilt_error = unrotate(bodies.attitude, np.cross(body_z, axis))
    rate = unrotate(bodies.attitude, bodies.spin)
    rate_goal = _TILT * tilt_error
    rate_goal[..., 2] = -2.0 * yaw
    inertia = np.asarray(model.inertia)
    torque = inertia * _RATE * (rate_goal - rate)
    torque = np.clip(torque, -np.asarray(model.torque_max), np.asarray(model.torque_max))
    thrust = model.mass * np.sum(wanted * body_z, axis=-1)
    command = np.concatenate([np.clip(thrust, 0, model.thrust_max)[..., None], torque], axis=-1)
    blend = 1.0 - np.exp(-DT / model.motor_lag)
    bodies.motor += blend * (gain[..., None] * command - bodies.motor)

    force = body_z * bodies.motor[..., :1]
    drag = unrotate(bodies.attitude, bodies.velocity) * np.asarray(model.drag) * model.mass
    force = force - rotate(bodies.attitude, drag)
    force[..., 2] -= model.mass * GRAVITY
    return force, rotate(bodies.attitude, bodies.motor[..., 1:])


def integrate(model: Model, bodies: Bodies, force: Float, torque: Float) -> None:
    """Advance one physics step in place, in the order of Bullet's free rigid body.

    Args:
        model: masses and inertia.
        bodies: (...) states.
        force: (..., 3) N, world.
        torque: (..., 3) N m, world.
    """
    bodies.velocity += force * (DT / model.mass)
    if isinstance(model, DriveModel):
        bodies.spin[..., 2] += torque[..., 2] * (DT / model.inertia)
    else:
        inertia = np.asarray(model.inertia)
        rate = unrotate(bodies.attitude, bodies.spin)
        moment = unrotate(bodies.attitude, torque) - np.cross(rate, inertia * rate)
        bodies.spin += rotate(bodies.attitude, moment / inertia) * DT
    bodies.position += bodies.velocity * DT
    _turn(bodies)


def _turn(bodies: Bodies) -> None:
    """Q <- exp(spin dt) q, normalised."""
    rate = np.linalg.norm(bodies.spin, axis=-1, keepdims=True)
    half = 0.5 * rate * DT
    small = rate < 1e-3
    scale = np.where(
        small,
        0.5 * DT - DT**3 * rate * rate / 48.0,
        np.sin(half) / np.where(small, 1.0, rate),
    )
    step = bodies.spin * scale
    sx, sy, sz, sw = step[..., 0], step[..., 1], step[..., 2], np.cos(half)[..., 0]
    x, y, z, w = np.moveaxis(bodies.attitude, -1, 0)
    turned = np.stack(
        [
            sw * x + sx * w + sy * z - sz * y,
            sw * y - sx * z + sy * w + sz * x,
            sw * z + sx * y - sy * x + sz * w,
            sw * w - sx * x - sy * y - sz * z,
        ],
        axis=-1,
    )
    bodies.attitude[...] = turned / np.linalg.norm(turned, axis=-1, keepdims=True)
