"""From a deployed run and a dataset of its flights to the next run, past all safeguards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.checkpoint import load_run, save, write_json
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.offline.gate import simulate
from swarmhold.policies.offline.safeguards import Verdict, provenance
from swarmhold.policies.offline.store import SequenceStore
from swarmhold.policies.offline.tune import Plan, Tuned, covered, tune
from swarmhold.policies.offline.twin import ITERATIONS, TwinPlan, as_found, learn_in_twin
from swarmhold.policies.offline.view import Transitions
from swarmhold.policies.randomise import FAULT_KINDS
from swarmhold.sim.disturb import RANGED, Disturbances
from swarmhold.sim.env import SwarmEnv

AS_FOUND = "as found"  # robots as `swarmhold gap` found them
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What to fine-tune, and how.

    Attributes:
        run: folder that the deployed bundle was exported from.
        data: dataset of its flights.
        plan: how to learn from decisions; of the twin its cap, length and seed count.
        found: ranges that `swarmhold gap` found: learn in the simulator with such robots; None:
            learn from the recorded decisions.
        iterations: of that.
        episodes: paired, of each condition in the simulator.
    """

    run: Path
    data: Path
    plan: Plan
    found: Mapping[str, Any] | None = None
    iterations: int = ITERATIONS
    episodes: int = 64


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came out.

    Attributes:
        config: of the run.
        tuned: the policy, and what was logged.
        verdicts: of all safeguards.
        told: what it says of itself, see `provenance`.
        progress: of the run that it started from.
    """

    config: TrainConfig
    tuned: Tuned
    verdicts: list[Verdict]
    told: dict[str, Any]
    progress: dict[str, Any]

    @property
    def refusals(self) -> list[str]:
        """Of the safeguards; none: it may be sealed."""
        return [verdict.refusal for verdict in self.verdicts if not verdict.passed]

    def write(self, out: Path) -> None:
        """A run folder as training leaves it, for `swarmhold export` and the next round."""
        out.mkdir(parents=True)
        write_json(out / "config.json", self.config.model_dump())
        actor = self.tuned.actor
        optimiser = torch.optim.Adam(actor.parameters())
        save(out, {"actor": actor}, optimiser, {**self.progress, "finetuned": self.told})


def finetune(order: Order, say: Say) -> Finetuned:
    """Fine-tune, and let every safeguard speak.

    Args:
        order: what, and how.
        say: told of progress.

    Raises:
        ConfigError: run or data cannot be used, or the data do not cover the policy.
    """
    config, deployed, progress = load_run(order.run)
    data, held, digest, robots = recordings(order.data, config)
    found = None if order.found is None else as_found(config.disturbances, order.found)
    if found is None:
        tuned = tune(data, held, deployed, order.plan, _teller(say))
    else:
        tuned = _in_twin(order, config, (data, held), deployed, found, robots, say)
    seed, modelled = order.plan.seed, config.disturbances

    def judged(world: Disturbances, name: str, kinds: Sequence[str]) -> list[Verdict]:
        def make_env() -> SwarmEnv:
            return SwarmEnv(
                config.scenario, config.robot, order.episodes, robots, seed=500 + seed,
                disturbances=world,
            )  # fmt: skip

        return simulate(make_env, tuned.actor, deployed, seed, kinds, say, name)

    world, name = (modelled, "") if found is None else (found, AS_FOUND)
    verdicts = [*tuned.verdicts, *judged(world, name, FAULT_KINDS)]
    told = provenance(digest, digest_of(order.run), verdicts)
    if found is not None:
        (other,) = judged(modelled, "", ())
        told["twin"] = found.model_dump(mode="json", include=set(RANGED))
        told["as modelled"] = {"would pass": other.passed, **other.figures}
    return Finetuned(config, tuned, verdicts, told, progress)


def _in_twin(
    order: Order,
    config: TrainConfig,
    flights: tuple[Transitions, Transitions],
    deployed: Actor,
    found: Disturbances,
    robots: int,
    say: Say,
) -> Tuned:
    """From the simulator, once the flights have been seen to be the policy's."""
    plan, (data, held) = order.plan, flights
    coverage = covered(SequenceStore.cut(data, plan.length), deployed, plan)
    coverage.demand()
    own = TwinPlan(order.iterations, cap=plan.cap, seed=plan.seed)
    log: list[dict[str, float]] = []

    def report(done: int, figures: dict[str, float]) -> None:
        log.append({"step": done, **figures})
        if "best" in figures:
            say(f"{done} iterations: gains {figures['best']:.2f} among robots as found")

    learned = learn_in_twin(config, deployed, found, held, robots, own, report)
    return Tuned(learned.actor, coverage, [learned.verdict], learned.iterations, log)


def recordings(folder: Path, config: TrainConfig) -> tuple[Transitions, Transitions, str, int]:
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


def digest_of(run: Path) -> str:
    """sha256 of a run's checkpoint."""
    return hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest()


def _teller(say: Say) -> Callable[[int, dict[str, float]], None]:
    def tell(done: int, figures: dict[str, float]) -> None:
        if done % 500 == 0:
            near = f"{figures['effective']:.0f} effective sequences at {figures['gap']:.3f}"
            say(f"{done} steps: {near}")

    return tell
