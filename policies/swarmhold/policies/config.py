"""Everything that decides a training run, in one typed value that is stored with it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from swarmhold.hardware.spec import policy_spec


class TrainConfig(BaseModel):
    """Configuration of `swarmhold train`; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str = "rendezvous"
    """Task to learn."""
    robot: str = "epuck"
    """Robot class: epuck, crazyflie or gritsbot."""
    robots: int = Field(10, ge=2, le=50)
    """Largest team, and the team size of half of the episodes."""
    min_robots: int = Field(3, ge=1, le=50)
    """Smallest team."""
    seed: int = Field(0, ge=0)
    """Of all randomness of the run."""
    teams: int = Field(32, ge=1)
    """Teams that are simulated side by side."""
    warm_start: int = Field(20, ge=0)
    """Iterations of imitation of the scenario's heuristic (DAgger); 0 starts from nothing."""
    iterations: int = Field(25, ge=0)
    """Iterations of MAPPO, one episode of every team each."""
    epochs: int = Field(3, ge=1)
    """Passes over the data of an iteration."""
    minibatch: int = Field(4096, ge=64)
    """Samples of one gradient step."""
    actor_lr: float = Field(3e-4, gt=0)
    """Learning rate of the actor."""
    critic_lr: float = Field(1e-3, gt=0)
    """Learning rate of the critic."""
    imitation_lr: float = Field(1e-3, gt=0)
    """Learning rate of the warm start."""
    gamma: float = Field(0.97, gt=0, lt=1)
    """Discount per decision."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Generalised advantage estimation."""
    clip: float = Field(0.2, gt=0)
    """PPO's clip range."""
    std_start: float = Field(0.3, gt=0)
    """Exploration noise at the start of MAPPO, normalised action."""
    std_end: float = Field(0.05, gt=0)
    """Exploration noise at its end."""
    mir_lambda: float = Field(0.001, ge=0)
    """Weight of the MIR-F penalty (research note: arXiv 2310.09833, fallback form)."""
    mir_clip: float = Field(5.0, gt=0)
    """Largest penalty of one sample."""
    fault_start: float = Field(0.2, ge=0, le=1)
    """Share of the run that is free of faults."""
    width: int = Field(64, ge=8)
    """Width of the actor's tokens."""
    heads: int = Field(4, ge=1)
    """Attention heads."""
    trunk: Literal["separate", "shared"] = "shared"
    """Whether the critic has a network of its own or sits on the actor's encoders and attention."""
    precision: Literal["auto", "f32", "bf16"] = "f32"
    """Of matrix products while learning; auto measures, and takes bf16 if it pays and agrees."""
    compile: bool = False
    """Whether torch.compile may be used, where a C++ compiler is."""
    threads: int = Field(1, ge=0, le=64)
    """Of torch; 0 measures (results then depend on what was measured)."""

    @field_validator("robot")
    @classmethod
    def _known(cls, robot: str | None) -> str | None:
        return None if robot is None else policy_spec(robot).robot
