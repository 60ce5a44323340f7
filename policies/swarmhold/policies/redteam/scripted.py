"""Attacks that follow a script: breakdowns (level 0) and false messages of a fixed kind (level 1).

Each is a fault kind of the simulator at full severity, so what a breakdown means is written once;
only turning in circles is no fault of a part, and is driven from here.
"""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.types import Bool, Float
from swarmhold.policies.redteam.attack import ONSET_S, Attack
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

BREAKDOWNS = {  # level 0: name of the row, fault kind
    "frozen": "freeze",
    "runaway": "runaway",
    "delayed": "delay",
    "noisy": "sensor_noise",
    "intermittent": "reboot",
}
LIES = {"spoof": "spoof", "replay": "replay", "nan": "nan"}  # level 1
OFF_S, PERIOD_S, TIMES = (
    2.0,
    5.0,
    8,
)  # of an intermittent robot: down, from one to the next, how often
CIRCLE_S = 4.0  # s, once around for a robot that hovers


class Spin(Attack):
    """Robots that drive turn on the spot at full rate; robots that hover fly circles."""

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Set-points (E, N, Da); see `Attack.act`."""
        bound = np.asarray(env.spec.action_bound)
        angle = 2 * np.pi / CIRCLE_S * step.time_s[:, None]
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * bound
        spin = np.array([0.0, bound[1]]) if env.spec.drives else circle
        return np.where(self.robots[..., None], spin, action)


def fault_attack(name: str, kind: str, robots: Bool, seed: int) -> Attack:
    """An attack that is a fault kind at full severity; otherwise the robots follow the policy.

    Args:
        name: of the row.
        kind: fault kind.
        robots: (E, N) attackers.
        seed: of onsets and of whatever is random in the fault.
    """
    rng = np.random.default_rng([seed, 17])
    plan: list[list[FaultSpec]] = [[] for _ in robots]
    for env, robot in np.argwhere(robots):
        onset, number = float(rng.uniform(*ONSET_S)), int(rng.integers(2**31))
        times = range(TIMES) if kind == "reboot" else range(1)
        plan[env] += [
            FaultSpec(
                kind,
                int(robot),
                start_s=onset + PERIOD_S * time,
                duration_s=OFF_S if kind == "reboot" else float("inf"),
                seed=number,
            )
            for time in times
        ]
    return Attack(name, robots, plan)


def breakdowns(robots: Bool, seed: int) -> list[Attack]:
    """Level 0: what parts and programs do when they fail; arguments as in `fault_attack`."""
    spin = Spin("spin", robots, [[] for _ in robots])
    return [*(fault_attack(name, kind, robots, seed) for name, kind in BREAKDOWNS.items()), spin]


def lies(robots: Bool, seed: int) -> list[Attack]:
    """Level 1, scripted: another false pose for each receiver, old states, and no numbers."""
    return [fault_attack(name, kind, robots, seed) for name, kind in LIES.items()]
