"""Checkpoint to sealed bundle: graph, parity, calibration, card, manifest."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from swarmhold.export.card import model_card
from swarmhold.export.graph import to_onnx
from swarmhold.export.parity import TOLERANCE, Parity, compare, golden
from swarmhold.hardware.bundle import seal_bundle
from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.memory import MemoryRule, restart
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Observation
from swarmhold.policies.calibrate import calibrated
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate import TeamPolicy, torch_policy
from swarmhold.sim.env import SwarmEnv

TEAMS = 8  # that the health chain is calibrated on
GAP = 5  # decisions; training never misses one, so a memory with a hole is not to be trusted


def export_run(
    run: Path,
    out: Path,
    table: dict[str, Any] | None = None,
    pages: dict[str, bytes] | None = None,
    version: int = 1,
) -> tuple[str, Parity]:
    """Export a training run.

    Args:
        run: run folder of `train`.
        out: bundle folder.
        table: evaluation to print on the model card.
        pages: further files by name, sealed with the rest.
        version: of the policy; robots take no lower one than they had.

    Returns:
        The bundle's digest, and the parity figures.

    Raises:
        BundleError: graph and network differ by more than the tolerance; nothing is written.
    """
    config, actor, progress = load_run(run)
    spec = policy_spec(config.robot)
    with closing(_world(config, 2)) as env:
        recorded = record(env, torch_policy(actor))
    with closing(_world(config, TEAMS)) as env:
        settings = calibrated(env, lambda _: torch_policy(actor))
    model = to_onnx(actor, spec)
    parity = compare(actor, model, spec, recorded)
    if not parity.worst <= TOLERANCE:
        raise BundleError(
            f"{run}: graph and network differ by {parity.worst:.1e} with {parity.worst_size} "
            f"robots (limit {TOLERANCE:g}); nothing was sealed"
        )
    fields = {
        "name": f"{config.scenario}-{config.robot}",
        "scenario": config.scenario,
        "robot": config.robot,
        "team_sizes_trained": (config.min_robots, config.robots),
        "rate_hz": spec.rate_hz,
        "training": {
            "commit": commit(),
            "iterations": progress["iterations"],
            "config": config.model_dump(),
            **{key: progress[key] for key in ("finetuned",) if key in progress},
        },
        "health": settings.to_dict(),
        "version": version,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "memory": None,
    }
    if actor.memory:
        fields["memory"] = MemoryRule(size=actor.memory, gap_s=GAP / spec.rate_hz)
    files = {
        "model.onnx": model,
        "golden.npz": golden(model, recorded),
        "parity.json": (json.dumps(parity.as_dict(), indent=2) + "\n").encode(),
        "model_card.md": model_card(config, spec, parity, settings, table),
        **(pages or {}),
    }
    return seal_bundle(out, fields, files), parity


def _world(config: TrainConfig, teams: int) -> SwarmEnv:
    """The reference world, without faults."""
    robots = min(config.robots, 8)
    return SwarmEnv(config.scenario, config.robot, teams, robots, "pybullet", True, seed=1)


def record(env: SwarmEnv, policy: TeamPolicy, every: int = 5) -> Observation:
    """Observations of one episode per team, every few steps, stacked along a new first axis."""
    step = env.reset(episode=0)
    restart(policy)
    rows: list[Observation] = []
    count = 0
    while not step.done.all():
        if count % every == 0:
            rows.append(step.observation)
        count += 1
        step = env.step(policy(step.observation, step.teammate_health))
    return Observation(
        *(
            np.stack([getattr(row, name) for row in rows])
            for name in ("self_token", "team", "obstacles", "obstacle_mask")
        )
    )


def commit() -> str:
    """Commit of the code that exports, "unknown" outside a checkout."""
    try:
        out = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return out.stdout.strip()
