"""Train one policy and look at it: every figure ends in a file, so that nothing is done twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.memory import restart
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Observation
from swarmhold.policies.calibrate import calibrated
from swarmhold.policies.checkpoint import load_run, stored_progress, write_json
from swarmhold.policies.evaluate import (
    Episodes,
    TeamPolicy,
    run_episodes,
    torch_policy,
)
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.plan import Cell, Column
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.redteam.ppo import TEAMS, Goal, Learned, learn
from swarmhold.policies.redteam.stored import load_attacker, save_attacker
from swarmhold.policies.train import train
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.faults import random_faults
from swarmhold.sim.scenarios.registry import scenario_of

SEED = 100  # of evaluation layouts; training never uses the same
ALARM_S = 2.0  # s, length of a false alarm
FIGURES = ("returns", "score", "success", "error_m")
Act = Callable[[], TeamPolicy]


def run_cell(cell: Cell, folder: Path, say: Callable[[str], None] = lambda _: None) -> str:
    """Train what is not trained, look where nobody has looked.

    A cell whose figures are all there needs no network any more: logs and figures are all that a
    table is made of, and all that is kept beside the published pages.

    Args:
        cell: training and looks.
        folder: results folder; runs in `runs`, figures in `figures`.
        say: progress.

    Returns:
        Name of the training.
    """
    torch.set_num_threads(1)
    run, figures = folder / "runs" / cell.run, folder / "figures" / cell.run
    total = cell.config.warm_start + cell.config.iterations
    paths = {look: figures / f"{cell.name(*look)}.json" for look in cell.looks}
    if (run / "time.json").exists() and all(path.exists() for path in paths.values()):
        return cell.run
    started = time.monotonic()
    if not _trained(run, total):
        say(f"{cell.run}: training")
        train(cell.config, run, (run / "config.json").exists(), lambda *_: None)
        spent = time.monotonic() - started
        write_json(run / "time.json", {"seconds": spent, "commit": commit()})
    _, actor, _ = load_run(run)

    def act() -> TeamPolicy:
        return torch_policy(actor)

    settings: HealthSettings | None = None
    for (weights, column), path in paths.items():
        if path.exists():
            continue
        say(f"{cell.run}: {column.label}, weights {weights}")
        settings = settings or settings_of(cell, act)
        found = look(cell, run, act, settings, weights, column)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {name: getattr(found, name).tolist() for name in FIGURES})
    return cell.run


def settings_of(cell: Cell, act: Act) -> HealthSettings:
    """Thresholds of the health chain, calibrated on fault-free episodes of this policy."""
    env = _env(cell, Column("nominal"))
    settings = calibrated(env, lambda _: act())
    env.close()
    return settings


def look(
    cell: Cell, run: Path, act: Act, settings: HealthSettings, weights: str, column: Column
) -> Episodes:
    """Play the episodes of one look.

    Args:
        cell: training and number of episodes.
        run: folder in which trained attackers are kept.
        act: makes the policy, for the robots and for who watches them.
        settings: thresholds of the health chain.
        weights: who tells them.
        column: what happens to the team.
    """
    env, policy = _env(cell, column), act()
    attack = _attack(cell, column, run, env, policy) if column.attack else None
    if column.alarms:
        policy = Alarmed(policy, column.alarms, round(ALARM_S / env.tick))
    plan, known = faults_of(cell, column), act()
    found = run_episodes(env, policy, weights, plan, settings, 0, attack=attack, known=known)
    env.close()
    return found


def _trained(run: Path, total: int) -> bool:
    if not (run / "checkpoint.safetensors").exists():
        return False
    return bool(stored_progress(run)["iterations"] >= total)


def _env(cell: Cell, column: Column) -> SwarmEnv:
    config = cell.config
    robots = config.robots * column.team
    return SwarmEnv(config.scenario, config.robot, cell.episodes, robots, seed=SEED)


def _attack(cell: Cell, column: Column, run: Path, env: SwarmEnv, policy: TeamPolicy) -> Attack:
    """A PPO attacker against this policy (red team, level 3); learned once."""
    count = _befallen(cell, column)
    folder = run / f"attacker-{count}-{column.attack}"
    if not folder.exists():
        config = cell.config
        gym = SwarmEnv(config.scenario, config.robot, TEAMS, env.n_robots, seed=SEED + 1)
        network, _ = learn(Goal(gym, policy, count, column.attack, SEED))
        save_attacker(folder, network, gym, {"attack": "ppo", "steps": column.attack})
        gym.close()
    network, _ = load_attacker(folder, env)
    return Learned("ppo", draw_attackers(SEED, env.n_envs, env.n_robots, count), network)


class Alarmed:
    """A policy whose robots each distrust a teammate wrongly for a share of the time."""

    def __init__(self, policy: TeamPolicy, share: float, stretch: int) -> None:
        """Args: policy, share of the time, and decisions that an alarm lasts."""
        self._policy, self._share, self._stretch, self._ticks = policy, share, stretch, 0

    def __call__(self, seen: Observation, weights: Float) -> Float:
        """See `TeamPolicy`."""
        rng = np.random.default_rng([SEED, 17, self._ticks // self._stretch])
        self._ticks += 1
        return self._policy(seen, np.where(rng.random(weights.shape) < self._share, 0.0, weights))

    def reset(self, robots: Bool | None = None) -> None:
        """See `swarmhold.hardware.memory.Remembers`."""
        restart(self._policy, robots)


def _befallen(cell: Cell, column: Column) -> int:
    return max(1, round(column.faulty * cell.config.robots * column.team))


def faults_of(cell: Cell, column: Column) -> list[list[FaultSpec]]:
    """The fault plan of a look; the same for every arm and seed."""
    if column.fault is None:
        return [[] for _ in range(cell.episodes)]
    robots = cell.config.robots * column.team
    if column.robot is not None:
        at = (column.at or 0.0) * _length(cell)
        return [[FaultSpec(column.fault, column.robot, at)] for _ in range(cell.episodes)]
    number = _befallen(cell, column)
    length = _length(cell)
    return random_faults(
        np.random.default_rng([SEED, 11]),
        [robots] * cell.episodes,
        [column.fault],
        count=(number, number),
        start_s=(0.1 * length, 0.4 * length),
        duration_s=(0.3 * length, 0.4 * length) if column.fault == "reboot" else None,
    )


def _length(cell: Cell) -> float:
    return scenario_of(cell.config.scenario).episode_s


def figures_of(cell: Cell, folder: Path, weights: str, column: Column) -> dict[str, Any]:
    """What was stored of a look: arrays (episodes) by name."""
    path = folder / "figures" / cell.run / f"{cell.name(weights, column)}.json"
    stored = json.loads(path.read_text())
    return {name: np.array(values) for name, values in stored.items()}
