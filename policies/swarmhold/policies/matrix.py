"""Fault kind x severity: what the real health chain makes of each, over simulated episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from swarmhold.hardware.expectations import BACK_S, BROKEN, EXPECTED, Cell
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.detectors import PolicyOf, watched
from swarmhold.sim.env import SwarmEnv

ONSET_S = 1.0  # of the fault


def fault_matrix(
    env: SwarmEnv,
    policy_of: PolicyOf,
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
    policy_of: PolicyOf,
    settings: HealthSettings,
    kind: str,
    severity: float,
) -> Cell:
    """One cell of the matrix; arguments as in `fault_matrix`."""
    expected = EXPECTED[kind]
    lasts = BACK_S if kind == "reboot" else np.inf
    plan = [[FaultSpec(kind, BROKEN, ONSET_S, lasts, severity, seed)] for seed in range(env.n_envs)]
    seen = watched(env, policy_of, settings, plan, ONSET_S + expected.watched_s)
    at = seen.out_at[:, BROKEN]
    delays = np.where(at >= ONSET_S, at - ONSET_S, np.inf)
    harmed = np.delete(np.isfinite(seen.out_at), BROKEN, axis=1).sum(axis=1)
    return Cell.of(kind, severity, "sim", delays, seen.state[:, BROKEN], harmed)
