"""Thresholds of the health chain from fault-free episodes of the real loop.

Residuals of a loop are correlated in time, so that thresholds tuned on white noise fail: what
counts is the largest that the loop itself brings about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from swarmhold.hardware.memory import restart
from swarmhold.hardware.monitor import BITS, MonitorConfig, sighting_of, touching
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.offsets import (
    BEYOND_DOUBT,
    Sighting,
    enough,
    level_of,
    offset_error,
    offset_init,
    offset_step,
    tally,
)
from swarmhold.hardware.sanity import sanity_init, sanity_step
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.health_loop import EnvWatch, env_input
from swarmhold.sim.disturb import CHANNELS, CONGESTED
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.ground.barrier import HOLDS_M
from swarmhold.sim.robots import GRITSBOT

PolicyOf = Callable[[SwarmEnv], TeamPolicy]
MARGIN = 2.0  # on the largest figure seen
ROUGH_MARGIN = 1.5  # the same on a congested channel, of which more is flown
ROUGH_TEAMS = 32
LEAST_SIGMAS = 6.0  # a cross-check threshold is never nearer to the sensing noise than this
LEAST_SLACK = 0.1  # of full speed; live loops jitter more than simulated ones
USUAL = 99.0  # percent of the departures from the policy that count for nothing
LEAST_M, LEAST_TIMES_S = 0.05, 0.15  # m, and s at full speed: least leap that is reported
LEAST_STALL_S, MOST_STALL_S = 3.0, 8.0  # s, limits of a stand that is reported
LEAST_SIGMA_M = 0.001  # m, of a cross-check
TOUCH_M = 0.01  # m between the bodies of two robots that may touch
HABIT = 0.05  # share of sightings of robots that touch, above which that is what they are to do
OFFSET_MARGIN, OFFSET_STEP = 1.2, 1.02  # on the CUSUMs of cross-checks; the limit's precision
LEAST_OFFSET = 4.5  # sigmas, least limit of a CUSUM of cross-checks
LIARS = HealthSettings().health.observers - 1  # most that there may be
LEAST_S = 1.0  # s, least excess departure that accuses; a lossy radio alone brings about 0.9


def calibrated(env: SwarmEnv, policy_of: PolicyOf, episode: int = 0) -> HealthSettings:
    """Health settings with the thresholds that depend on the policy and its world.

    Flown on a clean channel, and on a congested one for what robots are expected to do.

    Args:
        env: environment of the reference backend, faults off.
        policy_of: the policy that will fly; asked twice, for the robots and for their observer.
        episode: number of the batch of episodes.
    """
    base, speed = HealthSettings(), env.spec.action_bound[0]
    holds = round(HOLDS_M, 4) if env.model is GRITSBOT else 0.0
    near = replace(base.normality, near_m=env.model.near_range, hold_m=holds)
    settings = replace(base, normality=near, monitor=replace(base.monitor, speed_mps=speed))
    shape = (env.scenario, env.robot, max(env.n_envs, ROUGH_TEAMS), env.n_robots)
    congested = SwarmEnv(*shape, disturbances=CHANNELS[CONGESTED])
    quiet, rough = (_fly(world, policy_of, settings, episode) for world in (env, congested))
    congested.close()
    least = max(LEAST_M, LEAST_TIMES_S * speed)
    mismatch = max(MARGIN * quiet.residual, LEAST_SIGMAS * env.model.peer_noise)
    return replace(
        settings,
        monitor=replace(
            _offset_limit(settings.monitor, quiet.seen, rough.seen, env.model.peer_noise, env.tick),
            mismatch_m=round(mismatch, 4),
            touch_m=round(_reach(env), 4) if quiet.touching <= HABIT else 0.0,
            sanity=replace(base.monitor.sanity, leap_m=round(max(MARGIN * quiet.leap, least), 4)),
        ),
        normality=replace(
            _limits(near, quiet.departures, rough.departures, env.tick),
            stall_s=_stall_limit(quiet.stand, rough.stand),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Flown:
    """Of fault-free episodes.

    Attributes:
        residual: m, largest distance between a claimed and a sensed position.
        touching: share of sightings of robots next to each other.
        leap: m, farthest that somebody moved beyond his claimed speed.
        stand: s, longest stand of one who was asked to move.
        seen: T sightings (E, N, N) of observer x subject.
        departures: (T, E, N) from the policy, in shares of full speed.
    """

    residual: float
    seen: Sequence[Sighting]
    touching: float
    leap: float
    stand: float
    departures: Float


def _fly(env: SwarmEnv, policy_of: PolicyOf, settings: HealthSettings, episode: int) -> _Flown:
    policy, watch = policy_of(env), EnvWatch(settings, env, policy_of(env))
    step = env.reset(episode=episode)
    restart(policy)
    worst, leap, longest = 0.0, 0.0, 0.0
    sightings, departures, touched = [], [], []
    before = sanity_init((env.n_envs, env.n_robots), env.n_robots)
    while not step.done.all():
        seen = env.evidence()
        residual = np.sqrt(np.sum((seen.claimed - seen.sensed) ** 2, axis=-1))
        worst = max(worst, float(np.nanmax(residual, initial=0.0)))
        now = float(step.time_s.max())
        sanity = settings.monitor.sanity
        before, odd = sanity_step(sanity, before, seen.said, now)
        sightings.append(sighting_of(env_input(seen), odd.late, 0.0))
        touched.append(touching(seen.sensed, _reach(env)).mean())
        leap = max(leap, float(np.nanmax(odd.beyond, initial=0.0)))
        present = step.truth.present
        watch.look(present.astype(float), np.zeros((*present.shape, env.n_robots), BITS), now)
        longest = max(longest, float(np.max(watch.stood, initial=0.0, where=present)))
        departures.append(np.where(present, watch.departure, 0.0))
        step = env.step(policy(step.observation, step.teammate_health))
    return _Flown(worst, sightings, float(np.mean(touched)), leap, longest, np.array(departures))


def _reach(env: SwarmEnv) -> float:
    """Distance in m at which two robots may touch."""
    return 2.0 * env.spec.radius_m + TOUCH_M


def accused(health: HealthSettings) -> str:
    """Calibrated thresholds in words."""
    monitor, odd = health.monitor, health.normality
    stands = f", or stands for {odd.stall_s:g} s" if odd.stall_s else ""
    return (
        f"who claims to be {monitor.mismatch_m:g} m from where it is seen, or always some "
        f"{monitor.sigma_m:g} m per axis and more (CUSUM, {monitor.offset_limit:g} sigma), leaps "
        f"by {monitor.sanity.leap_m:g} m, departs from the policy by more than {odd.slack:g} of "
        f"full speed (CUSUM, {odd.limit_s:g} s){stands}"
    )


def _stall_limit(quiet: float, rough: float) -> float:
    """From the longest stands (s) on both channels; 0 where robots stand and push as a habit."""
    limit = max(MARGIN * quiet + LEAST_STALL_S, MARGIN * rough)
    return round(limit, 2) if limit <= MOST_STALL_S else 0.0


def _offset_limit(
    config: MonitorConfig,
    quiet: Sequence[Sighting],
    rough: Sequence[Sighting],
    noise_m: float,
    tick: float,
) -> MonitorConfig:
    """Sigma and limit from sightings of observer x subject, on a clean and a bad channel.

    The least limit at which neither one observer alone nor several together accuse anybody, nor
    would with sums `OFFSET_MARGIN` times as large.
    """
    errors = np.array([error for error, _ in _summed(max(noise_m, LEAST_SIGMA_M), quiet, tick)])
    sigma = round(max(float(np.sqrt(np.nanmean(errors**2))), LEAST_SIGMA_M), 4)
    sums = [np.array([sums for _, sums in _summed(sigma, seen, tick)]) for seen in (quiet, rough)]
    alone = OFFSET_MARGIN * max(float(channel.max()) for channel in sums) / BEYOND_DOUBT
    limit = max(LEAST_OFFSET, alone)
    while any(_together(channel, limit / OFFSET_MARGIN) for channel in sums):
        limit *= OFFSET_STEP
    return replace(config, sigma_m=sigma, offset_limit=round(limit, 2))


def _together(sums: Float, limit: float) -> bool:
    """Whether all observers together, or any three neighbours, ever accuse somebody.

    Args:
        sums: (T, E, N, N) sigmas, observer x subject.
        limit: sigmas.
    """
    robots, levels = sums.shape[-1], level_of(sums, limit)
    subject = np.arange(robots)
    for observers in {min(3, robots - 1), robots - 1}:
        others = (subject + 1 + np.arange(observers)[:, None]) % robots
        counts = tally(levels[..., others, subject])
        if enough(counts, np.full(counts.shape[:-1], observers), LIARS).any():
            return True
    return False


def _summed(
    sigma_m: float, flown: Sequence[Sighting], tick: float
) -> Iterator[tuple[Float, Float]]:
    """Errors (E, N, N, 3) in m and CUSUMs (E, N, N) of all looks, one after another."""
    shape, seconds = flown[0].lag.shape, np.asarray(tick)
    state = offset_init(shape[:-1], shape[-1])
    for seen in flown:
        error = offset_error(sigma_m, state, seen)
        state, sums = offset_step(sigma_m, np.inf, state, seen, seconds)
        yield error, sums


def _limits(config: NormalityConfig, quiet: Float, rough: Float, tick: float) -> NormalityConfig:
    """Slack and limit from departures (T, E, N) without faults, on a clean and a bad channel."""
    slack = max(float(np.percentile(quiet, USUAL)), LEAST_SLACK)
    worst = (_excess(departures, slack, tick) for departures in (quiet, rough))
    limit = max(*(m * w for m, w in zip((MARGIN, ROUGH_MARGIN), worst, strict=True)), LEAST_S)
    return replace(config, slack=round(slack, 4), limit_s=round(limit, 4))


def _excess(departures: Float, slack: float, tick: float) -> float:
    """s, the largest CUSUM of departures (T, E, N)."""
    excess, worst = np.zeros(departures.shape[1:]), 0.0
    for departure in departures:
        excess = np.maximum(excess + (departure - slack) * tick, 0.0)
        worst = max(worst, float(excess.max()))
    return worst
