"""Value types of the contract, as structures of arrays.

Every array may carry leading batch dimensions, written `...`: the simulator passes
(env, robot), a robot passes none. Frames follow REP 103: world is ENU, body is x forward,
y left, z up. SI units throughout; angles in radians; time in seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Bool = NDArray[np.bool_]
Int = NDArray[np.integer[Any]]


REACH = 1e4  # m, m/s, rad; what a robot claims beyond this is out of range


class TokenKind(IntEnum):
    """What an entry of the unweighted obstacle stream stands for."""

    LANDMARK = 0
    OBSTACLE = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class Kinematics:
    """Pose and twist of robots, as measured or as believed.

    Attributes:
        position: (..., 3) m, world ENU.
        velocity: (..., 3) m/s, world ENU.
        yaw: (...) rad, world ENU, 0 along x, counter-clockwise.
        yaw_rate: (...) rad/s.
    """

    position: Float
    velocity: Float
    yaw: Float
    yaw_rate: Float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Landmarks from the map and bodies from a robot's own proximity sensing.

    These entries never pass through the radio and carry no health weight: a dead robot
    stays visible here as a body.

    Attributes:
        position: (..., O, 3) m, world ENU.
        radius: (..., O) m.
        kind: (..., O) `TokenKind`.
        value: (..., O) importance of a landmark in [0, 1]; 0 for anything else.
        rank: (..., O) share of landmarks that matter more than this one, in [0, 1).
        mask: (..., O) True where the entry is real, False for padding.
    """

    position: Float
    radius: Float
    kind: Int
    value: Float
    rank: Float
    mask: Bool


@dataclass(frozen=True, slots=True)
class Observation:
    """What one policy step sees, in SI units; scaling and clipping happen inside the graph.

    Attributes:
        self_token: (..., Ds) the robot itself.
        team: (..., M, Dt) one token per teammate, in roster order without the robot itself.
        obstacles: (..., O, Do) landmarks, obstacles and sensed bodies.
        obstacle_mask: (..., O) 1 for a real entry, 0 for padding.
    """

    self_token: Float
    team: Float
    obstacles: Float
    obstacle_mask: Float

    def finite(self) -> Observation:
        """The same with 0 for what is not finite, as the graph and heuristics want it."""
        parts = (self.self_token, self.team, self.obstacles, self.obstacle_mask)
        return Observation(*(np.nan_to_num(part, posinf=0.0, neginf=0.0) for part in parts))

    def graph_inputs(self, health: Float) -> dict[str, NDArray[np.float32]]:
        """Flatten leading dimensions to one batch axis and name the arrays as the graph does.

        Empty teammate or obstacle axes are padded with one entry of weight 0, because ONNX
        Runtime rejects axes of length zero.

        Args:
            health: (..., M) attention weights in [0, 1].

        Returns:
            `self (B, Ds)`, `team (B, M, Dt)`, `health (B, M)`, `obstacles (B, O, Do)`,
            `obstacle_mask (B, O)`, all float32, M and O at least 1.
        """
        lead = self.self_token.shape[:-1]
        batch = int(np.prod(lead, dtype=int))

        def flat(array: Float, tail: int) -> NDArray[np.float32]:
            shape = (batch, *array.shape[array.ndim - tail :])
            out = np.ascontiguousarray(array, dtype=np.float32).reshape(shape)
            if tail == 2 and shape[1] == 0:
                out = np.zeros((batch, 1, shape[2]), np.float32)
            return out

        def flat_weights(array: Float) -> NDArray[np.float32]:
            out = np.ascontiguousarray(array, dtype=np.float32).reshape(batch, -1)
            return out if out.shape[1] else np.zeros((batch, 1), np.float32)

        return {
            "self": flat(self.self_token, 1),
            "team": flat(self.team, 2),
            "health": flat_weights(health),
            "obstacles": flat(self.obstacles, 2),
            "obstacle_mask": flat_weights(self.obstacle_mask),
        }


def teammate_index(robots: int) -> NDArray[np.intp]:
    """Row i lists all robots but i, in roster order.

    Args:
        robots: team size N.

    Returns:
        (N, N - 1) indices.
    """
    grid = np.tile(np.arange(robots), (robots, 1))
    return grid[~np.eye(robots, dtype=bool)].reshape(robots, max(robots - 1, 0))
