"""Scripted attacks and false messages, in the loop that also measures faults."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Kinematics, teammate_index
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.evaluate import heuristic_policy, run_episodes, torch_policy
from swarmhold.policies.evaluate_cli import main as evaluate_main
from swarmhold.policies.redteam.attack import Attack, draw_attackers
from swarmhold.policies.redteam.messages import Bait
from swarmhold.policies.redteam.scripted import breakdowns, lies
from swarmhold.policies.redteam.table import measure
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.scenarios.rendezvous import Rendezvous

E, N, SEED = 2, 6, 3
SETTINGS = HealthSettings()
NOBODY: list[list] = [[] for _ in range(E)]


class Short(Rendezvous):
    """Time to meet from anywhere, and not much more."""

    episode_s = 14.0


class Brief(Rendezvous):
    """A few decisions."""

    episode_s = 2.0


def make_env(robot: str = "epuck", scenario: type[Rendezvous] = Short) -> SwarmEnv:
    return SwarmEnv(scenario(), robot, E, N, seed=SEED)


@pytest.fixture(scope="module")
def table() -> dict:
    """Two attackers, levels 0 and 1 without bait, against the scripted heuristic."""
    env, robots = make_env(), draw_attackers(SEED, E, N, 2)
    attacks = [(0, a) for a in breakdowns(robots, SEED)] + [(1, a) for a in lies(robots, SEED)]
    return measure(env, heuristic_policy(env), attacks, SETTINGS, SEED)


def row(table: dict, attack: str, weights: str) -> dict:
    return next(r for r in table["rows"] if (r["attack"], r["weights"]) == (attack, weights))


def test_every_attack_meets_every_source_of_weights(table: dict) -> None:
    names = ["frozen", "runaway", "delayed", "noisy", "intermittent", "spin"]
    names += ["spoof", "replay", "nan"]
    cells = [(r["attack"], r["weights"]) for r in table["rows"]]
    assert cells == [
        (name, source) for name in names for source in ("none", "supervisor", "oracle")
    ]
    for r in table["rows"]:
        low, high = r["ratio_interval"]
        assert low <= r["ratio"] <= high
        assert r["ratio"] == pytest.approx(r["returns"] / table["nominal"]["returns"])


def test_what_hurts_the_undefended_is_undone_by_the_oracle(table: dict) -> None:
    usual = table["nominal"]
    for attack in ("runaway", "spoof"):
        none, oracle = row(table, attack, "none"), row(table, attack, "oracle")
        assert none["returns"] < oracle["returns"]
        assert oracle["error_m"] < 0.005
    spoofed = row(table, "spoof", "none")
    assert spoofed["error_m"] > 5.0 * usual["error_m"]
    assert spoofed["returns"] < usual["returns"]


def test_the_supervisor_undoes_lies(table: dict) -> None:
    helped, none = row(table, "spoof", "supervisor"), row(table, "spoof", "none")
    assert helped["error_m"] < 0.3 * none["error_m"]


def test_no_figure_is_lost_to_nan(table: dict) -> None:
    text = json.dumps(table, allow_nan=False)
    assert json.loads(text) == table


def test_attackers_count_for_nobody_and_let_go_afterwards() -> None:
    env, robots = make_env("epuck", Brief), draw_attackers(SEED, E, N, 2)
    policy = heuristic_policy(env)
    seen = []

    class Watch(Attack):
        def end(self, env, step) -> None:
            seen.append(step)

    run_episodes(env, policy, "oracle", NOBODY, SETTINGS, 0, attack=Watch("watch", robots, NOBODY))
    np.testing.assert_array_equal(seen[0].truth.healthy, ~robots)
    ignored = robots[:, teammate_index(N)]
    np.testing.assert_array_equal(seen[0].teammate_health == 0.0, ignored)
    usual = run_episodes(env, policy, "oracle", NOBODY, SETTINGS, 0)
    assert env.healthy.all()
    fresh = make_env("epuck", Brief)
    again = run_episodes(fresh, heuristic_policy(fresh), "oracle", NOBODY, SETTINGS, 0)
    np.testing.assert_array_equal(usual.returns, again.returns)


def test_attackers_are_as_many_as_asked_for_and_repeat() -> None:
    chosen = draw_attackers(5, 64, N, 2)
    assert (chosen.sum(axis=1) == 2).all() and chosen.any(axis=0).all()
    np.testing.assert_array_equal(chosen, draw_attackers(5, 64, N, 2))
    assert (chosen != draw_attackers(6, 64, N, 2)).any()


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
def test_spinning_robots_stay_near_and_keep_turning(robot: str) -> None:
    env, robots = make_env(robot), draw_attackers(SEED, E, N, 1)
    spin = breakdowns(robots, SEED)[-1]
    step = env.reset(episode=0)
    start = step.truth.position[robots]
    for _ in range(60):
        step = env.step(spin.act(env, step, np.zeros((E, N, 2))))
    moved = np.linalg.norm(step.truth.position[robots] - start, axis=-1)
    radius = 0.01 if robot == "epuck" else 1.5
    assert moved.max() < radius
    turning = step.observation.self_token[robots][:, 2 if robot == "epuck" else slice(0, 2)]
    assert np.abs(turning).max() > (4.0 if robot == "epuck" else 0.4)
    others = step.truth.velocity[~robots]
    assert np.abs(others).max() < 0.05


def test_forged_messages_reach_their_receivers_alone() -> None:
    env, robots = make_env(), draw_attackers(SEED, E, N, 1)
    env.reset(episode=0)
    pairs = (E, N, N)
    told = Kinematics(
        np.full((*pairs, 3), 0.5), np.zeros((*pairs, 3)), np.ones(pairs), np.zeros(pairs)
    )
    told.position[:, 2] = -0.5
    env.radio.forged = (robots, told)
    env.step(np.zeros((E, N, 2)))
    heard = env.radio.heard
    env_index, liar = np.nonzero(robots)
    np.testing.assert_array_equal(heard.position[env_index, 2, liar, 0], -0.5)
    np.testing.assert_array_equal(heard.position[env_index, 3, liar, 0], 0.5)
    honest = np.broadcast_to(~robots[:, None], pairs)
    truth = np.broadcast_to(env.kinematics().yaw[:, None], pairs)
    np.testing.assert_allclose(heard.yaw[honest], truth[honest])
    env.reset(episode=0)
    assert env.radio.forged is None


@pytest.fixture(scope="module")
def actor() -> HealthAttentionActor:
    """Untrained, but it looks more at some messages than at others."""
    torch.manual_seed(1)
    actor = HealthAttentionActor(make_env().spec, width=16, heads=2)
    with torch.no_grad():
        actor.team.query.weight.mul_(4.0)
        actor.team.key.weight.mul_(4.0)
    return actor


def test_bait_draws_more_attention_than_any_random_message(actor: HealthAttentionActor) -> None:
    env, robots = make_env(), draw_attackers(SEED, E, N, 2)
    step, bait = env.reset(episode=0), Bait(robots, actor, seed=0)
    bait.begin(env, step)
    draw = torch.Generator().manual_seed(99)
    shape = bait._wish.shape
    random = torch.stack([bait.shares(step, torch.randn(shape, generator=draw)) for _ in range(30)])
    best = bait.shares(step, bait._wish)
    assert best.mean() > 1.1 * random.mean()
    assert (best >= random.mean(dim=0)).all()


def test_bait_is_plausible_and_heard_as_it_was_meant(actor: HealthAttentionActor) -> None:
    env, robots = make_env(), draw_attackers(SEED, E, N, 1)
    step, bait = env.reset(episode=0), Bait(robots, actor, seed=0)
    bait.begin(env, step)
    still = np.zeros((E, N, 2))
    assert bait.act(env, step, still) is still
    meant = bait._tokens(step, bait._wish.detach())[:, 0].numpy()
    step = env.step(still)
    told = env.radio.forged[1]
    assert np.abs(told.position[..., :2]).max() <= env.half_width
    assert np.linalg.norm(told.velocity, axis=-1).max() <= env.spec.action_bound[0] + 1e-9
    slots = robots[:, teammate_index(N)] & ~robots[..., None]
    got = step.observation.team[slots]
    np.testing.assert_allclose(got, meant, atol=1e-5)  # nobody moved in between


def test_bait_lasts_an_episode_and_leaves_the_policy_as_it_was(actor: HealthAttentionActor) -> None:
    env, robots = make_env("epuck", Brief), draw_attackers(SEED, E, N, 1)
    before = {name: value.clone() for name, value in actor.state_dict().items()}
    bait = Bait(robots, actor, seed=0)
    run_episodes(env, torch_policy(actor), "supervisor", NOBODY, SETTINGS, 0, attack=bait)
    assert bait.figures["attention_share"] > 1.0 / N
    assert np.isfinite(env.kinematics().position).all()
    assert all(parameter.requires_grad for parameter in actor.parameters())
    for name, value in actor.state_dict().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--levels", "7"), "choose some of 0 1 2 3 4"),
        (("--attackers", "5"), "5 attackers among 6 robots"),
        (("--attack-steps", "0"), "must be at least 1"),
        (("--simulator", "jaxrobotarium"), "own only"),
    ],
)
def test_bad_options_are_refused(words: tuple[str, ...], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        evaluate_main(["heuristic", "--robots", "6", "--red-team", *words])


def test_a_black_box_is_told_what_it_misses(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "heuristic",
        "--robots",
        "4",
        "--episodes",
        "1",
        "--red-team",
        "--levels",
        "1",
        "--json",
    ]
    assert evaluate_main(words) == 0
    out, said = capsys.readouterr()
    assert [r["attack"] for r in json.loads(out)["rows"]][::3] == ["spoof", "replay", "nan"]
    assert said.count("it needs gradients; give the run folder") == 1
