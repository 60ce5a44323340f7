"""Thresholds of the health chain from fault-free episodes of the real loop.

Residuals of a loop are correlated in time, so that thresholds tuned on white noise fail: what
counts is the largest that the loop itself brings about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from swarmhold.hardware.memory import restart
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.health_loop import EnvWatch
from swarmhold.sim.env import SwarmEnv

MARGIN = 2.0  # on the largest figure seen
LEAST_SIGMAS = 6.0  # a cross-check threshold is never nearer to the sensing noise than this
USUAL = 99.0  # percent of the departures from the policy that count for nothing
LEAST_S = 0.5  # s, least excess departure that accuses


def calibrated(
    env: SwarmEnv, policy_of: Callable[[SwarmEnv], TeamPolicy], episode: int = 0
) -> HealthSettings:
    """Health settings with the thresholds that depend on the policy and its world.

    Args:
        env: environment of the reference backend, faults off.
        policy_of: the policy that will fly; asked twice, for the robots and for their observer.
        episode: number of the batch of episodes.
    """
    policy, base = policy_of(env), HealthSettings()
    near = replace(base.normality, near_m=env.model.near_range)
    settings = replace(base, normality=near)
    watch = EnvWatch(settings, env, policy_of(env))
    step = env.reset(episode=episode)
    restart(policy)
    worst, departures = 0.0, []
    while not step.done.all():
        seen = env.evidence()
        residual = np.sqrt(np.sum((seen.claimed - seen.sensed) ** 2, axis=-1))
        worst = max(worst, float(np.nanmax(residual, initial=0.0)))
        watch.look(step.truth.present.astype(float), float(step.time_s.max()))
        departures.append(np.where(step.truth.present, watch.departure, 0.0))
        step = env.step(policy(step.observation, step.teammate_health))
    mismatch = max(MARGIN * worst, LEAST_SIGMAS * env.model.peer_noise)
    return replace(
        settings,
        monitor=replace(base.monitor, mismatch_m=round(mismatch, 4)),
        normality=_limits(near, np.array(departures), env.tick),
    )


def _limits(config: NormalityConfig, departures: Float, tick: float) -> NormalityConfig:
    """Slack and limit from departures (T, E, N) without faults."""
    slack = float(np.percentile(departures, USUAL))
    excess, worst = np.zeros(departures.shape[1:]), 0.0
    for departure in departures:
        excess = np.maximum(excess + (departure - slack) * tick, 0.0)
        worst = max(worst, float(excess.max()))
    limit = max(MARGIN * worst, LEAST_S)
    return replace(config, slack=round(slack, 4), limit_s=round(limit, 4))
