"""Attackers that learn: PPO, influence, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float, Observation
from swarmhold.policies.evaluate import run_episodes
from swarmhold.policies.evaluate_cli import main as evaluate_main
from swarmhold.policies.redteam import campaign, ppo
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.redteam.influence import Influence, actions_of, counterfactuals
from swarmhold.policies.redteam.ppo import Goal, Learned, Learner, learn
from swarmhold.policies.redteam.stored import load_attacker, save_attacker
from swarmhold.policies.rollout import Batch
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.noise import mix
from swarmhold.sim.scenarios.base import Layout
from swarmhold.sim.scenarios.rendezvous import Rendezvous

E, N = 6, 3


class Ring(Rendezvous):
    """Robots in a ring, each looks at its centre."""

    episode_s = 3.0

    def layout(self, rng: np.random.Generator, robots: int, robot: str) -> Layout:
        angle = 2 * np.pi * np.arange(robots) / robots
        place = 0.2 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return Layout(place, angle + np.pi, np.zeros((0, 2)), np.zeros(0))


def shy(seen: Observation, weights: Float) -> Float:
    """A policy with a weakness: it backs off while anybody is nearer than at the start."""
    distance = np.where(weights > 0, np.linalg.norm(seen.team[..., :2], axis=-1), np.inf)
    pace = 0.15 * np.clip((0.35 - distance.min(axis=-1)) / 0.05, 0.0, 1.0)
    return np.stack([-pace, np.zeros_like(pace)], axis=-1)


def make_env(teams: int = E) -> SwarmEnv:
    return SwarmEnv(Ring(), "epuck", teams, N, seed=1)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Episodes of an attacker that has learned nothing yet."""
    env, robots = make_env(), draw_attackers(0, E, N, 1)
    torch.manual_seed(0)
    actor, _ = learn(Goal(env, shy, 1, 1, 0))
    learner = Learner(robots, actor, mix(0, np.arange(E)), 0.3)
    nobody: list[list] = [[] for _ in range(E)]
    run_episodes(env, shy, "none", nobody, HealthSettings(), 0, attack=learner)
    return learner.batch()


def test_a_batch_holds_the_attackers_and_the_negated_reward(batch: Batch) -> None:
    steps = make_env().limit // ppo.HOLD
    assert batch.action.shape == (steps, E, N, 2) and batch.critic["robots"].shape[0] == steps + 1
    robots = draw_attackers(0, E, N, 1)
    assert (batch.valid == robots).all()
    assert (batch.reward > 0.0).all(), "the team's reward is a negative distance"
    noise = (batch.action - batch.mean)[batch.valid]
    assert 0.25 < noise.std() < 0.35
    assert (batch.mean[~batch.valid] == 0.0).all()


def test_attackers_learn_a_weakness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "PAIRS", 24)  # many gradient steps on a tiny batch
    env = make_env(32)
    actor, returns = learn(Goal(env, shy, 1, 8 * env.limit * 32, seed=2))
    assert len(returns) == 8
    assert np.mean(returns[-2:]) > 1.05 * np.mean(returns[:2])
    _, again = learn(Goal(env, shy, 1, 1, seed=2))
    assert again == returns[:1]
    robots, nobody = draw_attackers(0, 32, N, 1), [[] for _ in range(32)]

    def play(attack: Attack) -> float:
        out = run_episodes(env, shy, "none", nobody, HealthSettings(), 0, attack=attack)
        return float(out.returns.mean())

    assert play(Learned("ppo", robots, actor)) < play(Attack("nobody", robots, nobody))


def test_an_interrupt_says_what_is_lost() -> None:
    env, calls = make_env(), []

    def impatient(seen: Observation, weights: Float) -> Float:
        calls.append(1)
        if len(calls) > env.limit + 3:
            raise KeyboardInterrupt
        return shy(seen, weights)

    with pytest.raises(KeyboardInterrupt, match="had learnt 1 of 3 iterations"):
        learn(Goal(env, impatient, 1, 3 * env.limit * E, seed=2))


def test_counterfactual_actions_leave_the_stored_ones_alone(batch: Batch) -> None:
    before, mean = batch.action.copy(), batch.mean.copy()
    others = counterfactuals(batch, 0.3, torch.Generator().manual_seed(0))
    Influence(make_env(), seed=0)(batch, 0.3)
    np.testing.assert_array_equal(batch.action, before)
    np.testing.assert_array_equal(batch.mean, mean)
    taken = actions_of(batch)
    attacks = torch.from_numpy(np.repeat(batch.valid, 2, axis=-1))
    for other in others:
        assert (other[~attacks] == taken[~attacks]).all()
        assert (other[attacks] != taken[attacks]).all()
    spread = torch.stack([other[attacks] for other in others]).std(dim=0)
    assert 0.2 < float(spread.mean()) < 0.4


def test_the_predictor_learns_and_the_reward_is_shaped_around_its_mean(batch: Batch) -> None:
    influence, reward = Influence(make_env(), seed=0), batch.reward.copy()
    surprise = [influence.fit(batch) for _ in range(5)]
    assert surprise[-1] < surprise[0]
    density = influence.measure(batch, 0.3)
    assert (density >= 0.0).all() and density.std() > 0.0
    shaped = influence(batch, 0.3)
    np.testing.assert_array_equal(batch.reward, reward)
    assert shaped.reward.mean() == pytest.approx(reward.mean(), rel=1e-4)
    assert (shaped.reward != reward).any() and np.isfinite(shaped.reward).all()


def test_a_stored_attacker_acts_as_before(tmp_path: Path) -> None:
    env, robots = make_env(), draw_attackers(0, E, N, 1)
    actor, _ = learn(Goal(env, shy, 1, 1, 0))
    save_attacker(tmp_path / "a", actor, env, {"attack": "ppo"})
    again, card = load_attacker(tmp_path / "a", env)
    assert (card["attack"], card["robots"]) == ("ppo", N)
    step, still = env.reset(episode=0), np.zeros((E, N, 2))
    one, two = Learned("one", robots, actor), Learned("two", robots, again)
    one.begin(env, step)
    two.begin(env, step)
    first = one.act(env, step, still)
    np.testing.assert_array_equal(first, two.act(env, step, still))
    assert (first[~robots] == 0.0).all() and (first[robots] != 0.0).any()
    assert (still == 0.0).all(), "what the policy wanted is not overwritten"


def test_a_wrong_attacker_is_one_line(tmp_path: Path) -> None:
    env = make_env()
    with pytest.raises(ConfigError, match="holds no attacker"):
        load_attacker(tmp_path, env)
    actor, _ = learn(Goal(env, shy, 1, 1, 0))
    save_attacker(tmp_path, actor, env, {})
    with pytest.raises(ConfigError, match="attacker of epuck, not of crazyflie"):
        load_attacker(tmp_path, SwarmEnv("rendezvous", "crazyflie", 1, 3))
    (tmp_path / "attacker.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ConfigError, match="damaged"):
        load_attacker(tmp_path, env)


def test_learned_levels_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "TEAMS", 2)
    words = ["heuristic", "--robots", "3", "--episodes", "2", "--red-team", "--json"]
    learnt = [*words, "--levels", "3", "4", "--attack-steps", "1", "--save-attacker", str(tmp_path)]
    assert evaluate_main(learnt) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["attack"] for row in rows[::3]] == ["ppo", "ami-lite"]
    for none, better in zip(rows[:3], rows[3:], strict=True):
        assert better["uplift_m"] == pytest.approx(better["error_m"] - none["error_m"])
    stored = [*words, "--levels", "3", "--attacker", str(tmp_path / "ppo")]
    assert evaluate_main(stored) == 0
    again = json.loads(capsys.readouterr().out)["rows"]
    assert [row["attack"] for row in again] == ["stored ppo"] * 3
    assert [row["returns"] for row in again] == [row["returns"] for row in rows[:3]]
