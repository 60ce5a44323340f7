"""`swarmhold slices`: a team that hears only whom it must, from nothing to a bundle that flies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.export.slices import seal_slices
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.policies.bun.cost import cost_of
from swarmhold.policies.bun.meeting import OWN, ROBOT, meet

MOST_ROBOTS = 12
MAX_AGE_MS = 300.0  # six states in a row that did not come in
LEAST_UPDATES = 100  # before which no edge opens


@dataclass(frozen=True)
class SlicesArgs:
    """Learn `rendezvous` under an edge budget and seal one slice of the policy per robot."""

    out: Annotated[Path, tyro.conf.Positional]
    """Bundle folder."""
    robots: int = 6
    """Crazyflies of the team; the bundle is for exactly so many."""
    edges: int = 0
    """Flows of states that may be needed; 0: two per robot."""
    updates: int = 600
    """Gradient steps."""
    seed: int = 0
    """Of everything."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Train, cut, seal, open."""
    args = parse(SlicesArgs, argv, "swarmhold slices")
    if not 2 <= args.robots <= MOST_ROBOTS or args.edges < 0 or args.updates <= LEAST_UPDATES:
        raise ConfigError(
            f"--robots {args.robots}, --edges {args.edges}, --updates {args.updates}: give 2 to "
            f"{MOST_ROBOTS} robots, no negative budget, and more than {LEAST_UPDATES} updates"
        )
    budget = args.edges or 2 * args.robots
    note(f"{args.robots} robots, a budget of {budget} edges: {args.updates} updates")
    net, growth = meet(args.robots, budget, args.updates, args.seed, note)
    # Thresholds of the same bodies under another policy; how that one moves is not held against it.
    health = replace(open_bundle(f"rendezvous-{ROBOT}").health, normality=NormalityConfig())
    training = {
        "budget": budget,
        "updates": args.updates,
        "seed": args.seed,
        "growth": [list(event) for event in growth.story],
    }
    digest, plan = seal_slices(
        net, args.out, "rendezvous", ROBOT, OWN, MAX_AGE_MS, training, health
    )
    open_bundle(args.out)
    share, most = cost_of(net).share, args.robots * (args.robots - 1)
    deaf = [part.robot for part in plan.slices if not part.hears]
    if len(plan.groups) > 1 or len(deaf) > 1:
        note(
            f"warning: {', '.join(map(str, deaf)) or 'nobody'} hear nobody, in {len(plan.groups)} "
            "groups without a flow between them: these do not meet; try more --edges"
        )
    if args.json:
        found = {"bundle": str(args.out), "digest": digest, "edges": plan.edges}
        print_json({**found, "groups": len(plan.groups), "flop_share": share})
        return 0
    for part in plan.slices:
        heard = ", ".join(map(str, part.hears)) or "nobody"
        say(f"robot {part.robot} hears {heard}")
    say(f"{args.out}: {len(plan.edges)} of {most} flows, {share:.1%} of the dense network's FLOPs")
    return 0
