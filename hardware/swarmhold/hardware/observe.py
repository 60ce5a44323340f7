"""The one observation builder, called by the simulator and by the robot alike."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Kinematics, Observation, Surroundings, TokenKind


def to_body(vector: Float, yaw: Float) -> Float:
    """Turn world vectors into the yaw frame.

    Args:
        vector: (..., 3) world ENU.
        yaw: (...) rad, broadcast against the leading dimensions of `vector`.

    Returns:
        (..., 3) in the yaw frame; z is untouched.
    """
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    turned = cos * x + sin * y
    out = np.empty((*turned.shape, 3), turned.dtype)
    out[..., 0], out[..., 1], out[..., 2] = turned, cos * y - sin * x, z
    return out


def observe(
    spec: PolicySpec,
    own: Kinematics,
    last_action: Float,
    team: Kinematics,
    team_age: Float,
    surroundings: Surroundings,
    home: Float,
) -> Observation:
    """Build the observation of one robot, or of whole batches of robots.

    Args:
        spec: token layouts.
        own: (...) the robot's own estimate of itself.
        last_action: (..., Da) the action applied last, divided by its bound.
        team: (..., M) what the robot believes of its teammates, from their messages.
        team_age: (..., M) s since each belief was received.
        surroundings: (..., O) landmarks and sensed bodies.
        home: (..., 3) m, world ENU, the agreed home point (centre of the arena).

    Returns:
        Tokens in SI units; values that are not finite are passed on, the graph zeroes them.
    """
    yaw, yaw_team = own.yaw, own.yaw[..., None]
    self_token = np.concatenate(
        [
            to_body(own.velocity, yaw)[..., :2],
            own.yaw_rate[..., None],
            last_action,
            to_body(home - own.position, yaw)[..., :2],
        ],
        axis=-1,
    )
    heading = team.yaw - yaw_team
    team_token = np.concatenate(
        [
            to_body(team.position - own.position[..., None, :], yaw_team),
            to_body(team.velocity - own.velocity[..., None, :], yaw_team),
            np.cos(heading)[..., None],
            np.sin(heading)[..., None],
            team_age[..., None],
        ],
        axis=-1,
    )
    kinds = surroundings.kind[..., None] == np.arange(len(TokenKind))
    obstacle_token = np.concatenate(
        [
            to_body(surroundings.position - own.position[..., None, :], yaw_team),
            surroundings.radius[..., None],
            kinds,
            surroundings.value[..., None],
            surroundings.rank[..., None],
        ],
        axis=-1,
    )
    mask = surroundings.mask.astype(np.float32)
    obstacle_token = np.where(surroundings.mask[..., None], obstacle_token, 0.0)
    for token, size, name in (
        (self_token, spec.self_size, "self"),
        (team_token, spec.team_size, "team"),
        (obstacle_token, spec.obstacle_size, "obstacles"),
    ):
        if token.shape[-1] != size:
            raise ValueError(f"{name} token has {token.shape[-1]} values, the spec says {size}")
    return Observation(
        self_token.astype(np.float32),
        team_token.astype(np.float32),
        obstacle_token.astype(np.float32),
        mask,
    )
