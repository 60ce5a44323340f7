"""The team that the loop is closed on, and its flights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.hardware.report.motion import Motions
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate import run_episodes, torch_policy
from swarmhold.policies.imitate import ENVS
from swarmhold.sim.dataset.build import Options, assemble
from swarmhold.sim.dataset.listen import Log
from swarmhold.sim.dataset.manifest import Manifest
from swarmhold.sim.dataset.reader import open_dataset
from swarmhold.sim.dataset.staged import Stage, digest_of, staged
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv

ROBOTS = 3
LATENCY_S, WHEELS = 0.3, 1.4  # hidden
NOISE = 0.15  # of the recorded flights, in shares of the bound
FLIGHTS, SECONDS = 10, 20.0  # of each recording
PAIRS = 12  # flights of each version afterwards, the same places
EPISODES = 64  # paired, at batch speed
CONFIG = TrainConfig(
    scenario="rendezvous", robot="epuck", robots=ROBOTS, min_robots=ROBOTS, width=32, heads=2,
    regulariser="none", warm_start=10, iterations=0, teams=ENVS,
)  # fmt: skip
HIDDEN = Disturbances(latency_s=(LATENCY_S, LATENCY_S), wheel_scale=(WHEELS, WHEELS))
STAGE = Stage(parse_hidden([f"latency={LATENCY_S:g}", f"wheel_scale={WHEELS:g}"], ROBOTS))
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Flights:
    """Recorded, in the order flown.

    Attributes:
        logs: what a recorder heard.
        motions: the same as `swarmhold gap` reads it.
    """

    logs: list[Log]
    motions: list[Motions]


def fly(
    bundle: Bundle, count: int, first: int, say: Say, stage: Stage = STAGE, name: str = "flight"
) -> Flights:
    """Flights of a bundle.

    Args:
        bundle: that flies.
        count: of flights.
        first: seed of the first; the others follow.
        say: told of every sixth.
        stage: how.
        name: of the flights.
    """
    found = Flights([], [])
    for number in range(count):
        log, motions = staged(bundle, ROBOTS, first + number, stage, SECONDS, f"{name}-{number}")
        found.logs.append(log)
        found.motions.append(motions)
        if number % 6 == 5:
            say(f"{name}: {number + 1} of {count} flown")
    return found


def dataset(logs: Sequence[Log], bundle: Bundle, out: Path, say: Say) -> Manifest:
    """A dataset of flights of one bundle, by the builder that reads recordings of live ones."""

    def nobody(name: str) -> Bundle:
        raise ConfigError(f"{name} is not the bundle that flew")

    hashes = [{"heard": digest_of(log)} for log in logs]
    return assemble(logs, hashes, out, nobody, Options(bundles=(bundle,)), say)


def returns(bundle: Bundle, first: int, out: Path, say: Say) -> Float:
    """(`PAIRS`) returns of flights without noise, rewarded as recordings are."""
    flights = fly(bundle, PAIRS, first, say, replace(STAGE, noise=0.0), out.name)
    dataset(flights.logs, bundle, out, lambda _: None)
    data = open_dataset(out)
    shards = sorted(data.shards(), key=lambda arrays: int(arrays["episode_id"][0]))
    return np.array([float(arrays["reward"].mean(axis=1).sum()) for arrays in shards])


def play(actor: Actor, world: Disturbances, seed: int) -> Float:
    """(`EPISODES`) returns at batch speed, on layouts that no recording has."""
    config = CONFIG
    with closing(
        SwarmEnv(
            config.scenario, config.robot, EPISODES, ROBOTS, seed=7000 + seed, disturbances=world
        )
    ) as env:
        nobody: list[list] = [[] for _ in range(EPISODES)]
        return run_episodes(env, torch_policy(actor), "none", nobody, HealthSettings(), 0).returns
