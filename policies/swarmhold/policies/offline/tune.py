"""Fine-tune a deployed policy on recordings: refresh, focus, draw, step; and stop in time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.actor import Actor
from swarmhold.policies.offline.learner import OfflineLearner, Rates, returns_of
from swarmhold.policies.offline.priority import Coverage, Focus, Gate
from swarmhold.policies.offline.safeguards import CAP, Verdict, deviation, sane_values
from swarmhold.policies.offline.store import SequenceStore
from swarmhold.policies.offline.view import Transitions

DELAY = 2  # critic steps for each of the actor
LOOKED_AT = 2048  # decisions by which values are judged
Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fine-tune.

    Attributes:
        steps: gradient steps.
        critic_first: of them, in which only the critics learn.
        batch: sequences of a step.
        length: decisions of a sequence.
        refresh: steps between two looks at the distances.
        prioritised: whether near sequences are replayed more (PJAP), or all alike.
        focus: effective number of sequences.
        gate: of the coverage.
        cap: departure from the deployed policy at which it stops, share of the action range.
        rates: of a step.
        seed: of everything.
    """

    steps: int = 5000
    critic_first: int = 3000
    batch: int = 64
    length: int = 5
    refresh: int = 100
    prioritised: bool = True
    focus: Focus = field(default_factory=Focus)
    gate: Gate = field(default_factory=Gate)
    cap: float = CAP
    rates: Rates = field(default_factory=Rates)
    seed: int = 0


@dataclass(slots=True)
class Tuned:
    """What came out.

    Attributes:
        actor: fine-tuned.
        coverage: of the data at the start.
        verdicts: of deviation cap and critic.
        steps: that were made; fewer than planned where the cap stopped it.
        log: figures at every refresh.
    """

    actor: Actor
    coverage: Coverage
    verdicts: list[Verdict]
    steps: int
    log: list[dict[str, float]] = field(default_factory=list)


def covered(store: SequenceStore, actor: Actor, plan: Plan) -> Coverage:
    """How the data cover an actor, with priorities as they would be at the start."""
    store.refresh(actor, np.random.default_rng(plan.seed), everything=True)
    store.focus(plan.focus, 0.0)
    return plan.gate.judge(store.distance, store.weight)


def tune(
    data: Transitions, held: Transitions, deployed: Actor, plan: Plan, report: Report | None = None
) -> Tuned:
    """Fine-tune a policy.

    Args:
        data: flights to learn from.
        held: flights to judge by.
        deployed: the actor that flies; it is not changed.
        plan: how.
        report: told of every refresh: steps made, figures.

    Raises:
        ConfigError: the policy has a memory, or the data do not cover it.
    """
    if deployed.memory:
        raise ConfigError("offline learning is for policies without memory; train one without")
    rng = np.random.default_rng([plan.seed, 8])
    store = SequenceStore.cut(data, plan.length)
    coverage = covered(store, deployed, plan)
    coverage.demand()
    learner = OfflineLearner.make(data, deployed, plan.rates, plan.seed)
    before = held.actions_of(deployed)
    best, verdict = copy.deepcopy(learner.actor), deviation(before, before, held.counts, plan.cap)
    log: list[dict[str, float]] = []
    done = 0
    while done < plan.steps:
        figures = _round(store, learner, plan, done, rng)
        done = min(done + plan.refresh, plan.steps)
        now = deviation(held.actions_of(learner.actor), before, held.counts, plan.cap)
        log.append({"step": done, **figures, "deviation": now.figures.get("p95", float("nan"))})
        if report:
            report(done, log[-1])
        if not now.passed:
            break  # the last one within the cap is kept
        best, verdict = copy.deepcopy(learner.actor), now
    rows = rng.integers(0, len(data.alive), LOOKED_AT)
    critic = sane_values(learner.values(rows), returns_of(data, plan.rates.gamma))
    best.eval()
    return Tuned(best, coverage, [verdict, critic], done, log)


def _round(
    store: SequenceStore, learner: OfflineLearner, plan: Plan, done: int, rng: np.random.Generator
) -> dict[str, float]:
    """The steps between two refreshes; means of their figures."""
    if plan.prioritised:
        store.refresh(learner.target_actor, rng)
        store.focus(plan.focus, done / plan.steps)
    else:
        store.priority[:] = 1.0
    drawn, sums = [], dict[str, list[float]]()
    for step in range(done, min(done + plan.refresh, plan.steps)):
        ids = store.draw(rng, plan.batch)
        drawn.append(ids)
        for name, value in learner.step(
            store.ticks[ids].ravel(), step >= plan.critic_first
        ).items():
            sums.setdefault(name, []).append(value)
    if not plan.prioritised:
        store.replayed.clear()
    ids = np.unique(np.concatenate(drawn))[:LOOKED_AT]
    gap = store.distances(learner.actor, ids)
    return {
        **{name: float(np.mean(values)) for name, values in sums.items()},
        "gap": float(np.mean(gap[np.isfinite(gap)])),
        "steepness": store.steepness,
        "effective": store.effective,
    }
