"""Runs a bundle's graph on observations."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.bundle import HIDDEN, Bundle
from swarmhold.hardware.entity_budget import Entities, EntityBudget
from swarmhold.hardware.types import Bool, Float, Observation

MOST_PAIRS = 2**18  # of teammates and obstacles, over all robots, that go through the graph at once


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One inference.

    Attributes:
        action: (..., Da) physical units.
        attention: (..., M + 1); the last share is the null token's.
        inference_s: s spent in the runtime.
        finite: whether all outputs are finite; if not, the action is zero.
        hidden: (..., H) what to give to the next decision; None: start from zero, which is for
            policies without memory, and for outputs that are not finite.
    """

    action: Float
    attention: Float
    inference_s: float
    finite: bool
    hidden: Float | None = None


class OnnxPolicy:
    """A policy that is ready to act.

    Attributes:
        heeds: roster indices of those whose states it uses; None: everybody's.
    """

    heeds: tuple[int, ...] | None = None

    def __init__(self, bundle: Bundle) -> None:
        """Wrap the session of an opened bundle."""
        self.bundle = bundle
        self._bound = np.asarray(bundle.spec.action_bound, np.float32)
        rule = bundle.manifest.memory
        self._memory = 0 if rule is None else rule.size

    def act(
        self, observation: Observation, health: Float, hidden: Float | None = None
    ) -> PolicyStep:
        """Decide.

        Args:
            observation: (...) tokens.
            health: (..., M) attention weights.
            hidden: (..., H) from the decision before; None: start from zero.
        """
        lead = observation.self_token.shape[:-1]
        mates = max(health.shape[-1], 1)
        feeds = observation.graph_inputs(health)
        if self._memory:
            past = np.zeros((*lead, self._memory)) if hidden is None else hidden
            feeds[HIDDEN] = np.asarray(past, np.float32).reshape(-1, self._memory)
        started = time.perf_counter()
        action, attention, *after = self._run(feeds)
        spent = time.perf_counter() - started
        finite = all(bool(np.isfinite(output).all()) for output in (action, attention, *after))
        action = np.clip(action, -self._bound, self._bound) if finite else np.zeros_like(action)
        return PolicyStep(
            action.reshape(*lead, -1),
            attention.reshape(*lead, mates + 1),
            spent,
            finite,
            after[0].reshape(*lead, -1) if after and finite else None,
        )

    def heeded(self, robots: int) -> Bool:
        """(N) those whose states it uses, of so many."""
        return np.isin(np.arange(robots), range(robots) if self.heeds is None else self.heeds)

    def _run(self, feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Outputs of the graph; large batches in parts, which is faster and bounds the memory."""
        session, names = self.bundle.session, self.bundle.outputs
        pairs = feeds["team"].shape[1] * feeds["obstacles"].shape[1]
        rows, step = len(feeds["self"]), max(MOST_PAIRS // pairs, 1)
        if rows <= step:
            return list(session.run(names, feeds))
        parts = [
            session.run(names, {name: value[at : at + step] for name, value in feeds.items()})
            for at in range(0, rows, step)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def entity_budget(self, mode: Entities) -> EntityBudget:
        """The guard for teams larger than any the policy was trained with."""
        return EntityBudget(self.bundle.manifest.team_sizes_trained[1] - 1, mode)

    def team_size_warning(self, robots: int) -> str | None:
        """A line if the team is larger or smaller than any the policy was trained with."""
        low, high = self.bundle.manifest.team_sizes_trained
        if low <= robots <= high:
            return None
        return f"{robots} robots: the policy was trained with teams of {low} to {high}"


class OnnxTeam:
    """A bundle's policy for all robots of all teams at once; remembers from call to call."""

    def __init__(self, policy: OnnxPolicy) -> None:
        """Args: what decides."""
        self._policy = policy
        self._hidden: Float | None = None

    def __call__(self, seen: Observation, weights: Float) -> Float:
        """Set-points (..., Da) in physical units for weights (..., M)."""
        step = self._policy.act(seen, weights, self._hidden)
        self._hidden = step.hidden
        return step.action

    def reset(self, robots: Bool | None = None) -> None:
        """Start from zero.

        Args:
            robots: (...) those that do; None: all.
        """
        if robots is None:
            self._hidden = None
        elif self._hidden is not None:
            self._hidden = np.where(robots[..., None], 0.0, self._hidden)
