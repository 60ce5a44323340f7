"""Train a joint network on hidden goals: block diagonal, edge growth, weight growth, dense."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swarmhold.policies.bun.closure import closure_of
from swarmhold.policies.bun.cost import Cost, cost_of
from swarmhold.policies.bun.growth import EdgeGrowth, Growth, GrowthRule, NoGrowth, WeightGrowth
from swarmhold.policies.bun.hidden_goal import OBSERVED, HiddenGoal, hidden_goal
from swarmhold.policies.bun.network import JointNetwork, Shape
from swarmhold.policies.side_by_side import side_by_side

ARMS = ("block", "edge", "weight", "dense")
NOISES = (0.0, 0.2, 0.5)
RATE, LAST_RATE = 5e-3, 1e-4  # of Adam, at the beginning and the end
EPISODES = 64  # of one update
JUDGED = 1024  # episodes of an evaluation
STREAMS = {"weights": 1, "training": 2, "evaluation": 3}


@dataclass(frozen=True, slots=True)
class Study:
    """What is trained.

    Attributes:
        robots: N.
        updates: of every network.
        budget: edges that may be opened.
        dropout: share of the messages that are lost in training.
    """

    robots: int = 6
    updates: int = 1500
    budget: int = 6
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        arm: of `ARMS`.
        seed: of everything.
        start: mean distance from the goals before the first decision.
        distance: and after the last one, by noise.
        cost: of the network.
        opened: edges of its first layer.
        found: necessary ones among them.
        hears: mean number of robots that a robot has to hear.
        seconds: of training.
    """

    arm: str
    seed: int
    start: float
    distance: dict[float, float]
    cost: Cost
    opened: int
    found: int
    hears: float
    seconds: float


def run_arm(arm: str, seed: int, study: Study) -> tuple[Run, JointNetwork]:
    """Train and evaluate one network.

    Args:
        arm: of `ARMS`.
        seed: of task, weights, training and evaluation; the task is the same for all arms.
        study: what is trained.
    """
    torch.set_num_threads(1)
    task = hidden_goal(study.robots, seed)
    shape = Shape(study.robots, OBSERVED, OBSERVED)
    rng = stream(seed, "training")
    net = JointNetwork(shape, stream(seed, "weights"), dense=arm == "dense", wide=arm == "weight")

    def loss() -> Tensor:
        return task.distances(net, EPISODES, rng, dropout=study.dropout)[1:].mean()

    started = time.perf_counter()
    train(net, loss, _growth_of(arm, study, shape), study.updates)
    spent = time.perf_counter() - started
    judged = {noise: _judged(net, task, seed, noise) for noise in NOISES}
    edges = net.edges().numpy()
    run = Run(
        arm=arm,
        seed=seed,
        start=judged[0.0][0],
        distance={noise: last for noise, (_, last) in judged.items()},
        cost=cost_of(net),
        opened=int(edges.sum()),
        found=int((edges & task.edges).sum()),
        hears=float(np.mean([len(closure_of(net, i).sources(i)) for i in range(study.robots)])),
        seconds=spent,
    )
    return run, net


def study_of(seeds: int, study: Study, workers: int, say: Callable[[str], None]) -> list[Run]:
    """All trainings of a study.

    Args:
        seeds: of every arm.
        study: what is trained.
        workers: trainings side by side; figures do not depend on it.
        say: progress.
    """
    todo = [(arm, seed, study) for seed in range(seeds) for arm in ARMS]

    def done(number: int, run: Run) -> None:
        say(f"{number} of {len(todo)} trainings done: seed {run.seed}, {run.arm}")

    return side_by_side(_trained, todo, workers, done)


def _trained(arm: str, seed: int, study: Study) -> Run:
    return run_arm(arm, seed, study)[0]


def train(
    net: JointNetwork,
    loss: Callable[[], Tensor],
    growth: Growth,
    updates: int,
) -> None:
    """Descend a loss, growing on the way.

    Args:
        net: starts as it is.
        loss: of episodes drawn anew with each call, whose motion is differentiable.
        growth: what opens and closes.
        updates: gradient steps.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    decay = (LAST_RATE / RATE) ** (1.0 / max(updates, 1))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, decay)
    for update in range(updates):
        optimiser.zero_grad()
        loss().backward()
        growth.after(net, update)
        net.silence()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        net.enforce()
        schedule.step()


def _growth_of(arm: str, study: Study, shape: Shape) -> Growth:
    """Edges, or as many weights as those edges have."""
    if arm == "edge":
        return EdgeGrowth(GrowthRule(study.budget))
    if arm == "weight":
        block = shape.hidden[0] * (shape.heard + 1)
        return WeightGrowth(GrowthRule(study.budget * block, at_once=block))
    return NoGrowth()


@torch.no_grad()
def _judged(net: JointNetwork, task: HiddenGoal, seed: int, noise: float) -> tuple[float, float]:
    """Mean distance at the beginning and at the end, every message delivered."""
    found = task.distances(net, JUDGED, stream(seed, "evaluation"), noise)
    return float(found[0].mean()), float(found[-1].mean())


def stream(seed: int, name: str) -> torch.Generator:
    """Random numbers of one use, of those in `STREAMS`."""
    drawn = np.random.SeedSequence([seed, STREAMS[name]]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(drawn >> 1))
