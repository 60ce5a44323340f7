"""The arms of a comparison: a name, and the settings that make it what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.actor import Actor
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.baselines import AacftActor, FtAttentionActor, MlpActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.recurrent import RecurrentActor
from swarmhold.sim.env import SwarmEnv

Arm = Literal[
    "ours", "mlp", "maddpg", "ft", "acft", "aaft", "aacft", "m3ddpg", "ft-attn", "ours-maddpg"
]
_MADDPG = {
    **{"algorithm": "maddpg", "regulariser": "none", "actor": "mlp", "critic": "mlp"},
    "actor_lr": 1e-4,
}
_MASKED = {**_MADDPG, "mask_faulty": True}
# Its single head of attention learns to imitate at a third of the rate that suits the others.
_AACFT = {**_MASKED, "actor": "aacft", "imitation_lr": 1e-3}
ARMS: Mapping[Arm, Mapping[str, Any]] = {
    "ours": {},
    "mlp": {"actor": "mlp", "told": False, "regulariser": "none"},
    "maddpg": {**_MADDPG, "mask_faulty": False},
    "ft": _MASKED,
    "acft": {**_MASKED, "critic": "attention"},
    "aaft": _AACFT,
    "aacft": {**_AACFT, "critic": "attention"},
    "m3ddpg": {**_MADDPG, "mask_faulty": False, "adversary_step": 1e-3},
    "ft-attn": {**_MADDPG, "actor": "ft-attn", "told": False, "mask_faulty": True},
    "ours-maddpg": {**_MASKED, "actor": "health", "critic": "attention"},
}


def make_actor(config: TrainConfig) -> Actor:
    """The actor of a run, fresh."""
    spec = policy_spec(config.robot)
    if config.actor == "mlp":
        return MlpActor(spec, config.width, _places(config), config.told)
    if config.actor == "aacft":
        return AacftActor(spec, config.width, config.told)
    if config.actor == "ft-attn":
        return FtAttentionActor(spec, config.width, config.heads)
    if config.recurrent:
        return RecurrentActor(spec, config.recurrent, config.width, config.heads)
    return HealthAttentionActor(spec, config.width, config.heads)


def _places(config: TrainConfig) -> tuple[int, int]:
    """Teammates, and landmarks and bodies, that a robot of the largest team sees."""
    env = SwarmEnv(config.scenario, config.robot, 1, config.robots, seed=config.seed)
    seen = env.reset().observation
    env.close()
    return seen.team.shape[-2], seen.obstacles.shape[-2]
