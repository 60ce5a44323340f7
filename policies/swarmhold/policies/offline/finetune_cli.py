"""`swarmhold finetune`: a deployed policy goes on learning from recordings of its flights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.offline.finetune import Order, finetune
from swarmhold.policies.offline.safeguards import CAP, Verdict
from swarmhold.policies.offline.tune import Plan
from swarmhold.policies.offline.twin import ITERATIONS, read_ranges


@dataclass(frozen=True)
class FinetuneArgs:
    """Go on learning from a dataset of flights, within limits, and only if nothing gets worse."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder that the deployed bundle was exported from."""
    data: Path
    """Dataset, see `swarmhold dataset build`."""
    out: Path
    """New run folder."""
    twin: Path | None = None
    """Ranges that `swarmhold gap` found in the flights: learn in the simulator with such robots
    instead of from the recorded decisions, by which it is then only judged."""
    iterations: int = ITERATIONS
    """Of MAPPO, with --twin."""
    steps: int = 5000
    """Gradient steps, those of the critics alone among them; without --twin."""
    critic_first: int = 3000
    """Steps in which only the critics learn."""
    uniform: bool = False
    """Replay all sequences alike, instead of those near the policy more often (PJAP)."""
    cap: float = CAP
    """Departure from the deployed policy at which it stops, share of the action range."""
    episodes: int = 64
    """Paired episodes of each condition in the simulator."""
    seed: int = 0
    """Of all randomness."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Fine-tune; 1 and no run folder if a safeguard refuses what came out."""
    args = parse(FinetuneArgs, argv, "swarmhold finetune")
    _check(args)
    torch.set_num_threads(1)
    plan = Plan(
        args.steps, args.critic_first, prioritised=not args.uniform, cap=args.cap, seed=args.seed
    )
    found = None if args.twin is None else read_ranges(args.twin)
    order = Order(args.run, args.data, plan, found, args.iterations, args.episodes)
    done = finetune(order, note)
    if not done.refusals:
        done.write(args.out)
    if args.json:
        steps, log = done.tuned.steps, done.tuned.log
        print_json({**done.told, "steps": steps, "refusals": done.refusals, "log": log})
    else:
        _show(args.out, done.verdicts)
    return 1 if done.refusals else 0


def _check(args: FinetuneArgs) -> None:
    if not 0 <= args.critic_first < args.steps or args.episodes < 2 or not 0.0 < args.cap <= 1.0:
        raise ConfigError(
            f"--steps {args.steps}, --critic-first {args.critic_first}, "
            f"--episodes {args.episodes}, --cap {args.cap:g}: need more steps than the critics "
            "alone have, 2 episodes, and a cap above 0 and up to 1"
        )
    if args.iterations < 3:
        raise ConfigError(
            f"--iterations {args.iterations}: need 3, since only the critic learns in the first 2"
        )
    if args.out.exists():
        raise ConfigError(f"{args.out} exists already; choose a new folder for the run")


def _show(out: Path, verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        say(f"{verdict.name}: {verdict.refusal or 'passed'}")
    if all(verdict.passed for verdict in verdicts):
        say(f"{out}: fine-tuned; next: swarmhold export {out} --out BUNDLE --version N")
    else:
        say("nothing was written; the deployed policy stays")
