"""What one robot's action depends on: the backward closure of its outputs, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.policies.bun.network import JointNetwork


@dataclass(frozen=True, slots=True)
class Closure:
    """Needed parts of a joint network.

    Attributes:
        units: for every layer but the last (N, n_l) bool, hidden units that are needed.
        own: (N, Do) bool, of what robots know of themselves.
        links: (N, N) bool, blocks of the first layer of needed units.
        heard: (N, Dt) bool, components of what is heard, by sender.
    """

    units: tuple[np.ndarray, ...]
    own: np.ndarray
    links: np.ndarray
    heard: np.ndarray

    def sources(self, robot: int) -> list[int]:
        """Other robots that must be heard, in roster order."""
        needed = self.links.any(axis=0) | self.heard.any(axis=1) | self.own.any(axis=1)
        return [int(one) for one in np.flatnonzero(needed) if one != robot]


def closure_of(net: JointNetwork, robot: int) -> Closure:
    """Go back from a robot's outputs through open entries.

    Args:
        net: joint network.
        robot: whose action is wanted.
    """
    n = net.shape.robots
    need = np.zeros((n, net.shape.action), bool)
    need[robot] = True
    units: list[np.ndarray] = []
    for index in reversed(range(len(net.deep))):
        mask = net.deep_mask(index).numpy()
        need = mask[need].any(axis=0)  # (N, in)
        units.append(need)
    links = net.link_mask.numpy() & need[:, :, None, None]  # (N, n1, N, Dt + 1)
    return Closure(
        units=tuple(reversed(units)),
        own=np.broadcast_to(need.any(axis=1)[:, None], net.own.shape[::2]).copy(),
        links=links.any(axis=(1, 3)),
        heard=links[..., :-1].any(axis=(0, 1)),
    )
