"""What is in a dataset: returns, coverage, faults, who was in command, distance to a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Float, Int, teammate_index
from swarmhold.sim.dataset.judge import confused
from swarmhold.sim.dataset.layout import Arrays, Behaviour, observation_of, part_of
from swarmhold.sim.dataset.manifest import Manifest
from swarmhold.sim.dataset.reader import Dataset

PLACES, SHARES = 10, 3  # bins of each coordinate within the arena, and of each action component
BINS, WIDEST = 40, 2.0  # of distances, in shares of the bound: actions lie in [-1, 1]
FLEW = "what flew"  # what distances are taken to, where no other bundle is given
ROWS = 4096  # observations that go through a policy at once


@dataclass(frozen=True, slots=True)
class Card:
    """Figures of a dataset.

    Attributes:
        about: what it is.
        returns: of the episodes: mean, spread, extremes; and the reward of a tick.
        coverage: distinct pairs of state and action, on a grid.
        faults: share of the robot-ticks by state of health.
        injected: share of the robot-ticks by what was broken on purpose.
        behaviour: share of the robot-ticks by who was in command.
        ages: s, of the frames that decisions answer, of robots that act.
        distance: of what was applied to what the policy says, where it was in command.
        confused: robots i and j, where j moves as i is told.
        histogram: (BINS) of those distances, robot-ticks.
        reward: (T) of the ticks, in order.
        episode: (T).
    """

    about: dict[str, Any]
    returns: dict[str, float]
    coverage: dict[str, float]
    faults: dict[str, float]
    injected: dict[str, float]
    behaviour: dict[str, float]
    ages: dict[str, float]
    distance: dict[str, float]
    confused: list[tuple[int, int]]
    histogram: Int
    reward: Float
    episode: Int

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        names = (
            "about",
            "returns",
            "coverage",
            "faults",
            "injected",
            "behaviour",
            "ages",
            "confused",
        )
        counts = self.histogram.tolist()
        edges = np.linspace(0.0, WIDEST, BINS + 1).round(6).tolist()
        found = {name: getattr(self, name) for name in names}
        return {**found, "distance": {**self.distance, "edges": edges, "counts": counts}}


def describe(data: Dataset, bundle: Bundle | None = None) -> Card:
    """Figures of a dataset; reads and checks all of it.

    Args:
        data: the dataset.
        bundle: policy that distances are taken to; None: to what flew.

    Raises:
        ConfigError: a shard is damaged, or the bundle is for other robots, or has a memory.
    """
    arrays, manifest = data.arrays(), data.manifest
    said = arrays["act_policy"] if bundle is None else decided(arrays, manifest, bundle)
    acts = arrays["alive"] & (arrays["behaviour"] == Behaviour.POLICY) & (arrays["fault"] == 0)
    off = np.abs(arrays["act_applied"] - said).mean(axis=-1)[acts]
    states = {int(state): state.name.lower() for state in HealthState}
    who = {int(kind): kind.name.lower() for kind in Behaviour}
    broken = dict(enumerate(name or "nothing" for name in manifest.faults))
    return Card(
        about=_about(data, bundle),
        returns=_returns(arrays),
        coverage=_coverage(arrays, manifest),
        faults=_mix(arrays["fault"], states),
        injected=_mix(arrays["injected"], broken),
        behaviour=_mix(arrays["behaviour"], who),
        ages=_spread(arrays["tick_age"][arrays["alive"]]),
        distance=_spread(off),
        confused=confused(arrays, manifest),
        histogram=np.histogram(np.minimum(off, WIDEST), BINS, (0.0, WIDEST))[0],
        reward=arrays["reward"][:, 0],
        episode=arrays["episode_id"],
    )


def decided(arrays: Arrays, manifest: Manifest, bundle: Bundle) -> Float:
    """(T, N, A) what a bundle's policy says to the observations, in shares of the bound.

    Raises:
        ConfigError: the bundle is for other robots, or its policy remembers what it saw before.
    """
    if bundle.spec.digest() != manifest.spec_digest:
        raise ConfigError(
            f"the bundle is for {bundle.spec.robot}s of its contract, the dataset of "
            f"{manifest.robot}s of another; give one for the same robots"
        )
    if bundle.manifest.memory is not None:
        raise ConfigError("the bundle's policy has a memory; leave --bundle out, or give another")
    policy, bound = OnnxPolicy(bundle), np.asarray(bundle.spec.action_bound)
    n = manifest.robots
    rows, others = np.arange(n)[:, None], teammate_index(n)
    out = []
    for begin in range(0, len(arrays["obs"]), ROWS):
        some = slice(begin, begin + ROWS)
        seen = observation_of(arrays["obs"][some], manifest.observation)
        out.append(policy.act(seen, arrays["health"][some][:, rows, others]).action / bound)
    return np.concatenate(out)


def _about(data: Dataset, bundle: Bundle | None) -> dict[str, Any]:
    manifest = data.manifest
    return {
        "digest": data.digest,
        "robot": manifest.robot,
        "robots": manifest.robots,
        "scenario": manifest.scenario,
        "ticks": manifest.ticks,
        "flights": {
            split: sum(flight.split == split for flight in manifest.flights)
            for split in ("train", "held-out")
        },
        "bundles": list(manifest.bundles),
        "distance_to": FLEW if bundle is None else bundle.digest,
        **manifest.quality.model_dump(exclude={"ticks"}),
    }


def _returns(arrays: Arrays) -> dict[str, float]:
    reward, episode = arrays["reward"][:, 0].astype(float), arrays["episode_id"]
    _, which, ticks = np.unique(episode, return_inverse=True, return_counts=True)
    total = np.bincount(which, reward)
    return {
        "episodes": len(total),
        "mean": float(total.mean()),
        "std": float(total.std()),
        "min": float(total.min()),
        "max": float(total.max()),
        "ticks_mean": float(ticks.mean()),
        "reward_of_a_tick": float(reward.mean()),
    }


def _coverage(arrays: Arrays, manifest: Manifest) -> dict[str, float]:
    """Of the team as a whole, distinct pairs per tick; of single robots, share of all cells.

    Cells are squares of the area that robots were in, times thirds of each action component.
    Empty where nobody knows what of the state is where robots are.
    """
    if "robots" not in manifest.state:
        return {}
    place = part_of(arrays["state"], manifest.state, "robots", "position")[..., :2]
    low, high = place.min(axis=(0, 1)), place.max(axis=(0, 1))
    where = _binned((place - low) / np.maximum(high - low, 1e-9), PLACES)
    what = _binned((arrays["act_applied"] + 1.0) / 2.0, SHARES)
    cells = np.concatenate([where, what], axis=-1)
    acts = arrays["alive"]
    joint = np.where(acts[..., None], cells, 255).reshape(len(cells), -1)
    single = np.unique(cells[acts], axis=0)
    every = PLACES**2 * SHARES ** what.shape[-1]
    return {
        "joint_pairs_per_tick": len(np.unique(joint, axis=0)) / len(joint),
        "cells_of_a_robot": len(single) / every,
    }


def _binned(shares: Float, bins: int) -> Int:
    return np.clip((shares * bins).astype(np.uint8), 0, bins - 1)


def _mix(codes: Int, names: dict[int, str]) -> dict[str, float]:
    counts = np.bincount(codes.ravel(), minlength=len(names))
    return {names[k]: float(counts[k] / codes.size) for k in names if counts[k]}


def _spread(values: Float) -> dict[str, float]:
    if not len(values):
        return {}
    points = {"median": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: float(np.percentile(values, point)) for name, point in points.items()}
