"""The safety filter: the last word before the driver. It trusts nobody.

It only ever slows, turns away or stops; it never makes a set-point larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from swarmhold.hardware.messages import Mode
from swarmhold.hardware.spec import PolicySpec, policy_spec
from swarmhold.hardware.types import Float

AWAY_HZ = 2.0  # speed away from what is too near, per metre of it
ROUNDS = 12  # of projection


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
        fence_m: distance that the centre keeps from the geofence.
        brake_mps2: m/s^2, with which the robot surely slows down.
        lag_s: s for which it goes on as it moves now, whatever it is told.
        half_width: m, half the side of the square geofence.
        hold_s: age of the input after which the robot holds.
        land_s: age after which it lands.
        stop_s: age after which it stops its motors.
    """

    bound: tuple[float, ...]
    separation_m: float
    fence_m: float
    brake_mps2: float
    lag_s: float
    half_width: float
    hold_s: float = 0.3
    land_s: float = 2.0
    stop_s: float = 6.0


def safety_config(spec: PolicySpec, half_width: float) -> SafetyConfig:
    """Limits for a robot class; quadrotors keep away as far as their air is disturbed."""
    ground, radius = spec.drives, spec.radius_m
    return SafetyConfig(
        bound=spec.action_bound,
        separation_m=2.0 * radius + (0.008 if ground else 0.15),
        fence_m=radius + 0.006 if ground else 0.05,
        brake_mps2=0.25 if ground else 1.0,
        lag_s=0.05 if ground else 0.4,
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
    velocity: Float,
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
        velocity: (3) m/s, world ENU, own velocity.
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
    cos, sin = np.cos(yaw), np.sin(yaw)
    moving = np.array([[cos, sin], [-sin, cos]]) @ np.nan_to_num(np.asarray(velocity, float)[:2])
    near = [_cap(config, *part, moving) for part in _bodies(config, bodies)]
    apart = _allowed(planar, near, policy_spec(robot).drives)
    if not np.array_equal(apart, planar):
        limits |= Limit.SEPARATION
    walls = [
        _cap(config, *part, moving) for part in _fence(config, np.asarray(position) - home, yaw)
    ]
    inside = _allowed(apart, [*near, *walls], policy_spec(robot).drives)
    if not np.array_equal(inside, apart):
        limits |= Limit.GEOFENCE
    return _setpoint(robot, inside, turn), int(limits)


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


def _setpoint(robot: str, allowed: Float, turn: float) -> Float:
    """Back to set-point components."""
    return np.array([allowed[0], turn]) if policy_spec(robot).drives else allowed


def _bodies(config: SafetyConfig, bodies: Float) -> Iterator[tuple[Float, float, float]]:
    """Direction (2) of each body, the room up to it, and how fast that room can be braked away."""
    for body in bodies:
        offset = np.asarray(body[:2], float)
        distance = float(np.hypot(offset[0], offset[1]))
        if np.isfinite(distance) and distance > 1e-6:
            # It may come as fast as oneself goes, so half of the room is one's own.
            yield offset / distance, distance - config.separation_m, config.brake_mps2


def _fence(config: SafetyConfig, offset: Float, yaw: float) -> Iterator[tuple[Float, float, float]]:
    """The same for the four sides of the geofence."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    for axis, normal in enumerate((np.array([cos, -sin]), np.array([sin, cos]))):
        for side in (1.0, -1.0):
            room = config.half_width - config.fence_m - side * float(offset[axis])
            yield side * normal, room, 2.0 * config.brake_mps2


def _cap(
    config: SafetyConfig, normal: Float, room: float, brake: float, moving: Float
) -> tuple[Float, float]:
    """Largest speed towards something: what can be braked within the room that the lag leaves.

    v <= sqrt(brake * room); where there is none left, only away from it, and the faster the deeper.
    """
    left = room - config.lag_s * max(float(moving @ normal), 0.0)
    if left <= 0.0:
        return normal, max(AWAY_HZ * left, -config.bound[0])
    return normal, min(config.bound[0], float(np.sqrt(brake * left)))


def _allowed(velocity: Float, caps: list[tuple[Float, float]], drives: bool) -> Float:
    """The nearest velocity that keeps all caps, and is no larger than what was asked for.

    A differential drive can only slow down along its axis. What can move sideways slides along, by
    projection on the cap that is broken most, again and again; where caps contradict, it stops.
    """
    if drives:
        share = 1.0
        for normal, cap in caps:
            towards = float(velocity @ normal)
            if towards > max(cap, 0.0):
                share = min(share, max(cap, 0.0) / towards)
        return velocity * share if share < 1.0 else velocity
    out, asked = velocity, float(np.hypot(*velocity))
    for _ in range(ROUNDS):
        over = [float(out @ normal) - cap for normal, cap in caps]
        worst = int(np.argmax(over)) if over else 0
        if not over or over[worst] <= 1e-9:
            break
        out = out - over[worst] * caps[worst][0]
    else:
        out = np.zeros(2)
    size = float(np.hypot(*out))
    return out * (asked / size) if size > asked else out
