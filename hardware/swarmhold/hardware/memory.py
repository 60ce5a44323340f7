"""Memory of a recurrent policy: what the manifest says of it, and when it starts from zero.

The graph itself remembers nothing: the hidden state goes in and comes out again, so that whoever
runs the graph can take it away. What a robot did not live through must not steer it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from swarmhold.hardware.types import Bool, Float

RESET = (
    "zero at activation and after a reboot, after more than gap_s without a decision, "
    "during a hold or stop, and after an output that is not finite"
)


class MemoryRule(BaseModel):
    """`memory` of a manifest; a robot refuses a rule that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=1, le=4096)
    """Values of the hidden state, each in [-1, 1]."""
    gap_s: float = Field(gt=0)
    """Longest time between two decisions over which it is kept, s."""
    reset: str = RESET
    """The rule in words."""

    @field_validator("reset")
    @classmethod
    def _known(cls, reset: str) -> str:
        if reset != RESET:
            raise ValueError("unknown reset rule; install the swarmhold that sealed this bundle")
        return reset


class Memory:
    """Hidden state of one robot; stays empty for a policy without memory.

    A reboot makes a new one, so it needs no rule.
    """

    def __init__(self, rule: MemoryRule | None) -> None:
        """Args: rule of the manifest; None for a policy without memory."""
        self._gap_s = 0.0 if rule is None else rule.gap_s
        self._hidden: Float | None = None
        self._kept_at = -np.inf

    def recall(self, now: float) -> Float | None:
        """Hidden state for a decision at `now` (s, monotonic).

        Returns:
            (H), or None to start from zero.
        """
        if not 0.0 <= now - self._kept_at <= self._gap_s:
            self.forget()
        return self._hidden

    def keep(self, hidden: Float | None, now: float) -> None:
        """Remember what a decision at `now` has left; None starts from zero."""
        self._hidden, self._kept_at = hidden, now

    def forget(self) -> None:
        """Start from zero."""
        self._hidden = None


@runtime_checkable
class Remembers(Protocol):
    """A team policy with memory."""

    def reset(self, robots: Bool | None = None) -> None:
        """Start from zero: the robots (E, N) that are True, or all."""


def restart(policy: object, robots: Bool | None = None) -> None:
    """Let a team policy start from zero, if it remembers anything.

    Args:
        policy: acts for every robot of every team.
        robots: (E, N) those that start from zero; None: all, as at the start of an episode.
    """
    if isinstance(policy, Remembers):
        policy.reset(robots)
