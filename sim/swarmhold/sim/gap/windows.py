"""Stretches of a recording in which a robot moves on its own, as its set-points tell it to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.report.motion import Motion, Motions
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.ground.physics import ARENA
from swarmhold.sim.robots import GRITSBOT, Model, QuadModel, model_of

STRIDE_S = 0.2  # between the beginnings of two windows
STEP_S = 1.0 / 120.0  # between two set-points of the twin
HORIZONS_S = (0.25, 0.5, 0.75, 1.0)
LENGTH_S = HORIZONS_S[-1]
WARM_S = 1.5  # for which a flier flies before a window, because nobody has recorded its tilt
AFTER_TOUCH_S = 1.5  # in which a flier that was pushed comes to itself
GAP_S = 0.25  # without frames, over which nobody knows the way
MARGIN_M = 0.02  # nearer than this bodies count as touching
BARRIER_M = 0.35  # between GRITSBots, within which the testbed's barrier may change set-points


@dataclass(frozen=True, slots=True)
class Windows:
    """W windows of one robot.

    Attributes:
        start: (W) s.
        begins: (W, 3) velocity m/s in the yaw frame and yaw rate rad/s, `warm_s` before.
        way: (W, H, 3) m and rad, measured from the start to each horizon, in the yaw frame.
        warm_s: s of motion before a window that the twin needs.
        left_out: s of motion in windows that cannot be used, by reason.
    """

    start: Float
    begins: Float
    way: Float
    warm_s: float
    left_out: dict[str, float]

    def __len__(self) -> int:
        return len(self.start)

    def some(self, chosen: Bool | slice) -> Windows:
        """The same with fewer windows."""
        parts = (self.start[chosen], self.begins[chosen], self.way[chosen])
        return Windows(*parts, self.warm_s, self.left_out)


def windows_of(flown: Motions, robot: int) -> Windows:
    """Windows of a robot, without those in which something else than its set-points moves it."""
    motion, model = flown.robots[robot], model_of(str(flown.info["robot"]))
    warm = WARM_S if isinstance(model, QuadModel) else 0.0
    if len(motion.told_t) < 2 or len(motion.t) < 2:
        empty = np.zeros((0, 3))
        return Windows(np.zeros(0), empty, np.zeros((0, len(HORIZONS_S), 3)), warm, {})
    first = max(motion.told_t[0], motion.t[0]) + warm + STRIDE_S
    last = min(motion.told_t[-1], motion.t[-1]) - LENGTH_S
    start = np.arange(first, last, STRIDE_S)
    left = np.ones(len(start), bool)
    left_out: dict[str, float] = {}
    for reason, bad in _spoilt(flown, robot, model).items():
        hit = left & _meets(bad, start - warm, start + LENGTH_S)
        left_out[reason] = float(hit.sum() * STRIDE_S)
        left &= ~hit
    start = start[left]
    at = start[:, None] + np.array((0.0, *HORIZONS_S))
    way = seen_from_the_first(_poses(motion, at))
    begin = start - warm
    moves = np.stack(
        [*(_along(motion, begin, motion.velocity[:, k]) for k in (0, 1)),
         _along(motion, begin, motion.yaw_rate)], axis=-1)  # fmt: skip
    heading = _along(motion, begin, motion.yaw)
    begins = np.nan_to_num(_rotated(moves, -heading))
    return Windows(start, begins, way, warm, left_out)


def _poses(motion: Motion, at: Float) -> Float:
    """(..., 3) x, y and yaw at times (...)."""
    columns = (motion.position[:, 0], motion.position[:, 1], motion.yaw)
    return np.stack([_along(motion, at, column) for column in columns], axis=-1)


def _along(motion: Motion, at: Float, values: Float) -> Float:
    known = np.isfinite(values)
    if not known.any():
        return np.full(np.shape(at), np.nan)
    return np.asarray(np.interp(at, motion.t[known], values[known]))


def seen_from_the_first(poses: Float) -> Float:
    """(..., H, 3) ways from the first of (..., 1 + H, 3) to the others, in its yaw frame."""
    first, others = poses[..., :1, :], poses[..., 1:, :]
    x, y, turn = np.moveaxis(others - first, -1, 0)
    cos, sin = np.cos(first[..., 2]), np.sin(first[..., 2])
    turn = np.remainder(turn + np.pi, 2.0 * np.pi) - np.pi
    return np.stack([cos * x + sin * y, cos * y - sin * x, turn], axis=-1)


def _rotated(planar: Float, angle: Float) -> Float:
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = planar[..., 0], planar[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y, planar[..., 2]], axis=-1)


Spans = list[tuple[float, float]]


def _meets(spans: Spans, start: Float, end: Float) -> Bool:
    """(W) whether a window has part in any of the spans."""
    out = np.zeros(len(start), bool)
    for since, until in spans:
        out |= (start < until) & (end > since)
    return out


def _spoilt(flown: Motions, robot: int, model: Model) -> dict[str, Spans]:
    """When a robot does not do what it is told, or nobody knows what it does."""
    motion = flown.robots[robot]
    limits = safety_config(policy_spec(str(flown.info["robot"])), flown.half_width)
    broken = [(f.start, f.end) for f in flown.faults if f.robot == robot]
    return {
        "was broken or stopped": [*broken, (motion.stopped_t, np.inf)],
        "frames are missing": _gaps(motion.t, GAP_S),
        "set-points are missing": _gaps(motion.told_t, limits.hold_s),
        "touched something, or nearly": _near(flown, robot, model),
    }


def _gaps(times: Float, longest: float) -> Spans:
    wide = np.flatnonzero(np.diff(times) > longest)
    return [(float(times[k]), float(times[k + 1])) for k in wide]


def _near(flown: Motions, robot: int, model: Model) -> Spans:
    """When it is within reach of a teammate, a post or the wall."""
    motion = flown.robots[robot]
    place = motion.position[:, :2]
    near = np.zeros(len(motion.t), bool)
    apart = BARRIER_M if model is GRITSBOT else 2.0 * model.radius + MARGIN_M
    for other in flown.robots:
        if other is motion or not len(other.t):
            continue
        there = np.stack([_along(other, motion.t, other.position[:, k]) for k in (0, 1)], axis=-1)
        near |= np.linalg.norm(place - there, axis=-1) < apart
    for x, y, radius in flown.posts:
        near |= np.hypot(place[:, 0] - x, place[:, 1] - y) < radius + model.radius + MARGIN_M
    if not isinstance(model, QuadModel):
        room = np.array(ARENA) - BARRIER_M / 2 if model is GRITSBOT else flown.half_width - MARGIN_M
        near |= (np.abs(place) > room - model.radius).any(axis=-1)
    after = AFTER_TOUCH_S if isinstance(model, QuadModel) else 0.0
    return [(float(t), float(t) + after + 0.1) for t in motion.t[near]]
