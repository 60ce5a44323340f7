"""A deployed policy goes on learning in the simulator, with robots as `swarmhold gap` found them.

What a recording tells of the robots is a handful of numbers, and these carry further than the
recorded decisions do: the simulator can then be asked about decisions that nobody has made. The
ranges reach from the models to what was found, so that a robot that is as its model is not lost.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.offline.safeguards import CAP, Verdict, deviation
from swarmhold.policies.offline.view import Transitions
from swarmhold.policies.train import iterate, make_learner
from swarmhold.policies.workers import rollouts_of
from swarmhold.sim.disturb import RANGED, Disturbances

ITERATIONS = 24
Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class TwinPlan:
    """How to go on learning.

    Attributes:
        iterations: of MAPPO, one episode of every team each; the critic is alone in the first 2.
        teams: side by side.
        rate: learning rate of the actor.
        std: exploration noise at the start, in shares of the bound.
        cap: departure from the deployed policy at which it stops, share of the action range.
        seed: of everything.
    """

    iterations: int = ITERATIONS
    teams: int = 16
    rate: float = 1e-3
    std: float = 0.3
    cap: float = CAP
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """What came out.

    Attributes:
        actor: the last one within the cap.
        verdict: of the deviation cap.
        iterations: that were made.
    """

    actor: Actor
    verdict: Verdict
    iterations: int


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
        low, high = getattr(found, name)
        own_low, own_high = getattr(plain, name)
        wide[name] = (min(low, own_low), max(high, own_high))
    return Disturbances.model_validate({**found.model_dump(), **wide})


def learn_in_twin(
    config: TrainConfig,
    deployed: Actor,
    found: Disturbances,
    held: Transitions,
    plan: TwinPlan,
    report: Report | None = None,
) -> Learned:
    """Go on learning.

    Args:
        config: of the run that the deployed policy comes from.
        deployed: the actor that flies; it is not changed.
        found: robots as they were found.
        held: flights to judge by.
        plan: how.
        report: told of every iteration: its number, figures.

    Raises:
        ConfigError: the policy was not made by MAPPO's networks, or has a memory.
    """
    if config.algorithm != "mappo" or deployed.memory:
        raise ConfigError("--twin goes on with MAPPO, for policies of it without memory")
    warm = max(config.warm_start, 1)
    own = config.model_copy(
        update={
            "disturbances": from_model(found), "warm_start": warm, "teams": plan.teams,
            "iterations": plan.iterations, "seed": plan.seed, "actor_lr": plan.rate,
            "std_start": plan.std,
        }
    )  # fmt: skip
    learner = make_learner(own)
    learner.actor.load_state_dict(deployed.state_dict())
    before = held.actions_of(deployed)
    best, verdict = copy.deepcopy(deployed), deviation(before, before, held.counts, plan.cap)
    done = 0
    with closing(rollouts_of(own, own.teams, 1)) as rollouts:
        while done < plan.iterations:
            figures = iterate(own, learner, rollouts, rollouts, warm + done)
            done += 1
            now = deviation(held.actions_of(learner.actor), before, held.counts, plan.cap)
            if report:
                report(done, {**figures, "deviation": now.figures.get("p95", float("nan"))})
            if not now.passed:
                break  # the last one within the cap is kept
            best, verdict = copy.deepcopy(learner.actor), now
    return Learned(best.eval(), verdict, done)
