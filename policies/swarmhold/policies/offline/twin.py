"""A deployed policy goes on learning in the simulator, with robots as `swarmhold gap` found them.

What a recording tells of the robots is a handful of numbers, and these carry further than the
recorded decisions do: the simulator can then be asked about decisions that nobody has made. It
draws robots between their models and what was found. Of the policies on the way, and of mixtures of
their weights with the deployed one's (arXiv 2109.01903), the one is chosen that gains most among
robots as found and loses little among those of the training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Float
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.offline.gate import played
from swarmhold.policies.offline.safeguards import CAP, Verdict, deviation
from swarmhold.policies.offline.view import Transitions
from swarmhold.policies.train import iterate, make_learner
from swarmhold.policies.workers import Rollouts, rollouts_of
from swarmhold.sim.disturb import RANGED, Disturbances
from swarmhold.sim.env import SwarmEnv

ITERATIONS = 24
SHARES = (0.4, 0.7, 1.0)  # of the way from the deployed policy
Report = Callable[[int, dict[str, float]], None]
Worlds = tuple[Disturbances, Disturbances]
MakeEnv = Callable[[Disturbances], SwarmEnv]


@dataclass(frozen=True, slots=True)
class TwinPlan:
    """How to go on learning.

    Attributes:
        iterations: of MAPPO, one episode of every team each; the critic is alone in the first 2.
        teams: side by side.
        rate: learning rate of the actor.
        std: exploration noise at the start, in shares of the bound.
        cap: departure from the deployed policy up to which it may be chosen, share of the range.
        every: iterations between two choices.
        judged: paired episodes by which a policy on the way is chosen, in each world.
        most_lost: share of the return among robots of the training that it may lose.
        seed: of everything.
    """

    iterations: int = ITERATIONS
    teams: int = 16
    rate: float = 1e-3
    std: float = 0.3
    cap: float = CAP
    every: int = 4
    judged: int = 48
    most_lost: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """What came out.

    Attributes:
        actor: the one that was chosen; the deployed one where none gains.
        verdict: of the deviation cap.
        iterations: after which it was.
        share: of the way from the deployed one.
    """

    actor: Actor
    verdict: Verdict
    iterations: int
    share: float


def read_ranges(path: Path) -> dict[str, Any]:
    """Fields of `Disturbances` as `swarmhold gap --ranges` found them.

    Raises:
        ConfigError: the file holds no ranges.
    """
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
        checked = Disturbances.model_validate(told["disturbances"])
    except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"{path} holds no ranges ({str(error).splitlines()[0]}); write them with: "
            "swarmhold gap FLIGHT --ranges FILE"
        ) from error
    return checked.model_dump(include=checked.model_fields_set)


def as_found(base: Disturbances, found: Mapping[str, Any]) -> Disturbances:
    """The world of a training with what was found in place of what was assumed."""
    return Disturbances.model_validate({**base.model_dump(), **found})


def from_model(found: Disturbances) -> Disturbances:
    """Ranges from the models to what was found."""
    plain, wide = Disturbances(), {}
    for name in RANGED:
        ends = *getattr(found, name), *getattr(plain, name)
        wide[name] = min(ends), max(ends)
    return Disturbances.model_validate({**found.model_dump(), **wide})


@dataclass(slots=True)
class _Jury:
    """Paired episodes of every policy on the way, against the deployed one.

    Attributes:
        worlds: as in training, and as found.
        theirs: returns of the deployed policy in each.
    """

    worlds: tuple[SwarmEnv, SwarmEnv]
    theirs: tuple[Float, Float]

    @classmethod
    def of(cls, make_env: MakeEnv, worlds: Worlds, deployed: Actor) -> _Jury:
        known, found = (make_env(world) for world in worlds)
        return cls((known, found), (played(known, deployed)[0], played(found, deployed)[0]))

    def gain(self, actor: Actor) -> tuple[float, float]:
        """Mean gain among robots as found, and as in training as a share of the return."""
        known, found = (
            played(env, actor)[0] - theirs
            for env, theirs in zip(self.worlds, self.theirs, strict=True)
        )
        size = abs(float(self.theirs[0].mean()))
        return float(found.mean()), float(known.mean()) / max(size, 1e-9)

    def close(self) -> None:
        """Free the worlds."""
        for env in self.worlds:
            env.close()


def learn_in_twin(
    config: TrainConfig,
    deployed: Actor,
    found: Disturbances,
    held: Transitions,
    robots: int,
    plan: TwinPlan,
    report: Report | None = None,
) -> Learned:
    """Go on learning.

    Args:
        config: of the run that the deployed policy comes from.
        deployed: the actor that flies; it is not changed.
        found: robots as they were found.
        held: flights to judge by.
        robots: of the team that is judged.
        plan: how.
        report: told of every iteration: its number, figures.

    Raises:
        ConfigError: the policy was not made by MAPPO's networks, or has a memory.
    """
    if config.algorithm != "mappo" or deployed.memory:
        raise ConfigError("--twin goes on with MAPPO, for policies of it without memory")
    own = config.model_copy(
        update={
            "disturbances": from_model(found), "warm_start": max(config.warm_start, 1),
            "teams": plan.teams, "iterations": plan.iterations, "seed": plan.seed,
            "actor_lr": plan.rate, "std_start": plan.std,
        }
    )  # fmt: skip

    def make_env(world: Disturbances) -> SwarmEnv:
        seed = 300 + plan.seed
        return SwarmEnv(own.scenario, own.robot, plan.judged, robots, seed=seed, disturbances=world)

    with ExitStack() as stack:
        worlds = config.disturbances, found
        jury = stack.enter_context(closing(_Jury.of(make_env, worlds, deployed)))
        rollouts = stack.enter_context(closing(rollouts_of(own, own.teams, 1)))
        return _learn(own, deployed, held, rollouts, jury, plan, report)


def _learn(
    own: TrainConfig,
    deployed: Actor,
    held: Transitions,
    rollouts: Rollouts,
    jury: _Jury,
    plan: TwinPlan,
    report: Report | None,
) -> Learned:
    learner = make_learner(own)
    learner.actor.load_state_dict(deployed.state_dict())
    before = held.actions_of(deployed)
    best = Learned(deployed, deviation(before, before, held.counts, plan.cap), 0, 0.0)
    most = 0.0
    for done in range(1, plan.iterations + 1):
        figures = iterate(own, learner, rollouts, rollouts, own.warm_start + done - 1)
        told = dict(figures)
        if done % plan.every == 0 or done == plan.iterations:
            for share in SHARES:
                actor = between(deployed, learner.actor, share)
                verdict = deviation(held.actions_of(actor), before, held.counts, plan.cap)
                gain, kept = jury.gain(actor)
                told |= {f"gain {share:g}": gain, f"kept {share:g}": kept}
                if verdict.passed and gain > most and kept > -plan.most_lost:
                    most, best = gain, Learned(actor, verdict, done, share)
            told["best"] = most
        if report:
            report(done, told)
    best.actor.eval()
    return best


def between(old: Actor, new: Actor, share: float) -> Actor:
    """An actor whose weights are a share of the way from one to another that came from it."""
    found, ends = copy.deepcopy(old), new.state_dict()
    mixed = {
        name: torch.lerp(value, ends[name], share) if value.is_floating_point() else value
        for name, value in old.state_dict().items()
    }
    found.load_state_dict(mixed)
    return found
