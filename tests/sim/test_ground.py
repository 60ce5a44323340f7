"""The Robotarium's swarm: its filter is the published QP, its tick the published unicycle."""

import itertools
import math
import subprocess
import sys

import daqp
import numpy as np
import pytest
from scipy.optimize import nnls

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.ground import barrier, solver
from swarmhold.sim.ground.engine import TICK, Robotarium, filter_wheels

AHEAD, RADIUS, GAIN, ERROR, LIMIT = 0.05, 0.2, 150.0, 5.0, 12.5
WHEELS = np.array([[0.008, 0.008], [-0.016 / 0.105, 0.016 / 0.105]])  # wheel speeds to (v, omega)
SCALE = np.diag([1.0, AHEAD]) @ WHEELS


def published(poses):
    """Rows A w >= b over the wheel speeds, straight from the paper; pairs first, then the box."""
    n, rows, right = len(poses), [], []
    axes = np.array([[[np.cos(t), -AHEAD * np.sin(t)], [np.sin(t), AHEAD * np.cos(t)]]
                     for t in poses[:, 2]]) @ WHEELS  # fmt: skip
    tip = poses[:, :2] + AHEAD * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=-1)
    hull = np.array(list(itertools.product([-ERROR, ERROR], repeat=2))).T
    for i, j in itertools.combinations(range(n), 2):
        apart = tip[i] - tip[j]
        of_i, of_j = 2.0 * apart @ axes[i], -2.0 * apart @ axes[j]
        row = np.zeros(2 * n)
        row[2 * i : 2 * i + 2], row[2 * j : 2 * j + 2] = of_i, of_j
        rows.append(row)
        right.append(-GAIN * (apart @ apart - RADIUS**2) ** 3)
        right[-1] -= (of_i @ hull).min() + (of_j @ hull).min()
    box = np.eye(2 * n)
    return np.array([*rows, *box, *-box]), np.array([*right, *[-LIMIT] * (4 * n)])


def exact(rows, right, wished):
    """The QP's wheel speeds by Lawson and Hanson's reduction to non-negative least squares."""
    scale = np.kron(np.eye(len(wished) // 2), SCALE)
    turned = rows @ np.linalg.inv(scale)
    unit = np.linalg.norm(turned, axis=1)
    turned, gap = turned / unit[:, None], right / unit - (turned / unit[:, None]) @ scale @ wished
    system = np.vstack([turned.T, gap])
    aim = np.eye(len(system))[-1]
    weight, residual = nnls(system, aim, maxiter=10_000)
    if residual < 1e-7:
        return None
    rest = system @ weight - aim
    return np.linalg.solve(scale, scale @ wished - rest[:-1] / rest[-1])


def by_daqp(rows, right, wished):
    """The same by the dual active-set solver of Arnstrom, Bemporad and Axehill (TAC 2022)."""
    scale = np.kron(np.eye(len(wished) // 2), SCALE)
    hessian, unit = scale.T @ scale, np.linalg.norm(rows, axis=1)
    problem = (hessian, -hessian @ wished, rows / unit[:, None])
    best, _, flag, _ = daqp.solve(
        *problem, np.full(len(rows), 1e30), right / unit, primal_tol=1e-12, dual_tol=1e-12
    )
    return best if flag == 1 else None


def crowd(rng, n_envs, n, width):
    place = rng.uniform(-width, width, (n_envs, n, 2))
    yaw = rng.uniform(-math.pi, math.pi, (n_envs, n, 1))
    command = rng.uniform([-0.3, -5.0], [0.3, 5.0], (n_envs, n, 2))
    return np.concatenate([place, yaw], axis=-1), command


def spread(rng, n_envs, n, gap=0.35):
    """(E, N, 2) places in the arena, no two nearer than the gap."""
    out = np.full((n_envs, n, 2), 9.0)
    for e, i in np.ndindex(n_envs, n):
        while True:
            place = rng.uniform([-1.4, -0.8], [1.4, 0.8])
            if np.linalg.norm(out[e, :i] - place, axis=-1).min(initial=9.0) > gap:
                break
        out[e, i] = place
    return out


def posed(place, yaw):
    return np.concatenate([place, np.broadcast_to(yaw, place.shape[:-1])[..., None]], axis=-1)


@pytest.mark.parametrize("reference", ["nnls", "daqp"])
@pytest.mark.parametrize("n", range(2, 9))
def test_the_filter_is_the_published_program(n, reference):
    solve = exact if reference == "nnls" else by_daqp
    active = impossible = 0
    for width in (0.25, 0.4, 0.6):
        poses, command = crowd(np.random.default_rng(n), 40, n, width)
        safe, feasible = filter_wheels(poses, command)
        for e in range(40):
            rows, right = published(poses[e])
            wished = np.linalg.solve(WHEELS, command[e].T).T.ravel()
            best = solve(rows, right, wished)
            assert feasible[e] == (best is not None)
            if best is None:
                impossible += 1
                continue
            active += (rows @ wished < right - 1e-9)[: n * (n - 1) // 2].any()
            assert np.abs((WHEELS @ best.reshape(n, 2).T).T - safe[e]).max() < 1e-9
    assert active >= 30, "210 over all sizes"
    assert impossible or n < 4


def test_pairs_beyond_reach_cannot_be_broken():
    rng = np.random.default_rng(1)
    corners = np.array(list(itertools.product([-LIMIT, LIMIT], repeat=4)))
    tightest = np.inf
    for _ in range(2000):
        angle, one, two = rng.uniform(-math.pi, math.pi, 3)
        if rng.random() < 0.5:
            one = two = angle  # the worst case: both in line
        far = barrier.REACH * (1.0 + rng.exponential(0.1) * rng.integers(0, 2))
        place = far * np.array([math.cos(angle), math.sin(angle)])
        place += AHEAD * np.array([math.cos(one) - math.cos(two), math.sin(one) - math.sin(two)])
        rows, right = published(np.array([[0.0, 0.0, one], [*place, two]]))
        tightest = min(tightest, (corners @ rows[0] - right[0]).min())
    assert -1e-9 < tightest < 1e-9, "never broken, and no shorter reach would do"


def test_two_that_face_each_other_stand_where_the_filter_holds_them():
    sim = Robotarium(1, 2)
    sim.reset(np.array([[[-0.6, 0.0, 0.0], [0.6, 0.0, math.pi]]]))
    sim.drive(np.tile([0.2, 0.0], (1, 2, 1)), 180)
    apart = np.linalg.norm(sim.poses[0, 0, :2] - sim.poses[0, 1, :2])
    assert apart == pytest.approx(barrier.HOLDS_M, abs=0.005)


def test_in_a_cluster_without_a_solution_nobody_nears_and_others_do_not_mind():
    poses = np.zeros((1, 6, 3))
    poses[0, :4, :2] = [[0.0, 0.0], [0.0, 0.0], [0.02, 0.0], [0.02, 0.03]]
    poses[0, 4:, :2] = [[1.2, 0.5], [-1.2, 0.5]]
    command = np.full((1, 6, 2), 0.1)
    command[0, 0, 0] = 0.15  # into the one ahead
    safe, feasible = filter_wheels(poses, command)
    assert not feasible[0]
    rows, _ = published(poses[0])
    speeds = np.linalg.solve(WHEELS, safe[0].T).T.ravel()
    near = [k for k, (_, j) in enumerate(itertools.combinations(range(6), 2)) if j < 4]
    assert (rows[near] @ speeds > -1e-9).all()
    assert safe[0, :4].any(), "side by side they may go on"
    assert np.allclose(safe[0, 4:], 0.1, atol=1e-12)
    there = np.array([[True, False, False, False, True, True]])
    safe, feasible = filter_wheels(poses, command, there)
    assert feasible[0] and np.allclose(safe, command * there[..., None], atol=1e-12)


def test_packings_and_broken_commands_never_raise_nor_spread():
    rng = np.random.default_rng(2)
    for width in (0.0, 1e-9, 1e-3, 0.05, 0.2, 0.5):
        for n in (2, 5, 12):
            poses, command = crowd(rng, 30, n, width)
            command *= 10.0 ** rng.uniform(0, 300, (30, 1, 1))
            command[:3, 0, 0] = [np.nan, np.inf, -np.inf]
            safe, feasible = filter_wheels(poses, command)
            wheels = np.linalg.solve(WHEELS, safe.reshape(-1, 2).T)
            assert np.isfinite(safe).all() and np.abs(wheels).max() < LIMIT + 1e-6
            for e in np.flatnonzero(feasible):
                rows, right = published(poses[e])
                speeds = np.linalg.solve(WHEELS, safe[e].T).T.ravel()
                assert (rows @ speeds - right).min() > -1e-7
    sim = Robotarium(2, 3)
    sim.drive(np.full((2, 3, 2), np.nan), 5)
    sim.drive_to(np.full((2, 3, 2), np.inf), 5)
    assert not sim.poses.any() and (sim.relaxed == 5).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_robots_that_swap_places_do_not_collide(n):
    rng, runs = np.random.default_rng(n), 60
    place = spread(rng, runs, n)
    start = posed(place, rng.uniform(-math.pi, math.pi, (runs, n)))
    hit = {}
    for guarded in (True, False):
        sim = Robotarium(runs, n, guarded)
        sim.reset(start)
        hit[guarded] = np.zeros(runs, bool)
        for _ in range(30):
            sim.drive_to(np.roll(place, 1, axis=1), 30)
            hit[guarded] |= sim.collided.any(axis=1)
        assert np.linalg.norm(sim.poses[..., :2] - place, axis=-1).mean() > 0.3, "they moved"
    assert not hit[True].any()
    assert hit[False].mean() > 0.1, "without the filter they do"


def test_a_tick_is_euler_and_many_are_its_closed_form():
    rng, ticks = np.random.default_rng(3), 400
    start = posed(rng.uniform(-1, 1, (4, 5, 2)), rng.uniform(-math.pi, math.pi, (4, 5)))
    command = rng.uniform([-0.3, -5.0], [0.3, 5.0], (4, 5, 2))
    wheels = np.clip(np.linalg.solve(WHEELS, command.reshape(-1, 2).T), -LIMIT, LIMIT)
    v, omega = (WHEELS @ wheels).reshape(2, 4, 5)
    sim = Robotarium(4, 5, barrier=False)
    sim.reset(start)
    sim.drive(command, ticks)
    half = 0.5 * omega * TICK
    chord = v * TICK * np.sin(ticks * half) / np.sin(half)
    mean = start[..., 2] + (ticks - 1) * half
    assert np.allclose(sim.poses[..., 0], start[..., 0] + chord * np.cos(mean), atol=1e-10)
    assert np.allclose(sim.poses[..., 1], start[..., 1] + chord * np.sin(mean), atol=1e-10)
    turned = sim.poses[..., 2] - (start[..., 2] + ticks * omega * TICK)
    assert np.abs(np.sin(0.5 * turned)).max() < 1e-10
    assert np.abs(sim.poses[..., 2]).max() <= math.pi


def test_the_position_controller_is_the_testbeds():
    rng = np.random.default_rng(4)
    place = spread(rng, 8, 2, gap=1.5)
    yaw = rng.uniform(-math.pi, math.pi, (8, 2))
    goal = place + rng.uniform(-0.1, 0.1, place.shape)
    error = goal - place
    bearing = np.arctan2(error[..., 1], error[..., 0]) - yaw
    size = np.linalg.norm(error, axis=-1)
    sim = Robotarium(8, 2)
    sim.reset(posed(place, yaw))
    sim.drive_to(goal, 1)
    step = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    step *= (TICK * 0.8 * size * np.cos(bearing))[..., None]
    assert np.allclose(sim.poses[..., :2], place + step, atol=1e-14)
    turned = sim.poses[..., 2] - (yaw + TICK * 3.0 * size * np.sin(bearing))
    assert np.abs(np.sin(0.5 * turned)).max() < 1e-14


def test_reset_touches_the_masked_teams_only():
    rng = np.random.default_rng(5)
    sim = Robotarium(3, 4)
    sim.reset(posed(spread(rng, 3, 4), 7.0))
    assert np.allclose(sim.poses[..., 2], 7.0 - 2.0 * math.pi)
    sim.drive(np.full((3, 4, 2), 0.1), 3)
    sim.collided[:], sim.relaxed[:] = True, 2
    before, new = sim.snapshot(), posed(spread(rng, 3, 4), 0.5)
    new[[0, 2]] = np.nan
    there = np.zeros((3, 4), bool)
    sim.reset(new, there, np.array([False, True, False]))
    assert np.array_equal(sim.poses[1], new[1]) and not sim.present[1].any()
    assert not sim.collided[1].any() and sim.relaxed.tolist() == [2, 0, 2]
    assert np.array_equal(sim.poses[[0, 2]], before.poses[[0, 2]])
    assert sim.present[[0, 2]].all() and sim.collided[[0, 2]].all()
    with pytest.raises(ConfigError, match="not finite"):
        sim.reset(new)
    with pytest.raises(ConfigError, match="shape"):
        sim.drive(np.zeros((3, 4)), 1)
    with pytest.raises(ConfigError, match="at least one"):
        Robotarium(0, 3)


@pytest.mark.parametrize("to_goal", [False, True])
def test_teams_side_by_side_move_as_teams_by_themselves(to_goal):
    rng, n_envs = np.random.default_rng(9), 37
    poses, command = crowd(rng, n_envs, 4, 0.6)
    many = Robotarium(n_envs, 4, barrier=False, half=(0.5, 0.4))
    many.reset(poses)
    many.present = rng.random((n_envs, 4)) < 0.8
    there, aim = many.present.copy(), poses[:, ::-1, :2] if to_goal else command
    (many.drive_to if to_goal else many.drive)(aim, 40)
    for e in range(n_envs):
        one = Robotarium(1, 4, barrier=False, half=(0.5, 0.4))
        one.reset(poses[e : e + 1])
        one.present = there[e : e + 1]
        (one.drive_to if to_goal else one.drive)(aim[e : e + 1], 40)
        assert np.allclose(one.poses[0], many.poses[e], rtol=0.0, atol=1e-12)
        assert np.array_equal(one.collided[0], many.collided[e])
        assert np.array_equal(one.outside[0], many.outside[e])
    assert 0 < many.collided.sum() < there.sum() and 0 < many.outside.sum() < there.sum()
    assert not (many.collided | many.outside)[~there].any()


def test_marks_tell_who_collided_and_who_left():
    sim = Robotarium(2, 3, barrier=False, half=(0.5, 0.3))
    place = np.array(
        [[[0.0, 0.0], [0.2, 0.0], [0.48, 0.2]], [[0.0, 0.0], [0.134, 0.0], [0.0, 0.3]]]
    )
    sim.reset(posed(place, 0.0))
    sim.present[1, 1] = False
    sim.drive(np.tile([[0.2, 0.0], [0.0, 0.0], [0.2, 0.0]], (2, 1, 1)), 20)
    assert sim.collided.tolist() == [[True, True, False], [False] * 3]
    assert sim.outside.tolist() == [[False, False, True], [False] * 3]
    assert np.array_equal(sim.poses[1, 1, :2], place[1, 1]), "who is not there stays"
    sim.drive(np.zeros((2, 3, 2)), 1)
    assert not sim.collided[1].any() and sim.outside[0, 2]
    sim.reset(posed(place, math.pi))
    sim.drive(np.full((2, 3, 2), [0.1, 0.0]), 1)
    assert sim.collided.tolist() == [[False] * 3, [True, True, False]]
    sim.present = np.zeros((2, 3), bool)
    sim.drive(np.zeros((2, 3, 2)), 1)
    assert not sim.collided.any() and not sim.outside.any()


def test_a_snapshot_replays_bit_for_bit():
    rng = np.random.default_rng(6)
    sim = Robotarium(6, 5)
    place = spread(rng, 6, 5)
    sim.reset(posed(place, rng.uniform(-3, 3, (6, 5))))
    sim.present[0, 1] = False
    sim.drive_to(-place, 50)
    kept = sim.snapshot()
    ends = []
    for _ in range(2):
        sim.restore(kept)
        for _ in range(4):
            sim.drive_to(-place, 30)
        ends.append(sim.snapshot())
        sim.present[:] = True
        sim.drive(np.full((6, 5, 2), 0.2), 10)
    for part in ("poses", "present", "collided", "outside", "relaxed"):
        assert getattr(ends[0], part).tobytes() == getattr(ends[1], part).tobytes()
    assert not np.array_equal(kept.poses, ends[0].poses)


def test_fifty_robots():
    rng = np.random.default_rng(7)
    sim = Robotarium(2, 50)
    grid = np.stack(np.meshgrid(np.linspace(-1.4, 1.4, 10), np.linspace(-0.9, 0.9, 5)), axis=-1)
    place = np.stack([rng.permutation(grid.reshape(-1, 2)) for _ in range(2)])
    sim.reset(posed(place, 0.0))
    sim.drive_to(-place, 60)
    assert np.isfinite(sim.poses).all() and not sim.collided.any()
    assert sim.relaxed.tolist() == [60, 60], "no way to keep the margins so densely packed"
    moved = np.linalg.norm(sim.poses[..., :2] - place, axis=-1)
    assert (moved.mean(axis=1) > 0.01).all(), "but nobody is stuck for good"
    sim.reset(posed(1.4 * place, 0.0))
    sim.drive_to(-place, 60)
    assert np.isfinite(sim.poses).all() and not sim.collided.any()
    assert (np.linalg.norm(sim.poses[..., :2] - 1.4 * place, axis=-1).mean(axis=1) > 0.05).all()


def episode():
    """Poses, marks and filtered commands of a crowded run, from nothing but the seed."""
    rng = np.random.default_rng(8)
    out = []
    for guarded in (True, False):
        sim = Robotarium(6, 5, guarded, half=(0.5, 0.5))
        poses, command = crowd(rng, 6, 5, 0.6)
        sim.reset(poses)
        sim.present[0, 0] = False
        for run, target in ((sim.drive, command), (sim.drive_to, -poses[..., :2])):
            run(target, 40)
            kept = sim.snapshot()
            out += [kept.poses, kept.collided, kept.outside, kept.relaxed]
    packed = filter_wheels(poses * [0.2, 0.2, 1.0], command)
    return [np.asarray(part, float) for part in (*out, *packed)]


def test_numpy_rows_equal_the_compiled_loop(tmp_path):
    pytest.importorskip("numba")
    code = (
        "import sys; sys.modules['numba'] = None; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, test_ground\n"
        "assert test_ground.solver.numba is None\n"
        "np.savez(sys.argv[2], *test_ground.episode())\n"
    )
    folder, kept = __file__.rpartition("/")[0], str(tmp_path / "rows.npz")
    subprocess.run([sys.executable, "-W", "error", "-c", code, folder, kept], check=True)
    rows = np.load(kept)
    compiled = episode()
    assert solver.numba is not None and len(rows.files) == len(compiled)
    for name, mine in zip(rows.files, compiled, strict=True):
        assert np.allclose(rows[name], mine, rtol=0.0, atol=1e-9)
    for event in (compiled[2], compiled[3], compiled[9], 1.0 - compiled[-1]):
        assert event.any(), "left, was relaxed, collided, had no solution"
