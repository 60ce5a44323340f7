"""Run folders: tensors as safetensors, the rest as JSON; never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.files import replace_file
from swarmhold.policies.actor import Actor
from swarmhold.policies.arms import make_actor
from swarmhold.policies.config import TrainConfig

ARRAYS = "arrays."


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON, all of it or nothing."""
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    replace_file(path, lambda part: part.write_text(text))


def save(
    run: Path,
    modules: dict[str, torch.nn.Module],
    optimiser: torch.optim.Optimizer,
    progress: dict[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Store a checkpoint.

    Args:
        run: run folder.
        modules: by name.
        optimiser: its moments are stored too, so that a resumed run is the same run.
        progress: plain values.
        arrays: whatever else must fit the networks, by name; see `stored_arrays`.
    """
    tensors = {
        f"{name}.{key}": value.contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, moments in optimiser.state_dict()["state"].items():
        for key, value in moments.items():
            tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(value).contiguous()
    for name, array in (arrays or {}).items():
        tensors[f"{ARRAYS}{name}"] = torch.from_numpy(array).contiguous()
    # Tensors and progress in one file, so that no moment exists in which they differ.
    told = {"progress": json.dumps(progress)}
    replace_file(run / "checkpoint.safetensors", lambda part: save_file(tensors, part, told))


def restore(
    run: Path, modules: dict[str, torch.nn.Module], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Load a checkpoint into modules and optimiser; returns the plain values."""
    tensors = _tensors(run)
    for name, module in modules.items():
        prefix = f"{name}."
        module.load_state_dict(
            {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
        )
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    return stored_progress(run)


def stored_arrays(run: Path) -> dict[str, np.ndarray]:
    """The arrays that were given to `save`, by name."""
    found = _tensors(run).items()
    return {k.removeprefix(ARRAYS): v.numpy() for k, v in found if k.startswith(ARRAYS)}


def load_run(run: Path) -> tuple[TrainConfig, Actor, dict[str, Any]]:
    """Configuration, actor and progress of a run folder.

    Raises:
        ConfigError: the folder is no run, or its files are damaged.
    """
    if not (run / "config.json").is_file():
        raise ConfigError(f"{run} is no training run (no config.json); give a --run-dir of train")
    config = TrainConfig.model_validate_json((run / "config.json").read_text())
    actor = make_actor(config)
    tensors = _tensors(run)
    actor.load_state_dict(
        {k.removeprefix("actor."): v for k, v in tensors.items() if k.startswith("actor.")}
    )
    actor.eval()
    return config, actor, stored_progress(run)


def _tensors(run: Path) -> dict[str, torch.Tensor]:
    path = run / "checkpoint.safetensors"
    if not path.is_file():
        raise ConfigError(f"{run} holds no checkpoint yet; let train finish one iteration first")
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own error type for damaged files
        raise ConfigError(f"{path} is damaged ({error}); train again or restore a copy") from error


def stored_progress(run: Path) -> dict[str, Any]:
    """The plain values that were given to `save`."""
    with safe_open(run / "checkpoint.safetensors", "pt") as stored:
        progress: dict[str, Any] = json.loads(stored.metadata()["progress"])
    return progress
