"""What the arrays of a dataset are, and where in a row of them which figures lie.

T ticks of a team of N robots; every tick is one decision of everybody. A row belongs to the same
flight and, within an episode, follows the one before by one decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from pydantic import BaseModel, ConfigDict

from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float, Observation

Arrays = Mapping[str, np.ndarray]

# Type and dimensions: ticks, robots, values of an observation (O), an action (A), the state (S).
FIELDS: dict[str, tuple[str, str]] = {
    "obs": ("float32", "TNO"),  # zeros of robots that do not act
    "act_policy": ("float32", "TNA"),  # what the graph says, in shares of the bound
    "act_applied": ("float32", "TNA"),  # after ramp and safety filter, mean over the tick, likewise
    "reward": ("float32", "TN"),  # the scenario's, of what the tick led to; the team's for each
    "terminal": ("bool", "TN"),  # nothing follows, by the task itself
    "truncated": ("bool", "TN"),  # nothing is known of what follows
    "alive": ("bool", "TN"),  # decided at this tick
    "fault": ("uint8", "TN"),  # `HealthState`, by the supervisor and by the checks
    "injected": ("uint8", "TN"),  # what was broken on purpose: index in `faults` of the manifest
    "attn_mask": ("uint8", "TNN"),  # whether robot (axis 1) attends to robot (axis 2)
    "health": ("float32", "TNN"),  # and with what weight
    "behaviour": ("uint8", "TN"),  # `Behaviour`
    "state": ("float32", "TS"),  # of all robots and landmarks, world ENU
    "t_ns": ("int64", "T"),  # ns, wall clock of the recorder
    "episode_id": ("int32", "T"),
    "tick_age": ("float32", "TN"),  # s since the sensor frame that the last decision answers
}


class Behaviour(IntEnum):
    """Who moves a robot."""

    POLICY = 0
    TELEOP = 1
    FAILSAFE = 2
    ESTOP = 3
    UNKNOWN = 4  # of data that others have collected


class Slice(BaseModel):
    """A named stretch of a row: `row[start:stop].reshape(shape)`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: int
    stop: int
    shape: tuple[int, ...]
    fields: dict[str, tuple[int, int]] = {}
    """Stretches of the last dimension by name."""
    units: dict[str, str] = {}
    """Of the fields."""


Slices = dict[str, Slice]


def observation_slices(spec: PolicySpec, robots: int, obstacles: int) -> Slices:
    """Layout of an observation: own token, teammates in roster order, surroundings and their mask.

    Args:
        spec: tokens.
        robots: N.
        obstacles: entries of the surroundings, padding included.
    """
    blocks = {
        "self": ((), spec.self_fields),
        "team": ((robots - 1,), spec.team_fields),
        "obstacles": ((obstacles,), spec.obstacle_fields),
    }
    shapes = {
        name: (
            (*lead, sum(field.size for field in fields)),
            {field.name: field.size for field in fields},
            {field.name: field.unit for field in fields},
        )
        for name, (lead, fields) in blocks.items()
    }
    return _slices({**shapes, "obstacle_mask": ((obstacles,), {}, {})})


def state_slices(robots: int, landmarks: int) -> Slices:
    """Layout of the state."""
    robot = {"position": 3, "heading": 2, "velocity": 3, "yaw_rate": 1}
    mark = {"position": 2, "value": 1, "shown": 1}
    units = {"position": "m", "heading": "1", "velocity": "m/s", "yaw_rate": "rad/s"}
    return _slices(
        {
            "robots": ((robots, 9), robot, units),
            "landmarks": ((landmarks, 4), mark, {"position": "m", "value": "1", "shown": "1"}),
        }
    )


def _slices(blocks: dict[str, tuple[tuple[int, ...], dict[str, int], dict[str, str]]]) -> Slices:
    out, at = {}, 0
    for name, (shape, fields, units) in blocks.items():
        stop, ends = at + int(np.prod(shape)), np.cumsum([0, *fields.values()]).tolist()
        places = {field: (ends[k], ends[k + 1]) for k, field in enumerate(fields)}
        out[name] = Slice(start=at, stop=stop, shape=shape, fields=places, units=units)
        at = stop
    return out


def width(slices: Slices) -> int:
    """Values of a row."""
    return max((part.stop for part in slices.values()), default=0)


def part_of(rows: Float, slices: Slices, name: str, field: str | None = None) -> Float:
    """A named part of rows (..., K), as a view: (..., *shape), or a field of it.

    Args:
        rows: observations or states.
        slices: their layout.
        name: of the part.
        field: of the last dimension of the part; None: all.
    """
    part = slices[name]
    values = rows[..., part.start : part.stop].reshape(*rows.shape[:-1], *part.shape)
    if field is None:
        return values
    start, stop = part.fields[field]
    return values[..., start:stop]


def flat(seen: Observation, obstacles: int) -> Float:
    """An observation (...) as rows (..., O), what is not finite as 0, padded to the layout."""
    seen = seen.finite()
    more = obstacles - seen.obstacle_mask.shape[-1]
    lead = seen.obstacle_mask.shape[:-1]
    pad = [(0, 0)] * len(lead) + [(0, more)]
    marks = np.pad(seen.obstacles, [*pad, (0, 0)])
    parts = (seen.self_token, seen.team, marks, np.pad(seen.obstacle_mask, pad))
    return np.concatenate([part.reshape(*lead, -1) for part in parts], axis=-1).astype(np.float32)


def observation_of(rows: Float, slices: Slices) -> Observation:
    """The observation in rows (..., O)."""
    names = ("self", "team", "obstacles", "obstacle_mask")
    return Observation(*(part_of(rows, slices, name) for name in names))
