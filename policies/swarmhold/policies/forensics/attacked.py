"""Attacked episodes of the toy, and what each detector makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.policies.forensics.detect import (
    Attribution,
    Reference,
    attribute,
    reference_of,
    residual_sigmas,
    smoothed,
    threshold_at,
)
from swarmhold.policies.forensics.geometry import commitment
from swarmhold.policies.forensics.spread import (
    DAMPING,
    ROBOTS,
    SEEN,
    STEPS,
    Policies,
    Team,
    one_hot,
    pushed,
)

TWINS, NOISE = 100, 1e-4  # attack-free episodes from the same start, noise on what they see
LASTS, UNTIL = 5, STEPS // 4  # steps of an attack, and the last at which it begins
SPEED_NOISE = 0.05  # m/s, of a measured speed; a tenth of what one action changes
ALARMS = 0.05  # share of the episodes without an attack that thresholds are set to flag
AT_ONCE = 30_000  # teams side by side


@dataclass(frozen=True, slots=True)
class Episodes:
    """B episodes.

    Attributes:
        bent: (B, T, N) smoothed remainders of stage 1.
        residual: (B, T, N) of the dynamics, in sigmas.
    """

    bent: Float
    residual: Float


@dataclass(frozen=True, slots=True)
class Attack:
    """Who is made to do what it would do least, from when on, arrays (B)."""

    robot: Int
    start: Int


@dataclass(frozen=True, slots=True)
class Score:
    """What a detector made of E attacked episodes; arrays (E) but for the last.

    Attributes:
        among: the attacked robot is among those flagged earliest, and not before the attack.
        alone: it is the only one.
        named: it is the one that is named, ties broken by the deviation.
        early: somebody was flagged before the attack.
        missed: nobody was flagged.
        delay: steps from the attack to the first flag; NaN where there was none, or an early one.
        calm: (C) episodes without an attack in which somebody is flagged.
    """

    among: Bool
    alone: Bool
    named: Bool
    early: Bool
    missed: Bool
    delay: Float
    calm: Bool


def flown(
    policies: Policies, team: Team, draw: torch.Generator, noise: float, attack: Attack | None
) -> Episodes:
    """Episodes of greedy policies, with noise on what they see."""
    bent, residual = [], []
    measured = _noisy(team.speed, SPEED_NOISE, draw)
    for step in range(STEPS):
        seen = _noisy(team.seen(), noise, draw)
        rows = commitment(partial(_logits, policies), seen.reshape(-1, SEEN))
        bent.append(rows.reshape(-1, ROBOTS).numpy())
        with torch.no_grad():
            logits = policies(seen)
        told = logits.argmax(dim=-1)
        team.move(one_hot(told if attack is None else _bent(attack, step, told, logits)))
        expected, measured = pushed(measured, one_hot(told)), _noisy(team.speed, SPEED_NOISE, draw)
        sigma = SPEED_NOISE * (1.0 + (1.0 - DAMPING) ** 2) ** 0.5
        residual.append(residual_sigmas(expected.numpy(), measured.numpy(), sigma))
    return Episodes(smoothed(np.stack(bent, axis=1)), np.stack(residual, axis=1))


def _logits(policies: Policies, rows: Tensor) -> Tensor:
    return policies(rows.reshape(-1, ROBOTS, SEEN)).reshape(len(rows), -1)


def _noisy(values: Tensor, noise: float, draw: torch.Generator) -> Tensor:
    return values + noise * torch.randn(values.shape, generator=draw) if noise else values


def _bent(attack: Attack, step: int, told: Tensor, logits: Tensor) -> Tensor:
    """The least likely action of the attacked robot while the attack lasts."""
    on = torch.from_numpy((attack.start <= step) & (step < attack.start + LASTS))
    hit = on[:, None] & (torch.from_numpy(attack.robot)[:, None] == torch.arange(ROBOTS))
    return torch.where(hit, logits.argmin(dim=-1), told)


def measure(policies: Policies, episodes: int, seed: int, twins: int = TWINS) -> dict[str, Score]:
    """Scores of all detectors on the same attacked episodes, by name.

    Args:
        policies: trained.
        episodes: E.
        seed: of starts, attacks and noise.
        twins: episodes from the same start that the reference of stage 1 is made of.
    """
    draw = torch.Generator().manual_seed(1000 + seed)
    rng = np.random.default_rng(seed)
    start = Team(episodes, draw)
    attack = Attack(rng.integers(0, ROBOTS, episodes), rng.integers(1, UNTIL + 1, episodes))
    hit = flown(policies, start.times(1), draw, 0.0, attack)
    usual, held = _twins(policies, start, twins, draw)
    calm = flown(policies, Team(2 * episodes, draw), draw, 0.0, None)
    judge = partial(_score, attack)
    out = {
        f"stage 1, twins from the same start, K = {k}": judge(
            usual.flags(hit.bent, k), usual.deviation(hit.bent), usual.flags(held, k), 1
        )
        for k in (2, 3)
    }
    learnt = reference_of(calm.bent[:episodes])
    level = threshold_at(learnt.sigmas(calm.bent[episodes:]), ALARMS)
    tried = flown(policies, Team(episodes, draw), draw, 0.0, None)
    off, quiet = learnt.sigmas(hit.bent), learnt.sigmas(tried.bent)
    out["stage 1, population of other starts"] = judge(off > level, off, quiet > level, 1)
    level = threshold_at(calm.bent, ALARMS)
    out["stage 1, plain quantile of the remainder"] = judge(
        hit.bent > level, hit.bent, tried.bent > level, 1
    )
    level = threshold_at(calm.residual, ALARMS)
    out["one-step dynamics residual"] = judge(
        hit.residual > level, hit.residual, tried.residual > level, 0
    )
    return out


def _twins(
    policies: Policies, start: Team, twins: int, draw: torch.Generator
) -> tuple[Reference, Float]:
    """References (E, T, N) of twins, and one more twin of each that had no part in them."""
    episodes = len(start.place)
    means, stds, held = [], [], []
    step = max(AT_ONCE // (twins + 1), 1)
    for at in range(0, episodes, step):
        some = start.some(slice(at, at + step)).times(twins + 1)
        bent = flown(policies, some, draw, NOISE, None).bent
        bent = bent.reshape(-1, twins + 1, *bent.shape[1:])
        own = reference_of(bent[:, :-1], axis=1)
        means.append(own.mean)
        stds.append(own.std)
        held.append(bent[:, -1])
    return Reference(np.concatenate(means), np.concatenate(stds)), np.concatenate(held)


def _score(attack: Attack, flags: Bool, size: Float, calm: Bool, lag: int) -> Score:
    """Against the truth; `lag` steps after an action its effects can be seen first."""
    found: Attribution = attribute(flags, size)
    steps = flags.shape[-2]
    early, missed = found.at < attack.start + lag, found.at == steps
    valid = ~early & ~missed
    mine = np.take_along_axis(found.earliest, attack.robot[:, None], axis=-1)[:, 0]
    return Score(
        among=mine & valid,
        alone=mine & valid & (found.earliest.sum(axis=-1) == 1),
        named=(found.patient == attack.robot) & valid,
        early=early,
        missed=missed,
        delay=np.where(valid, found.at - attack.start, np.nan),
        calm=calm.any(axis=(-2, -1)),
    )


def joined(scores: list[Score]) -> Score:
    """Those of several seeds, one after the other."""
    names = Score.__slots__
    parts = {name: np.concatenate([getattr(one, name) for one in scores]) for name in names}
    return replace(scores[0], **parts)
