"""What the flown policy says to recorded observations: its raw output is not in a recording."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.memory import Memory
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float, Observation, teammate_index
from swarmhold.sim.dataset.layout import Slices, flat, observation_of
from swarmhold.sim.dataset.listen import Decision


def answers(
    policy: OnnxPolicy,
    decisions: list[Decision],
    robot: int,
    rows: Float,
    slices: Slices,
    entities: Entities,
) -> tuple[Float, Float]:
    """Actions (K, A) in shares of the bound, and the weights (K, N) that went into the graph.

    Args:
        policy: that flew.
        decisions: K of one robot, in the order of time.
        robot: its roster index.
        rows: (K, O) its observations.
        slices: their layout.
        entities: whom it attended to in a team larger than any of training.
    """
    n = slices["team"].shape[0] + 1
    weights = np.array([one.weights for one in decisions]).reshape(-1, n)
    weights[:, robot] = 1.0
    seen, others = observation_of(rows, slices), teammate_index(n)[robot]
    budget = policy.entity_budget(entities)
    for k, one in enumerate(decisions):
        alone = _row(seen, k)
        weights[k, others] = budget.limit(alone, weights[k, others], robot, one.number)
    bound = np.asarray(policy.bundle.spec.action_bound)
    if policy.bundle.manifest.memory is None:
        action = policy.act(seen, weights[:, others]).action
    else:
        action = _remembering(policy, decisions, seen, weights[:, others])
    return (action / bound).astype(np.float32), weights.astype(np.float32)


def _remembering(
    policy: OnnxPolicy, decisions: list[Decision], seen: Observation, weights: Float
) -> Float:
    """One decision after the other, with the hidden state as the controller keeps it."""
    memory, out = Memory(policy.bundle.manifest.memory), []
    for k, one in enumerate(decisions):
        step = policy.act(_row(seen, k), weights[k], memory.recall(one.t))
        memory.keep(step.hidden, one.t)
        if one.mode != Mode.ACTIVE:
            memory.forget()
        out.append(step.action)
    return np.array(out)


def _row(seen: Observation, k: int) -> Observation:
    return Observation(seen.self_token[k], seen.team[k], seen.obstacles[k], seen.obstacle_mask[k])


def rows_of(decisions: list[Decision], obstacles: int) -> Float:
    """(K, O) observations, padded to so many entries of the surroundings."""
    return np.array([flat(one.seen, obstacles) for one in decisions])
