"""How far JaxRobotarium's physics and barrier are from ours, for the same poses and commands.

Its barrier states the same program as ours, but its solver (OSQP of jaxopt, tolerance 1e-4, at
most 100 iterations, rows not scaled) mostly ends before all constraints are met. So the answers
are compared apart: where no constraint binds, and where one does; and our answer is put into the
program that it states, in which it must be the optimum.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.ground.barrier import (
    AXLE,
    SAFETY_RADIUS,
    SPEED_LIMIT,
    WHEEL_LIMIT,
    WHEEL_RADIUS,
)
from swarmhold.sim.ground.engine import Robotarium, filter_wheels
from swarmhold.sim.jaxrobotarium.install import probe

WIDE = (0.4, 8.0)  # m/s and rad/s: commands to draw, twice what wheels can do


@contextlib.contextmanager
def precision(double: bool) -> Iterator[None]:
    """JAX in float64 or, as it comes, in float32."""
    jax = probe().jax
    if hasattr(jax, "enable_x64"):
        switch = jax.enable_x64(double)
    else:
        from jax.experimental import enable_x64  # until JAX 0.8

        switch = enable_x64(double)
    with switch:
        yield


def layouts(rng: np.random.Generator, n_envs: int, n_robots: int, gap: float) -> Float:
    """(E, N, 3) poses in the arena, no two robots nearer than the gap (m)."""
    poses = np.full((n_envs, n_robots, 3), 9.0)
    for env, robot in np.ndindex(n_envs, n_robots):
        while True:
            place = rng.uniform([-1.4, -0.8], [1.4, 0.8])
            if np.linalg.norm(poses[env, :robot, :2] - place, axis=-1).min(initial=9.0) > gap:
                break
        poses[env, robot] = *place, rng.uniform(-np.pi, np.pi)
    return poses


def turned(angle: Float) -> Float:
    """Angles within +-pi, rad."""
    return np.remainder(angle + np.pi, 2.0 * np.pi) - np.pi


def theirs(poses: Float, commands: Float, double: bool) -> Float:
    """JaxRobotarium's ticks without a barrier.

    Args:
        poses: (E, N, 3).
        commands: (T, E, N, 2) m/s and rad/s, one per tick.
        double: in float64.

    Returns:
        (T, E, N, 3) poses after each tick.
    """
    found = probe()
    jax, jnp = found.jax, found.jax.numpy
    with precision(double):
        start = jnp.zeros((3, poses.shape[1]))
        sim = found.simulator(poses.shape[1], False, False, initial_conditions=start)
        move = jax.vmap(sim.batch_step)

        def tick(state: Any, command: Any) -> Any:
            state = move(state, command)
            return state, state

        given = jnp.asarray(poses).swapaxes(1, 2), jnp.asarray(commands).swapaxes(2, 3)
        return np.asarray(
            jax.jit(lambda x, u: jax.lax.scan(tick, x, u)[1])(*given), float
        ).swapaxes(2, 3)


def motion_gap(double: bool, changing: bool, ticks: int = 100, seed: int = 0) -> dict[str, float]:
    """The same commands in both simulators, many of them beyond what wheels can do.

    Args:
        double: JaxRobotarium in float64.
        changing: new commands in every tick; else the same throughout.
        ticks: of 33 ms.
        seed: of poses and commands.

    Returns:
        Largest difference of positions, m, and headings, rad, in any tick; and `saturated`, the
        share of commands that some wheel could not follow.
    """
    rng, shape = np.random.default_rng(seed), (32, 5)
    poses = layouts(rng, *shape, 0.2)
    commands = rng.uniform(-1.0, 1.0, (ticks if changing else 1, *shape, 2)) * WIDE
    commands = np.broadcast_to(commands, (ticks, *shape, 2))
    other = theirs(poses, commands, double)
    sim, gap = Robotarium(*shape, barrier=False), np.zeros(2)
    sim.reset(poses)
    for tick in range(ticks):
        sim.drive(commands[tick], 1)
        way = np.linalg.norm(sim.poses[..., :2] - other[tick, ..., :2], axis=-1)
        turn = np.abs(turned(sim.poses[..., 2] - other[tick, ..., 2]))
        gap = np.maximum(gap, [way.max(), turn.max()])
    wheels = np.abs(commands[..., 0]) + AXLE / 2.0 * np.abs(commands[..., 1])
    return {
        "position_m": float(gap[0]),
        "yaw_rad": float(gap[1]),
        "saturated": float((wheels > SPEED_LIMIT).mean()),
    }


@dataclass(frozen=True)
class Wishes:
    """Teams with commands that their wheels can follow, and what our filter makes of them.

    Attributes:
        poses: (E, N, 3) m, m and rad.
        wish: (E, N, 2) m/s and rad/s.
        safe: (E, N, 2) likewise, filtered.
        bound: (E,) teams in which some pair's constraint changes the command.
    """

    poses: Float
    wish: Float
    safe: Float
    bound: Bool


def wishes(n_robots: int, cases: int, seed: int) -> Wishes:
    """Teams near each other; those without a safe command are left out."""
    rng = np.random.default_rng(seed)
    poses = layouts(rng, cases, n_robots, 0.3)
    poses[::2, :, :2] *= 0.5
    wish = rng.uniform(-1.0, 1.0, (cases, n_robots, 2)) * WIDE
    wheels = np.abs(wish[..., :1]) + AXLE / 2.0 * np.abs(wish[..., 1:])
    wish *= np.minimum(1.0, 0.99 * SPEED_LIMIT / wheels)
    safe, feasible = filter_wheels(poses, wish)
    bound = np.abs(safe - wish).max(axis=(1, 2)) > 1e-9
    return Wishes(*(part[feasible] for part in (poses, wish, safe, bound)))


def filter_gap(
    double: bool, n_robots: int = 3, cases: int = 400, seed: int = 0
) -> dict[str, float]:
    """The same poses and wishes through both barriers.

    Args:
        double: JaxRobotarium in float64.
        n_robots: of a team.
        cases: teams to draw.
        seed: of poses and wishes.

    Returns:
        Differences in forward speed, m/s, of a team's worst robot: `idle_*` over teams in which
        no pair's constraint binds, `bound_*` over the others, of which `bound` is the share, and
        `bound_missed` the share of these whose answer misses a constraint by over 1 mm/s.
    """
    found, given = probe(), wishes(n_robots, cases, seed)
    jax, jnp = found.jax, found.jax.numpy
    with precision(double):
        run = jax.jit(jax.vmap(found.barriers.create_robust_barriers(safety_radius=SAFETY_RADIUS)))
        answer = run(
            jnp.asarray(given.wish).swapaxes(1, 2), jnp.asarray(given.poses).swapaxes(1, 2)
        )
        command = np.asarray(answer, float).swapaxes(1, 2)
    gap = np.abs(command[..., 0] - given.safe[..., 0]).max(axis=1)
    slack = slacks(command, *programs(given.poses, given.wish)[2:])[0].min(axis=1) * WHEEL_RADIUS
    return {
        "idle_median_m_s": float(np.median(gap[~given.bound])),
        "idle_largest_m_s": float(gap[~given.bound].max()),
        "bound_median_m_s": float(np.median(gap[given.bound])),
        "bound_largest_m_s": float(gap[given.bound].max()),
        "bound": float(given.bound.mean()),
        "bound_missed": float((slack[given.bound] < -1e-3).mean()),
    }


def programs(poses: Float, wish: Float) -> tuple[Float, Float, Float, Float]:
    """The quadratic programs that JaxRobotarium hands to its solver, in float64.

    Args:
        poses: (E, N, 3).
        wish: (E, N, 2).

    Returns:
        Q (E, 2N, 2N), c (E, 2N), G (E, R, 2N) and h (E, R): minimise w Q w / 2 + c w such that
        G w <= h, over the wheel speeds w, rad/s, left and right of each robot in turn.
    """
    found = probe()
    jax, jnp, module = found.jax, found.jax.numpy, found.barriers
    made: list[Any] = []

    class Recorder:
        """Stands in for the solver."""

        def __init__(self, **_: Any) -> None:
            pass

        def run(self, params_obj: Any, params_ineq: Any) -> Any:
            made.append((*params_obj, *params_ineq))
            return SimpleNamespace(params=SimpleNamespace(primal=jnp.zeros_like(params_obj[1])))

    def program(command: Any, pose: Any) -> Any:
        module.create_robust_barriers(safety_radius=SAFETY_RADIUS)(command, pose)
        return made.pop()

    solver = module.OSQP
    try:
        module.OSQP = Recorder
        with precision(True):
            given = jnp.asarray(wish).swapaxes(1, 2), jnp.asarray(poses).swapaxes(1, 2)
            parts = jax.jit(jax.vmap(program))(*given)
            q, c, g, h = (np.asarray(part, float) for part in parts)
    finally:
        module.OSQP = solver
    return q, c, g, h


def wheel_speeds(command: Float) -> Float:
    """(E, 2N) rad/s, left and right of each robot in turn, of commands (E, N, 2)."""
    half = AXLE / 2.0 * command[..., 1]
    wheels = np.stack([command[..., 0] - half, command[..., 0] + half], axis=-1)
    return wheels.reshape(len(wheels), -1) / WHEEL_RADIUS


def slacks(command: Float, g: Float, h: Float) -> tuple[Float, Float]:
    """How far commands are within the rows of `programs`, rad/s, and the rows' sizes, (E, R)."""
    size = np.linalg.norm(g, axis=-1)
    return (h - np.einsum("erk,ek->er", g, wheel_speeds(command))) / size, size


def program_gap(n_robots: int = 3, cases: int = 400, seed: int = 0) -> dict[str, float]:
    """How well our command solves JaxRobotarium's own program, by the conditions of optimality.

    Args:
        n_robots: of a team.
        cases: teams to draw.
        seed: of poses and wishes.

    Returns:
        `missed_m_s`, by how much a row is missed at most, and `slope`, the largest gradient left
        that no row met with equality explains, as a share of the wheel limit's. Both are zero for
        the exact solution alone.
    """
    given = wishes(n_robots, cases, seed)
    q, c, g, h = programs(given.poses, given.wish)
    wheels, slack, size = wheel_speeds(given.safe), *slacks(given.safe, g, h)
    left = 0.0
    for case in range(len(q)):
        slope = q[case] @ wheels[case] + c[case]
        held = slack[case] < 1e-6
        rows = (g[case] / size[case][:, None])[held]
        rest = nnls(rows.T, -slope)[1] if held.any() else np.linalg.norm(slope)
        left = max(left, rest / (np.linalg.norm(q[case], 2) * WHEEL_LIMIT))
    return {"missed_m_s": float(max(-slack.min(), 0.0) * WHEEL_RADIUS), "slope": float(left)}


def cross_check() -> dict[str, dict[str, float]]:
    """All comparisons, by name."""
    found = {}
    for double, bits in ((False, "float32"), (True, "float64")):
        for changing, name in ((False, "constant"), (True, "changing")):
            found[f"motion, {name} commands, {bits}"] = motion_gap(double, changing)
        found[f"barrier's answer, {bits}"] = filter_gap(double)
    return {**found, "our answer in its program": program_gap()}
