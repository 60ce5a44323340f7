"""Runs a bundle's graph on observations."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.bundle import OUTPUTS, Bundle
from swarmhold.hardware.entity_budget import Entities, EntityBudget
from swarmhold.hardware.types import Float, Observation


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One inference.

    Attributes:
        action: (..., Da) physical units.
        attention: (..., M + 1); the last share is the null token's.
        inference_s: s spent in the runtime.
        finite: whether all outputs are finite; if not, the action is zero.
    """

    action: Float
    attention: Float
    inference_s: float
    finite: bool


class OnnxPolicy:
    """A policy that is ready to act."""

    def __init__(self, bundle: Bundle) -> None:
        """Wrap the session of an opened bundle."""
        self.bundle = bundle
        self._bound = np.asarray(bundle.spec.action_bound, np.float32)

    def act(self, observation: Observation, health: Float) -> PolicyStep:
        """Decide.

        Args:
            observation: (...) tokens.
            health: (..., M) attention weights.
        """
        lead = observation.self_token.shape[:-1]
        mates = max(health.shape[-1], 1)
        feeds = observation.graph_inputs(health)
        started = time.perf_counter()
        action, attention = self.bundle.session.run(OUTPUTS, feeds)
        spent = time.perf_counter() - started
        finite = bool(np.isfinite(action).all() and np.isfinite(attention).all())
        action = np.clip(action, -self._bound, self._bound) if finite else np.zeros_like(action)
        return PolicyStep(
            action.reshape(*lead, -1), attention.reshape(*lead, mates + 1), spent, finite
        )

    def entity_budget(self, mode: Entities) -> EntityBudget:
        """The guard for teams larger than any the policy was trained with."""
        return EntityBudget(self.bundle.manifest.team_sizes_trained[1] - 1, mode)

    def team_size_warning(self, robots: int) -> str | None:
        """A line if the team is larger or smaller than any the policy was trained with."""
        low, high = self.bundle.manifest.team_sizes_trained
        if low <= robots <= high:
            return None
        return f"{robots} robots: the policy was trained with teams of {low} to {high}"
