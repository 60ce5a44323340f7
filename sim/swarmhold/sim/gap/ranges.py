"""Ranges to train with, from what was found: in the words of `Disturbances`.

Pasted under `disturbances` of a training's configuration they let policies meet robots like those
that were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from swarmhold.hardware.report.motion import Motion
from swarmhold.sim.disturb import RANGED, Disturbances
from swarmhold.sim.gap.fit import Fit, Found, together
from swarmhold.sim.gap.twin import Parameter

WIDER = 0.25  # share of a range that is added on either side
LEAST_HALF = {"latency_s": 0.01, "wheel_scale": 0.03, "drag_scale": 0.1}
DIGITS = {"latency_s": 3, "wheel_scale": 2, "drag_scale": 2}
MEANS = {
    "latency_s": (Parameter.LATENCY,),
    "wheel_scale": (Parameter.LINEAR, Parameter.ANGULAR),
    "drag_scale": (Parameter.DRAG,),
}
RARE = 0.005  # share of lost messages below which a link counts as clean
LATE_S = 0.01  # s, below which it counts as prompt


def team_of(fits: Sequence[Fit]) -> dict[Parameter, Found]:
    """What robots have in common, by parameter; N of them may tell what none tells alone."""
    told = [one.found for one in fits if one.found]
    names = told[0] if told else ()
    return {name: together(name, [found[name] for found in told]) for name in names}


def suggested(fits: Sequence[Fit], motions: Sequence[Motion], decision_s: float) -> dict[str, Any]:
    """Values for fields of `Disturbances`, each of which training accepts, as YAML has them.

    Args:
        fits: of all robots.
        motions: the same.
        decision_s: s between two decisions; as long as messages always take in training.
    """
    ranges = {name: _range(name, parts, fits) for name, parts in MEANS.items()}
    told = {name: found for name, found in ranges.items() if found is not None}
    told |= _links(motions, decision_s)
    return Disturbances.model_validate(told).model_dump(mode="json", include=set(told))


def _range(name: str, parts: tuple[Parameter, ...], fits: Sequence[Fit]) -> list[float] | None:
    """Both ends, over the intervals of all robots that tell, or of the team if none does alone."""
    edges = [
        one.found[part].interval
        for one in fits
        for part in parts
        if part in one.found and one.found[part].known
    ]
    if not edges:
        team = team_of(fits)
        edges = [team[part].interval for part in parts if part in team and team[part].known]
    if not edges:
        return None
    low, high = min(end[0] for end in edges), max(end[1] for end in edges)
    more = max(WIDER * (high - low), LEAST_HALF[name] - (high - low) / 2.0)
    ends = np.clip([low - more, high + more], *RANGED[name])
    return [round(float(end), DIGITS[name]) for end in ends]


def losses_of(motion: Motion) -> dict[str, float | None]:
    """State messages of a robot that did not come in at the recorder, and how late the others did.

    `lost` is a share, `burst` the mean number of messages that were lost in a row, `late_s` the
    median time from stamp to receipt.
    """
    heard, lost = len(motion.said_t), float(motion.lost.sum())
    bursts = int((motion.lost > 0).sum())
    return {
        "lost": lost / (heard + lost) if heard else None,
        "burst": lost / bursts if bursts else None,
        "late_s": float(np.median(motion.said_late)) if heard else None,
    }


def _links(motions: Sequence[Motion], decision_s: float) -> dict[str, float]:
    """Losses as a channel that is bad for spells, as long as the bursts that were seen."""
    found = [losses_of(motion) for motion in motions]
    out: dict[str, float] = {}
    lost = [one["lost"] for one in found if one["lost"] is not None]
    worst = max(lost, default=0.0)
    if worst >= RARE:
        periods = [float(np.median(np.diff(m.said_t))) for m in motions if len(m.said_t) > 1]
        bursts = [one["burst"] for one in found if one["burst"]]
        bad = float(np.mean(bursts)) * float(np.median(periods))
        share = min(worst, 0.9)
        out |= {
            "link_drop": 1.0,
            "link_bad_s": round(bad, 3),
            "link_good_s": round(bad * (1.0 - share) / share, 2),
        }
    late = [one["late_s"] for one in found if one["late_s"] is not None]
    more = min(max(late, default=0.0) - decision_s, 2.0)
    if more >= LATE_S:
        out["link_delay_s"] = round(more, 3)
    return out
