"""Proof that the saved file does what the trained policy does."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch

from swarmhold.hardware.bundle import HIDDEN, graph_names
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Observation
from swarmhold.policies.actor import Actor

TOLERANCE = 1e-5
TEAM_SIZES = range(2, 51)
CASES = 8  # observations per team size
STEPS = 20  # decisions in a row, where there is a memory
Feeds = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Parity:
    """Outcome of the comparison.

    Attributes:
        worst: largest difference over actions (as share of their bound), attention and memory.
        worst_size: team size at which it occurred.
        cases: number of compared inferences.
        steps: decisions in a row, over which network and graph each kept their own memory.
    """

    worst: float
    worst_size: int
    cases: int
    steps: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `parity.json`."""
        return {
            "tolerance": TOLERANCE,
            "worst": self.worst,
            "worst_team_size": self.worst_size,
            "cases": self.cases,
            "team_sizes": [TEAM_SIZES.start, TEAM_SIZES.stop - 1],
            **({"steps": self.steps} if self.steps > 1 else {}),
        }


def compare(
    actor: Actor,
    model: bytes,
    spec: PolicySpec,
    recorded: Observation,
    seed: int = 0,
) -> Parity:
    """Run both on recorded observations, for every team size.

    Health masks are random with zeros and fractions; masked teammates carry NaN and huge
    payloads, which must not matter. A policy with memory starts some sequences from hidden states
    that are not finite.

    Args:
        actor: trained policy.
        model: exported graph.
        spec: contract.
        recorded: observations of real episodes, leading dimensions (...).
        seed: of masks and payloads.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    memory = _memory_of(session)
    inputs, outputs = graph_names(memory > 0)
    bound = np.asarray(spec.action_bound)
    worst, worst_size, cases = 0.0, 0, 0
    for robots in TEAM_SIZES:
        rng = np.random.default_rng([seed, robots])
        ours = theirs = _hidden(memory, rng)
        for _ in range(STEPS if memory else 1):
            feeds = _feeds(recorded, robots - 1, rng)
            found = session.run(outputs, feeds | theirs)
            given = feeds | ours
            with torch.no_grad():
                wanted = [x.numpy() for x in actor(*(torch.from_numpy(given[k]) for k in inputs))]
            theirs, ours = ({HIDDEN: side[-1]} if memory else {} for side in (found, wanted))
            gap = _gap(found, wanted, bound)
            cases += CASES
            if gap > worst:
                worst, worst_size = gap, robots
    return Parity(worst, worst_size, cases, STEPS if memory else 1)


def _gap(found: list[np.ndarray], wanted: list[np.ndarray], bound: np.ndarray) -> float:
    """Largest difference between outputs, the first of which is the action."""
    gaps = [np.abs(one - two) for one, two in zip(found, wanted, strict=True)]
    gap = float(np.concatenate([(gaps[0] / bound).ravel(), *(x.ravel() for x in gaps[1:])]).max())
    return gap if np.isfinite(gap) else float("inf")  # a NaN on either side must not be small


def golden(model: bytes, recorded: Observation, seed: int = 1) -> bytes:
    """Golden vectors of a few team sizes, as the bytes of an npz file."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    memory = _memory_of(session)
    names = graph_names(memory > 0)[1]
    arrays: Feeds = {}
    for index, mates in enumerate((1, 4, 9, 19)):
        rng = np.random.default_rng([seed, mates])
        feeds = _feeds(recorded, mates, rng) | _hidden(memory, rng)
        outputs = session.run(names, feeds)
        for name, value in [*feeds.items(), *zip(names, outputs, strict=True)]:
            arrays[f"case{index}_{name}"] = value
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _feeds(recorded: Observation, mates: int, rng: np.random.Generator) -> Feeds:
    """Recorded tokens, resampled to a team size, with masks and poisoned payloads."""
    own = recorded.self_token.reshape(-1, recorded.self_token.shape[-1])
    team = recorded.team.reshape(-1, recorded.team.shape[-1])
    spots = recorded.obstacles.reshape(-1, *recorded.obstacles.shape[-2:])
    masks = recorded.obstacle_mask.reshape(-1, recorded.obstacle_mask.shape[-1])
    rows = rng.integers(0, len(own), CASES)
    health = rng.choice([0.0, 0.3, 1.0], (CASES, mates)) * rng.uniform(0.5, 1.0, (CASES, mates))
    health[0] = 0.0
    tokens = team[rng.integers(0, len(team), (CASES, mates))].copy()
    poison = (health == 0.0) & (rng.random(health.shape) < 0.5)
    tokens[poison] = rng.choice([np.nan, 1e30, np.inf], (int(poison.sum()), 1))
    picked = Observation(own[rows], tokens, spots[rows], masks[rows])
    return picked.graph_inputs(health)


def _memory_of(session: onnxruntime.InferenceSession) -> int:
    """Values of a graph's hidden state; 0 for one without memory."""
    return next((int(x.shape[-1]) for x in session.get_inputs() if x.name == HIDDEN), 0)


def _hidden(memory: int, rng: np.random.Generator) -> Feeds:
    """The input of hidden states, two of which are garbage; nothing without memory."""
    if not memory:
        return {}
    hidden = rng.uniform(-1.0, 1.0, (CASES, memory))
    hidden[0], hidden[1] = np.nan, rng.choice([np.inf, -np.inf, 1e30], memory)
    return {HIDDEN: hidden.astype(np.float32)}
