"""The polynomial games as a table: arms against the figures that are known, and the limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.hardware.types import Float
from swarmhold.policies.offline.games import (
    DECOUPLED,
    EPOCHS,
    PEAK,
    SIGN,
    TWIN,
    Game,
    Played,
    around,
    play,
    uniform,
)
from swarmhold.policies.offline.priority import (
    Coverage,
    Focus,
    Gate,
    mean_gap,
    priorities,
    steepness_for,
)

STEEPNESS = 3.0  # that reproduces the published distances
SWEEP = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
FOCUS = Focus(0.3, 0.05, 50.0)  # gradients of the games carry no noise: fewer points suffice
ARMS = {"BRUD": 0.0, "PJAP": STEEPNESS}
PATIENT = 400  # steps, four times the published ones
REACHED = 0.95  # of the best reward
SPREADS = (0.2, 0.5, 1.0)
WRONG = ((0.6, -0.6), 0.15)  # data on the far side of the origin, where players disagree
# Reward, distance in the batch, and how near a repetition has to come. Twin peaks: re-run of
# arXiv 2407.01343 with the constants recovered from its figure, 10 data seeds; the figure itself
# reads 0.555, 0.42, 0.15 for BRUD and 0.56, 0.55, 0.54 for PJAP. Sign agreement: re-run, 20 seeds.
REFERENCES: dict[tuple[str, float | str, str], tuple[float, float | None, float]] = {
    ("decoupled", 1.0, "BRUD"): (0.0, None, 0.01),
    ("decoupled", 1.0, "PJAP"): (0.0, None, 0.01),
    ("sign agreement", "uniform", "BRUD"): (-0.10, None, 0.05),
    ("sign agreement", "uniform", "PJAP"): (1.0, None, 0.01),
    ("sign agreement", "wrong quadrant", "BRUD"): (-1.0, None, 0.01),
    ("sign agreement", "wrong quadrant", "PJAP"): (-0.965, None, 0.05),
    ("twin peaks", 0.2, "BRUD"): (0.555, 0.16, 0.02),
    ("twin peaks", 0.5, "BRUD"): (0.428, 0.42, 0.02),
    ("twin peaks", 1.0, "BRUD"): (0.155, 0.85, 0.02),
    ("twin peaks", 0.2, "PJAP"): (0.560, 0.12, 0.015),
    ("twin peaks", 0.5, "PJAP"): (0.554, 0.17, 0.015),
    ("twin peaks", 1.0, "PJAP"): (0.545, 0.19, 0.015),
}


def measure(seeds: int) -> dict[str, Any]:
    """Everything that the bench prints, for so many data seeds."""
    cells = []
    for game, label, arm in REFERENCES:
        played = _played(game, label, arm, seeds)
        cells.append(_cell(game, label, arm, played))
    return {
        "seeds": seeds,
        "cells": cells,
        "reached": {
            f"{cell['data']}, {cell['arm']}": cell["reached"]
            for cell in cells
            if cell["game"] == SIGN.name
        },
        "gate": {name: gate_of(name) for name in ("uniform", "wrong quadrant")},
        "direction": direction(),
        "steepness": [sweep(spread, seeds) for spread in SPREADS],
        "limits": limits(seeds),
    }


def _played(name: str, label: float | str, arm: str, seeds: int) -> Played:
    game = next(one for one in (DECOUPLED, SIGN, TWIN) if one.name == name)
    return play(game, data_of(game, label, seeds), ARMS[arm], np.random.default_rng([1, seeds]))


def data_of(game: Game, label: float | str, seeds: int) -> Float:
    """(S, K, 2) recorded joint actions: "uniform", "wrong quadrant", or spread at the peak."""
    rng = np.random.default_rng([0, seeds])
    if label == "uniform":
        return uniform(rng, seeds)
    if label == "wrong quadrant":
        return around(rng, seeds, *WRONG, points=2000, limit=SIGN.limit)
    return around(rng, seeds, (PEAK, PEAK), float(label))


def _cell(game: str, label: float | str, arm: str, played: Played) -> dict[str, Any]:
    reference, gap, within = REFERENCES[game, label, arm]
    value, best = played.value, SIGN.best
    low, high = np.percentile(value, [2.5, 97.5])
    mean = float(value.mean())
    return {
        "game": game,
        "sigma": None if isinstance(label, str) else label,
        "data": label if isinstance(label, str) else "normal",
        "arm": arm,
        "value": mean,
        "low": float(low),
        "high": float(high),
        "seeds": len(value),
        "reference": reference,
        "tolerance": within,
        "agrees": abs(mean - reference) <= within,
        "gap": float(played.gap.mean()),
        "reference_gap": gap,
        "reached": int((value >= REACHED * best).sum()) if game == SIGN.name else None,
    }


def gate_of(label: str) -> dict[str, Any]:
    """The coverage gate's finding on data of the sign agreement, before any step."""
    found = coverage_of(data_of(SIGN, label, 1)[0])
    return {
        "passes": not found.refusal,
        "refusal": found.refusal,
        "median": found.median,
        "median_all": found.median_all,
        "effective": found.effective,
    }


def coverage_of(data: Float) -> Coverage:
    """How joint actions (K, 2) cover the start of the sign agreement."""
    actions, policy = data[:, None, :, None], np.asarray(SIGN.start)[:, None]
    away, gate = mean_gap(actions, policy, np.ones((len(data), 1, 2))), Gate()
    steep = steepness_for(away, Focus().target(len(data), 0.0))
    return gate.judge(away, priorities(away, steep))


def direction(pairs: int = 1000) -> dict[str, Any]:
    """How often the joint step points away from the true one where theory says so."""
    rng = np.random.default_rng(5)
    policy = rng.uniform(-1.0, 1.0, (pairs, 2))
    data = around(rng, pairs, (0.0, 0.0), 0.3, 32) + rng.uniform(-1.0, 1.0, (pairs, 1, 2))
    step, true = SIGN.climb(policy, data), SIGN.climb(policy, policy[:, None])
    against = (step * true).sum(axis=-1) < 0.0
    foretold = (data.mean(axis=1) * policy).sum(axis=-1) < 0.0
    return {
        "pairs": pairs,
        "against": int(against.sum()),
        "as_foretold": int((against == foretold).sum()),
    }


def sweep(spread: float, seeds: int) -> dict[str, Any]:
    """Twin peaks by steepness, and with the one chosen by effective size."""
    data = data_of(TWIN, spread, seeds)
    found = [play(TWIN, data, steep, np.random.default_rng([2, seeds])) for steep in SWEEP]
    values = [float(one.value.mean()) for one in found]
    chosen = play(TWIN, data, FOCUS, np.random.default_rng([2, seeds]))
    value = float(chosen.value.mean())
    return {
        "sigma": spread,
        "values": dict(zip(map(str, SWEEP), values, strict=True)),
        "effective": {str(k): float(p.effective.mean()) for k, p in zip(SWEEP, found, strict=True)},
        "best": max(values),
        "chosen": value,
        "chosen_steepness": float(chosen.steepness.mean()),
        "below_best": max(values) - value,
    }


def limits(seeds: int) -> dict[str, float]:
    """The widest twin peaks with more steps for the steepest, and with the floor of training."""
    data = data_of(TWIN, SPREADS[-1], seeds)

    def mean(steep: float | Focus, epochs: int) -> float:
        return float(play(TWIN, data, steep, np.random.default_rng(2), epochs).value.mean())

    return {
        "sigma": SPREADS[-1],
        "best_of_patient": max(mean(steep, PATIENT) for steep in SWEEP[-3:]),
        "with_floor": mean(Focus(), EPOCHS),
    }
