"""What becomes of recordings that would mislead: who refuses them, or what harm they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.export.loop.field import HIDDEN, NOISE, STAGE, Flights, Say, dataset, fly, play
from swarmhold.export.loop.rehearse import PLAN, deployed, from_decisions, recorded
from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.checkpoint import load_run
from swarmhold.sim.dataset.listen import Log
from swarmhold.sim.dataset.staged import Stage, opposed, swapped
from swarmhold.sim.gap.analysis import analyse

POISONED = 4  # flights beside the clean ones
SINCE_S = 5.0  # from when on a hand steers, or a robot lies
MIXED = {
    "hand": Stage(STAGE.hidden, NOISE, hand={0: SINCE_S}),
    "liar": Stage(STAGE.hidden, NOISE, lies={1: SINCE_S}),
}


def poisoned(work: Path, first: dict[str, Any], say: Say) -> dict[str, Any]:
    """Every kind of poison in the recordings of seed 0.

    Args:
        work: folder of the loop.
        first: what came of the turn of seed 0, with clean recordings.
        say: told of progress.

    Returns:
        `refused`: what the builder says to wrong labels and opposite commands, "" for nothing;
        `mixed`: of flights that it takes, what it marks, and returns of a policy learned from
        them (PJAP), paired with the one learned from the clean flights and the deployed one;
        and what `gap` finds in them.
    """
    run, old = deployed(work, say)
    own, before = work / "poison", load_run(run)[1]
    clean = recorded(old, 0, say)
    bent = {
        "swapped labels": swapped(clean.logs[0], 0, 1),
        "opposite commands": opposed(clean.logs[0], 0),
    }
    refused = {}
    for name, log in bent.items():
        logs = [log, *clean.logs[1:]]
        refused[name] = _word(logs, old, own / name.replace(" ", "-"))
    mixed = dict[str, dict[str, Any]]()
    for number, (name, stage) in enumerate(MIXED.items()):
        more: Flights = fly(old, POISONED, 900 + 50 * number, say, stage, name)
        logs = [*clean.logs[:-POISONED], *more.logs]
        mixed[name] = _learned(logs, old, own / name, before, say)
        mixed[name]["found"] = analyse(more.motions[0], old, False, lambda _: None).ranges
    return {
        "refused": refused,
        "mixed": mixed,
        **{"deployed": first["hidden"]["old"], "clean": first["hidden"]["PJAP"]},
    }


def _word(logs: Sequence[Log], old: Bundle, out: Path) -> dict[str, Any]:
    """The builder's refusal, or what it marks."""
    try:
        quality = dataset(logs, old, out, lambda _: None).quality
    except ConfigError as error:
        return {"refusal": str(error)}
    return {"refusal": "", **quality.model_dump()}


def _learned(logs: Sequence[Log], old: Bundle, out: Path, before: Any, say: Say) -> dict[str, Any]:
    quality = dataset(logs, old, out, lambda _: None).quality
    try:
        tuned = from_decisions(out, before, replace(PLAN, seed=0))
    except ConfigError as error:
        return {"refusal": str(error), **quality.model_dump(), "returns": None}
    say(f"{out.name}: learned from {quality.ticks} ticks")
    refusals = "; ".join(verdict.refusal for verdict in tuned.verdicts if verdict.refusal)
    got = np.asarray(play(tuned.actor, HIDDEN, 0))
    return {"refusal": refusals, **quality.model_dump(), "returns": got.tolist()}
