"""The fast forward and update compute what the textbook ones do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies import forward, samples
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import LANDMARK_SIZE, ROBOT_SIZE, Critic
from swarmhold.policies.forward import policy_means
from swarmhold.policies.mappo import Mode, ValueScale, update
from swarmhold.policies.plain import alone_means, plain_update, plain_values
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.rollout import Batch, Gauss, Task
from swarmhold.policies.train import Learner, make_learner
from swarmhold.policies.workers import Here
from swarmhold.sim.noise import mix

TINY = TrainConfig(
    robot="crazyflie", robots=4, teams=4, width=32, heads=2, minibatch=256, epochs=2,
    trunk="separate",
)  # fmt: skip
ROWS, MATES, MARKS = 40, 5, 6


def make_actor() -> HealthAttentionActor:
    torch.manual_seed(0)
    actor = HealthAttentionActor(policy_spec("crazyflie"), 32, 4)
    with torch.no_grad():
        for name, value in actor.named_parameters():
            if "null" in name:
                value.normal_()
        actor.head[-1].weight.mul_(20.0)
    return actor


def inputs(kind: str) -> list[torch.Tensor]:
    spec, rng = policy_spec("crazyflie"), torch.Generator().manual_seed(1)
    own = torch.randn(ROWS, spec.self_size, generator=rng)
    team = torch.randn(ROWS, MATES, spec.team_size, generator=rng)
    health = torch.rand(ROWS, MATES, generator=rng)
    marks = torch.randn(ROWS, MARKS, spec.obstacle_size, generator=rng)
    real = (torch.rand(ROWS, MARKS, generator=rng) > 0.4).float()
    if kind == "masked":
        health[::2] = 0.0
        health[1::2, 1:3] = 0.04  # below what counts
    elif kind == "not finite":
        own[0], team[1, 2], marks[2], health[3, 1] = (torch.nan,) * 4
        team[4, 0], own[5] = torch.inf, -torch.inf
    elif kind == "no marks":
        real[:] = 0.0
    return [own, team, health, marks, real]


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("kind", ["usual", "masked", "not finite", "no marks"])
def test_fast_forward_is_the_actor(kind: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "FEW", few)  # both ways to write attention
    actor, given = make_actor(), inputs(kind)
    wanted, _ = actor.mean(*given)
    _, mean, alone = policy_means(actor, actor.prepare(*given), alone=True)
    torch.testing.assert_close(mean, wanted, atol=1e-5, rtol=0)
    assert alone is not None
    finite = [torch.nan_to_num(part, posinf=9e9, neginf=-9e9) for part in given]
    torch.testing.assert_close(alone, alone_means(actor, finite), atol=1e-5, rtol=0)
    parameters = list(actor.parameters())
    slow, fast = (
        torch.autograd.grad((x**2).sum(), parameters, materialize_grads=True)
        for x in (wanted, mean)
    )
    size = max(float(x.abs().max()) for x in slow)
    for one, two in zip(slow, fast, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5 * size, rtol=1e-4)


def test_fast_critic_is_the_plain_one() -> None:
    torch.manual_seed(0)
    critic = Critic()
    truth = [
        torch.randn(9, 5, ROBOT_SIZE),
        (torch.rand(9, 5) > 0.3).float(),
        torch.randn(9, 3, LANDMARK_SIZE),
        (torch.rand(9, 3) > 0.4).float(),
    ]
    torch.testing.assert_close(critic(*truth), plain_values(critic, truth), atol=1e-5, rtol=0)


def play(config: TrainConfig, learner: Learner) -> Batch:
    drawn = draw_mix(np.random.default_rng(0), config.teams, config.robots, 3, 1.0)
    keys = mix(0, np.arange(config.teams))
    task = Task(0, keys, drawn, Gauss(0.3), False, config.trunk == "shared")
    rollouts = Here(config, config.teams)
    batch = rollouts.collect(learner.actor, task)
    rollouts.close()
    return batch


def test_update_is_the_plain_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "CHUNK", 100)  # several pieces, the last one filled up
    monkeypatch.setattr(samples, "ROUND", 16)
    one, two = make_learner(TINY), make_learner(TINY)
    batch = play(TINY, one)
    found = []
    for learner, run in ((one, update), (two, plain_update)):
        scale, rng = ValueScale(), np.random.default_rng(3)
        optimiser = torch.optim.SGD(
            [*learner.actor.parameters(), *learner.critic.parameters()], lr=0.05
        )
        figures = run(TINY, learner.actor, learner.critic, optimiser, scale, batch, 0.3, 0.01, rng)
        found.append((figures, scale))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3, abs=1e-5)
    assert found[0][1].mean == pytest.approx(found[1][1].mean, rel=1e-5)
    for ours, theirs in zip(one.actor.parameters(), two.actor.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert isinstance(one.critic, Critic) and isinstance(two.critic, Critic)
    for ours, theirs in zip(one.critic.parameters(), two.critic.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_same_mode_same_result_and_bfloat16_is_near(trunk: str) -> None:
    config = TINY.model_copy(update={"trunk": trunk, "epochs": 1})
    batch, ends = play(config, make_learner(config)), []
    for mode in (Mode("bf16", bf16=True), Mode("bf16", bf16=True), Mode()):
        learner = make_learner(config)
        figures = update(
            config, learner.actor, learner.critic, learner.optimiser, ValueScale(),
            replace(batch), 0.3, 0.01, np.random.default_rng(3), mode,
        )  # fmt: skip
        assert np.isfinite(list(figures.values())).all()
        ends.append(torch.cat([p.detach().flatten() for p in learner.actor.parameters()]))
    assert torch.equal(ends[0], ends[1])
    start = torch.cat([p.detach().flatten() for p in make_learner(config).actor.parameters()])
    moved = [end - start for end in ends]
    assert torch.cosine_similarity(moved[0], moved[2], dim=0) > 0.8
