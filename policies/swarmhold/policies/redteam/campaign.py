"""One campaign: make the attacks of the levels that were asked for, and measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.redteam.gradient import gradient_attack
from swarmhold.policies.redteam.influence import Influence
from swarmhold.policies.redteam.messages import Bait
from swarmhold.policies.redteam.options import RedTeam
from swarmhold.policies.redteam.ppo import TEAMS, Goal, Learned, Reshape, learn
from swarmhold.policies.redteam.scripted import breakdowns, lies
from swarmhold.policies.redteam.stored import load_attacker, save_attacker
from swarmhold.policies.redteam.table import measure
from swarmhold.policies.redteam.twin import check_twin
from swarmhold.sim.env import SwarmEnv

NO_GRADIENTS = "it needs gradients; give the run folder of a health actor without memory"
MakeEnv = Callable[[int, int], SwarmEnv]  # teams, seed


def red_team(
    options: RedTeam,
    make_env: MakeEnv,
    policy_of: Callable[[SwarmEnv], TeamPolicy],
    actor: HealthAttentionActor | None,
    settings: HealthSettings,
    episodes: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Attack a policy.

    Args:
        options: levels, number of attackers, budget.
        make_env: builds an environment of so many teams from a seed.
        policy_of: the policy under attack, for an environment.
        actor: its network, or None where only its outputs are known.
        settings: thresholds of the health chain.
        episodes: paired episodes per cell.
        seed: of layouts, attackers and learning.
        tell: told before every cell, and what is left out.

    Returns:
        See `measure`.

    Raises:
        ConfigError: nothing is left of what was asked for.
    """
    env = make_env(episodes, seed)
    crew = draw_attackers(seed, env.n_envs, env.n_robots, options.attackers)
    team = _Team(options, make_env, policy_of, actor, env, crew, seed, tell)
    makers = (team.scripted, team.messages, team.gradient, team.learned, team.influential)
    levels = sorted(set(options.levels))
    if options.attacker is not None:
        makers = (team.scripted, team.messages, team.gradient, team.stored, lambda: iter(()))
        levels = sorted({*levels, 3} - {4})
    attacks = ((level, attack) for level in levels for attack in makers[level]())
    table = measure(env, policy_of(env), attacks, settings, seed, tell, policy_of(env))
    env.close()
    if not table["rows"]:
        raise ConfigError("no attack is left; give a run folder, or other --levels")
    return {**table, "attackers": options.attackers, "attack_steps": options.attack_steps}


@dataclass(frozen=True, slots=True)
class _Team:
    """Makes the attacks of each level; fields as in `red_team`, and the `crew` (E, N)."""

    options: RedTeam
    make_env: MakeEnv
    policy_of: Callable[[SwarmEnv], TeamPolicy]
    actor: HealthAttentionActor | None
    env: SwarmEnv
    crew: Bool
    seed: int
    tell: Callable[[str], None]

    def scripted(self) -> Iterator[Attack]:
        """Level 0."""
        yield from breakdowns(self.crew, self.seed)

    def messages(self) -> Iterator[Attack]:
        """Level 1; bait needs the network."""
        yield from lies(self.crew, self.seed)
        if self.actor is None:
            self.tell(f"bait is left out: {NO_GRADIENTS}")
        else:
            yield Bait(self.crew, self.actor, self.seed)

    def gradient(self) -> Iterator[Attack]:
        """Level 2; needs the network and a scenario in torch."""
        if self.actor is None:
            self.tell(f"level 2 is left out: {NO_GRADIENTS}")
            return
        try:
            check_twin(self.env)
        except ConfigError as error:
            self.tell(f"level 2 is left out: {error}")
            return
        self.tell("level 2: climbing through the differentiable twin")
        yield gradient_attack(self.env, self.actor, self.crew, self.seed)

    def learned(self) -> Iterator[Attack]:
        """Level 3."""
        yield self._learn(3, "ppo", lambda env: lambda batch, std: batch)

    def influential(self) -> Iterator[Attack]:
        """Level 4."""
        yield self._learn(4, "ami-lite", lambda env: Influence(env, self.seed))

    def stored(self) -> Iterator[Attack]:
        """An attacker that was learned before."""
        assert self.options.attacker is not None
        network, card = load_attacker(self.options.attacker, self.env)
        yield Learned(f"stored {card.get('attack', '')}".strip(), self.crew, network)

    def _learn(self, level: int, name: str, shaping: Callable[[SwarmEnv], Reshape]) -> Attack:
        env = self.make_env(TEAMS, self.seed + 1)
        count, steps = self.options.attackers, self.options.attack_steps
        goal = Goal(env, self.policy_of(env), count, steps, self.seed)
        network, _ = learn(goal, shaping(env), lambda line: self.tell(f"level {level}: {line}"))
        if self.options.save_attacker is not None:
            facts = {"attack": name, "attackers": count, "steps": steps, "seed": self.seed}
            save_attacker(self.options.save_attacker / name, network, env, facts)
        env.close()
        return Learned(name, self.crew, network)
