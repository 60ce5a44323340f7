"""The safety filter: the last word before the driver. It trusts nobody.

It only ever slows, turns away or stops; it never makes a set-point larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from swarmhold.hardware.messages import Mode
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.types import Float


class Limit(IntFlag):
    """Why a set-point was changed."""

    SPEED = 1
    SEPARATION = 2
    GEOFENCE = 4
    AGE = 8
    FINITE = 16


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """Limits of one robot.

    Attributes:
        bound: (Da) largest magnitude of each set-point component.
        separation_m: centre distance below which nothing may come nearer.
        caution_m: distance beyond the separation over which the approach is slowed.
        half_width: m, half the side of the square geofence.
        hold_s: age of the input after which the robot holds.
        land_s: age after which it lands.
        stop_s: age after which it stops its motors.
    """

    bound: tuple[float, ...]
    separation_m: float
    caution_m: float
    half_width: float
    hold_s: float = 0.3
    land_s: float = 2.0
    stop_s: float = 6.0


def safety_config(spec: PolicySpec, half_width: float) -> SafetyConfig:
    """Limits for a robot class: ground robots may touch, quadrotors must not come near."""
    touch = 2.0 * spec.radius_m
    ground = spec.drives
    return SafetyConfig(
        bound=spec.action_bound,
        separation_m=touch + 0.003 if ground else touch + 0.15,
        caution_m=0.02 if ground else 0.35,
        half_width=half_width,
    )


def staged_mode(config: SafetyConfig, input_age_s: float) -> Mode:
    """Loss of input degrades in stages: hold, then land, then stop (Crazyflie's commander)."""
    if not input_age_s <= config.stop_s:
        return Mode.STOP
    if input_age_s > config.land_s:
        return Mode.LAND
    return Mode.HOLD if input_age_s > config.hold_s else Mode.ACTIVE


def safe_setpoint(
    config: SafetyConfig,
    robot: str,
    action: Float,
    position: Float,
    yaw: float,
    home: Float,
    bodies: Float,
    age_s: float,
) -> tuple[Float, int]:
    """Filter one set-point.

    Args:
        config: limits.
        robot: robot class; tells what the components mean.
        action: (Da) wanted set-point, physical units, yaw frame.
        position: (3) m, world ENU, own position.
        yaw: rad.
        home: (3) m, world ENU, centre of the geofence.
        bodies: (K, 3) m, yaw frame, bodies from own sensing.
        age_s: s since the set-point was decided.

    Returns:
        Safe set-point (Da), and bits of `Limit`.
    """
    limits = 0
    action = np.asarray(action, float)
    own = np.array([*position, yaw])
    if not (np.isfinite(action).all() and np.isfinite(own).all()):
        return np.zeros(len(config.bound)), int(Limit.FINITE)
    if age_s > config.hold_s:
        return np.zeros(len(config.bound)), int(Limit.AGE)
    bounded = _slow_down(config, robot, action)
    if not np.array_equal(bounded, action):
        limits |= Limit.SPEED
    planar, turn = _planar(robot, bounded)
    apart = _keep_apart(config, planar, bodies)
    if not np.array_equal(apart, planar):
        limits |= Limit.SEPARATION
    offset = np.asarray(position) - home
    inside = _keep_inside(config, apart, offset, yaw, policy_spec(robot).drives)
    if not np.array_equal(inside, apart):
        limits |= Limit.GEOFENCE
    return _setpoint(robot, planar, inside, turn), int(limits)


def _slow_down(config: SafetyConfig, robot: str, action: Float) -> Float:
    """Within the bound of each component, and of the planar speed as a whole."""
    bound = np.asarray(config.bound)
    bounded = np.clip(action, -bound, bound)
    speed = float(np.hypot(*bounded[:2]))
    if not policy_spec(robot).drives and speed > bound[0]:
        bounded = bounded * (bound[0] / speed)
    return np.asarray(bounded)


def _planar(robot: str, action: Float) -> tuple[Float, float]:
    """Velocity (2) m/s in the yaw frame, and turn rate."""
    if policy_spec(robot).drives:
        return np.array([action[0], 0.0]), float(action[1])
    return action[:2].copy(), 0.0


def _setpoint(robot: str, wanted: Float, allowed: Float, turn: float) -> Float:
    """Back to set-point components; a differential drive can only slow down along its axis."""
    if not policy_spec(robot).drives:
        return allowed
    if wanted[0] == 0.0:
        return np.array([0.0, turn])
    share = float(np.clip(allowed[0] / wanted[0], 0.0, 1.0))
    return np.array([wanted[0] * share, turn])


def _keep_apart(config: SafetyConfig, velocity: Float, bodies: Float) -> Float:
    """Cap the speed of approach to every sensed body by its distance.

    The cap falls linearly from the speed bound at `separation + caution` to zero at the
    separation: a discrete barrier v_n <= alpha (d - d_min), which keeps d >= d_min.
    """
    out = velocity.copy()
    for body in bodies:
        offset = np.asarray(body[:2], float)
        distance = float(np.hypot(offset[0], offset[1]))
        if not np.isfinite(distance) or distance < 1e-6:
            continue
        normal = offset / distance
        room = max(distance - config.separation_m, 0.0) / config.caution_m
        cap = config.bound[0] * min(room, 1.0)
        approach = float(out @ normal)
        if approach > cap:
            out = out - (approach - cap) * normal
    size = float(np.hypot(*out))
    before = float(np.hypot(*velocity))
    return out * (before / size) if size > before > 0.0 else out


def _keep_inside(
    config: SafetyConfig, velocity: Float, offset: Float, yaw: float, drives: bool
) -> Float:
    """Cap the outward speed by the distance to the geofence, in world axes.

    What can move sideways slides along the fence; a differential drive (`drives`) slows down.
    """
    cos, sin = np.cos(yaw), np.sin(yaw)
    world = np.array([cos * velocity[0] - sin * velocity[1], sin * velocity[0] + cos * velocity[1]])
    room = config.half_width - np.abs(offset[:2])
    cap = config.bound[0] * np.clip(room / config.caution_m, 0.0, 1.0)
    sign = np.sign(offset[:2])
    outward = world * sign
    if not (outward > cap).any():
        return velocity
    if drives:
        over = outward > cap
        return velocity * float(np.min(cap[over] / outward[over]))
    world = np.where(outward > cap, cap * sign, world)
    return np.array([cos * world[0] + sin * world[1], cos * world[1] - sin * world[0]])
