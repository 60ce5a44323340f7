"""Learned attackers on disk: a network as safetensors and what it is for as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.files import replace_file
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.checkpoint import write_json
from swarmhold.sim.env import SwarmEnv

WEIGHTS, CARD = "attacker.safetensors", "attacker.json"


def save_attacker(
    folder: Path, actor: HealthAttentionActor, env: SwarmEnv, facts: dict[str, Any]
) -> None:
    """Store an attacker.

    Args:
        folder: made if missing; an attacker in it is replaced.
        actor: its network.
        env: what it learned in.
        facts: plain values that a reader may want, such as level, steps and seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.contiguous() for key, value in actor.state_dict().items()}
    replace_file(folder / WEIGHTS, lambda part: save_file(tensors, part))
    card = {
        "scenario": env.scenario.name,
        "robot": env.robot,
        "robots": env.n_robots,
        "contract": env.spec.digest(),
        "width": actor.width,
        **facts,
    }
    write_json(folder / CARD, card)


def load_attacker(folder: Path, env: SwarmEnv) -> tuple[HealthAttentionActor, dict[str, Any]]:
    """An attacker for an environment, and what is known of it.

    Args:
        folder: written by `save_attacker`.
        env: where it is to act.

    Raises:
        ConfigError: there is none, it is damaged, or it was made for another robot class.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text())
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder} holds no attacker ({Path(error.filename or WEIGHTS).name} is missing); "
            "make one with --save-attacker"
        ) from error
    except Exception as error:  # safetensors raises its own error type for damaged files
        raise ConfigError(f"{folder}: attacker is damaged ({error}); make another") from error
    if card.get("contract") != env.spec.digest():
        raise ConfigError(f"{folder}: attacker of {card.get('robot')}, not of {env.robot}")
    actor = HealthAttentionActor(env.spec, int(card["width"]))
    try:
        actor.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigError(f"{folder}: {WEIGHTS} does not fit {CARD}; make another") from error
    return actor.eval(), card
