"""One turn of the loop, from a deployed bundle to the next version, and what it is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from swarmhold.export.loop.field import (
    CONFIG,
    FLIGHTS,
    HIDDEN,
    NOISE,
    STAGE,
    Flights,
    Say,
    dataset,
    fly,
    play,
    returns,
)
from swarmhold.export.seal import export_run
from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.files import replace_file
from swarmhold.policies.actor import Actor
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.offline.finetune import Finetuned, Order, finetune, recordings
from swarmhold.policies.offline.tune import Plan, Tuned, tune
from swarmhold.policies.train import train
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.gap.analysis import analyse

PLAN = Plan(steps=1600, critic_first=1000)  # from the recorded decisions
ITERATIONS = 20  # in the twin
WORLDS = {"hidden": HIDDEN, "model": Disturbances()}
GATED = 32  # paired episodes of each condition of the gate


def deployed(work: Path, say: Say) -> tuple[Path, Bundle]:
    """Version 1: trained for robots as their models are, sealed; run folder and bundle."""
    run, sealed = work / "run-1", work / "version-1"
    if not sealed.exists():
        total = CONFIG.warm_start
        train(
            CONFIG, run, (run / "config.json").exists(),
            lambda done, *_: say(f"version 1: imitation {done} of {total}"),
        )  # fmt: skip
        export_run(run, sealed)
    return run, open_bundle(sealed)


def turn(work: Path, seed: int, say: Say) -> dict[str, Any]:
    """One turn, of one seed of recordings, layouts and learning.

    Args:
        work: folder of the loop; version 1 and this seed's own folder lie in it.
        seed: from 0.
        say: told of progress.
    """
    torch.set_num_threads(1)
    run, old = deployed(work, say)
    own, before = work / f"seed-{seed}", load_run(run)[1]
    own.mkdir(parents=True, exist_ok=True)
    data, plan = own / "dataset", Plan(PLAN.steps, PLAN.critic_first, seed=seed)
    found = stored(own / "recorded.json", lambda: _record(old, data, seed, say))["found"]

    def learn() -> dict[str, Any]:
        order = Order(run, data, plan, found, ITERATIONS, GATED)
        return _next(own, finetune(order, say), old, before, seed, say)

    def compare() -> dict[str, Any]:
        alone = from_decisions(data, before, plan)
        return {"PJAP": _told(alone), **_played(alone.actor, seed)}

    new, alone = stored(own / "twin.json", learn), stored(own / "PJAP.json", compare)
    worlds = {
        name: {"old": new["played"]["old"][name], "twin": new["played"]["twin"][name],
               "PJAP": alone[name]}
        for name in WORLDS
    }  # fmt: skip
    return {"seed": seed, "found": found, **new, "PJAP": alone["PJAP"], **worlds}


def _record(old: Bundle, data: Path, seed: int, say: Say) -> dict[str, Any]:
    """Flights, their dataset, and what they say of the robots."""
    flown = recorded(old, seed, say)
    dataset(flown.logs, old, data, say)
    found = analyse(flown.motions[0], old, False, lambda _: None).ranges
    say(f"seed {seed}: found {found}")
    return {"found": found}


def recorded(bundle: Bundle, seed: int, say: Say, count: int = FLIGHTS) -> Flights:
    """What version 1 flies on robots that hide something."""
    stage = replace(STAGE, noise=NOISE)
    return fly(bundle, count, 100 * (seed + 1), say, stage, f"seed-{seed}")


def from_decisions(data: Path, before: Actor, plan: Plan) -> Tuned:
    """The other arm: from the recorded decisions alone, nearest first (PJAP)."""
    train_split, held, _, _ = recordings(data, CONFIG)
    return tune(train_split, held, before, plan)


def _next(
    own: Path, done: Finetuned, old: Bundle, before: Actor, seed: int, say: Say
) -> dict[str, Any]:
    """What was learned; where no safeguard objects, sealed as version 2 and flown."""
    row = {
        "departure": done.tuned.verdicts[0].figures["p95"],
        "iterations": done.tuned.steps,
        "refusals": done.refusals,
        "gates": {v.name: {"refusal": v.refusal, **v.figures} for v in done.verdicts},
        "played": {"old": _played(before, seed), "twin": _played(done.tuned.actor, seed)},
        "flights": None,
    }
    return row if done.refusals else row | _again(own, done, old, seed, say)


def _again(own: Path, done: Finetuned, old: Bundle, seed: int, say: Say) -> dict[str, Any]:
    """Seal version 2 and fly both versions from the same places."""
    done.write(own / "run-2")
    export_run(own / "run-2", own / "version-2", version=old.manifest.version + 1)
    new = open_bundle(own / "version-2")
    first = 5000 + 100 * seed
    pairs = [
        returns(one, first, own / f"flown-{one.manifest.version}", say).tolist()
        for one in (old, new)
    ]
    told = new.manifest.training["finetuned"]
    return {
        "flights": {"old": pairs[0], "new": pairs[1]},
        "version": new.manifest.version,
        "digest": new.digest,
        "provenance": {name: told[name] for name in ("dataset", "parent", "twin")},
    }


def _played(actor: Actor, seed: int) -> dict[str, list[float]]:
    return {name: play(actor, world, seed).tolist() for name, world in WORLDS.items()}


def _told(tuned: Tuned) -> dict[str, Any]:
    return {
        "departure": tuned.verdicts[0].figures["p95"],
        "effective": tuned.coverage.effective,
        "steps": tuned.steps,
        "refusals": [verdict.refusal for verdict in tuned.verdicts if verdict.refusal],
    }


def stored(path: Path, make: Any) -> dict[str, Any]:
    """What a file holds; made and written first if there is none."""
    if not path.exists():
        text = json.dumps(make(), indent=1) + "\n"
        replace_file(path, lambda part: part.write_text(text, "utf-8"))
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
