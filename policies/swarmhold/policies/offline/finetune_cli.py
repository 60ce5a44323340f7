"""`swarmhold finetune`: a deployed policy goes on learning from recordings of its flights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.checkpoint import load_run, save, write_json
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.offline.gate import simulate
from swarmhold.policies.offline.safeguards import CAP, Verdict, provenance
from swarmhold.policies.offline.tune import Plan, Tuned, tune
from swarmhold.policies.offline.view import Transitions
from swarmhold.sim.env import SwarmEnv


@dataclass(frozen=True)
class FinetuneArgs:
    """Go on learning from a dataset of flights, within limits, and only if nothing gets worse."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder that the deployed bundle was exported from."""
    data: Path
    """Dataset, see `swarmhold dataset build`."""
    out: Path
    """New run folder."""
    steps: int = 5000
    """Gradient steps, those of the critics alone among them."""
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
    plan = Plan(
        args.steps, args.critic_first, prioritised=not args.uniform, cap=args.cap, seed=args.seed
    )
    if not 0 <= args.critic_first < args.steps or args.episodes < 2 or not 0.0 < args.cap <= 1.0:
        raise ConfigError(
            f"--steps {args.steps}, --critic-first {args.critic_first}, "
            f"--episodes {args.episodes}, --cap {args.cap:g}: need more steps than the critics "
            "alone have, 2 episodes, and a cap above 0 and up to 1"
        )
    if args.out.exists():
        raise ConfigError(f"{args.out} exists already; choose a new folder for the run")
    torch.set_num_threads(1)
    config, deployed, progress = load_run(args.run)
    data, held, digest, robots = _recordings(args.data, config)
    tuned = tune(data, held, deployed, plan, _tell)
    verdicts = [*tuned.verdicts, *_simulated(args, config, tuned, deployed, robots)]
    parent = hashlib.sha256((args.run / "checkpoint.safetensors").read_bytes()).hexdigest()
    told = provenance(digest, parent, verdicts)
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if not refused:
        _write(args.out, config, tuned, {**progress, "finetuned": told})
    if args.json:
        refusals = [verdict.refusal for verdict in refused]
        print_json({**told, "steps": tuned.steps, "refusals": refusals, "log": tuned.log})
    else:
        _show(args.out, verdicts)
    return 1 if refused else 0


def _recordings(folder: Path, config: TrainConfig) -> tuple[Transitions, Transitions, str, int]:
    """Flights to learn from and to judge by, the dataset's digest, and the team size.

    Raises:
        ConfigError: the folder is no dataset, or one of another task or robot.
    """
    from swarmhold.sim.dataset.reader import open_dataset

    found = open_dataset(folder)
    manifest = found.manifest
    ours, theirs = (config.scenario, config.robot), (manifest.scenario, manifest.robot)
    if ours != theirs:
        raise ConfigError(
            f"{folder} is of {' with '.join(theirs)}, the policy of {' with '.join(ours)}; "
            "fine-tune each on flights of its own"
        )
    train, held = (
        Transitions.of(found.arrays(split), manifest.observation) for split in ("train", "held-out")
    )
    return train, held, found.digest, manifest.robots


def _simulated(
    args: FinetuneArgs, config: TrainConfig, tuned: Tuned, deployed: Actor, robots: int
) -> list[Verdict]:
    def make_env() -> SwarmEnv:
        return SwarmEnv(
            config.scenario, config.robot, args.episodes, robots, seed=500 + args.seed,
            disturbances=config.disturbances,
        )  # fmt: skip

    return simulate(make_env, tuned.actor, deployed, args.seed, say=note)


def _write(out: Path, config: TrainConfig, tuned: Tuned, progress: dict[str, Any]) -> None:
    out.mkdir(parents=True)
    write_json(out / "config.json", config.model_dump())
    optimiser = torch.optim.Adam(tuned.actor.parameters())
    save(out, {"actor": tuned.actor}, optimiser, progress)


def _tell(done: int, figures: dict[str, float]) -> None:
    if done % 500 == 0:
        note(
            f"{done} steps: {figures['effective']:.0f} effective sequences at {figures['gap']:.3f}"
        )


def _show(out: Path, verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        say(f"{verdict.name}: {verdict.refusal or 'passed'}")
    if all(verdict.passed for verdict in verdicts):
        say(f"{out}: fine-tuned; next: swarmhold export {out} --out BUNDLE --version N")
    else:
        say("nothing was written; the deployed policy stays")
