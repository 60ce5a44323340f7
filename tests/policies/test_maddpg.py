"""MADDPG and its arms: what is learned, from whom, and against whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.policies.test_replay import make_batch
from tests.policies.test_resume import lines, stop_after

from swarmhold.hardware.errors import ConfigError
from swarmhold.policies import imitate
from swarmhold.policies.arms import ARMS
from swarmhold.policies.config import ReplayConfig, TrainConfig
from swarmhold.policies.maddpg import Step, make_critic, make_targets
from swarmhold.policies.replay import Replay
from swarmhold.policies.train import make_learner, train
from swarmhold.policies.train_cli import main as train_main

SETTING = {"robot": "crazyflie", "scenario": "coverage", "robots": 3, "width": 16, "heads": 2}


def make_step(memory: Replay, **options: object) -> Step:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = TrainConfig(**{**SETTING, "algorithm": "maddpg", "regulariser": "none", **options})
    learner = make_learner(config)
    learner.critic = make_critic(config, 1)
    targets = make_targets(config, learner.actor, learner.critic)
    rng = np.random.default_rng(0)
    return Step(config, learner.actor, learner.critic, targets, None, memory, 0.4, 0.0, rng)


def bandit(broken: bool = False, episodes: int = 6) -> Replay:
    """Random actions; the reward is their nearness to (0.5, -0.5), decision by decision."""
    rng, replay = np.random.default_rng(1), Replay(5000, 0.0)
    for _ in range(episodes):
        valid = np.ones((12, 16, 3), bool)
        valid[:, :, 2] = not broken
        batch = make_batch(valid)
        for name, array in batch.actor.items():
            size = {"self": 7, "team": 9, "obstacles": 9}.get(name)
            shape = array.shape if size is None else (*array.shape[:-1], size)
            batch.actor[name] = np.ones(shape, np.float32)
        batch.action[...] = rng.uniform(-1, 1, batch.action.shape)
        near = -((batch.action - np.array([0.5, -0.5])) ** 2).sum(-1)
        batch.reward[...] = np.where(valid, near, 0.0).mean(-1)
        replay.add(batch, True)
    return replay


@pytest.mark.parametrize("actor", ["health", "mlp", "aacft", "ft-attn"])
@pytest.mark.parametrize("critic", ["mlp", "attention"])
def test_every_actor_with_every_critic_finds_the_best_action(actor: str, critic: str) -> None:
    step = make_step(bandit(), actor=actor, critic=critic, gamma=0.01)
    values = torch.optim.Adam(step.critic.parameters(), 5e-3)
    policy = torch.optim.Adam(step.actor.parameters(), 5e-3)
    for _ in range(120):
        step.learn_critic(values)
    for _ in range(80):
        step.learn_actor(policy)
    with torch.no_grad():
        action = step._team_action(step.actor, np.arange(4))
    assert (action - torch.tensor([0.5, -0.5])).abs().max() < 0.15


def test_a_faulty_robot_is_in_no_loss() -> None:
    step = make_step(bandit(broken=True), critic="attention")
    ids = np.arange(32)
    with torch.no_grad():
        before = step._values(step.critic, ids, step._rows("action", ids))[:, :2]
        step.replay.rows["robots"][:, 2] = 1e3  # whatever state it is in
        after = step._values(step.critic, ids, step._rows("action", ids))[:, :2]
    torch.testing.assert_close(before, after)
    assert (step._counts(ids)[:, 2] == 0).all()
    inputs = step.replay.rows["self"]
    inputs[:, 2] = np.nan  # nor are its observations used to improve the actor
    figures = step.learn_actor(torch.optim.Adam(step.actor.parameters()))
    assert np.isfinite(figures["actor_loss"])


def test_maddpg_as_published_counts_faulty_robots_too() -> None:
    step = make_step(bandit(broken=True), critic="mlp", mask_faulty=False)
    assert (step._counts(np.arange(32)) == 1).all()


def test_an_anchor_keeps_the_actor_at_its_start() -> None:
    moved = []
    for anchor in (0.0, 100.0):
        step = make_step(bandit(), warm_start=1, replay=ReplayConfig(anchor=anchor))
        ids, optimiser = np.arange(16), torch.optim.Adam(step.actor.parameters(), 5e-3)
        with torch.no_grad():
            before = step._team_action(step.actor, ids)
        for _ in range(60):
            step.learn_actor(optimiser)
        with torch.no_grad():
            moved.append(float((step._team_action(step.actor, ids) - before).abs().max()))
    assert moved[1] < 0.05 and moved[0] > 5.0 * moved[1]


def test_m3ddpg_looks_at_the_others_worse_actions() -> None:
    replay = bandit()
    plain, wary = (
        make_step(replay, critic="mlp"),
        make_step(replay, critic="mlp", adversary_step=0.2),
    )
    ids = np.arange(64)
    with torch.no_grad():
        gap = wary._future(ids) - plain._future(ids)
    assert float(gap.mean()) < 0.0 and float((gap < 1e-6).float().mean()) > 0.95
    action, mine = wary._rows("action", ids), torch.tensor([[[1.0], [0.0], [0.0]]])
    moved = wary._worse(wary.critic, ids, action, mine)
    torch.testing.assert_close(moved[:, 0], action[:, 0])
    length = (moved - action)[:, 1:].flatten(1).norm(dim=-1)
    assert (length <= 0.2 + 1e-5).all() and float(length.max()) > 0.19


TINY = TrainConfig(
    **{**SETTING, "teams": 2, "warm_start": 1, "iterations": 3, "algorithm": "maddpg"},
    **{"actor": "aacft", "regulariser": "mir3"},
    replay=ReplayConfig(
        memory=2000, batch=16, steps=2, prioritised=True, critic_first=1, anchor=1.0
    ),
)


@pytest.fixture
def small_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imitate, "STEPS", 2)
    monkeypatch.setattr("swarmhold.policies.train.ENVS", 2)
    monkeypatch.setattr(imitate, "ENVS", 2)


@pytest.mark.usefixtures("small_imitation")
def test_a_resumed_run_is_the_run(tmp_path: Path) -> None:
    whole = train(TINY, tmp_path / "whole", False, lambda *_: None)
    for stop in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(TINY, tmp_path / "parts", stop > 2, stop_after(stop))
    parts = train(TINY, tmp_path / "parts", True, lambda *_: None)
    one, two = (load_file(run / "checkpoint.safetensors") for run in (whole, parts))
    assert one.keys() == two.keys() and "arrays.mass" in one and "club.mu.0.weight" in one
    for name in one:
        assert one[name].tobytes() == two[name].tobytes(), name
    assert lines(whole) == lines(parts)
    assert not (whole / "replay").exists()
    figures = lines(whole)[-1]
    assert {"fault_share", "fault_share_memory", "critic_loss", "club_loss"} <= figures.keys()


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_every_arm_is_a_configuration(arm: str) -> None:
    make_learner(TrainConfig(**{**SETTING, **ARMS[arm]}))


def test_mir_f_needs_a_policy_that_can_hear_nobody() -> None:
    with pytest.raises(ConfigError, match=r"^regulariser mir-f needs the health actor") as said:
        train_main(["--actor", "mlp", "--run-dir", "nowhere"])
    assert "pydantic" not in str(said.value) and "input_value" not in str(said.value)
