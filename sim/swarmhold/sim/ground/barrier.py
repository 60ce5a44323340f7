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
every w when gamma h^3 / 2 >= 2 (SPEED_LIMIT + d R) |n|; h^3 / |n| grows with |n|, so that is
so from one distance on, REACH. Robots in no common chain of nearer pairs are separate problems.

Without numba the same functions run as plain Python.
"""

from __future__ import annotations

import math

import numpy as np

from swarmhold.sim.ground.solver import TOLERANCE, compiled, nearest

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
NONE, SEVERAL = -1, -2

Workspace = tuple[np.ndarray, ...]


def _reach(speed: float) -> float:
    """Distance (m) of guarded points from which on no speed up to this breaks the constraint."""
    low, high = SAFETY_RADIUS, 10.0
    pull = 2.0 * (speed + DISTURBANCE * WHEEL_RADIUS)
    for _ in range(100):
        middle = 0.5 * (low + high)
        if 0.5 * GAMMA * (middle**2 - SAFETY_RADIUS**2) ** 3 < pull * middle:
            low = middle
        else:
            high = middle
    return high


REACH = _reach(SPEED_LIMIT)
HOLDS_M = _reach(0.0) + 2.0 * PROJECTION  # between centres: two that face each other stand there


def workspace(n_robots: int) -> Workspace:
    """Scratch arrays of `solve_team` for N robots: pairs, clusters, a problem, the solver's own."""
    n, pairs = n_robots, n_robots * (n_robots - 1) // 2
    rows, size = pairs + 4 * n, 2 * n
    found = (np.zeros((pairs, 2), np.int64), np.zeros((pairs, 5)), np.zeros(pairs, bool))
    cluster = tuple(np.zeros(n, np.int64) for _ in range(3))  # root, slot, its only broken pair
    problem = (np.zeros((rows, 2), np.int64), np.zeros((rows, 5)), np.zeros(rows, bool))
    solver = (np.zeros((size, size)), np.zeros((size, size)), np.zeros((5, size)))
    return (*found, *cluster, *problem, *solver, np.zeros(size, np.int64))


@compiled(forceinline=True)
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


@compiled(forceinline=True)
def _pair(tip, heading, i, j):
    """A pair's constraint: f_i, g_i, f_j, g_j, right side and squared distance."""
    dx, dy = tip[i, 0] - tip[j, 0], tip[i, 1] - tip[j, 1]
    fi, gi = dx * heading[i, 0] + dy * heading[i, 1], dy * heading[i, 0] - dx * heading[i, 1]
    fj, gj = dx * heading[j, 0] + dy * heading[j, 1], dy * heading[j, 0] - dx * heading[j, 1]
    square = dx * dx + dy * dy
    room = max(abs(fi), abs(gi) / SLANT) + max(abs(fj), abs(gj) / SLANT)
    h = square - SAFETY_RADIUS * SAFETY_RADIUS
    least = DISTURBANCE * WHEEL_RADIUS * room - 0.5 * GAMMA * h * h * h
    return fi, gi, fj, gj, least, square


@compiled(forceinline=True)
def _miss(terms, safe, i, j):
    """By how much (m/s, unit row) a pair's constraint is missed at `safe`, and the row's scale."""
    fi, gi, fj, gj, least, square = terms
    rate = fi * safe[i, 0] + gi * safe[i, 1] - fj * safe[j, 0] - gj * safe[j, 1]
    unit = 1.0 / max(math.sqrt(2.0 * square), 1e-9)
    return (least - rate) * unit, unit


@compiled(forceinline=True)
def limits_suffice(place, heading, present, wish, safe, tip):
    """Write the wishes brought into the wheel limits; whether no pair's constraint is missed.

    Arguments as for `solve_team`, and place (N, 2), m, the axles' middles; writes `safe` and `tip`.
    """
    n, fine = place.shape[0], True
    for i in range(n):
        safe[i, 0], safe[i, 1] = into_limits(wish[i, 0], wish[i, 1])
        if not present[i]:
            safe[i, 0], safe[i, 1] = 0.0, 0.0
        tip[i, 0] = place[i, 0] + PROJECTION * heading[i, 0]
        tip[i, 1] = place[i, 1] + PROJECTION * heading[i, 1]
    for i in range(n - 1):
        for j in range(i + 1, n):
            dx, dy = tip[i, 0] - tip[j, 0], tip[i, 1] - tip[j, 1]
            if dx * dx + dy * dy < REACH * REACH and present[i] and present[j]:
                missed, _ = _miss(_pair(tip, heading, i, j), safe, i, j)
                fine = fine and missed <= TOLERANCE
    return fine


@compiled()
def _near_pairs(heading, present, safe, tip, pair, row, broken):
    """How many near pairs there are; their unit rows (f_i, g_i, -f_j, -g_j, right side)."""
    n, count = tip.shape[0], 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            terms = _pair(tip, heading, i, j)
            if terms[5] < REACH * REACH and present[i] and present[j]:
                missed, unit = _miss(terms, safe, i, j)
                pair[count, 0], pair[count, 1] = i, j
                row[count, 0], row[count, 1] = terms[0] * unit, terms[1] * unit
                row[count, 2], row[count, 3] = -terms[2] * unit, -terms[3] * unit
                row[count, 4] = terms[4] * unit
                broken[count] = missed > TOLERANCE
                count += 1
    return count


@compiled()
def _label(n, count, pair, broken, root, only):
    """Clusters of robots joined by near pairs: root (N,).

    And by root the number of its one broken pair in `only`; NONE or SEVERAL if it is not one.
    """
    for i in range(n):
        root[i] = i
        only[i] = NONE
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
            first = root[pair[k, 0]]
            only[first] = k if only[first] == NONE else SEVERAL


@compiled(fast=False)
def _pushed(v, s, a, b, push):
    """(v, s) pushed along (a, b) and brought into the limits, and what that does along (a, b).

    Returns:
        v, s, a v + b s and the latter's derivative by `push`.
    """
    x, y = v + push * a, s + push * b
    v, s = into_limits(x, y)
    slope = a * a + b * b
    if v != x or s != y:  # on an edge, only what runs along it is left; in a corner, nothing
        along = a * math.copysign(SLANT, x) - b * math.copysign(1.0, y)
        slope = along * along / (1.0 + SLANT * SLANT) if v != 0.0 and s != 0.0 else 0.0
    return v, s, a * v + b * s, slope


@compiled(fast=False)
def _solve_pair(i, j, row, wish, safe):
    """The exact optimum under one pair's row and the wheel limits; False if not found here.

    One unknown, the row's multiplier: what the row gains by it never falls and is piecewise linear,
    so Newton's method between brackets ends on the root's own piece.
    """
    push, low, high = 0.0, 0.0, math.inf
    for _ in range(30):
        v, s, gain_i, slope_i = _pushed(wish[i, 0], wish[i, 1], row[0], row[1], push)
        w, t, gain_j, slope_j = _pushed(wish[j, 0], wish[j, 1], row[2], row[3], push)
        miss, slope = gain_i + gain_j - row[4], slope_i + slope_j
        if abs(miss) < 1e-13 and slope > 1e-6:
            safe[i, 0], safe[i, 1], safe[j, 0], safe[j, 1] = v, s, w, t
            return True
        if miss < 0.0:
            low = push
        else:
            high = push
        push = push - miss / slope if slope > 1e-6 else math.inf
        if not low < push < high:
            push = 0.5 * (low + high) if high < math.inf else 2.0 * low + 0.1
        if push > 100.0:
            return False
    return False


@compiled(fast=False)
def _one_suffices(k, count, pair, row, wish, safe):
    """Whether the optimum under pair k alone meets all other rows, and so is the cluster's own."""
    i, j = pair[k, 0], pair[k, 1]
    if not _solve_pair(i, j, row[k], wish, safe):
        return False
    for m in range(count):
        a, b = pair[m, 0], pair[m, 1]
        if m != k and (a in (i, j) or b in (i, j)):
            slack = row[m, 0] * safe[a, 0] + row[m, 1] * safe[a, 1] - row[m, 4]
            if slack + row[m, 2] * safe[b, 0] + row[m, 3] * safe[b, 1] < -TOLERANCE:
                return False
    return True


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
def solve_team(heading, present, wish, safe, tip, work):
    """Solve the clusters with a missed constraint, after `limits_suffice` has written `safe`.

    Args:
        heading: (N, 2) cosine and sine of the yaw.
        present: (N,) others neither move nor count.
        wish: (N, 2) v and l omega, m/s, within COMMAND_LIMIT.
        safe: (N, 2) likewise, corrected here.
        tip: (N, 2) guarded points, m.
        work: `workspace(N)`.

    Returns:
        False if some cluster had no solution; its robots then come no nearer to one another.
    """
    pair, row, broken, root, slot, only, who, rows, held, basis, triangle, scratch, member = work
    n = heading.shape[0]
    count = _near_pairs(heading, present, safe, tip, pair, row, broken)
    _label(n, count, pair, broken, root, only)
    feasible, z = True, scratch[0]
    for first in range(n):
        if root[first] != first or only[first] == NONE:
            continue
        if only[first] >= 0 and _one_suffices(only[first], count, pair, row, wish, safe):
            continue
        size, total = _gather(first, count, pair, row, root, slot, wish, who, rows, z)
        solved = nearest(size, total, who, rows, held, basis, triangle, scratch, member)
        feasible = feasible and solved
        if not solved:  # ask for no more than that nobody nears: standing still does that
            size, total = _gather(first, count, pair, row, root, slot, wish, who, rows, z)
            for k in range(total):
                rows[k, 4] = min(rows[k, 4], 0.0)
            solved = nearest(size, total, who, rows, held, basis, triangle, scratch, member)
        for i in range(n):
            if root[i] == first:
                safe[i, 0] = z[2 * slot[i]] if solved else 0.0
                safe[i, 1] = z[2 * slot[i] + 1] if solved else 0.0
    return feasible
