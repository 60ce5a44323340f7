"""Everything that decides a training run, in one typed value that is stored with it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.disturb import Disturbances


class ReplayConfig(BaseModel):
    """What only the off-policy algorithm needs; defaults after AACFT's code (arXiv 2412.00534)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: int = Field(50_000, ge=1000)
    """Transitions of a whole team that are remembered."""
    batch: int = Field(256, ge=8)
    """Transitions of one gradient step."""
    steps: int = Field(60, ge=1)
    """Gradient steps after every episode of all teams."""
    noise: float = Field(0.1, gt=0)
    """Exploration noise, normalised action."""
    tau: float = Field(0.01, gt=0, le=1)
    """Share of the networks that the target networks take over in a step."""
    learn_from: int = Field(2, ge=1)
    """Episodes of all teams that are played before anything is learned."""
    critic_first: int = Field(2, ge=0)
    """Episodes of all teams during which, after a warm start, only the critic learns."""
    anchor: float = Field(0.0, ge=0)
    """Weight of staying near the warm start, against values scaled to 1 (TD3+BC, 2106.06860)."""
    prioritised: bool = False
    """Per-agent prioritised replay: one queue for each robot, one for the critic."""
    alpha: float = Field(0.4, ge=0)
    """A transition of rank k is drawn in proportion to k^-alpha."""
    beta: float = Field(0.4, ge=0, le=1)
    """Importance correction at the start; it ends at 1."""


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
    algorithm: Literal["mappo", "maddpg"] = "mappo"
    """MAPPO (on-policy), or MADDPG with deterministic set-points (off-policy)."""
    actor: Literal["health", "mlp", "aacft", "ft-attn"] = "health"
    """Network that acts: attention weighted by health, or one to compare with."""
    recurrent: int = Field(0, ge=0, le=1024)
    """Values of the hidden state that the actor remembers between decisions; 0: no memory."""
    told: bool = True
    """Whether the actors to compare with see the health weight as a flag."""
    critic: Literal["mlp", "attention"] = "attention"
    """Network that judges in MADDPG; MAPPO has always attention."""
    mask_faulty: bool = True
    """Whether MADDPG leaves out faulty robots: in the losses, and as keys of the attention."""
    adversary_step: float = Field(0.0, ge=0)
    """M3DDPG: length of the step by which the others' actions are made worse (0: MADDPG)."""
    replay: ReplayConfig = ReplayConfig()
    """Memory and updates of MADDPG."""
    fault_schedule: Literal["mix", "fixed", "uniform", "incremental"] = "mix"
    """Supervised episodes of many kinds, or always faults that are told at once (AACFT)."""
    fault_kinds: tuple[str, ...] = ("freeze",)
    """Faults of the schedules other than mix."""
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
    imitation_lr: float = Field(3e-3, gt=0)
    """Learning rate of the warm start, at its begin; it falls to a tenth."""
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
    regulariser: Literal["none", "mir-f", "mir3", "deviation"] = "mir-f"
    """MIR-F, MIR3's bound of the mutual information, or departure from the average action."""
    mir_lambda: float = Field(0.001, ge=0)
    """Weight of the regulariser (arXiv 2310.09833)."""
    mir_clip: float = Field(5.0, gt=0)
    """Largest penalty of one sample."""
    fault_start: float = Field(0.2, ge=0, le=1)
    """Share of the run that is free of faults."""
    join_leave: float = Field(0.0, ge=0, le=1)
    """Share of the episodes in which robots join or leave the team."""
    disturbances: Disturbances = Disturbances()
    """Wind, noise, delays and randomisation that the teams are trained in."""
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

    @model_validator(mode="after")
    def _agree(self) -> TrainConfig:
        if self.regulariser == "mir-f" and self.actor != "health" and self.mir_lambda > 0:
            raise ValueError(
                f"regulariser mir-f needs the health actor, not {self.actor}: only that one has a "
                "policy that hears nobody; choose none, mir3 or deviation"
            )
        if self.recurrent and (self.actor, self.algorithm) != ("health", "mappo"):
            raise ValueError(
                f"recurrent needs actor health and algorithm mappo, not {self.actor} and "
                f"{self.algorithm}; set it to 0 for a policy without memory"
            )
        if self.recurrent and self.compile:
            raise ValueError("compile is for policies without memory; set it or recurrent off")
        if self.algorithm == "mappo" and self.adversary_step > 0:
            raise ValueError("adversary_step belongs to algorithm maddpg; set it to 0")
        return self

    @field_validator("robot")
    @classmethod
    def _known(cls, robot: str | None) -> str | None:
        return None if robot is None else policy_spec(robot).robot
