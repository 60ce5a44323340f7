"""Recorded decisions cut into sequences, each with the factors of its probability to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.policies.actor import Actor
from swarmhold.policies.offline.priority import (
    Focus,
    due,
    effective_size,
    mean_gap,
    priorities,
    steepness_for,
)
from swarmhold.policies.offline.view import ESTOP, HEALTHY, TELEOP, Transitions

BY_HAND = 0.3  # quality of a sequence in which somebody steers by hand
MOST_BALANCE = 20.0  # largest factor that evens out faults
FAULT_SHARE = 0.2  # of the draw that sequences with a faulty robot are to have


@dataclass(slots=True)
class SequenceStore:
    """K sequences of L decisions.

    Attributes:
        data: the recording.
        ticks: (K, L) rows of the recording.
        beside: (K) factors of a draw beside the priority: quality and balance of faults.
        distance: (K) to the policy when it was last looked at.
        priority: (K).
        steepness: of the priorities; 0: all alike.
        replayed: sequences drawn since the last refresh.
    """

    data: Transitions
    ticks: Int
    beside: Float
    distance: Float
    priority: Float
    steepness: float = 0.0
    replayed: list[Int] = field(default_factory=list)

    @classmethod
    def cut(cls, data: Transitions, length: int, fault_share: float = FAULT_SHARE) -> SequenceStore:
        """Cut a recording; what is left over at an episode's end is not used.

        Args:
            data: the recording.
            length: L.
            fault_share: that sequences with faults are to have of the draw.

        Raises:
            ConfigError: no sequence fits, or none has a robot that counts.
        """
        ticks = _cut(data, length)
        usable = data.counts[ticks].any(axis=(1, 2)) if len(ticks) else np.zeros(0, bool)
        if not usable.any():
            raise ConfigError(
                f"the data hold no {length} decisions in a row with a healthy robot under the "
                "policy's control; record longer flights, or take shorter sequences"
            )
        broken = (data.fault[ticks] != HEALTHY).any(axis=(1, 2))
        beside = quality(data.behaviour[ticks]) * usable * balance(broken, fault_share)
        count = len(ticks)
        return cls(data, ticks, beside, np.zeros(count), np.ones(count))

    @property
    def weight(self) -> Float:
        """(K) in proportion to the probability of a draw."""
        return self.priority * self.beside

    def draw(self, rng: np.random.Generator, count: int) -> Int:
        """Sequences, with replacement, in proportion to their weights."""
        sums = np.cumsum(self.weight)
        ids = np.searchsorted(sums, rng.random(count) * sums[-1], side="right")
        ids = np.minimum(ids, len(sums) - 1)
        self.replayed.append(ids)
        return ids

    def refresh(self, actor: Actor, rng: np.random.Generator, everything: bool = False) -> None:
        """Look at distances anew: of all sequences, or where there are many, of some."""
        drawn = np.concatenate(self.replayed) if self.replayed else np.zeros(0, int)
        count, length = self.ticks.shape
        ids = np.arange(count) if everything else due(count, length, np.unique(drawn), rng)
        self.distance[ids] = self.distances(actor, ids)
        self.replayed.clear()

    def distances(self, actor: Actor, ids: Int) -> Float:
        """(len(ids)) distance of sequences to what an actor would do."""
        rows, data = self.ticks[ids], self.data
        flat = rows.ravel()
        policy = data.actions_of(actor, flat).reshape(*rows.shape, *data.act_applied.shape[1:])
        return mean_gap(data.act_applied[rows], policy, data.counts[rows])

    def focus(self, focus: Focus, progress: float) -> None:
        """Set steepness and priorities so that the draw has the effective size wanted now."""
        target = focus.target(len(self.ticks), progress)
        self.steepness = float(steepness_for(self.distance, target, self.beside))
        self.priority = priorities(self.distance, self.steepness)

    @property
    def effective(self) -> float:
        """Effective number of sequences in a draw."""
        return float(effective_size(self.weight))


def quality(behaviour: Int) -> Float:
    """(K) of sequences (K, L, N): 0 after an emergency stop, `BY_HAND` where a hand steers."""
    stopped = (behaviour == ESTOP).any(axis=(1, 2))
    by_hand = (behaviour == TELEOP).any(axis=(1, 2))
    return np.where(stopped, 0.0, np.where(by_hand, BY_HAND, 1.0))


def balance(broken: Bool, share: float) -> Float:
    """(K) factors that give sequences with a faulty robot a share of the draw.

    Args:
        broken: (K) whether a robot is faulty.
        share: that they are to have at least, priorities aside; the factor has a limit, so that
            a handful of sequences is not repeated without end.
    """
    some = int(broken.sum())
    if some == 0 or some == len(broken) or share <= 0.0:
        return np.ones(len(broken))
    wanted = share / (1.0 - share) * (len(broken) - some) / some
    return np.where(broken, float(np.clip(wanted, 1.0, MOST_BALANCE)), 1.0)


def _cut(data: Transitions, length: int) -> Int:
    """(K, L) rows: consecutive decisions of one episode."""
    follows = data.follows
    ends = np.flatnonzero(~follows) + 1
    parts = np.split(np.arange(len(follows)), ends[:-1])
    runs = (part[: len(part) // length * length].reshape(-1, length) for part in parts)
    found = [run for run in runs if len(run)]
    return np.concatenate(found) if found else np.zeros((0, length), int)
