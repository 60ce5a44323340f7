"""Fault kind x severity: what the real health chain makes of each, over simulated episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.expectations import EXPECTED, Expected
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.memory import restart
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.health_loop import EnvWatch, HealthLoop
from swarmhold.policies.randomise import exists_for_others
from swarmhold.sim.env import SwarmEnv

ONSET_S, AFTER_S = 1.0, 2.0  # of the fault; and watched for longer than is allowed
LEAST_S = 3.0  # s for which any fault acts
BACK_S = 2.0  # a robot that reboots is away for so long
SHARE = 0.7  # of the episodes in which a fault is to be found; some motors stick unnoticed
BROKEN = 1  # roster index of the robot that is broken
OUT = (HealthState.LOST, HealthState.QUARANTINED, HealthState.PROBATION)


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind at one severity.

    Attributes:
        kind: of the fault.
        severity: 0 to 1.
        state: `HealthState` of the robot at the end, most often.
        delay_s: until it was taken out of the team, median of the episodes in which it was; None
            if in none.
        found: share of the episodes in which it was.
        out: share of those in which it still is at the end.
        collateral: healthy robots taken out, per episode.
        expected: what it is to be.
    """

    kind: str
    severity: float
    state: HealthState
    delay_s: float | None
    found: float
    out: float
    collateral: float
    expected: Expected

    @property
    def good(self) -> bool:
        """Whether it is as expected."""
        if self.collateral > 0.0:
            return False
        if self.expected.why_not:
            return self.out < 1.0 - SHARE
        late = self.delay_s is None or self.delay_s > self.expected.within_s
        return self.found >= SHARE and not late and self.state in self.expected.states


def fault_matrix(
    env: SwarmEnv,
    policy_of: Callable[[SwarmEnv], TeamPolicy],
    settings: HealthSettings,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Cell]:
    """Every kind at every severity, on the same layouts.

    Args:
        env: environment; E is the number of episodes of each cell.
        policy_of: what all robots act on, and what the supervisor knows.
        settings: thresholds.
        say: progress.
    """
    for kind in KINDS:
        for severity in EXPECTED[kind].severities:
            say(f"{kind}, severity {severity:g}")
            yield cell_of(env, policy_of, settings, kind, severity)


def cell_of(
    env: SwarmEnv,
    policy_of: Callable[[SwarmEnv], TeamPolicy],
    settings: HealthSettings,
    kind: str,
    severity: float,
) -> Cell:
    """One cell of the matrix; arguments as in `fault_matrix`."""
    expected = EXPECTED[kind]
    lasts = BACK_S if kind == "reboot" else np.inf
    plan = [[FaultSpec(kind, BROKEN, ONSET_S, lasts, severity, seed)] for seed in range(env.n_envs)]
    step, policy = env.reset(faults=plan, episode=0), policy_of(env)
    restart(policy)
    loop = HealthLoop(settings, env.n_envs, env.n_robots, EnvWatch(settings, env, policy_of(env)))
    exists = exists_for_others(step.truth.present)
    end = ONSET_S + max(expected.within_s, LEAST_S) + AFTER_S
    at = np.full(env.n_envs, np.inf)
    harmed = np.zeros((env.n_envs, env.n_robots), bool)
    while (now := float(step.time_s.max())) <= end and not step.done.all():
        weights = loop.step(env.evidence(), now) * exists
        out = np.isin(loop.states, OUT)
        at = np.where(out[:, BROKEN] & np.isinf(at) & (now >= ONSET_S), now, at)
        harmed |= out
        step = env.step(policy(step.observation, weights))
    harmed[:, BROKEN] = False
    found, state = np.isfinite(at), loop.states[:, BROKEN]
    return Cell(
        kind,
        severity,
        HealthState(int(np.bincount(state).argmax())),
        float(np.median(at[found]) - ONSET_S) if found.any() else None,
        float(found.mean()),
        float(np.isin(state, OUT).mean()),
        float(harmed.sum(axis=1).mean()),
        expected,
    )
