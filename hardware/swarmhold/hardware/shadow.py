"""Shadow mode: a second bundle is asked in flight what the first one is asked, and never obeyed.

How far it would have acted otherwise says, before it flies, what a promotion would change; whether
that is little enough, `watched` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import SpecMismatchError
from swarmhold.hardware.memory import Memory
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float, Observation

SHARE = 0.2  # of the loop's period, above which looking on would cost deadlines
BINS, LEVEL = 200, 0.95  # of the histogram of differences, and of its percentile
SMOOTH = 0.05  # weight of the last inference in the mean that is held against it


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy that flies was asked, and what it wants.

    Attributes:
        at: s, monotonic.
        seen: observation.
        weights: (M) of the teammates.
        action: (Da) physical units.
    """

    at: float
    seen: Observation
    weights: Float
    action: Float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far the shadow is from what flies, over all decisions so far.

    Attributes:
        decisions: that both made.
        mean: of the largest difference of a component of the set-point, in shares of its bound.
        most: largest of all.
        p95: 95th percentile of the mean difference of the components, share of the action range.
        inference_s: mean of the last ones.
        problem: why it looks on no more; "" while it does.
    """

    decisions: int = 0
    mean: float = 0.0
    most: float = 0.0
    p95: float = 0.0
    inference_s: float = 0.0
    problem: str = ""


def check_shadow(flown: Bundle, shadow: Bundle, place: Path | str) -> None:
    """Refuse a shadow that cannot be asked what the bundle that flies is asked.

    Raises:
        SpecMismatchError: it was made for another contract.
    """
    if flown.spec.digest() != shadow.spec.digest():
        raise SpecMismatchError(
            f"{place} is made for {shadow.spec.robot}, and {flown.spec.robot} flies; "
            "only a bundle of the same robot class can be its shadow"
        )


class Shadow:
    """Looks on for one robot; whatever goes wrong with it ends it, and nothing else."""

    def __init__(self, policy: OnnxPolicy) -> None:
        """Args: the policy, checked against that which flies."""
        self._policy = policy
        self._bound = np.asarray(policy.bundle.spec.action_bound)
        self._most_s = SHARE / policy.bundle.spec.loop_hz
        self._memory = Memory(policy.bundle.manifest.memory)
        self._looked_at = -math.inf
        self._apart = np.zeros(BINS, int)
        self.found = Disagreement()

    def look(self, decision: Decision | None, acts: bool) -> str:
        """Ask it what the policy was asked; call this after everything urgent is done.

        Args:
            decision: the last one; one that was looked at already is passed over.
            acts: whether the robot follows its policy, or holds.

        Returns:
            "", or once the reason why it is asked no more.
        """
        if self.found.problem or decision is None or decision.at == self._looked_at:
            return ""
        self._looked_at = decision.at
        if not acts:
            self._memory.forget()
            return ""
        try:
            step = self._policy.act(
                decision.seen, decision.weights, self._memory.recall(decision.at)
            )
        except Exception as error:  # whatever a strange graph raises, the robot flies on
            return self._end(f"it failed: {' '.join(str(error).split())[:120]}")
        self._memory.keep(step.hidden, decision.at)
        if not step.finite:
            return self._end("its output is not finite")
        self._count(decision.action, step.action, step.inference_s)
        if self.found.decisions > 1.0 / SMOOTH and self.found.inference_s > self._most_s:
            late = f"{1e3 * self.found.inference_s:.1f} ms for a decision"
            return self._end(f"it takes {late}, which would cost the robot deadlines")
        return ""

    def _count(self, flown: Float, wanted: Float, inference_s: float) -> None:
        away = np.abs(wanted - flown) / self._bound
        off = float(away.max())
        self._apart[min(int(BINS * away.mean() / 2.0), BINS - 1)] += 1
        before, n = self.found, self.found.decisions + 1
        share = max(SMOOTH, 1.0 / n)
        self.found = Disagreement(
            n,
            before.mean + (off - before.mean) / n,
            max(before.most, off),
            self._percentile(),
            before.inference_s + share * (inference_s - before.inference_s),
        )

    def _percentile(self) -> float:
        """Upper end of the bin that holds it, so that it errs on the side of doubt."""
        share = np.cumsum(self._apart) / self._apart.sum()
        return (int(np.searchsorted(share, LEVEL)) + 1) / BINS

    def _end(self, problem: str) -> str:
        self.found = replace(self.found, problem=problem)
        return problem
