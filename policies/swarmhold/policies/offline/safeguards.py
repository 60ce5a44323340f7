"""What stands between a policy learned from recordings and a robot; small pure functions.

1. It starts from the deployed policy and is tied to it (`OfflineLearner`).
2. Data must cover the policy (`priority.Gate`).
3. It may not depart from the deployed one by more than a cap on flights it was not trained on.
4. Its critics must believe in returns that occur.
5. In the simulator it is no worse than the deployed one, without faults and under each of them.
6. It looks on beside the deployed one before it is promoted (`swarmhold.hardware.watched`).
7. It says where it comes from, and is never trained on what a shadow said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float

CAP = 0.15  # of the action range
BEYOND = 0.2  # of the range of returns, by which a value may lie outside
WORSE = 0.02  # of the return, that may be lost
LEVEL = 95.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a safeguard says.

    Attributes:
        name: of the safeguard.
        refusal: why not; empty if it has nothing against it.
        figures: that it judged by.
    """

    name: str
    refusal: str
    figures: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether it has nothing against it."""
        return not self.refusal


def deviation(new: Float, deployed: Float, counts: Bool, cap: float = CAP) -> Verdict:
    """3: how far the policy is from the deployed one on held-out flights.

    Args:
        new: (T, N, A) its actions, in shares of the bound.
        deployed: (T, N, A) those of the deployed one.
        counts: (T, N) decisions that count.
        cap: largest 95th percentile, as a share of the action range.
    """
    away = (np.abs(new - deployed).mean(axis=-1) / 2.0)[counts]
    if not len(away):
        return Verdict("deviation", "no decision was held out to judge by; hold out a flight", {})
    far = float(np.percentile(away, LEVEL))
    said = (
        f"it departs from the deployed policy by {far:.2f} of the action range (95th percentile), "
        f"more than {cap:g}; train shorter or with a stronger anchor"
    )
    figures = {"p95": far, "mean": float(away.mean()), "cap": cap}
    return Verdict("deviation", said if far > cap else "", figures)


def sane_values(values: Float, returns: Float, beyond: float = BEYOND) -> Verdict:
    """4: whether the mean value of the data lies where returns do.

    Args:
        values: (K) of recorded decisions.
        returns: (T) discounted, that were got.
        beyond: share of the range of returns by which it may lie outside.
    """
    low, high = float(np.min(returns)), float(np.max(returns))
    room, mean = beyond * (high - low), float(np.mean(values))
    said = (
        f"critics believe in a return of {mean:.3g}, where {low:.3g} to {high:.3g} occur; "
        "lower the rate, or raise the conservative term"
    )
    sane = np.isfinite(mean) and low - room <= mean <= high + room
    figures = {"mean": mean, "low": low, "high": high}
    return Verdict("critic", "" if sane else said, figures)


@dataclass(frozen=True, slots=True)
class Trial:
    """Paired episodes in the simulator of one condition.

    Attributes:
        condition: "nominal", or a kind of fault.
        new: (E) returns of the policy.
        deployed: (E) of the deployed one, on the same layouts and faults.
        new_touches: decisions x robots in contact.
        deployed_touches: likewise.
    """

    condition: str
    new: Float
    deployed: Float
    new_touches: int
    deployed_touches: int


def no_worse(
    trials: Sequence[Trial], rng: np.random.Generator, margin: float = WORSE
) -> list[Verdict]:
    """5: for each condition, whether the paired difference excludes a loss beyond the margin.

    Args:
        trials: conditions.
        rng: of the bootstrap.
        margin: share of the deployed policy's return that may be lost.
    """
    return [_no_worse(trial, rng, margin) for trial in trials]


def _no_worse(trial: Trial, rng: np.random.Generator, margin: float) -> Verdict:
    gain = trial.new - trial.deployed
    means = gain[rng.integers(0, len(gain), (2000, len(gain)))].mean(axis=1)
    low, high = (float(edge) for edge in np.percentile(means, [2.5, 97.5]))
    room = margin * abs(float(trial.deployed.mean()))
    more = trial.new_touches - trial.deployed_touches
    refusal = ""
    if low < -room:
        refusal = (
            f"{trial.condition}: the return may be {-low:.3g} lower (95 %), and {room:.3g} is "
            "allowed; it does not fly"
        )
    elif more > 0:
        refusal = f"{trial.condition}: {more} more contacts than the deployed policy"
    figures = {"gain": float(gain.mean()), "low": low, "high": high, "room": room, "touches": more}
    return Verdict(f"simulator, {trial.condition}", refusal, figures)


def provenance(
    dataset: str, parent: str, verdicts: Sequence[Verdict], shadows: int = 0
) -> dict[str, Any]:
    """7: what a fine-tuned policy says of itself.

    Args:
        dataset: digest of the dataset's manifest.
        parent: digest of the policy that it started from.
        verdicts: of all safeguards.
        shadows: decisions in the dataset that a shadow made; none may be.

    Raises:
        ConfigError: a shadow's output is in the data, or an origin is not named.
    """
    if shadows:
        raise ConfigError(f"{shadows} decisions of a shadow are in the data; build it without them")
    if not dataset or not parent:
        raise ConfigError("a fine-tuned policy names its dataset and its parent")
    gates = {v.name: {"passed": v.passed, **v.figures} for v in verdicts}
    return {"dataset": dataset, "parent": parent, "gates": gates}
