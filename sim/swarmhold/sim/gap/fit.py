"""What parameters bring the twin nearest to a recorded robot, and how sure that is.

A coarse grid finds the valley; Gauss-Newton steps, robust against single windows that went astray,
find its floor; errors and slopes there say how wide it is. What the flight cannot tell is said,
instead of a number that means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.sim.gap.twin import OpenLoop, Parameter
from swarmhold.sim.gap.windows import HORIZONS_S, LENGTH_S, STRIDE_S

LEAST = 10  # windows
COARSE = 40  # windows that the grid is searched with
LATENCIES = np.arange(-0.04, 0.5001, 0.02)  # s
FACTORS = np.array([0.5, 0.75, 1.0, 1.25, 1.5])
DRAGS = np.array([0.25, 1.0, 2.0, 4.0])
BOUNDS = {
    Parameter.LATENCY: (-0.1, 0.6),
    Parameter.LINEAR: (0.2, 3.0),
    Parameter.ANGULAR: (0.2, 3.0),
    Parameter.DRAG: (0.0, 10.0),
}
STEPS = {  # of the finite differences
    Parameter.LATENCY: 0.004,
    Parameter.LINEAR: 0.02,
    Parameter.ANGULAR: 0.02,
    Parameter.DRAG: 0.1,
}
SURE = {  # half of an interval beyond which a figure says nothing
    Parameter.LATENCY: 0.02,
    Parameter.LINEAR: 0.1,
    Parameter.ANGULAR: 0.1,
    Parameter.DRAG: 0.3,
}
LEVER_M = 0.1  # at which an error of the heading counts as one of the place
HUBER = 2.0  # robust deviations from which on a window counts less
TELLING_M = 5e-4  # by which a parameter must move the robot within a window, to be seen at all
BLOCK_S = 2.0  # of windows that share their errors
ALIKE = LENGTH_S / STRIDE_S * len(HORIZONS_S) / 2.0  # values that count as one
Z95 = 1.96
ROUNDS = 12
SHARES = (1.0, 0.5, 0.25, 0.1)  # of a step that are tried


@dataclass(frozen=True, slots=True)
class Found:
    """One parameter.

    Attributes:
        estimate: that brings the twin nearest.
        deviation: standard deviation of it.
        why: why the estimate means nothing; "" if it does.
    """

    estimate: float
    deviation: float
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether the flight tells."""
        return not self.why

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return self.estimate - Z95 * self.deviation, self.estimate + Z95 * self.deviation


@dataclass(frozen=True, slots=True)
class Curve:
    """The objective along one parameter, the others as found: (K) values, (K) rms error in m."""

    at: Float
    error_m: Float


@dataclass(frozen=True, slots=True)
class Fit:
    """One robot.

    Attributes:
        windows: W that were compared.
        found: by parameter; empty if there were too few windows.
        plain_m: (H) rms distance between twin and robot at each horizon, with its model as it is.
        fitted_m: (H) the same with the parameters that were found.
        curves: objective along each parameter that is known.
        why: why nothing was fitted; "" if something was.
    """

    windows: int
    found: dict[Parameter, Found]
    plain_m: Float
    fitted_m: Float
    curves: dict[Parameter, Curve]
    why: str = ""

    @classmethod
    def none(cls, windows: int, why: str) -> Fit:
        """Nothing was fitted."""
        unknown = np.full(len(HORIZONS_S), np.nan)
        return cls(windows, {}, unknown, unknown, {}, why)


def fit(twin: OpenLoop) -> Fit:
    """Fit one robot by its windows."""
    width = len(twin.windows)
    if width < LEAST:
        why = f"only {width} stretches of {HORIZONS_S[-1]:g} s in which it moves on its own"
        return Fit.none(width, why)
    best, weight = _descend(twin, _coarse(twin))
    errors, slopes = _linear(twin, best)
    found = _found(twin, best, errors, slopes, weight)
    used = np.array([
        found[name].estimate if found[name].known else plain
        for name, plain in zip(twin.parameters, twin.plain, strict=True)
    ])  # fmt: skip
    plain_m, fitted_m = (_distance(twin, values) for values in (twin.plain, used))
    known = [name for name in twin.parameters if found[name].known]
    curves = {name: _curve(twin, used, twin.parameters.index(name)) for name in known}
    return Fit(width, found, plain_m, fitted_m, curves)


def _errors(twin: OpenLoop, candidates: Float) -> Float:
    """(K, W, 3 H) m."""
    off = twin.ways(candidates) - twin.windows.way
    turn = np.remainder(off[..., 2] + np.pi, 2.0 * np.pi) - np.pi
    off[..., 2] = LEVER_M * turn
    if Parameter.ANGULAR not in twin.parameters:
        off = off[..., :2]  # whoever holds its heading
    return np.asarray(off.reshape(*off.shape[:2], -1))


def _distance(twin: OpenLoop, values: Float) -> Float:
    """(H) m, rms over the windows."""
    off = (twin.ways(values[None]) - twin.windows.way)[0, ..., :2]
    return np.sqrt((off**2).sum(axis=-1).mean(axis=0))


def _coarse(twin: OpenLoop) -> Float:
    """(P) the best of a grid over latency and one factor, with some of the windows."""
    many = len(twin.windows)
    few = twin.over(twin.windows.some(slice(None, None, max(many // COARSE, 1))))
    factors = DRAGS if Parameter.DRAG in twin.parameters else FACTORS
    others = len(twin.parameters) - 1
    grid = np.array([[late, *[factor] * others] for factor in factors for late in LATENCIES])
    total = np.median((_errors(few, grid) ** 2).sum(axis=-1), axis=-1)
    return np.asarray(grid[int(total.argmin())])


def _linear(twin: OpenLoop, values: Float) -> tuple[Float, Float]:
    """Errors (W, R), m, and their slopes (W, R, P) around some parameters."""
    steps = np.array([STEPS[name] for name in twin.parameters])
    moved = values + np.concatenate([np.zeros((1, len(steps))), np.diag(steps), -np.diag(steps)])
    errors = _errors(twin, moved)
    ahead, behind = errors[1 : 1 + len(steps)], errors[1 + len(steps) :]
    slopes = (ahead - behind) / (2.0 * steps[:, None, None])
    return errors[0], np.moveaxis(slopes, 0, -1)


def _weights(errors: Float) -> Float:
    """(W) 1 for windows like the others, less for those far off (Huber, 1964)."""
    size = np.sqrt((errors**2).mean(axis=-1))
    usual = 1.4826 * float(np.median(size)) + 1e-6
    return np.minimum(1.0, HUBER * usual / np.maximum(size, 1e-9))


def _descend(twin: OpenLoop, values: Float) -> tuple[Float, Float]:
    """The floor of the valley, and the weights (W) of the windows there."""
    low, high = np.array([BOUNDS[name] for name in twin.parameters]).T
    shares = np.array(SHARES)[:, None]
    for _ in range(ROUNDS):
        errors, slopes = _linear(twin, values)
        weight = _weights(errors)
        normal = np.einsum("w,wrp,wrq->pq", weight, slopes, slopes)
        pull = np.einsum("w,wrp,wr->p", weight, slopes, errors)
        ridge = np.diag(1e-9 + 1e-4 * np.diag(normal))
        step = -np.linalg.solve(normal + ridge, pull)
        tried = np.clip(values + shares * step, low, high)
        now = float((weight * (errors**2).sum(axis=-1)).sum())
        totals = (weight * (_errors(twin, tried) ** 2).sum(axis=-1)).sum(axis=-1)
        best = int(totals.argmin())
        if totals[best] >= now * (1.0 - 1e-6):
            break
        values = tried[best]
    return values, weight


def _found(
    twin: OpenLoop, values: Float, errors: Float, slopes: Float, weight: Float
) -> dict[Parameter, Found]:
    """Estimates with their deviations, and what the flight does not tell."""
    deviation = _deviations(errors, slopes, weight)
    moves = np.sqrt((slopes**2).sum(axis=1).mean(axis=0))  # (P) m per unit
    return {
        name: Found(
            float(values[k]),
            float(deviation[k]),
            _doubt(name, float(values[k]), Z95 * float(deviation[k]), float(moves[k])),
        )
        for k, name in enumerate(twin.parameters)
    }


def _deviations(errors: Float, slopes: Float, weight: Float) -> Float:
    """(P) standard deviations: the larger of two estimates.

    One takes errors to be alike everywhere, and counts windows that overlap, and horizons of one
    window, as one. The other takes them as they are, by blocks that share their errors (the
    sandwich of Huber, 1967); it is too sure where one block tells nearly everything.
    """
    normal = np.einsum("w,wrp,wrq->pq", weight, slopes, slopes)
    inverse = np.linalg.pinv(normal, rcond=1e-12)
    square = float(np.average((errors**2).mean(axis=-1), weights=weight))
    alike = square * ALIKE * np.diag(inverse)
    block = np.arange(len(errors)) // max(min(round(BLOCK_S / STRIDE_S), len(errors) // 5), 1)
    pull = np.zeros((block[-1] + 1, len(normal)))
    np.add.at(pull, block, np.einsum("w,wrp,wr->wp", weight, slopes, errors))
    many = len(pull)
    sandwich = np.diag(inverse @ (pull.T @ pull) @ inverse) * many / max(many - len(normal), 1)
    unseen = np.diag(normal) <= 0.0
    return np.where(unseen, np.inf, np.sqrt(np.maximum(alike, sandwich)))


def together(name: Parameter, found: Sequence[Found]) -> Found:
    """One figure for robots that are alike, each of which may be unsure: weighted by how sure.

    Where robots differ by more than their intervals say, it is less sure (Birge, 1932).
    """
    told = [one for one in found if np.isfinite(one.deviation) and one.deviation > 0.0]
    if not told:
        return Found(float("nan"), float("inf"), found[0].why if found else "nobody tells")
    estimate = np.array([one.estimate for one in told])
    weight = 1.0 / np.array([one.deviation for one in told]) ** 2
    mean = float((weight * estimate).sum() / weight.sum())
    spread = float((weight * (estimate - mean) ** 2).sum()) / max(len(told) - 1, 1)
    deviation = float(np.sqrt(max(spread, 1.0) / weight.sum()))
    doubt = _unsure(Z95 * deviation) if Z95 * deviation > SURE[name] else ""
    return Found(mean, deviation, doubt)


def _unsure(half: float) -> str:
    return f"the flight tells it only to +-{half:.2g}"


def _doubt(name: Parameter, value: float, half: float, moves: float) -> str:
    """Why a figure means nothing; "" if it does."""
    if moves * SURE[name] < TELLING_M:
        return {
            Parameter.LATENCY: "its set-points hardly changed",
            Parameter.LINEAR: "it was hardly told to go anywhere",
            Parameter.ANGULAR: "it was hardly told to turn",
            Parameter.DRAG: "it hardly flew anywhere",
        }[name]
    low, high = BOUNDS[name]
    if not low < value < high:
        return f"no value between {low:g} and {high:g} explains the flight"
    if half > SURE[name]:
        return _unsure(half)
    return ""


def _curve(twin: OpenLoop, values: Float, which: int) -> Curve:
    """Around the estimate, as far as the plain value at least."""
    name, low_high = twin.parameters[which], BOUNDS[twin.parameters[which]]
    reach = max(
        0.1 if name is Parameter.LATENCY else 0.3, 1.3 * abs(values[which] - twin.plain[which])
    )
    at = np.clip(values[which] + reach * np.linspace(-1, 1, 25), *low_high)
    candidates = np.repeat(values[None], len(at), axis=0)
    candidates[:, which] = at
    return Curve(at, np.sqrt((_errors(twin, candidates) ** 2).mean(axis=(1, 2))))
