"""The nearest point that meets linear constraints, exactly; and how kernels are compiled.

The solver is the dual active-set method of Goldfarb and Idnani (Mathematical Programming 27, 1983)
for an identity Hessian, with rows that touch two robots at most. It neither raises nor diverges: it
ends with the solution or with the finding that there is none.
"""

from __future__ import annotations

import math

try:
    import numba
except ImportError:  # the same formulas, slow; `engine` then does in rows of numpy what it can
    numba = None

TOLERANCE = 1e-10  # m/s by which a constraint may be missed
PARALLEL = 1e-20  # squared sine below which a row counts as a combination of the active ones

# Everything but the assumption that there are no NaN and no infinities.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(fast: bool = True, **options):
    """Decorator: compile where numba is installed; `fast` lets sums be reordered."""

    def wrap(function):
        if numba is None:
            return function
        chosen = {"error_model": "numpy", "fastmath": FAST if fast else False, **options}
        try:
            return numba.njit(**chosen)(function)
        except RuntimeError:  # no folder in which compiled code could be kept
            return numba.njit(**{**chosen, "cache": False})(function)

    return wrap


@compiled(fast=False)
def _turn_rows(matrix, k, cosine, sine, first, last):
    """Rotate rows k and k+1 of a matrix into each other, columns first to last."""
    for t in range(first, last):
        a, b = matrix[k, t], matrix[k + 1, t]
        matrix[k, t] = cosine * a + sine * b
        matrix[k + 1, t] = cosine * b - sine * a


@compiled(fast=False)
def _directions(size, active, who, row, basis, triangle, scratch):
    """Ways to meet one more row: step in z, change of the multipliers; returns the step's rate."""
    part, step, dual = scratch[1], scratch[2], scratch[3]
    i, j, free = 2 * who[0], 2 * who[1], 0.0
    for k in range(size):
        along = row[0] * basis[k, i] + row[1] * basis[k, i + 1]
        part[k] = along + row[2] * basis[k, j] + row[3] * basis[k, j + 1]
        step[k] = 0.0
    for k in range(active, size):
        free += part[k] * part[k]
        for t in range(size):
            step[t] += part[k] * basis[k, t]
    for k in range(active - 1, -1, -1):
        rest = part[k]
        for t in range(k + 1, active):
            rest -= triangle[k, t] * dual[t]
        dual[k] = rest / triangle[k, k]
    return free


@compiled(fast=False)
def _take_in(size, active, basis, triangle, part):
    """Make the row behind `part` the last active one (Givens rotations)."""
    for k in range(size - 2, active - 1, -1):
        if part[k + 1] != 0.0:
            length = math.hypot(part[k], part[k + 1])
            _turn_rows(basis, k, part[k] / length, part[k + 1] / length, 0, size)
            part[k], part[k + 1] = length, 0.0
    for k in range(active + 1):
        triangle[k, active] = part[k]


@compiled(fast=False)
def _leave_out(size, active, at, basis, triangle, weight, member):
    """Take row number `at` out of the active ones, of which active - 1 are left."""
    for k in range(at, active - 1):
        for t in range(k + 2):
            triangle[t, k] = triangle[t, k + 1]
        weight[k], member[k] = weight[k + 1], member[k + 1]
    for k in range(at, active - 1):
        length = math.hypot(triangle[k, k], triangle[k + 1, k])
        if length > 0.0:
            cosine, sine = triangle[k, k] / length, triangle[k + 1, k] / length
            _turn_rows(triangle, k, cosine, sine, k, active - 1)
            _turn_rows(basis, k, cosine, sine, 0, size)


@compiled(fast=False)
def _most_broken(rows, who, row, held, z):
    """The row missed by most and its slack; (-1, 0) when all are met."""
    pick, worst = -1, -TOLERANCE
    for k in range(rows):
        if not held[k]:
            i, j = 2 * who[k, 0], 2 * who[k, 1]
            slack = row[k, 0] * z[i] + row[k, 1] * z[i + 1] - row[k, 4]
            slack += row[k, 2] * z[j] + row[k, 3] * z[j + 1]
            if slack < worst:
                pick, worst = k, slack
    return pick, worst


@compiled(fast=False)
def nearest(size, rows, who, row, held, basis, triangle, scratch, member):
    """Move z = scratch[0] to the nearest point that meets every row; False: there is none.

    The dual active-set method of Goldfarb and Idnani (Mathematical Programming 27, 1983) for an
    identity Hessian: exact, finite. At most 4 (size + rows) rows are taken in; more counts as none.
    """
    z, part, step, dual, weight = scratch
    active = 0
    basis[:size, :size] = 0.0
    for k in range(size):
        basis[k, k] = 1.0
    held[:rows] = False
    for _ in range(4 * (size + rows)):
        pick, slack = _most_broken(rows, who, row, held, z)
        if pick < 0:
            return True
        push = 0.0
        while True:
            free = _directions(size, active, who[pick], row[pick], basis, triangle, scratch)
            full = -slack / free if free > PARALLEL else math.inf
            partial, at = math.inf, -1
            for k in range(active):
                if dual[k] > 1e-12 and weight[k] < partial * dual[k]:
                    partial, at = weight[k] / dual[k], k
            length = min(full, partial)
            if length == math.inf:
                return False
            push += length
            for k in range(active):
                weight[k] -= length * dual[k]
            if free > PARALLEL:
                slack += length * free
                for k in range(size):
                    z[k] += length * step[k]
            if full <= partial:
                break
            held[member[at]] = False
            _leave_out(size, active, at, basis, triangle, weight, member)
            active -= 1
        _take_in(size, active, basis, triangle, part)
        weight[active], member[active], held[pick] = push, pick, True
        active += 1
    return False
