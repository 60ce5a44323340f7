"""What becomes of recordings that would mislead: who refuses them, or what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarmhold.export.loop.field import NOISE, STAGE, Say, dataset, fly
from swarmhold.export.loop.rehearse import deployed, recorded
from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.listen import Log
from swarmhold.sim.dataset.staged import Stage, opposed, swapped
from swarmhold.sim.gap.analysis import analyse

POISONED = 2  # flights of each kind
SINCE_S = 5.0  # from when on a hand steers, or a robot lies
MIXED = {
    "a hand steers robot 0": Stage(STAGE.hidden, NOISE, hand={0: SINCE_S}),
    "robot 1 lies": Stage(STAGE.hidden, NOISE, lies={1: SINCE_S}),
}


def poisoned(work: Path, say: Say) -> dict[str, Any]:
    """Every kind of poison, among clean flights of seed 0.

    Args:
        work: folder of the loop.
        say: told of progress.

    Returns:
        `refused`: what the builder says to wrong labels and opposite commands; `mixed`: what it
        leaves out and marks of flights that it takes, and what `gap` finds in each of them.
    """
    _, old = deployed(work, say)
    own = work / "poison"
    clean = recorded(old, 0, say, POISONED)
    bent = {
        "swapped labels": swapped(clean.logs[0], 0, 1),
        "opposite commands": opposed(clean.logs[0], 0),
    }
    refused = {
        name: _word([log, *clean.logs[1:]], old, own / name.replace(" ", "-"))
        for name, log in bent.items()
    }
    mixed = {}
    for number, (name, stage) in enumerate(MIXED.items()):
        more = fly(old, POISONED, 900 + 50 * number, say, stage, f"poison-{number}")
        mixed[name] = {
            **_word([*more.logs, *clean.logs], old, own / f"mixed-{number}"),
            "found": [analyse(one, old, False, lambda _: None).ranges for one in more.motions],
        }
    return {"refused": refused, "mixed": mixed}


def _word(logs: Sequence[Log], old: Bundle, out: Path) -> dict[str, Any]:
    """The builder's refusal, or what it leaves out and marks."""
    try:
        quality = dataset(logs, old, out, lambda _: None).quality
    except ConfigError as error:
        return {"refusal": str(error)}
    return {"refusal": "", **quality.model_dump()}
