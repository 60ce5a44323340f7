"""Action normality: does a robot move as the policy that all share would have it move?

A robot that goes wrong and is honest about it is found by nobody who compares claims with
sightings. But all robots run one policy on what everybody hears. So an observer can put itself
in each robot's place, ask the policy what it would do there, and hold that against how the robot
moves. Robots lag behind set-points that jump, so both are smoothed alike before they are
compared, and what exceeds the usual departure is summed up by a CUSUM (Page, Biometrika 41, 1954):
S <- max(0, S + (r - slack) dt), and S > limit accuses.

Less than was expected, in its direction, is no departure: so moves who is slow, blocked, or held
back by its safety filter. Nothing at all proves nothing, neither for nor against, but for who
stands for longer than anybody ever did without a fault, where its safety filter lets it move: not
next to others, to posts, or in a crowd at the fence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from swarmhold.hardware.memory import restart
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.observe import observe, to_body
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.surroundings import Scene, sideways, surroundings_of
from swarmhold.hardware.types import (
    REACH,
    Bool,
    Float,
    Int,
    Kinematics,
    Observation,
    teammate_index,
)

REBOOT_S = 1.0  # s of silence, after which a robot is taken to have started anew
LOST_S = 2.0  # s for which a robot that is heard no more may have gone on
ASKED = 0.2  # share of the action's bound from which on a robot is asked to move
LONGEST_S = 0.3  # s, most that one look counts for: who has slept knows nothing of the time between
HELD_M = 0.03  # beyond what the filter keeps free, at which it may hold a robot entirely
INERT = 0.1  # share of the expected motion below which it stands
CLEARS_S = 1.0  # s of moving as one is asked to, after which nobody is accused any more
OBEYS = 0.5  # share of what it is asked for that a robot must do, to be seen to obey


class Acts(Protocol):
    """The policy that all share, for all robots of all teams at once."""

    def __call__(self, seen: Observation, weights: Float) -> Float:
        """Set-points (E, N, Da) in physical units."""


@dataclass(frozen=True, slots=True)
class NormalityConfig:
    """Thresholds; calibrated on fault-free flights and stored with the bundle.

    Attributes:
        slack: departure, in shares of the action's bound, that counts for nothing.
        limit_s: summed excess departure, s, that makes an accusation; 0: not calibrated, so
            that nobody is accused.
        stall_s: s for which a robot may stand though it is asked to move; 0: as long as it likes.
        near_m: m, reach of the robots' own proximity sensing.
        hold_m: m between centres, below which a barrier filter in the robots themselves may
            hold two in front of each other; 0: they have none.
        smooth_s: time constant with which set-points and motions are smoothed.
        heard_s: a robot that was not heard for longer is not judged.
    """

    slack: float = 1.0
    limit_s: float = 0.0
    stall_s: float = 0.0
    near_m: float = 0.3
    hold_m: float = 0.0
    smooth_s: float = 1.0
    heard_s: float = 0.3


@dataclass(frozen=True, slots=True)
class NormalityState:
    """Memory, arrays (..., N); motions in shares of the action's bound.

    Attributes:
        last_now: s, time of the last look.
        expected: (..., N, Da) smoothed motion that the policy asks for.
        motion: (..., N, Da) smoothed motion.
        excess: s, the CUSUM.
        stood: s for which each robot has been standing though it was asked to move.
    """

    last_now: float
    expected: Float
    motion: Float
    excess: Float
    stood: Float


def normality_init(lead: tuple[int, ...], n: int, action_size: int) -> NormalityState:
    """Nobody has departed from anything yet."""
    still = np.zeros((*lead, n, action_size))
    none = np.zeros((*lead, n))
    return NormalityState(np.nan, still, still, none, none)


def normality_step(
    config: NormalityConfig,
    state: NormalityState,
    expected: Float,
    motion: Float,
    judged: Bool,
    now: float,
    held: Bool | None = None,
) -> tuple[NormalityState, Float, Bool]:
    """One look.

    Args:
        config: thresholds.
        state: memory.
        expected: (..., N, Da) what the policy asks for, in shares of the action's bound.
        motion: (..., N, Da) what the robots do.
        judged: (..., N) robots whose motion and place are known.
        now: s, monotonic.
        held: (..., N) robots that their safety filter may hold; None: nobody.

    Returns:
        New memory, departures (..., N) and who is accused (..., N).
    """
    dt = 0.0 if np.isnan(state.last_now) else min(now - state.last_now, LONGEST_S)
    share = np.where(judged, 1.0 - np.exp(-dt / config.smooth_s), 0.0)[..., None]
    asked = state.expected + share * (expected - state.expected)
    done = state.motion + share * (motion - state.motion)
    much, along = np.sum(asked**2, axis=-1), np.sum(asked * done, axis=-1)
    obeyed = np.clip(along / np.maximum(much, 1e-9), 0.0, 1.0)
    departure = np.sqrt(np.sum((done - obeyed[..., None] * asked) ** 2, axis=-1))
    inert = (much > ASKED**2) & (np.sum(done**2, axis=-1) < INERT**2 * much)
    stands = judged & inert
    waits = stands & (False if held is None else held)
    stood = np.where(judged & ~inert, 0.0, state.stood + dt * (stands & ~waits))
    # It may be its filter that holds it now: what was found before does not count for ever.
    stood = np.where(waits, np.maximum(stood - dt, np.minimum(stood, config.stall_s)), stood)
    excess = np.maximum(state.excess + (departure - config.slack) * dt, 0.0)
    excess = np.where(judged & ~inert, excess, state.excess)
    if config.limit_s > 0.0:  # what has long been wrong need not be right for as long
        obeys = (much > ASKED**2) & (obeyed > OBEYS) & (departure < config.slack)
        nearly = config.limit_s + CLEARS_S * config.slack
        excess = np.minimum(excess, np.where(obeys & judged, nearly, 2.0 * config.limit_s))
    accused = (excess > config.limit_s) & (config.limit_s > 0.0)
    accused |= (stood > config.stall_s) & (config.stall_s > 0.0)
    return NormalityState(now, asked, done, excess, stood), departure, accused


def motion_of(spec: PolicySpec, moving: Kinematics) -> Float:
    """(..., Da) the set-point that a twist (...) amounts to."""
    planar = to_body(moving.velocity, moving.yaw)
    if spec.drives:
        return np.stack([planar[..., 0], moving.yaw_rate], axis=-1)
    return planar[..., :2]


@dataclass(frozen=True, slots=True)
class _Body:
    near_range: float
    radius: float
    height: float = 0.0


def believed(accusations: Int) -> Float:
    """(..., N, N) whom each robot listens to, by what it says of the others: 1, or 0.

    Args:
        accusations: (..., N, N) observer x subject; one that says nothing has not reported yet.
    """
    hears = (accusations & Accusation.HEARD) != 0
    against = (accusations & (Accusation.MISMATCH | Accusation.CORRUPT)) != 0
    mute = (accusations == 0).all(axis=-1, keepdims=True)
    return np.asarray(mute | (hears & ~against), float)


class Watch:
    """An observer that knows the policy and the task, and hears E teams of N robots."""

    def __init__(
        self, spec: PolicySpec, config: NormalityConfig, acts: Acts, teams: int, robots: int
    ) -> None:
        """Args: contract, thresholds, the shared policy (not used by anybody else), E and N."""
        self._spec, self._config, self._acts = spec, config, acts
        self._others = teammate_index(robots)
        self._bound = np.asarray(spec.action_bound)
        limits = safety_config(spec, np.inf)
        self._apart, self._inside = limits.separation_m, limits.fence_m
        self._holds = max(limits.separation_m, config.hold_m)
        restart(acts)
        self._expected: Float = np.zeros((teams, robots, spec.action_size))
        self._table: Float = np.ones((teams, robots))
        self._state = normality_init((teams,), robots, spec.action_size)
        self.departure: Float = np.zeros((teams, robots))

    def look(
        self,
        said: Kinematics,
        age: Float,
        table: Float,
        accusations: Int,
        scene: Scene,
        judged: Bool,
        now: float,
    ) -> Bool:
        """Compare what everybody does with what was to be expected of them.

        Args:
            said: (E, N) what the robots say of themselves.
            age: (E, N) s since they said it; infinity if they never did.
            table: (E, N) weights of the last table.
            accusations: (E, N, N) last ones heard, observer x subject.
            scene: the task.
            judged: (E, N) robots that are at work.
            now: s, monotonic.

        Returns:
            (E, N) whose motion is not the policy's.
        """
        said, sound = _sound(said)
        known = np.isfinite(age) & sound
        motion = motion_of(self._spec, said)
        restart(self._acts, ~judged | (age > REBOOT_S))
        heard = known & (age <= self._config.heard_s)
        judged = judged & heard & ~self._may_meet_the_lost(said, age, heard)
        self._pardon(table)
        # What was expected last is what moves the robots now.
        self._state, self.departure, accused = normality_step(
            self._config, self._state, self._expected / self._bound, motion / self._bound, judged,
            now, self._may_be_held(said, known, scene),
        )  # fmt: skip
        seen = self._see(said, motion, age, known, scene)
        given = np.where(known, table, 0.0)[:, None] * believed(accusations)
        given = given[:, np.arange(len(self._others))[:, None], self._others]
        action = np.nan_to_num(self._acts(seen, given))
        self._expected = np.clip(action, -self._bound, self._bound)
        return accused

    def _pardon(self, table: Float) -> None:
        """Who believed a robot that is trusted no longer did what was right in its eyes."""
        fallen = (table < 0.5) & (self._table >= 0.5)
        misled = fallen.any(axis=-1, keepdims=True) & (table >= 0.5)
        self._table = table
        self._state = replace(self._state, excess=np.where(misled, 0.0, self._state.excess))

    def _may_meet_the_lost(self, said: Kinematics, age: Float, heard: Bool) -> Bool:
        """(E, N) who may give way to a robot that is somewhere near, and says no longer where."""
        distance = sideways(said.position[:, None] - said.position[:, :, None])
        lost = np.isfinite(age) & ~heard
        went = self._bound[0] * np.minimum(np.where(lost, age, 0.0), LOST_S)
        near = lost[:, None] & (distance < (self._config.near_m + went)[:, None])
        return np.asarray(near.any(axis=-1))

    def _may_be_held(self, said: Kinematics, known: Bool, scene: Scene) -> Bool:
        """(E, N) who is so near somebody or a post that its filter may hold it.

        Crowds push robots against the fence, from farther away. Who is alone there can leave.
        """
        place, posts = said.position[..., :2], scene.posts
        gap = sideways(place[:, None] - place[:, :, None])
        gap = np.where(known[:, None] & ~np.eye(gap.shape[1], dtype=bool), gap, np.inf)
        way = np.linalg.norm(place[:, :, None] - posts[:, None, :, :2], axis=-1)
        pillar = way - posts[:, None, :, 2] + self._spec.radius_m
        pillar = np.where(posts[:, None, :, 2] > 0.0, pillar, np.inf)
        beside = gap.min(axis=-1, initial=np.inf)
        blocked = pillar.min(axis=-1, initial=np.inf) < self._apart + HELD_M
        room = scene.half_width - np.abs(place - scene.home[:2]).max(axis=-1)
        pressed = (room < self._inside + HELD_M) & (beside < self._config.near_m)
        return np.asarray((beside < self._holds + HELD_M) | blocked | pressed)

    @property
    def stood(self) -> Float:
        """(E, N) s for which each robot has been standing though it was asked to move."""
        return self._state.stood

    def _see(
        self, said: Kinematics, motion: Float, age: Float, known: Bool, scene: Scene
    ) -> Observation:
        """(E, N) what each robot observes, as far as an outsider can tell."""
        body = _Body(self._config.near_m, self._spec.radius_m)
        env, others = np.arange(len(age))[:, None, None], self._others[None]
        team = Kinematics(
            *(part[env, others] for part in (said.position, said.velocity, said.yaw, said.yaw_rate))
        )
        return observe(
            self._spec,
            own=said,
            last_action=motion / self._bound,
            team=team,
            team_age=np.minimum(np.nan_to_num(age, posinf=1e3), 1e3)[env, others],
            surroundings=surroundings_of(
                said.position, known, scene.landmarks, scene.owners, scene.posts, body
            ),
            home=scene.home * np.array([1.0, 1.0, 0.0]),
        )


def _sound(said: Kinematics) -> tuple[Kinematics, Bool]:
    """The same in the plane, with zeros for what cannot be; and where all of it can."""
    parts = (said.position, said.velocity, said.yaw, said.yaw_rate)
    fit = [np.abs(part) < REACH for part in parts]
    columns = [ok[..., None] if ok.ndim < parts[0].ndim else ok for ok in fit]
    position, velocity, yaw, yaw_rate = (
        np.where(ok, part, 0.0) for part, ok in zip(parts, fit, strict=True)
    )
    flat = np.array([1.0, 1.0, 0.0])
    sound: Bool = np.asarray(np.concatenate(columns, axis=-1).all(axis=-1))
    return Kinematics(position * flat, velocity * flat, yaw, yaw_rate), sound
