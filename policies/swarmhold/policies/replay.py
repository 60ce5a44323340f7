"""Memory of whole-team transitions, and a queue for each robot and one for the critic.

AACFT (arXiv 2412.00534): all queues rank the same transitions, each by what matters to its
owner. A transition in which a robot is faulty is not in that robot's queue, and the transition
in which a fault sets in or ends is in none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from swarmhold.policies.config import TrainConfig
from swarmhold.policies.rollout import ACTOR_KEYS, CRITIC_KEYS, Batch

Ids = np.ndarray
FIRST = 100.0  # priority of the first transitions


class Queues:
    """Rank-based prioritised sampling (arXiv 1511.05952) for Q owners over one storage.

    Attributes:
        priority: (Q, ids), -inf where an id is not in the queue.
        mass: (Q, ids), in proportion to the probability of a draw; 0 where not in the queue.
    """

    def __init__(self, owners: int, size: int, alpha: float) -> None:
        """Args: Q, number of ids, and the exponent of the rank (0: all alike)."""
        self.alpha = alpha
        self.priority = np.full((owners, size), -np.inf, np.float32)
        self.mass = np.zeros((owners, size), np.float32)

    def enter(self, ids: Ids, member: np.ndarray) -> None:
        """Put new transitions first, and forget what had their ids.

        Args:
            ids: (K).
            member: (Q, K) whether the transition is in the queue.
        """
        self.mass[:, ids], self.priority[:, ids] = 0.0, -np.inf
        most = self.priority.max(axis=1, keepdims=True)
        first = np.where(np.isfinite(most), most, FIRST)
        self.priority[:, ids] = np.where(member, first, -np.inf)
        self.mass[:, ids] = member

    def draw(
        self, owner: int, rng: np.random.Generator, count: int, beta: float
    ) -> tuple[Ids, np.ndarray]:
        """Stratified draw.

        Args:
            owner: whose queue.
            rng: source of randomness.
            count: K.
            beta: exponent of the importance correction.

        Returns:
            Ids (K) and importance weights (K), the largest of them 1. Empty from an empty queue.
        """
        sums = np.cumsum(self.mass[owner], dtype=float)
        if sums[-1] <= 0.0:
            return np.zeros(0, int), np.zeros(0, np.float32)
        at = (np.arange(count) + rng.random(count)) / count * sums[-1]
        ids = np.minimum(np.searchsorted(sums, at, side="right"), len(sums) - 1)
        weight = (self.mass[owner, ids] / sums[-1]) ** -beta
        return ids, (weight / weight.max()).astype(np.float32)

    def judge(self, owner: int, ids: Ids, priority: np.ndarray) -> None:
        """New priorities (K); they count from the next `sort`."""
        self.priority[owner, ids] = priority

    def sort(self) -> None:
        """Rank by priority: the mass of rank k is k^-alpha."""
        if self.alpha == 0.0:
            return
        for priority, mass in zip(self.priority, self.mass, strict=True):
            ids = np.flatnonzero(np.isfinite(priority))
            order = ids[np.argsort(-priority[ids], kind="stable")]
            mass[order] = np.arange(1, len(order) + 1, dtype=np.float32) ** -self.alpha


class Replay:
    """A ring of episodes of E teams; the id of a transition is that of its first decision.

    Attributes:
        rows: arrays (ids, ...) by name: inputs of actor and critic, action, reward,
            healthy, and decisions since the first fault.
        queues: of the robots, and last of the critic.
        episodes: how many were ever added.
    """

    def __init__(self, memory: int, alpha: float, folder: Path | None = None) -> None:
        """Args: transitions to remember, exponent of the rank, folder for the arrays or None."""
        self._memory, self._alpha, self._folder = memory, alpha, folder
        self.rows: dict[str, np.ndarray] = {}
        self.queues = Queues(1, 1, alpha)
        self.episodes = 0
        self._steps = self._teams = self._slots = 0

    def add(self, batch: Batch, mask_faulty: bool) -> None:
        """Remember an episode of every team in place of the oldest.

        Args:
            batch: T decisions of E teams of N robots.
            mask_faulty: whether faulty robots' transitions stay out of their queues.
        """
        new = _rows(batch)
        steps, teams, robots = batch.valid.shape
        self._open(new, steps, teams, robots)
        slot = self.episodes % self._slots
        ids = slot * steps * teams + np.arange(steps * teams)
        for name, value in new.items():
            self.rows[name][ids] = value.reshape(len(ids), *value.shape[2:])
        whole = np.zeros((steps, teams), bool)
        whole[:-1] = (batch.valid[1:] == batch.valid[:-1]).all(axis=-1)
        acts = batch.valid if mask_faulty else batch.critic["present"][:steps] > 0.5
        member = np.concatenate([whole[..., None] & acts, whole[..., None]], axis=-1)
        self.queues.enter(ids, member.reshape(len(ids), -1).T)
        self.episodes += 1

    def _open(self, new: dict[str, np.ndarray], steps: int, teams: int, robots: int) -> None:
        """Room for the episodes, made when their shape is known; found again after a restart."""
        if self.rows:
            return
        self._steps, self._teams = steps, teams
        self._slots = max(2, self._memory // (steps * teams))
        size = self._slots * steps * teams
        for name, value in new.items():
            self.rows[name] = self._array(name, (size, *value.shape[2:]), value.dtype)
        if self.queues.mass.shape[1] != size:
            self.queues = Queues(robots + 1, size, self._alpha)

    def _array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if self._folder is None:
            return np.zeros(shape, dtype)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.npy"
        return np.lib.format.open_memmap(path, "r+" if path.exists() else "w+", dtype, shape)

    def next_of(self, ids: Ids) -> Ids:
        """Ids of the decisions that follow."""
        following: Ids = ids + self._teams
        return following


def make_replay(config: TrainConfig, run: Path | None) -> Replay:
    """The memory of a run; its arrays lie in the run's folder."""
    alpha = config.replay.alpha if config.replay.prioritised else 0.0
    return Replay(config.replay.memory, alpha, run / "replay" if run else None)


def _rows(batch: Batch) -> dict[str, np.ndarray]:
    """What is remembered of a batch, each (T, E, ...)."""
    steps = len(batch.reward)
    acts = batch.valid[..., None]
    return {
        **{key: batch.actor[key] for key in ACTOR_KEYS},
        **{key: batch.critic[key][:steps] for key in CRITIC_KEYS},
        "action": np.where(acts, np.clip(batch.action, -1.0, 1.0), 0.0).astype(np.float32),
        "reward": batch.reward.astype(np.float32),
        "healthy": batch.valid,
        "since": _since(batch),
    }


def _since(batch: Batch) -> np.ndarray:
    """(T, E) decisions since the first fault of the episode set in; -1 before."""
    steps = len(batch.valid)
    broken = ((batch.critic["present"][:steps] > 0.5) & ~batch.valid).any(axis=-1)
    onset = np.where(broken.any(axis=0), broken.argmax(axis=0), steps)
    return np.maximum(np.arange(steps)[:, None] - onset, -1).astype(np.int32)
