"""One campaign: make the attacks of the levels that were asked for, and measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.evaluate import TeamPolicy
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.redteam.messages import Bait
from swarmhold.policies.redteam.options import RedTeam
from swarmhold.policies.redteam.scripted import breakdowns, lies
from swarmhold.policies.redteam.table import measure
from swarmhold.sim.env import SwarmEnv

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
    robots = draw_attackers(seed, env.n_envs, env.n_robots, options.attackers)
    makers = {
        0: lambda: iter(breakdowns(robots, seed)),
        1: lambda: _messages(robots, actor, seed, tell),
    }
    attacks = (
        (level, attack) for level in sorted(set(options.levels)) for attack in makers[level]()
    )
    table = measure(env, policy_of(env), attacks, settings, seed, tell)
    env.close()
    if not table["rows"]:
        raise ConfigError("no attack is left; give a run folder, or other --levels")
    return {**table, "attackers": options.attackers}


def _messages(
    robots: Bool, actor: HealthAttentionActor | None, seed: int, tell: Callable[[str], None]
) -> Iterator[Attack]:
    """Level 1."""
    yield from lies(robots, seed)
    if actor is None:
        tell("attention bait needs gradients of the policy: give a run folder; left out")
    else:
        yield Bait(robots, actor, seed)
