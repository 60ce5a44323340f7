"""Training-time randomisation of health weights, so that a policy never trusts an oracle.

Per episode one kind of supervision is drawn: exact but late, blind, crying wolf, flapping,
all masked, or losing entities at random. Besides, teams differ in size, and may grow or shrink
during an episode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.types import Bool, Float, teammate_index
from swarmhold.policies.config import TrainConfig
from swarmhold.sim.faults import random_faults, scheduled_faults
from swarmhold.sim.noise import Keys, mix, uniform
from swarmhold.sim.scenarios.registry import scenario_of

FAULT_KINDS = ("crash", "freeze", "runaway", "slow", "spoof", "nan", "link_loss", "reboot")
EPISODE_KINDS = (
    *("nominal", "late", "missed", "false_alarm", "flapping", "masked", "dropout"),
    "told",  # exact and at once, as AACFT's observations tell it
)
SHARES = (0.35, 0.25, 0.10, 0.10, 0.05, 0.05, 0.10, 0.0)
CHANGE_S = (1.0, 12.0)  # s, when robots join or leave
_FAULTY = ("late", "missed", "flapping")


@dataclass(frozen=True, slots=True)
class EpisodeMix:
    """What a batch of training episodes looks like.

    Attributes:
        kinds: (E) index into `EPISODE_KINDS`.
        team_sizes: robots of each environment.
        faults: fault plan, one list per environment.
        presence: (E, N, 2) s at which robots join and leave; None: nobody does.
    """

    kinds: np.ndarray
    team_sizes: list[int]
    faults: list[list[FaultSpec]]
    presence: Float | None = None

    def part(self, teams: slice) -> EpisodeMix:
        """The same for some of the teams."""
        presence = None if self.presence is None else self.presence[teams]
        return EpisodeMix(self.kinds[teams], self.team_sizes[teams], self.faults[teams], presence)


def draw_mix(
    rng: np.random.Generator,
    n_envs: int,
    n_robots: int,
    min_robots: int,
    fault_share: float,
    join_leave: float = 0.0,
) -> EpisodeMix:
    """Draw episode kinds, team sizes, faults, and who joins or leaves.

    Args:
        rng: source of randomness.
        n_envs: E.
        n_robots: largest team.
        min_robots: smallest team.
        fault_share: in [0, 1], scales all kinds but the nominal one, and `join_leave` (a
            curriculum).
        join_leave: share of the episodes in which robots join or leave.
    """
    shares = np.array(SHARES)
    shares[1:] *= fault_share
    shares[0] = 1.0 - shares[1:].sum()
    kinds = rng.choice(len(SHARES), n_envs, p=shares)
    vary = rng.random(n_envs) < 0.5
    sizes = np.where(vary, rng.integers(min_robots, n_robots + 1, n_envs), n_robots)
    plan = random_faults(
        rng, sizes.tolist(), FAULT_KINDS, count=(1, max(1, n_robots // 4)), start_s=(0.0, 12.0)
    )
    faulty = np.isin(kinds, [EPISODE_KINDS.index(kind) for kind in _FAULTY])
    faults = [faults if on else [] for faults, on in zip(plan, faulty, strict=True)]
    presence = None
    if join_leave * fault_share > 0.0:
        presence = _draw_presence(rng, sizes, n_robots, min_robots, join_leave * fault_share)
    return EpisodeMix(kinds, sizes.tolist(), faults, presence)


def _draw_presence(
    rng: np.random.Generator, sizes: np.ndarray, n_robots: int, min_robots: int, share: float
) -> Float:
    """(E, N, 2) s: half of the changing teams grow to their size, half shrink from it.

    No team is ever smaller than the smallest, or where it is that already, than by one.
    """
    n_envs = len(sizes)
    changes, grows = rng.random(n_envs) < share, rng.random(n_envs) < 0.5
    movers = rng.integers(1, np.maximum(sizes - min_robots, 1) + 1)
    movers = np.where(changes, np.minimum(movers, sizes - 1), 0)
    lots = np.where(np.arange(n_robots) < sizes[:, None], rng.random((n_envs, n_robots)), 1.0)
    moves = lots.argsort(axis=1).argsort(axis=1) < movers[:, None]
    when = rng.uniform(*CHANGE_S, (n_envs, n_robots))
    join = np.where(moves & grows[:, None], when, -np.inf)
    leave = np.where(moves & ~grows[:, None], when, np.inf)
    return np.stack([join, leave], axis=-1)


def draw_episodes(
    config: TrainConfig, rng: np.random.Generator, progress: float, fault_share: float = 1.0
) -> EpisodeMix:
    """Episodes of one iteration.

    Args:
        config: of the run.
        rng: source of randomness.
        progress: share of the training done, in [0, 1].
        fault_share: see `draw_mix`.
    """
    if config.fault_schedule == "mix":
        team = (config.robots, config.min_robots)
        return draw_mix(rng, config.teams, *team, fault_share, config.join_leave)
    sizes = [config.robots] * config.teams
    length = scenario_of(config.scenario).episode_s
    faults = scheduled_faults(
        *(rng, config.fault_schedule, progress, sizes, config.fault_kinds),
        window_s=(0.25 * length, 0.75 * length),
        episode_s=length,
        count=(1, max(1, 2 * config.robots // 5)),
    )
    return EpisodeMix(np.full(config.teams, EPISODE_KINDS.index("told")), sizes, faults)


class WeightRandomiser:
    """Turns the oracle's weights into what a robot might be told, per (observer, teammate)."""

    def __init__(self, keys: Keys, kinds: np.ndarray, n_robots: int) -> None:
        """Draw delays, ramps, alarms and periods for one batch of episodes.

        Args:
            keys: (E) of all randomness in here.
            kinds: (E) index into `EPISODE_KINDS`.
            n_robots: N.
        """
        self._keys, self._draws = keys, 0
        each, team = (n_robots, max(n_robots - 1, 0)), (1, 1)
        self._is = {name: (kinds == i)[:, None, None] for i, name in enumerate(EPISODE_KINDS)}
        self._delay = self._draw(each, 0.0, 2.0)
        self._ramp = self._draw(each, 0.05, 0.5)
        self._alarm_at = self._draw(each, 0.0, 15.0)
        self._alarm_s = self._draw(each, 1.0, 5.0)
        self._alarmed = self._draw(each) < 0.3
        self._alarm_weight = self._draw(each) * (self._draw(each) < 0.5)
        self._period = self._draw(each, 0.5, 2.0)
        whole = self._draw(team) < 0.5
        self._mask_from = np.where(whole, -1.0, self._draw(team, 0.0, 12.0))
        self._mask_to = np.where(whole, 1e9, self._mask_from + self._draw(team, 2.0, 5.0))
        self._dropped = self._draw(team, 0.0, 0.6)
        self._fell_at = np.full((len(kinds), *each), np.inf)
        self._known = np.zeros((len(kinds), *each), bool)

    def _draw(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Float:
        self._draws += 1
        return uniform(mix(self._keys, self._draws), shape, low, high)

    def weights(self, oracle: Float, exists: Bool, now: float) -> Float:
        """Weights that robots are told at `now`.

        Args:
            oracle: (E, N, N - 1) true weights.
            exists: (E, N, N - 1) teammates that are there. Who has not been there yet has weight
                0; that somebody has left is noticed late, in every kind of episode.
            now: s since the start of the episode.
        """
        down = oracle < 0.5
        self._fell_at = np.where(down, np.minimum(self._fell_at, now), np.inf)
        since = now - self._fell_at - self._delay
        late = np.where(down, np.clip(1.0 - since / self._ramp, 0.0, 1.0), oracle)
        ones = np.ones_like(oracle)
        alarm = self._alarmed & (now >= self._alarm_at) & (now < self._alarm_at + self._alarm_s)
        flap = np.where((now / self._period) % 1.0 < 0.5, late, 1.0)
        masked = (now >= self._mask_from) & (now < self._mask_to)
        told = np.where(self._is["late"], late, ones)
        told = np.where(self._is["told"], oracle, told)
        told = np.where(self._is["false_alarm"] & alarm, self._alarm_weight, told)
        told = np.where(self._is["flapping"], flap, told)
        told = np.where(self._is["masked"] & masked, 0.0, told)
        lost = self._draw(oracle.shape[1:]) < self._dropped
        told = np.where(self._is["dropout"] & lost, 0.0, told)
        self._known |= exists
        told = np.where(self._known & ~exists, late, told)
        return np.where(self._known, told, 0.0)


def exists_for_others(present: Bool) -> Bool:
    """(E, N, N - 1) which teammates exist, from (E, N) presence."""
    n_robots = present.shape[1]
    found: Bool = present[:, teammate_index(n_robots)]
    return found


def received_weight(weights: Float) -> Float:
    """(E, N) mean weight that each robot gets from the others.

    Args:
        weights: (E, N, N - 1) weights that each robot gives its teammates.
    """
    n_robots = weights.shape[1]
    full = np.zeros((weights.shape[0], n_robots, n_robots))
    rows = np.arange(n_robots)[:, None]
    full[:, rows, teammate_index(n_robots)] = weights
    return full.sum(axis=1) / max(n_robots - 1, 1)
