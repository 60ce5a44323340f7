"""Runs one robot's slice of a joint policy, on what it hears of the robots in its manifest."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.runtime import OnnxPolicy, PolicyStep
from swarmhold.hardware.slices import SLICE_NAMES, widths_of
from swarmhold.hardware.types import Bool, Float, Observation

TRUSTED = 0.5  # health weight from which on a source is valid; a bit cannot be half


class SlicedPolicy(OnnxPolicy):
    """A robot's part of a joint policy; asked as any policy is."""

    def __init__(self, bundle: Bundle, robot: int) -> None:
        """Take a slice.

        Args:
            bundle: sliced.
            robot: roster index.
        """
        super().__init__(bundle)
        plan = bundle.manifest.slices
        assert plan is not None
        self._own, self._widths = list(plan.own), widths_of(plan, robot)
        self._session, self._mates = bundle.sessions[robot], len(plan.slices) - 1
        self._sources = plan.slices[robot].subscribe
        self._rows = [source.robot - (source.robot > robot) for source in self._sources]
        self._age = bundle.spec.team_size - 1  # the last value of a teammate's token
        self.heeds = plan.slices[robot].hears

    def act(
        self, observation: Observation, health: Float, hidden: Float | None = None
    ) -> PolicyStep:
        """Decide; the attention says in equal shares who was valid."""
        lead, own = observation.self_token.shape[:-1], observation.self_token[..., self._own]
        valid = self.valid(observation, health)
        parts = [
            np.where(valid[..., at, None], observation.team[..., row, list(source.indices)], 0.0)
            for at, (row, source) in enumerate(zip(self._rows, self._sources, strict=True))
        ]
        inputs = (own, np.concatenate(parts, axis=-1) if parts else np.zeros((*lead, 0)), valid)
        sizes = (self._widths.own, self._widths.remote, self._widths.sources)
        feeds = {
            name: _padded(value, size)
            for name, value, size in zip(SLICE_NAMES[0], inputs, sizes, strict=True)
        }
        started = time.perf_counter()
        (action,) = self._session.run(SLICE_NAMES[1], feeds)
        spent = time.perf_counter() - started
        finite = bool(np.isfinite(action).all())
        action = np.clip(action, -self._bound, self._bound) if finite else np.zeros_like(action)
        return PolicyStep(action.reshape(*lead, -1), self._shares(valid), spent, finite)

    def valid(self, observation: Observation, health: Float) -> Bool:
        """(..., S) sources that were heard lately, are trusted, and make sense.

        Args:
            observation: (...) tokens.
            health: (..., N - 1) weights.
        """
        out = np.zeros((*health.shape[:-1], len(self._sources)), bool)
        for at, (row, source) in enumerate(zip(self._rows, self._sources, strict=True)):
            token = observation.team[..., row, :]
            young = token[..., self._age] <= 1e-3 * source.max_age_ms
            sound = np.isfinite(token[..., list(source.indices)]).all(axis=-1)
            out[..., at] = young & sound & (health[..., row] >= TRUSTED)
        return out

    def _shares(self, valid: Bool) -> Float:
        """(..., N) equal ones of the valid sources; the null token's if there is none."""
        shares = np.zeros((*valid.shape[:-1], self._mates + 1))
        shares[..., self._rows] = valid
        shares[..., -1] = ~valid.any(axis=-1)
        out: Float = shares / shares.sum(axis=-1, keepdims=True)
        return out


def policy_of(opened: OnnxPolicy, robot: int, team_size: int) -> OnnxPolicy:
    """What a robot runs of a policy: all of it, or its slice.

    Args:
        opened: policy of a bundle.
        robot: roster index.
        team_size: N.

    Raises:
        BundleError: it is cut for a team of another size.
    """
    plan = opened.bundle.manifest.slices
    if plan is None:
        return opened
    if len(plan.slices) != team_size:
        raise BundleError(
            f"{opened.bundle.manifest.name} is cut for {len(plan.slices)} robots, not for "
            f"{team_size}; fly it with --robots {len(plan.slices)}, or cut it again"
        )
    return SlicedPolicy(opened.bundle, robot)


def _padded(value: Float | Bool, size: int) -> NDArray[np.float32]:
    """(B, size), leading dimensions as one; what has no width is one zero."""
    if value.shape[-1] == size:
        return np.ascontiguousarray(value, np.float32).reshape(-1, size)
    return np.zeros((int(np.prod(value.shape[:-1], dtype=int)), size), np.float32)
