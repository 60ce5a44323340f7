"""The Robotarium's ground swarm: E teams of N GRITSBot X unicycles, 33 ms ticks, barrier filter.

Every team runs all ticks of a call before the next one starts, so its state stays in the nearest
cache. Yaw is turned by a series inside a call; cosine and sine are taken anew at its start. Where
numba is missing, the same formulas run over rows of numpy, and the solver as plain Python.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.sim.ground import barrier as law
from swarmhold.sim.ground import lanes, solver, unicycle
from swarmhold.sim.ground.barrier import (
    COMMAND_LIMIT,
    PROJECTION,
    SLANT,
    SPEED_LIMIT,
    limits_suffice,
    solve_team,
    workspace,
)
from swarmhold.sim.ground.solver import compiled
from swarmhold.sim.ground.unicycle import (
    ANGULAR_GAIN,
    COLLISION_DIAMETER,
    LINEAR_GAIN,
    TICK,
    TURN,
    turned,
)

ENOUGH = 8  # teams from which on lanes pay
# The disk cache of compiled code sees changes of this file only; this adds the others.
PARTS = (law, solver, lanes, unicycle)
SOURCE = zlib.crc32(b"".join(Path(part.__file__).read_bytes() for part in PARTS))


@compiled(forceinline=True)
def _wish(place, heading, target, to_goal, wish):
    """Nominal (v, l omega) of one team: a held command, or towards goals (N, 2)."""
    for i in range(place.shape[0]):
        v, omega = target[i, 0], target[i, 1]
        if to_goal:
            dx, dy = target[i, 0] - place[i, 0], target[i, 1] - place[i, 1]
            v = LINEAR_GAIN * (dx * heading[i, 0] + dy * heading[i, 1])
            omega = ANGULAR_GAIN * (dy * heading[i, 0] - dx * heading[i, 1])
        wish[i, 0] = min(max(v, -COMMAND_LIMIT), COMMAND_LIMIT)
        wish[i, 1] = min(max(PROJECTION * omega, -COMMAND_LIMIT), COMMAND_LIMIT)


@compiled(forceinline=True)
def clip_wheels(v, s):
    """(v, s) with each wheel cut to its limit, as the motors do unfiltered."""
    left = min(max(v - SLANT * s, -SPEED_LIMIT), SPEED_LIMIT)
    right = min(max(v + SLANT * s, -SPEED_LIMIT), SPEED_LIMIT)
    return 0.5 * (left + right), 0.5 * (right - left) / SLANT


_turned = compiled(forceinline=True)(turned)


@compiled(forceinline=True)
def _move(place, heading, yaw, present, velocity):
    """One Euler step of the unicycles."""
    for i in range(place.shape[0]):
        if present[i]:
            v, angle = TICK * velocity[i, 0], TICK / PROJECTION * velocity[i, 1]
            place[i, 0] += v * heading[i, 0]
            place[i, 1] += v * heading[i, 1]
            heading[i, 0], heading[i, 1] = _turned(heading[i, 0], heading[i, 1], angle)
            ahead = yaw[i] + angle
            yaw[i] = (
                ahead - TURN if ahead > math.pi else ahead + TURN if ahead < -math.pi else ahead
            )


@compiled(forceinline=True)
def _judge(place, present, half_x, half_y, collided, outside):
    """Mark robots nearer than the collision diameter to another, or out of the arena."""
    n = place.shape[0]
    for i in range(n):
        if not present[i]:
            continue
        if abs(place[i, 0]) > half_x or abs(place[i, 1]) > half_y:
            outside[i] = True
        for j in range(i + 1, n):
            dx, dy = place[i, 0] - place[j, 0], place[i, 1] - place[j, 1]
            if dx * dx + dy * dy < COLLISION_DIAMETER * COLLISION_DIAMETER and present[j]:
                collided[i] = collided[j] = True


@compiled(cache=True)
def advance_teams(
    poses, present, target, to_goal, ticks, barrier, half, marks, relaxed, work, key=SOURCE
):
    """Drive every team for some ticks, one team after the other, state in `work`.

    Args:
        poses: (E, N, 3) x, y (m), yaw (rad); changed in place.
        present: (E, N).
        target: (E, N, 2) commands (m/s, rad/s) or goals (m).
        to_goal: targets are goals.
        ticks: of TICK seconds.
        barrier: filter each tick.
        half: half widths of the arena (m), x and y.
        marks: collided and outside, (E, N) each, set where so after any tick.
        relaxed: (E,) increased by ticks in which some cluster had no solution.
        work: `workspace(N)`.
        key: makes stored code one with the source that it calls.
    """
    n = poses.shape[1]
    if not barrier and poses.shape[0] >= ENOUGH:
        lanes.open_lanes(poses, present, target, to_goal, ticks, half, marks)
        return
    place, heading, wish, safe, tip = [np.zeros((n, 2)) for _ in range(5)]
    for e in range(poses.shape[0]):
        there, yaw, aim, hit, out = present[e], poses[e, :, 2], target[e], marks[0][e], marks[1][e]
        for i in range(n):
            place[i, 0], place[i, 1] = poses[e, i, 0], poses[e, i, 1]
            heading[i, 0], heading[i, 1] = math.cos(poses[e, i, 2]), math.sin(poses[e, i, 2])
        for _ in range(ticks):
            _wish(place, heading, aim, to_goal, wish)
            if barrier:
                if not limits_suffice(place, heading, there, wish, safe, tip):
                    relaxed[e] += not solve_team(heading, there, wish, safe, tip, work)
            else:
                for i in range(n):
                    safe[i, 0], safe[i, 1] = clip_wheels(wish[i, 0], wish[i, 1])
            _move(place, heading, yaw, there, safe)
            _judge(place, there, half[0], half[1], hit, out)
        for i in range(n):
            poses[e, i, 0], poses[e, i, 1] = place[i, 0], place[i, 1]


@compiled(cache=True)
def filter_teams(poses, present, command, safe, feasible, work, key=SOURCE):
    """The filter over a batch: commands (E, N, 2) in m/s and rad/s to `safe` (E, N, 2)."""
    n = poses.shape[1]
    place, heading, wish, kept, tip = [np.zeros((n, 2)) for _ in range(5)]
    for e in range(poses.shape[0]):
        for i in range(place.shape[0]):
            place[i, 0], place[i, 1] = poses[e, i, 0], poses[e, i, 1]
            heading[i, 0], heading[i, 1] = math.cos(poses[e, i, 2]), math.sin(poses[e, i, 2])
        _wish(place, heading, command[e], False, wish)
        feasible[e] = limits_suffice(place, heading, present[e], wish, kept, tip)
        if not feasible[e]:
            feasible[e] = solve_team(heading, present[e], wish, kept, tip, work)
        for i in range(place.shape[0]):
            safe[e, i, 0], safe[e, i, 1] = kept[i, 0], kept[i, 1] / PROJECTION


def _broken_rows(tip: Float, heading: Float, present: Bool, safe: Float) -> Bool:
    """(E,) whether a near pair breaks its constraint at `safe`; `barrier`'s formulas over rows."""
    i, j = np.triu_indices(tip.shape[1], 1)
    apart = tip[:, i] - tip[:, j]
    square = np.sum(apart * apart, axis=-1)
    near = (square < law.REACH**2) & present[:, i] & present[:, j]
    room, rate = 0.0, 0.0
    for robot, sign in ((i, 1.0), (j, -1.0)):
        c, s = heading[:, robot, 0], heading[:, robot, 1]
        ahead = apart[..., 0] * c + apart[..., 1] * s
        aside = apart[..., 1] * c - apart[..., 0] * s
        room = room + np.maximum(np.abs(ahead), np.abs(aside) / SLANT)
        rate = rate + sign * (ahead * safe[:, robot, 0] + aside * safe[:, robot, 1])
    least = law.DISTURBANCE * law.WHEEL_RADIUS * room
    least = least - 0.5 * law.GAMMA * (square - law.SAFETY_RADIUS**2) ** 3
    unit = np.maximum(np.sqrt(2.0 * square), 1e-9)
    return np.any(near & (rate - least < -solver.TOLERANCE * unit), axis=1)


def _safe_rows(place, heading, present, wish, work) -> tuple[Float, Bool]:
    """The filter over rows: the solver runs only for teams whose wheel limits do not suffice."""
    slant, part = np.array([1.0, SLANT]), np.abs(wish)
    over = np.maximum(part @ slant - SPEED_LIMIT, 0.0)
    part = part - over[..., None] * slant / (1.0 + SLANT**2)
    part = np.where(part[..., :1] < 0.0, [0.0, SPEED_LIMIT / SLANT], part)
    part = np.where(part[..., 1:] < 0.0, [SPEED_LIMIT, 0.0], part)
    safe = np.where(present[..., None], np.copysign(part, wish), 0.0)
    feasible = np.ones(len(place), bool)
    tip = place + PROJECTION * heading
    for e in np.flatnonzero(_broken_rows(tip, heading, present, safe)):
        feasible[e] = solve_team(heading[e], present[e], wish[e], safe[e], tip[e], work)
    return safe, feasible


def _wish_rows(place, heading, target, to_goal) -> Float:
    """Nominal (v, l omega) of every robot."""
    wish = target * [1.0, PROJECTION]
    if to_goal:
        error, c, s = target - place, heading[..., 0], heading[..., 1]
        ahead, aside = error[..., 0] * c + error[..., 1] * s, error[..., 1] * c - error[..., 0] * s
        wish = np.stack([LINEAR_GAIN * ahead, PROJECTION * ANGULAR_GAIN * aside], axis=-1)
    return np.clip(wish, -COMMAND_LIMIT, COMMAND_LIMIT)


def advance_rows(
    poses, present, target, to_goal, ticks, barrier, half, marks, relaxed, work
) -> None:
    """`advance_teams` in numpy."""
    place, yaw = poses[..., :2], poses[..., 2]
    heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    i, j = np.triu_indices(poses.shape[1], 1)
    for _ in range(ticks):
        wish = _wish_rows(place, heading, target, to_goal)
        if barrier:
            safe, feasible = _safe_rows(place, heading, present, wish, work)
            relaxed += ~feasible
        else:
            side = wish[..., 1:] * [-SLANT, SLANT]
            wheels = np.clip(wish[..., :1] + side, -SPEED_LIMIT, SPEED_LIMIT)
            safe = np.stack(
                [wheels.mean(axis=-1), (wheels[..., 1] - wheels[..., 0]) / (2.0 * SLANT)], axis=-1
            )
        safe = np.where(present[..., None], safe, 0.0)
        place += TICK * safe[..., :1] * heading
        angle = TICK / PROJECTION * safe[..., 1]
        yaw += angle
        yaw -= TURN * (np.where(yaw > math.pi, 1.0, 0.0) - np.where(yaw < -math.pi, 1.0, 0.0))
        heading = np.stack(turned(heading[..., 0], heading[..., 1], angle), axis=-1)
        marks[1][:] |= present & (np.abs(place) > half).any(axis=-1)
        square = np.sum((place[:, i] - place[:, j]) ** 2, axis=-1)
        hit = (square < COLLISION_DIAMETER**2) & present[:, i] & present[:, j]
        for pair in np.argwhere(hit):
            marks[0][pair[0], [i[pair[1]], j[pair[1]]]] = True


def filter_rows(poses, present, command, safe, feasible, work) -> None:
    """`filter_teams` in numpy."""
    yaw = poses[..., 2]
    heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    wish = _wish_rows(poses[..., :2], heading, command, False)
    safe[:], feasible[:] = _safe_rows(poses[..., :2], heading, present, wish, work)
    safe[..., 1] /= PROJECTION


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All state of a `Robotarium`, copied."""

    poses: Float
    present: Bool
    collided: Bool
    outside: Bool
    relaxed: Int


class Robotarium:
    """E teams of N robots in the testbed's arena, whose middle is the origin.

    Attributes:
        poses: (E, N, 3) x, y (m) and yaw (rad, within +-pi) in the world frame.
        collided: (E, N) nearer than COLLISION_DIAMETER to another after a tick of the last drive.
        outside: (E, N) out of the arena after a tick of the last drive.
        relaxed: (E,) ticks of the last drive in which the filter had no solution for some cluster
            of robots, which then only come no nearer to one another.
    """

    def __init__(
        self,
        n_envs: int,
        n_robots: int,
        barrier: bool = True,
        half: tuple[float, float] = (1.6, 1.0),
        compiled: bool | None = None,
    ) -> None:
        """All robots start at the origin, present; `reset` puts them where they belong.

        Args:
            n_envs: E, teams.
            n_robots: N, robots of a team.
            barrier: filter commands; without, wheels are cut to their limit.
            half: half widths of the arena, x and y, m.
            compiled: use numba; None: where it is installed.
        """
        if n_envs < 1 or n_robots < 1:
            raise ConfigError(
                f"{n_envs} teams of {n_robots} robots; at least one of each is needed"
            )
        self.n_envs, self.n_robots, self.barrier = n_envs, n_robots, barrier
        self.half = (float(half[0]), float(half[1]))
        self.poses = np.zeros((n_envs, n_robots, 3))
        self._present = np.ones((n_envs, n_robots), bool)
        self.collided = np.zeros((n_envs, n_robots), bool)
        self.outside = np.zeros((n_envs, n_robots), bool)
        self.relaxed = np.zeros(n_envs, np.int64)
        self._work = workspace(n_robots)
        fast = solver.numba is not None and compiled is not False
        self._advance = advance_teams if fast else advance_rows

    @property
    def present(self) -> Bool:
        """(E, N) robots that are there; others stay where they are and meet nobody."""
        return self._present

    @present.setter
    def present(self, value: Bool) -> None:
        self._present[:] = value

    def reset(self, poses: Float, present: Bool | None = None, mask: Bool | None = None) -> None:
        """Place robots and clear the marks.

        Args:
            poses: (E, N, 3) x, y (m), yaw (rad), world frame.
            present: (E, N); everybody if None.
            mask: (E,) the teams to reset; the rows of others are not read. All if None.
        """
        chosen = np.ones(self.n_envs, bool) if mask is None else np.asarray(mask, bool)
        poses = self._shaped(poses, 3)[chosen]
        if not np.isfinite(poses).all():
            raise ConfigError("a pose to reset to is not finite; give x, y in m and yaw in rad")
        self.poses[chosen] = poses
        self.poses[chosen, :, 2] = np.remainder(poses[..., 2] + math.pi, TURN) - math.pi
        self._present[chosen] = True if present is None else np.asarray(present, bool)[chosen]
        self.collided[chosen] = self.outside[chosen] = False
        self.relaxed[chosen] = 0

    def drive(self, command: Float, ticks: int) -> None:
        """Hold commands (E, N, 2), m/s and rad/s, filtered each tick; not finite means stop."""
        command = self._shaped(command, 2)
        if not np.isfinite(command).all():
            sound = np.isfinite(command).all(axis=-1, keepdims=True)
            command = np.where(sound, command, 0.0)
        self._run(command, False, ticks)

    def drive_to(self, goal: Float, ticks: int) -> None:
        """Drive towards goals (E, N, 2), m, world frame; not finite means the present place.

        The controller follows the control Lyapunov function of distance: v = 0.8 e_x, omega =
        3 e_y with the error e in the robot's own axes, as the Robotarium's utilities do.
        """
        goal = self._shaped(goal, 2)
        if not np.isfinite(goal).all():
            sound = np.isfinite(goal).all(axis=-1, keepdims=True)
            goal = np.where(sound, goal, self.poses[..., :2])
        self._run(goal, True, ticks)

    def snapshot(self) -> Snapshot:
        """A copy of all state; `restore` makes what follows bit-equal."""
        parts = (self.poses, self._present, self.collided, self.outside, self.relaxed)
        return Snapshot(*(part.copy() for part in parts))

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot of a simulator of the same size."""
        for mine, kept in (
            (self.poses, snapshot.poses),
            (self._present, snapshot.present),
            (self.collided, snapshot.collided),
            (self.outside, snapshot.outside),
            (self.relaxed, snapshot.relaxed),
        ):
            mine[:] = kept

    def _shaped(self, value: Float, last: int) -> Float:
        value = np.ascontiguousarray(value, float)
        wanted = (self.n_envs, self.n_robots, last)
        if value.shape != wanted:
            raise ConfigError(f"an array of shape {value.shape} came; {wanted} is needed")
        return value

    def _run(self, target: Float, to_goal: bool, ticks: int) -> None:
        self.collided[:] = self.outside[:] = False
        self.relaxed[:] = 0
        marks = (self.collided, self.outside)
        self._advance(
            self.poses, self._present, target, to_goal, int(ticks),
            self.barrier, self.half, marks, self.relaxed, self._work,
        )  # fmt: skip


def filter_wheels(poses: Float, command: Float, present: Bool | None = None) -> tuple[Float, Bool]:
    """The barrier filter alone.

    Args:
        poses: (E, N, 3) x, y (m), yaw (rad), finite.
        command: (E, N, 2) m/s and rad/s; not finite means stop.
        present: (E, N); everybody if None.

    Returns:
        Safe commands (E, N, 2), m/s and rad/s, and whether a solution was there for all, (E,);
        where not, the robots of the clusters without one only come no nearer to one another.
    """
    poses, command = np.ascontiguousarray(poses, float), np.asarray(command, float)
    command = np.where(np.isfinite(command).all(axis=-1, keepdims=True), command, 0.0)
    there = np.ones(poses.shape[:2], bool) if present is None else np.array(present, bool)
    safe, feasible = np.zeros_like(command), np.zeros(len(poses), bool)
    run = filter_teams if solver.numba is not None else filter_rows
    run(poses, there, command, safe, feasible, workspace(poses.shape[1]))
    return safe, feasible
