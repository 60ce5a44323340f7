"""What would mislead a learner, found by what robots did: wrong labels, strangers, liars.

A robot that moves goes where its own commands point. Of N robots the commands of robot i are
compared with the motion of every robot j, over stretches of some seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int

WINDOW, STRIDE = 30, 5  # ticks over which commands and motion are compared
LEAP = 3.0  # times its bound, above which nothing that moves has moved a robot
LAGS = 4  # ticks, up to which motion may come after the command
MOVED = 0.1  # root mean square of commands, in shares, below which they tell nothing
CLEAR = 0.9  # cosine between commands and the motion that they lead to; it is less by chance
TIMES = 4.0  # by which another motion must fit better, in what is left unexplained
IDLE = 0.25  # cosine below which a robot does not do what it is told
STRANGE, AGREE = 0.3, 7  # distance in shares from what the policy says, most of so many ticks
ABOUT_S = 0.5  # before and after a tick, in which most messages or sightings are false


@dataclass(frozen=True, slots=True)
class Follows:
    """How commands go with motion.

    Attributes:
        begins: (W) first tick of each window.
        match: (W, N, N) cosine between the commands of a robot (axis 1) and the motion of a
            robot (axis 2), at the best lag; NaN where it was hardly told to move.
    """

    begins: Int
    match: Float

    def swapped(self) -> list[tuple[int, int]]:
        """Robots i and j, where j moves as i is told and neither moves as it is told itself."""
        own = np.diagonal(self.match, axis1=1, axis2=2)
        strays, left = own < CLEAR, 1.0 - np.maximum(self.match, 0.0) ** 2
        better = TIMES * left < np.diagonal(left, axis1=1, axis2=2)[:, :, None]
        pairs = (self.match > CLEAR) & better & strays[:, :, None] & strays[:, None, :]
        return [(int(i), int(j)) for i, j in np.argwhere(pairs.any(axis=0))]

    def idle(self, ticks: int) -> Bool:
        """(T, N) where a robot does not do what it is told, for a whole window."""
        own = np.diagonal(self.match, axis1=1, axis2=2)
        out = np.zeros((ticks, own.shape[1]), bool)
        for begin, values in zip(self.begins, own, strict=True):
            out[begin : begin + WINDOW + 1] |= values < IDLE
        return out


def follows(applied: Float, pose: Float, t: Float, bound: Float, drives: bool) -> Follows:
    """Compare.

    Args:
        applied: (T, N, A) in shares of the bound.
        pose: (T, N, 4) position (m) and yaw (rad).
        t: (T) s.
        bound: (A) physical units.
        drives: whether robots turn to where they go.
    """
    motion, known = _motion(pose, t, drives)
    motion = motion / bound
    known &= (np.abs(motion) < LEAP).all(axis=(1, 2))
    last = max(len(motion) - WINDOW, 0)
    begins = np.unique([*range(0, last, STRIDE), last])
    match = np.stack([_match(applied, motion, known, begin) for begin in begins])
    return Follows(begins, match)


def _motion(pose: Float, t: Float, drives: bool) -> tuple[Float, Bool]:
    """(T - 1, N, 2) motion within ticks as set-points have it, and (T - 1) where it is known."""
    step = np.maximum(np.diff(t), 1e-6)
    x, y = np.moveaxis(np.diff(pose[..., :2], axis=0) / step[:, None, None], -1, 0)
    turn = np.remainder(np.diff(pose[..., 3], axis=0) + np.pi, 2 * np.pi) - np.pi
    yaw = pose[:-1, :, 3] + turn / 2.0
    ahead, left = np.cos(yaw) * x + np.sin(yaw) * y, np.cos(yaw) * y - np.sin(yaw) * x
    second = turn / step[:, None] if drives else left
    return np.stack([ahead, second], axis=-1), step < 2.5 * np.median(step)


def _match(applied: Float, motion: Float, known: Bool, begin: int) -> Float:
    """(N, N) of one window, at the lag that fits best."""
    best = np.full((applied.shape[1],) * 2, -1.0)
    for lag in range(LAGS):
        end = min(begin + WINDOW, len(motion)) - lag
        use = known[begin + lag : end + lag] & known[begin:end]
        told, done = applied[begin:end][use], motion[begin + lag : end + lag][use]
        if len(told) < WINDOW // 2:
            return np.full_like(best, np.nan)
        size = [np.sqrt((part**2).sum(axis=(0, 2))) for part in (told, done)]
        product = np.einsum("tia,tja->ij", told, done)
        best = np.maximum(best, product / np.maximum(size[0][:, None] * size[1], 1e-9))
        if lag == 0:
            moved = size[0] > MOVED * np.sqrt(2 * len(told))
    return np.where(moved[:, None], best, np.nan)


def commanded_by_others(applied: Float, said: Float, limited: Bool, acts: Bool) -> Bool:
    """(T, N) ticks whose commands are not what the policy says, nor less of it.

    Args:
        applied: (T, N, A) in shares of the bound.
        said: (T, N, A) by the policy, likewise.
        limited: (T, N) the safety filter changed it: it may turn it, but makes it no larger.
        acts: (T, N) robots under the control of their policy.
    """
    size = np.maximum((said**2).sum(axis=-1), 1e-9)
    share = np.clip((applied * said).sum(axis=-1) / size, 0.0, 1.0)
    off = np.abs(applied - share[..., None] * said).max(axis=-1)
    larger = np.linalg.norm(applied, axis=-1) - np.linalg.norm(said, axis=-1)
    strange = np.where(limited, larger, off) > STRANGE
    return most_of(strange & acts, acts, AGREE) & acts


def most_of(what: Bool, of: Bool, ticks: int) -> Bool:
    """(T, N) where it is so at more than half of the ticks (an odd number) around."""
    half = ticks // 2

    def around(values: Bool) -> Float:
        sums = np.pad(np.cumsum(values, axis=0), [(half + 1, half), (0, 0)], mode="edge")
        sums[: half + 1] = 0
        return np.asarray(sums[ticks:] - sums[:-ticks])

    return np.asarray(2 * around(what) > np.maximum(around(of), half + 1))


def lying(t: Float, off: Float, bar: float, least: int) -> Bool:
    """(T) where most of what is said within a short while is false.

    Args:
        t: (T) s.
        off: (L, 2) time, and m between what is said and what is so.
        bar: m, up to which it is true.
        least: messages that it takes.
    """
    if not len(off):
        return np.zeros(len(t), bool)
    sums = np.concatenate([[0], np.cumsum(off[:, 1] > bar)])
    first, last = (np.searchsorted(off[:, 0], t + way) for way in (-ABOUT_S, ABOUT_S))
    wrong = sums[last] - sums[first]
    return np.asarray((2 * wrong > last - first) & (wrong >= least))
