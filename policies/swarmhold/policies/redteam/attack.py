"""What an attack is: some robots of every team in other hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

ONSET_S = (0.0, 5.0)  # s, when the faults of an attack start


@dataclass
class Attack:
    """Robots that work against their team; this one only takes them away, and they behave.

    Every hook sees what happens but changes it by its result alone, or by `env.radio.forged`.

    Attributes:
        name: of the row in the table.
        robots: (E, N) attackers; they do not count as part of the team.
        faults: faults that act on them, one list per environment.
        figures: what the attack wants to be known, for the row.
    """

    name: str
    robots: Bool
    faults: Sequence[Sequence[FaultSpec]]
    figures: dict[str, float] = field(default_factory=dict, init=False)

    @staticmethod
    def none(n_envs: int, n_robots: int) -> Attack:
        """Nobody attacks."""
        return Attack("none", np.zeros((n_envs, n_robots), bool), [[] for _ in range(n_envs)])

    def begin(self, env: SwarmEnv, step: Step) -> None:
        """Episodes start.

        Args:
            env: the environment, already reset.
            step: its first step.
        """

    def act(self, env: SwarmEnv, step: Step, action: Float) -> Float:
        """Decide what everybody does next.

        Args:
            env: the environment; `env.radio.forged` may be set.
            step: its last step.
            action: (E, N, Da) what the policy under attack wants, physical units.

        Returns:
            (E, N, Da) set-points; a new array wherever they differ.
        """
        return action

    def end(self, env: SwarmEnv, step: Step) -> None:
        """Episodes are over; arguments as in `begin`."""


def draw_attackers(seed: int, n_envs: int, n_robots: int, count: int) -> Bool:
    """(E, N) which robots attack: `count` in every team, the same for the same seed."""
    rng = np.random.default_rng([seed, 13])
    order = np.argsort(rng.random((n_envs, n_robots)), axis=1, kind="stable")
    chosen = np.zeros((n_envs, n_robots), bool)
    np.put_along_axis(chosen, order[:, :count], True, axis=1)
    return chosen
