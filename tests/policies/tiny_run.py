"""A run that nobody trained: small, and the same each time."""

from __future__ import annotations

from pathlib import Path

import torch

from swarmhold.policies.arms import make_actor
from swarmhold.policies.checkpoint import save, write_json
from swarmhold.policies.config import TrainConfig

CONFIG = TrainConfig(scenario="rendezvous", robots=2, min_robots=2, width=16, heads=2)


def make_run(folder: Path) -> Path:
    """Write it as training would; returns the folder."""
    torch.manual_seed(0)
    actor = make_actor(CONFIG)
    folder.mkdir()
    write_json(folder / "config.json", CONFIG.model_dump())
    save(folder, {"actor": actor}, torch.optim.Adam(actor.parameters()), {"iterations": 1})
    return folder
