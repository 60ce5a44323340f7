"""What of a flight must mislead nobody: refused, or marked for what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.types import Bool
from swarmhold.sim.dataset import moves, poison
from swarmhold.sim.dataset.flight import COUNTS, Flown
from swarmhold.sim.dataset.layout import Arrays, Behaviour, part_of
from swarmhold.sim.dataset.manifest import Manifest

CLAIM_M = 0.05  # between what a robot says and what it senses at the same time
LATE_S = 0.15  # age of a sighting and of the pose that it is compared with, at most
LEAST = 3  # false messages or sightings that it takes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a flight; (T, N) each.

    Attributes:
        lying: robots that are not where they say, or where they sense themselves to be.
        disobedient: robots that do not move as they are told.
    """

    lying: Bool
    disobedient: Bool


def judge(flight: Flown) -> Verdict:
    """Mark liars and those that do not obey as faulty, and commands of others as `TELEOP`.

    Args:
        flight: its `fault` and `behaviour` are changed in place.

    Raises:
        ConfigError: robots are confused in the recording.
    """
    arrays, log, t = flight.arrays, flight.log, flight.ticks.t
    pose, bound = moves.poses_at(log, t), np.asarray(log.spec.action_bound)
    follows = poison.follows(arrays["act_applied"], pose, t, bound, log.spec.drives)
    if swapped := follows.swapped():
        told = ", ".join(f"what robot {i} was told moved robot {j}" for i, j in swapped[:4])
        raise ConfigError(f"{log.folder}: labels are swapped ({told}); correct it or leave it out")
    seen_m = 2.0 * log.spec.radius_m + LATE_S * log.spec.action_bound[0]
    bars = (log.claims, CLAIM_M), (log.sights, seen_m)
    lying = np.zeros(arrays["alive"].shape, bool)
    for robot in range(flight.n):
        for said, bar in bars:
            lying[:, robot] |= poison.lying(t, said[robot], bar, LEAST)
    verdict = Verdict(lying & arrays["alive"], follows.idle(len(t)) & arrays["alive"])
    acts = arrays["alive"] & (arrays["behaviour"] == Behaviour.POLICY)
    others = poison.commanded_by_others(
        arrays["act_applied"], arrays["act_policy"], flight.limited, acts
    )
    arrays["behaviour"][others] = Behaviour.TELEOP
    bad = (verdict.lying | verdict.disobedient) & np.isin(arrays["fault"], COUNTS)
    arrays["fault"][bad] = HealthState.QUARANTINED
    return verdict


def confused(arrays: Arrays, manifest: Manifest) -> list[tuple[int, int]]:
    """Robots i and j of a dataset, where j moves as i is told: its labels are swapped.

    For data that somebody else has had in hands since they were built, and for those of others.

    Args:
        arrays: of whole episodes.
        manifest: of the dataset; empty where it does not say where robots are.
    """
    if "robots" not in manifest.state:
        return []
    place, heading = (
        part_of(arrays["state"], manifest.state, "robots", name) for name in ("position", "heading")
    )
    yaw = np.arctan2(heading[..., 1], heading[..., 0])[..., None]
    pose, t = np.concatenate([place, yaw], axis=-1), arrays["t_ns"] * 1e-9
    bound = np.asarray(manifest.action.bound)
    drives = manifest.action.names[1] == "yaw_rate"
    found = set[tuple[int, int]]()
    for number in np.unique(arrays["episode_id"]):
        rows = arrays["episode_id"] == number
        if rows.sum() > poison.WINDOW // 2:
            told = arrays["act_applied"][rows]
            found |= {*poison.follows(told, pose[rows], t[rows], bound, drives).swapped()}
    return sorted(found)


def left_out(flight: Flown, kind: Behaviour) -> Bool:
    """(T) ticks at which a robot that nobody holds for broken is moved by somebody else."""
    arrays = flight.arrays
    broken = (arrays["injected"] > 0) | ~np.isin(arrays["fault"], COUNTS)
    return np.asarray(((arrays["behaviour"] == kind) & ~broken).any(axis=1))
