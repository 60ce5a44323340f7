"""The loop's figures for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarmhold.export.loop.field import (
    EPISODES,
    FLIGHTS,
    LATENCY_S,
    NOISE,
    PAIRS,
    ROBOTS,
    SECONDS,
    WHEELS,
)
from swarmhold.export.loop.poison import POISONED, SINCE_S
from swarmhold.export.loop.rehearse import GATED
from swarmhold.hardware.types import Float
from swarmhold.policies.learning.publish import made
from swarmhold.policies.offline.compare import paired
from swarmhold.policies.offline.finetune import AS_FOUND
from swarmhold.policies.randomise import FAULT_KINDS

FIELDS = ("world", "arm", "seed", "episode", "old", "new")
WORLDS = {"hidden": "robots that hide something", "model": "robots as their models"}
ARMS = ("twin", "PJAP")
TITLES = {"twin": "in the twin, as found", "PJAP": "from recorded decisions alone (PJAP)"}


def gains(found: dict[str, Any], world: str, arm: str) -> list[Float]:
    """Paired differences of the episodes, by seed."""
    turns = (turn[world] for turn in found["turns"])
    return [np.subtract(turn[arm], turn["old"]) for turn in turns]


def flown(found: dict[str, Any]) -> list[Float]:
    """The same of flights with sealed bundles, of seeds whose version 2 was sealed."""
    pairs = [turn["flights"] for turn in found["turns"] if turn["flights"]]
    return [np.subtract(pair["new"], pair["old"]) for pair in pairs]


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Means with intervals, for programs."""
    sealed = flown(found)
    deployed = {w: float(np.mean([t[w]["old"] for t in found["turns"]])) for w in WORLDS}
    return {
        "deployed": deployed,
        "gain": {w: {a: paired(gains(found, w, a)) for a in ARMS} for w in WORLDS},
        "flown": paired(sealed) if sealed else None,
        "sealed": len(sealed),
        "faults": {name: _fault(found, name) for name in _conditions()},
        "seconds": sum(turn["seconds"] for turn in found["turns"]) + found["poison"]["seconds"],
    }


def _conditions() -> list[str]:
    return [f"{AS_FOUND}, {kind}" for kind in ("nominal", *FAULT_KINDS)]


def _fault(found: dict[str, Any], name: str) -> dict[str, float]:
    """Over seeds: mean gain, the lowest lower bound of any, and the loss that is allowed."""
    gates = [turn["gates"][f"simulator, {name}"] for turn in found["turns"]]
    return {
        "gain": float(np.mean([gate["gain"] for gate in gates])),
        "low": min(gate["low"] for gate in gates),
        "room": min(gate["room"] for gate in gates),
        "touches": max(gate["touches"] for gate in gates),
        "refused": sum(bool(gate["refusal"]) for gate in gates),
    }


def rows_of(found: dict[str, Any]) -> list[list[object]]:
    """Every episode and flight behind the page."""
    rows: list[list[object]] = []
    for turn in found["turns"]:
        for world in WORLDS:
            for arm in ARMS:
                pairs = zip(turn[world]["old"], turn[world][arm], strict=True)
                rows += [[world, arm, turn["seed"], k, a, b] for k, (a, b) in enumerate(pairs)]
        if turn["flights"]:
            pairs = zip(turn["flights"]["old"], turn["flights"]["new"], strict=True)
            rows += [["flown", "twin", turn["seed"], k, a, b] for k, (a, b) in enumerate(pairs)]
    return rows


def page_of(found: dict[str, Any], told: dict[str, Any], made_by: str) -> str:
    """The page."""
    command = f"bench loop --seeds {found['seeds']} --out docs/results"
    more = f"; {told['seconds'] / 60:.0f} min of the last go on shared cores"
    lines = [
        "# The loop closed: deployed, recorded, fine-tuned, gated, sealed, flown again",
        "",
        f"{ROBOTS} e-pucks meet (`rendezvous`). Their policy, imitation of the scenario's "
        "heuristic among robots as their models, is sealed as version 1; the robots hide a latency "
        f"of {1000 * LATENCY_S:g} ms and wheels {WHEELS:g} times as fast. For every seed version 1 "
        f"flies {FLIGHTS} flights of {SECONDS:g} s with the controllers, ramps, safety filters and "
        f"bodies of live flights, on one clock, with noise of {NOISE:g} of the bound on its "
        "decisions; they become a dataset; `gap` finds the parameters in the first of them; "
        "the policy goes on learning in the simulator, among robots between their models and what "
        "was found (`finetune --twin`); all safeguards speak; version 2 is sealed and flies from "
        "the same places as version 1. The other arm learns from the recorded decisions alone, "
        "and is sealed nowhere.",
        "",
        f"Return, paired differences to version 1, {EPISODES} episodes for each of "
        f"{found['seeds']} seeds of recording, layouts and learning (version 1 is the same in "
        "all); 95 % bootstrap intervals over seeds and episodes.",
        "",
        "| | version 1 | " + " | ".join(TITLES[arm] for arm in ARMS) + " |",
        "|---|---|---|---|",
        *(_line(told, world) for world in WORLDS),
        "",
        *_flights(told, found),
        "",
        *(_turn(turn) for turn in found["turns"]),
        "",
        *_faults(told, found),
        "",
        *_poison(found),
        *made(made_by, command, more),
    ]
    return "\n".join(lines)


def _line(told: dict[str, Any], world: str) -> str:
    cells = " | ".join(_interval(told["gain"][world][arm]) for arm in ARMS)
    return f"| {WORLDS[world]} | {told['deployed'][world]:.2f} | {cells} |"


def _flights(told: dict[str, Any], found: dict[str, Any]) -> list[str]:
    if told["flown"] is None:
        return ["No version 2 was sealed: a safeguard refused in every seed."]
    return [
        f"Version 2 was sealed in {told['sealed']} of {found['seeds']} seeds. Flown, {PAIRS} "
        f"flights of each version from the same places, sealed bundles on robots that hide "
        f"something: {_interval(told['flown'])}."
    ]


def _turn(turn: dict[str, Any]) -> str:
    found = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in turn["found"].items())
    said = "; ".join(turn["refusals"]) or "no safeguard objects"
    alone = "; ".join(turn["PJAP"]["refusals"]) or "no safeguard objects, the simulator not asked"
    return (
        f"- seed {turn['seed']}: found {found}; chosen after {turn['iterations']} iterations, "
        f"departure {turn['departure']:.3f} of the action range; {said}. PJAP: departure "
        f"{turn['PJAP']['departure']:.3f} after {turn['PJAP']['steps']} steps; {alone}"
    )


def _faults(told: dict[str, Any], found: dict[str, Any]) -> list[str]:
    lines = [
        f"Fault matrix of the gate, robots as found, {GATED} paired episodes for each seed and "
        "kind, one robot broken, weights are the truth; in brackets what may be lost at most:",
        "",
        "| fault | mean gain over the seeds, lowest lower bound of a seed (95 %) | more contacts |",
        "|---|---|---|",
    ]
    for name, one in told["faults"].items():
        lines.append(f"| {name.removeprefix(AS_FOUND + ', ')} | {_cell(one)} | {one['touches']} |")
    return lines


def _cell(one: dict[str, float]) -> str:
    refused = f", refused in {one['refused']:.0f}" if one["refused"] else ""
    return f"{one['gain']:+.2f}, at least {one['low']:+.2f} ({-one['room']:.2f}){refused}"


def _poison(found: dict[str, Any]) -> list[str]:
    poison = found["poison"]
    lines = [
        "Poison among clean flights. `dataset build` says to one flight with",
        "",
        *(f"- {name}: {_word(one)}" for name, one in poison["refused"].items()),
        "",
        f"{POISONED} flights in which from {SINCE_S:g} s on a hand steers a robot, or a robot "
        f"tells teammates a place 1 m beside its own, beside {POISONED} clean ones of "
        f"{SECONDS:g} s. What is left out nobody learns from; robots that are marked count for no "
        "reward and in no priority. Version 2 hangs on the recordings by what `gap` finds, and by "
        "gates that may refuse: where the ranges are the same, it is the same.",
        "",
        "| in the flights | ticks kept | left out, as steered | marked, as lying | `gap` finds |",
        "|---|---|---|---|---|",
    ]
    for name, one in poison["mixed"].items():
        ranges = " and ".join(
            ", ".join(f"{key} {low:g} to {high:g}" for key, (low, high) in found.items())
            for found in one["found"]
        )
        lines.append(
            f"| {name} | {one['ticks']} | {one['teleop']} | {one['lying']} robot-ticks | {ranges} |"
        )
    return lines


def _word(one: dict[str, Any]) -> str:
    if one["refusal"]:
        return f"`{one['refusal']}`"
    return f"nothing, and marks {one['disobedient']} robot-ticks as not obeying"


def _interval(one: dict[str, float]) -> str:
    return f"{one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
