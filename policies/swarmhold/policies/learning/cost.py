"""M3: what a gradient step costs with each regulariser, as a ratio to MADDPG, for several teams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from swarmhold.policies.arms import ARMS
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.learning.publish import made, publish
from swarmhold.policies.maddpg import Step
from swarmhold.policies.off_policy import iterate_off_policy, make_step
from swarmhold.policies.train import make_learner
from swarmhold.policies.workers import Here
from swarmhold.sim.bench.measure import Round, Say, interleave, ratio, repeat

TEAMS = (4, 8, 16)
SUBJECTS: dict[str, dict[str, Any]] = {
    "MADDPG": {},
    "MIR3": {"regulariser": "mir3", "mir_lambda": 0.01},
    "action deviation": {"regulariser": "deviation", "mir_lambda": 0.01},
    "M3DDPG": {"adversary_step": 1e-3},
}


def measure(rounds: int, seconds: float, say: Say) -> dict[str, dict[str, dict[str, float]]]:
    """Ratios of the cost of a gradient step (critic, actor, and q's share), by team size.

    Args:
        rounds: interleaved rounds.
        seconds: CPU-seconds of each subject in a round.
        say: progress.

    Returns:
        Team size, then subject: median, lowest and highest ratio of the cost to MADDPG's.
    """
    torch.set_num_threads(1)
    found = {}
    for robots in TEAMS:
        say(f"{robots} robots")
        subjects: dict[str, Round] = {}
        for name, options in SUBJECTS.items():
            subjects[name] = repeat(_one_step(robots, options), 1.0, seconds)
        rates = interleave(subjects, rounds, say)
        found[str(robots)] = {name: ratio(rates, "MADDPG", name) for name in SUBJECTS}
    return found


def _one_step(robots: int, options: dict[str, Any]) -> Any:
    """A gradient step of an arm on a memory of random play."""
    config = TrainConfig.model_validate(
        {
            **ARMS["maddpg"],
            **{"scenario": "rendezvous", "robots": robots, "min_robots": robots, "teams": 4},
            **{"warm_start": 0, "iterations": 3, "replay": {"steps": 60, "learn_from": 3}},
            **options,
        }
    )
    learner, here = make_learner(config), Here(config, config.teams)
    iterate_off_policy(config, learner, here, 0)
    here.close()
    step: Step = make_step(config, learner, 0.4, config.mir_lambda, np.random.default_rng(0))
    turns = 0

    def run() -> None:
        nonlocal turns
        if turns % config.replay.steps == 0:
            step.fit_club()
        turns += 1
        step.learn_critic(learner.optimiser)
        step.learn_actor(learner.optimiser)
        step.follow()

    return run


def write(found: dict[str, dict[str, dict[str, float]]], folder: Path, made_by: str) -> list[Path]:
    """Write page and CSV; returns their paths."""
    lines = [
        "# M3: what robust regularisation costs",
        "",
        "CPU time of one gradient step over that of MADDPG (two MLPs, batch 256), in interleaved "
        "rounds: median (lowest to highest). Claim: the regulariser adds one small fit, while "
        "max-min learning goes through the critic once more for every robot.",
        "",
        "| robots | " + " | ".join(SUBJECTS) + " |",
        "|---" * (len(SUBJECTS) + 1) + "|",
    ]
    rows: list[list[object]] = []
    for robots, ratios in found.items():
        cells = []
        for name, one in ratios.items():
            cells.append(f"{one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})")
            rows.append([robots, name, one["median"], one["low"], one["high"]])
        lines.append(f"| {robots} | " + " | ".join(cells) + " |")
    lines += made(made_by, "bench learning --table M3 --out results")
    head = ("robots", "arm", "median", "low", "high")
    return publish(folder, "M3", "\n".join(lines), head, rows, made_by)
