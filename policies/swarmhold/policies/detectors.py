"""How soon the health chain finds what is broken, and how often it accuses what is not.

The very functions that robots and supervisor run, over simulated episodes at batch speed, so that a
change of a detector is measured in minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.expectations import EXPECTED, OUT
from swarmhold.hardware.faults import FULL, FaultSpec
from swarmhold.hardware.memory import restart
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Int, teammate_index
from swarmhold.policies.calibrate import PolicyOf
from swarmhold.policies.health_loop import EnvWatch, HealthLoop
from swarmhold.policies.randomise import exists_for_others
from swarmhold.sim.disturb import CHANNELS, Disturbances
from swarmhold.sim.env import SwarmEnv

ONSET_S = (1.0, 5.0)  # of a fault
LEAST_TEAM = 4
KNOWN = 0.5  # a robot with a weight below this is out of a teammate's team


@dataclass(frozen=True, slots=True)
class Watched:
    """What the chain made of a batch of episodes, arrays (E, N).

    Attributes:
        out_at: s at which the supervisor first took a robot out of the team; infinity if never.
        state: `HealthState` at the end.
        falls: how often it took one out.
        doubts: how often some teammate that hears it came to give it less than half.
        present_s: s for which each was there.
    """

    out_at: Float
    state: Int
    falls: Int
    doubts: Int
    present_s: Float


def watched(
    env: SwarmEnv,
    policy_of: PolicyOf,
    settings: HealthSettings,
    plan: Sequence[Sequence[FaultSpec]] | None = None,
    until_s: float = np.inf,
    episode: int = 0,
    team_sizes: Sequence[int] | None = None,
) -> Watched:
    """Play episodes with the whole chain in the loop.

    Args:
        env: environment.
        policy_of: what all robots act on, and what the supervisor knows.
        settings: thresholds.
        plan: faults, one list per environment; None: nothing is broken.
        until_s: end, if before that of the episodes.
        episode: number of the batch.
        team_sizes: robots of each environment; None: all.
    """
    step, policy = env.reset(faults=plan, episode=episode, team_sizes=team_sizes), policy_of(env)
    restart(policy)
    loop = HealthLoop(settings, env.n_envs, env.n_robots, EnvWatch(settings, env, policy_of(env)))
    exists = exists_for_others(step.truth.present)
    shape = (env.n_envs, env.n_robots)
    out_at, present_s = np.full(shape, np.inf), np.zeros(shape)
    falls, doubts = np.zeros(shape, int), np.zeros(shape, int)
    out = doubted = np.zeros(shape, bool)
    while (now := float(step.time_s.max())) <= until_s and not step.done.all():
        seen = env.evidence()
        weights = loop.step(seen, now) * exists
        out, out_before = np.isin(loop.states, OUT), out
        doubted, doubted_before = _doubted(weights, exists, seen.age <= settings.stale_s), doubted
        falls += out & ~out_before
        doubts += doubted & ~doubted_before
        out_at = np.where(out & np.isinf(out_at), now, out_at)
        present_s += step.truth.present / env.spec.rate_hz
        restart(policy, ~step.truth.healthy)
        step = env.step(policy(step.observation, weights))
    return Watched(out_at, loop.states, falls, doubts, present_s)


def _doubted(weights: Float, exists: Bool, heard: Bool) -> Bool:
    """(E, N) to whom some teammate that hears (E, N, N) them gives less than half."""
    robots = weights.shape[1]
    low = np.zeros((len(weights), robots, robots), bool)
    low[:, np.arange(robots)[:, None], teammate_index(robots)] = exists & (weights < KNOWN)
    return np.asarray((low & heard).any(axis=1))


@dataclass(frozen=True, slots=True)
class Alarms:
    """Fault-free flights on one channel.

    Attributes:
        channel: of `CHANNELS`.
        robot_hours: flown.
        falls: robots that the supervisor took out.
        doubts: times at which some robot began to give a teammate that it hears less than half.
    """

    channel: str
    robot_hours: float
    falls: int
    doubts: int


def alarms(
    make_env: Callable[[Disturbances], SwarmEnv],
    policy_of: PolicyOf,
    settings: HealthSettings,
    channel: str,
    robot_hours: float,
) -> Alarms:
    """Fly until enough robot hours are over; nothing is broken.

    Args:
        make_env: an environment with given disturbances.
        policy_of: see `watched`.
        settings: thresholds.
        channel: a key of `CHANNELS`.
        robot_hours: least.
    """
    env, episode = make_env(CHANNELS[channel]), 0
    flown, falls, doubts = 0.0, 0, 0
    while flown < robot_hours:
        seen = watched(env, policy_of, settings, episode=episode)
        flown += float(seen.present_s.sum()) / 3600.0
        falls, doubts = falls + int(seen.falls.sum()), doubts + int(seen.doubts.sum())
        episode += 1
    env.close()
    return Alarms(channel, flown, falls, doubts)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a kind of fault, one broken robot per episode.

    Attributes:
        kind: of the fault.
        severity: of the fault.
        delays_s: (E) from the onset; infinity where it was not found in time.
        first: share of the episodes with somebody out, in which that was the broken one first.
        harmed: healthy robots taken out, per episode.
    """

    kind: str
    severity: float
    delays_s: Float
    first: float
    harmed: float


def subtle(settings: HealthSettings, sigmas: float = 3.0) -> float:
    """Severity of a `sensor_bias` that is so many sigmas of what the loop itself brings about."""
    return min(sigmas * settings.monitor.sigma_m / FULL["sensor_bias"], 1.0)


def found(
    env: SwarmEnv,
    policy_of: PolicyOf,
    settings: HealthSettings,
    kind: str,
    seed: int,
    severity: float = 1.0,
) -> Found:
    """Break one robot of every team of `LEAST_TEAM` to N at a random time.

    Args:
        env: environment; E is the number of episodes.
        policy_of: see `watched`.
        settings: thresholds.
        kind: of the fault.
        seed: of teams, robots, onsets and faults.
        severity: of the fault.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(min(LEAST_TEAM, env.n_robots), env.n_robots + 1, env.n_envs)
    who = np.array([int(rng.integers(size)) for size in sizes])
    onset = rng.uniform(*ONSET_S, env.n_envs)
    plan = [
        [FaultSpec(kind, int(robot), float(start), np.inf, severity, int(rng.integers(2**31)))]
        for robot, start in zip(who, onset, strict=True)
    ]
    until = ONSET_S[1] + EXPECTED[kind].watched_s
    sizes_given = [int(size) for size in sizes]
    seen = watched(env, policy_of, settings, plan, until, team_sizes=sizes_given)
    teams = np.arange(env.n_envs)
    at = seen.out_at[teams, who]
    delays = np.where(at >= onset, at - onset, np.inf)
    somebody = np.isfinite(seen.out_at).any(axis=1)
    right = somebody & (seen.out_at.argmin(axis=1) == who)
    harmed = np.isfinite(seen.out_at)
    harmed[teams, who] = False
    first = float(right.sum() / max(int(somebody.sum()), 1))
    return Found(kind, severity, delays, first, float(harmed.sum(axis=1).mean()))
