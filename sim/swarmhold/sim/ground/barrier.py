"""The robust barrier filter of the Robotarium for one team, and its exact solver.

Robots and limits are the GRITSBot X's as the Robotarium's simulator has them. The filter is that of
Emam, Glotfelter and Egerstedt, "Robust Barrier Functions for a Fully Autonomous, Remotely
Accessible Swarm-Robotics Testbed" (CDC 2019, IEEE 9029886), over the wheel speeds w of a team:

    minimise  sum_i |diag(1, l) D (w_i - wished_i)|^2           D: wheel speeds -> (v, omega)
    such that a_ij . w >= -gamma h_ij^3 - min over psi in the disturbance hull of a_ij . psi
    and       |w| <= WHEEL_LIMIT

with p_i = x_i + l (cos, sin), h_ij = |p_i - p_j|^2 - r^2 and a_ij the derivative of h_ij by w.

Here it is written in z_i = (v_i, l omega_i), the velocity of p_i in the robot's own axes (m/s),
which makes the objective the plain distance |z - wished|^2. With n = p_i - p_j turned into the axes
of i as (f_i, g_i) and of j as (f_j, g_j), and |a_l| + |a_r| = 2 R max(|f|, |g| / SLANT) for each:

    f_i v_i + g_i s_i - f_j v_j - g_j s_j >= -gamma h^3 / 2 + d R (room_i + room_j)
    |v| + SLANT |s| <= SPEED_LIMIT                             (both wheels within their limit)

where s = l omega, R the wheel radius, room = max(|f|, |g| / SLANT) and SLANT = axle / (2 l).

Pairs further apart than REACH are left out. That changes nothing: within the wheel limits the left
side is at least -SPEED_LIMIT (room_i + room_j), and room <= |n|, so the pair's constraint holds for
every w when gamma h^3 / 2 >= 2 (SPEED_LIMIT + d R) |n|; h^3 / |n| grows with |n|, so this holds from
one distance on, which is REACH. Robots in no common chain of nearer pairs are separate problems.

Without numba the same functions run as plain Python.
"""

from __future__ import annotations

import math

import numpy as np

try:
    import numba
except ImportError:  # the same formulas, slow; `engine` then does in rows of numpy what it can
    numba = None

WHEEL_RADIUS = 0.016  # m
AXLE = 0.105  # m, between the wheels
WHEEL_LIMIT = 12.5  # rad/s
SPEED_LIMIT = WHEEL_RADIUS * WHEEL_LIMIT  # m/s
PROJECTION = 0.05  # m, l: from the axle's middle to the guarded point ahead
SAFETY_RADIUS = 0.20  # m, r: between guarded points, as JaxRobotarium sets it
GAMMA = 150.0  # 1/(m^4 s)
DISTURBANCE = 5.0  # rad/s, d: wheel speed error guarded against
COMMAND_LIMIT = 10.0  # m/s of v and l omega: wishes beyond are cut, fifty times what wheels can do
SLANT = AXLE / (2.0 * PROJECTION)
TOLERANCE = 1e-10  # m/s by which a constraint may be missed
PARALLEL = 1e-20  # squared sine below which a row counts as a combination of the active ones

# Everything but the assumption that there are no NaN and no infinities.
FAST = {"contract", "reassoc", "nsz", "arcp"}

Workspace = tuple[np.ndarray, ...]


def _reach() -> float:
    """Distance (m) of guarded points from which on no wheel speed breaks a pair's constraint."""
    low, high = SAFETY_RADIUS, 10.0
    pull = 2.0 * (SPEED_LIMIT + DISTURBANCE * WHEEL_RADIUS)
    for _ in range(100):
        middle = 0.5 * (low + high)
        if 0.5 * GAMMA * (middle**2 - SAFETY_RADIUS**2) ** 3 < pull * middle:
            low = middle
        else:
            high = middle
    return high


REACH = _reach()


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


def workspace(n_robots: int) -> Workspace:
    """Scratch arrays for a team of N: state, pairs, clusters, and the solver's own."""
    n, pairs = n_robots, n_robots * (n_robots - 1) // 2
    rows, size = pairs + 4 * n, 2 * n
    state = tuple(np.zeros((n, 2)) for _ in range(5))  # place, heading, wish, safe, guarded point
    found = (np.zeros((pairs, 2), np.int64), np.zeros((pairs, 5)), np.zeros(pairs, bool))
    cluster = (np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, bool))
    problem = (np.zeros((rows, 2), np.int64), np.zeros((rows, 5)), np.zeros(rows, bool))
    solver = (np.zeros((size, size)), np.zeros((size, size)), np.zeros((5, size)))
    return (*state, *found, *cluster, *problem, *solver, np.zeros(size, np.int64))


@compiled()
def into_limits(v, s):
    """The nearest (v, s) that both wheels can do: |v| + SLANT |s| <= SPEED_LIMIT (m/s)."""
    a, b = abs(v), abs(s)
    over = a + SLANT * b - SPEED_LIMIT
    if over <= 0.0:
        return v, s
    a -= over / (1.0 + SLANT * SLANT)
    b -= over * SLANT / (1.0 + SLANT * SLANT)
    if a < 0.0:
        a, b = 0.0, SPEED_LIMIT / SLANT
    elif b < 0.0:
        a, b = SPEED_LIMIT, 0.0
    return math.copysign(a, v), math.copysign(b, s)


@compiled()
def _near_pairs(place, heading, present, safe, tip, pair, row, broken):
    """Constraints of near pairs, scaled to unit rows; returns how many and whether any is broken.

    Each row is (f_i, g_i, -f_j, -g_j, right side), judged at `safe` (N, 2).
    """
    n, count, amiss = place.shape[0], 0, False
    for i in range(n):
        tip[i, 0] = place[i, 0] + PROJECTION * heading[i, 0]
        tip[i, 1] = place[i, 1] + PROJECTION * heading[i, 1]
    for i in range(n - 1):
        if not present[i]:
            continue
        for j in range(i + 1, n):
            dx, dy = tip[i, 0] - tip[j, 0], tip[i, 1] - tip[j, 1]
            square = dx * dx + dy * dy
            if square >= REACH * REACH or not present[j]:
                continue
            fi, gi = (
                dx * heading[i, 0] + dy * heading[i, 1],
                dy * heading[i, 0] - dx * heading[i, 1],
            )
            fj, gj = (
                dx * heading[j, 0] + dy * heading[j, 1],
                dy * heading[j, 0] - dx * heading[j, 1],
            )
            room = max(abs(fi), abs(gi) / SLANT) + max(abs(fj), abs(gj) / SLANT)
            h = square - SAFETY_RADIUS * SAFETY_RADIUS
            least = DISTURBANCE * WHEEL_RADIUS * room - 0.5 * GAMMA * h * h * h
            rate = fi * safe[i, 0] + gi * safe[i, 1] - fj * safe[j, 0] - gj * safe[j, 1]
            unit = 1.0 / max(math.sqrt(2.0 * square), 1e-9)
            pair[count, 0], pair[count, 1] = i, j
            row[count, 0], row[count, 1] = fi * unit, gi * unit
            row[count, 2], row[count, 3], row[count, 4] = -fj * unit, -gj * unit, least * unit
            broken[count] = (rate - least) * unit < -TOLERANCE
            amiss = amiss or broken[count]
            count += 1
    return count, amiss


@compiled()
def _label(n, count, pair, broken, root, dirty):
    """Clusters of robots joined by near pairs: root (N,), and which roots hold a broken pair."""
    for i in range(n):
        root[i] = i
        dirty[i] = False
    for k in range(count):
        a, b = pair[k, 0], pair[k, 1]
        while root[a] != a:
            a = root[a]
        while root[b] != b:
            b = root[b]
        root[max(a, b)] = min(a, b)
    for i in range(n):  # a root is never greater than its members, so one pass in order is enough
        root[i] = root[root[i]]
    for k in range(count):
        if broken[k]:
            dirty[root[pair[k, 0]]] = True


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
def _nearest(size, rows, who, row, held, basis, triangle, scratch, member):
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


@compiled(fast=False)
def _gather(first, count, pair, row, root, slot, wish, who, rows, z):
    """One cluster's problem: its robots' slots, wishes and wheel limits, and its pairs."""
    size, total, edge = 0, 0, 1.0 / math.sqrt(1.0 + SLANT * SLANT)
    for i in range(root.size):
        if root[i] != first:
            continue
        slot[i] = size // 2
        z[size], z[size + 1] = wish[i, 0], wish[i, 1]
        for side in range(4):
            who[total, 0] = who[total, 1] = slot[i]
            rows[total, 0] = edge if side < 2 else -edge
            rows[total, 1] = SLANT * edge if side % 2 == 0 else -SLANT * edge
            rows[total, 2] = rows[total, 3] = 0.0
            rows[total, 4] = -SPEED_LIMIT * edge
            total += 1
        size += 2
    for k in range(count):
        if root[pair[k, 0]] == first:
            who[total, 0], who[total, 1] = slot[pair[k, 0]], slot[pair[k, 1]]
            rows[total] = row[k]
            total += 1
    return size, total


@compiled()
def filter_team(place, heading, present, wish, safe, work):
    """Filter one team: `wish` (N, 2) to `safe` (N, 2), both (v, l omega) in m/s.

    Args:
        place: (N, 2) m, of the axles' middles.
        heading: (N, 2) cosine and sine of the yaw.
        present: (N,) others neither move nor count.
        wish: (N, 2) within COMMAND_LIMIT.
        safe: (N, 2) to be written.
        work: `workspace(N)`.

    Returns:
        False if some cluster had no solution; its robots then stop.
    """
    (_, _, _, _, tip, pair, row, broken, root, slot, dirty, who, rows, held) = work[:14]
    basis, triangle, scratch, member = work[14:]
    n = place.shape[0]
    for i in range(n):
        safe[i, 0], safe[i, 1] = 0.0, 0.0
        if present[i]:
            safe[i, 0], safe[i, 1] = into_limits(wish[i, 0], wish[i, 1])
    count, amiss = _near_pairs(place, heading, present, safe, tip, pair, row, broken)
    if not amiss:
        return True
    _label(n, count, pair, broken, root, dirty)
    feasible, z = True, scratch[0]
    for first in range(n):
        if root[first] != first or not dirty[first]:
            continue
        size, total = _gather(first, count, pair, row, root, slot, wish, who, rows, z)
        solved = _nearest(size, total, who, rows, held, basis, triangle, scratch, member)
        feasible = feasible and solved
        for i in range(n):
            if root[i] == first:
                safe[i, 0] = z[2 * slot[i]] if solved else 0.0
                safe[i, 1] = z[2 * slot[i] + 1] if solved else 0.0
    return feasible
