"""What a joint network costs: multiplications, and who has to hear whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.policies.bun.network import JointNetwork


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-accumulates of one decision of the team.

    Attributes:
        robots: N.
        within: of what robots have to do with themselves; never closed.
        across: of open entries between robots.
        possible: of all entries between robots.
    """

    robots: int
    within: int
    across: int
    possible: int

    @property
    def density(self) -> float:
        """Share of the entries between robots that is open."""
        return self.across / self.possible

    @property
    def share(self) -> float:
        """Of the dense network: d + (1 - d) density, d the diagonal's share (about 1 / N)."""
        diagonal = self.within / (self.within + self.possible)
        return diagonal + (1.0 - diagonal) * self.density


def cost_of(net: JointNetwork) -> Cost:
    """Count open entries."""
    shape = net.shape
    n, within, across, possible = shape.robots, net.own.numel(), 0, 0
    apart = ~np.eye(n, dtype=bool)
    for index, (_, mask) in enumerate(net.sparse()):
        blocks = mask.sum(dim=(1, 3)).numpy()  # (receiver, sender)
        within += int(blocks[~apart].sum()) if index else 0
        across += int(blocks[apart].sum())
        possible += int(apart.sum()) * mask.shape[1] * mask.shape[3]
    return Cost(n, within, across, possible)
