"""Roll-outs here, in processes and on Ray: the same batch, and clear words when a worker dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.rollout import Batch, Blend, Gauss, Task, block_of
from swarmhold.policies.workers import Here, Processes, Rollouts, deal, rollouts_of
from swarmhold.sim.noise import mix

BLOCK = block_of(3)
TEAMS = 2 * BLOCK + 1
CONFIG = TrainConfig(scenario="brief", robots=3, teams=TEAMS, width=16, heads=2)
ACTOR = HealthAttentionActor(policy_spec("epuck"), 16, 2)


def task(episode: int) -> Task:
    drawn = draw_mix(np.random.default_rng(episode), TEAMS, 3, 2, 1.0, join_leave=0.5)
    explore = Gauss(0.3) if episode % 2 else Blend(0.5, 0.2)
    return Task(episode, mix(7, episode, np.arange(TEAMS)), drawn, explore, label=episode % 2 == 0)


def copies(batch: Batch) -> list[np.ndarray]:
    """All arrays of a batch, copied out of shared memory."""
    parts = {**batch.actor, **batch.critic}
    names = ("mean", "action", "label", "reward", "valid", "score", "error")
    return [a.copy() for a in (*parts.values(), *(getattr(batch, name) for name in names))]


def play(rollouts: Rollouts) -> list[np.ndarray]:
    try:
        return [part for k in range(2) for part in copies(rollouts.collect(ACTOR, task(k)))]
    finally:
        rollouts.close()
        rollouts.close()


@pytest.fixture(scope="module")
def here() -> list[np.ndarray]:
    return play(Here(CONFIG, TEAMS))


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_teams_are_dealt_in_whole_blocks() -> None:
    assert deal(TEAMS, 3, 1) == [slice(0, TEAMS)]
    assert deal(TEAMS, 3, 2) == [slice(0, BLOCK), slice(BLOCK, TEAMS)]
    assert len(deal(TEAMS, 3, 9)) == 3
    assert [block_of(robots) for robots in (1, 3, 4, 10, 50, 99)] == [64, 16, 16, 4, 1, 1]
    assert deal(1, 3, 4) == [slice(0, 1)]


@pytest.mark.parametrize("workers", [2, 3])
def test_processes_give_the_same_to_the_bit(here: list[np.ndarray], workers: int) -> None:
    rollouts = rollouts_of(CONFIG, TEAMS, workers)
    assert isinstance(rollouts, Processes)
    rollouts.collect(ACTOR, task(0))
    assert rollouts._memory is not None
    name = rollouts._memory.name
    assert Path("/dev/shm", name).exists()
    assert same(play(rollouts), here)
    assert not Path("/dev/shm", name).exists()


def test_ray_gives_the_same_to_the_bit(here: list[np.ndarray]) -> None:
    pytest.importorskip("ray")
    assert same(play(rollouts_of(CONFIG, TEAMS, 2, ray=True)), here)


def test_a_worker_that_dies_or_fails_gets_one_line(tmp_path: Path) -> None:
    rollouts = Processes(CONFIG, deal(TEAMS, 3, 2))
    rollouts.collect(ACTOR, task(0))
    os.kill(rollouts._workers[1].process.pid, signal.SIGKILL)
    with pytest.raises(ConfigError, match=r"died \(exit code -9\)"):
        rollouts.collect(ACTOR, task(0))
    rollouts.close()
    unknown = CONFIG.model_copy(update={"scenario": "chess"})
    lost = Processes(unknown, deal(TEAMS, 3, 2))
    with pytest.raises(ConfigError, match="unknown scenario 'chess'"):
        lost.collect(ACTOR, task(0))
    lost.close()
    with pytest.raises(ConfigError, match="at least one"):
        rollouts_of(CONFIG, TEAMS, 0)
