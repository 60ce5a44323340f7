"""Proof that the saved file does what the trained policy does."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch

from swarmhold.hardware.bundle import INPUTS, OUTPUTS
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Observation
from swarmhold.policies.actor import Actor

TOLERANCE = 1e-5
TEAM_SIZES = range(2, 51)
CASES = 8  # observations per team size
Feeds = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Parity:
    """Outcome of the comparison.

    Attributes:
        worst: largest difference over actions (as share of their bound) and attention.
        worst_size: team size at which it occurred.
        cases: number of compared inferences.
    """

    worst: float
    worst_size: int
    cases: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `parity.json`."""
        return {
            "tolerance": TOLERANCE,
            "worst": self.worst,
            "worst_team_size": self.worst_size,
            "cases": self.cases,
            "team_sizes": [TEAM_SIZES.start, TEAM_SIZES.stop - 1],
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
    payloads, which must not matter.

    Args:
        actor: trained policy.
        model: exported graph.
        spec: contract.
        recorded: observations of real episodes, leading dimensions (...).
        seed: of masks and payloads.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    bound = np.asarray(spec.action_bound)
    worst, worst_size, cases = 0.0, 0, 0
    for robots in TEAM_SIZES:
        feeds = _feeds(recorded, robots - 1, np.random.default_rng([seed, robots]))
        action, attention = session.run(OUTPUTS, feeds)
        with torch.no_grad():
            wanted = actor(*(torch.from_numpy(feeds[name]) for name in INPUTS))
        gaps = (
            np.abs(action - wanted[0].numpy()).max(axis=0) / bound,
            np.abs(attention - wanted[1].numpy()).ravel(),
        )
        gap = float(np.concatenate(gaps).max())
        if not np.isfinite(gap):  # a NaN on either side must not compare as small
            gap = float("inf")
        cases += len(action)
        if gap > worst:
            worst, worst_size = gap, robots
    return Parity(worst, worst_size, cases)


def golden(model: bytes, recorded: Observation, seed: int = 1) -> bytes:
    """Golden vectors of a few team sizes, as the bytes of an npz file."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    arrays: Feeds = {}
    for index, mates in enumerate((1, 4, 9, 19)):
        feeds = _feeds(recorded, mates, np.random.default_rng([seed, mates]))
        outputs = session.run(OUTPUTS, feeds)
        for name, value in [*feeds.items(), *zip(OUTPUTS, outputs, strict=True)]:
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
