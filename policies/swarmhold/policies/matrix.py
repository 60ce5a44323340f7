"""Fault kind x severity: what the real health chain makes of each, over simulated episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from swarmhold.hardware.expectations import BACK_S, BROKEN, EXPECTED, OUT, Cell
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.memory import restart
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.health_loop import EnvWatch, HealthLoop
from swarmhold.policies.randomise import exists_for_others
from swarmhold.sim.env import SwarmEnv

ONSET_S = 1.0  # of the fault


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
    end = ONSET_S + expected.watched_s
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
        "sim",
        HealthState(int(np.bincount(state).argmax())),
        float(np.median(at[found]) - ONSET_S) if found.any() else None,
        float(found.mean()),
        float(np.isin(state, OUT).mean()),
        float(harmed.sum(axis=1).mean()),
        expected,
    )
