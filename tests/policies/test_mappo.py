"""MAPPO: advantages against a hand computation, and that an update makes a policy better."""

from __future__ import annotations

import numpy as np
import torch

from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import LANDMARK_SIZE, ROBOT_SIZE, Critic
from swarmhold.policies.forward import policy_means
from swarmhold.policies.mappo import ValueScale, advantages, log_prob, mir_penalty, update
from swarmhold.policies.rollout import Batch

STD = 0.2
SHAPE = (6, 16, 3)  # steps, teams, robots


def test_advantages_by_hand() -> None:
    reward, value = np.array([1.0, 2.0]), np.array([0.5, 1.5, 4.0])
    gain, returns = advantages(reward, value, gamma=0.5, gae_lambda=0.8)
    last = 2.0 + 0.5 * 4.0 - 1.5
    first = 1.0 + 0.5 * 1.5 - 0.5 + 0.5 * 0.8 * last
    np.testing.assert_allclose(gain, [first, last])
    np.testing.assert_allclose(returns, [first + 0.5, last + 1.5])


def test_lambda_one_gives_discounted_returns() -> None:
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(5, 2)), rng.normal(size=(6, 2))
    _, returns = advantages(reward, value, gamma=0.9, gae_lambda=1.0)
    wanted = sum(0.9**k * reward[k] for k in range(5)) + 0.9**5 * value[5]
    np.testing.assert_allclose(returns[0], wanted)


def test_log_prob_is_the_gaussian_density() -> None:
    action, mean = torch.tensor([[0.3, -0.2]]), torch.tensor([[0.1, 0.4]])
    normal = torch.distributions.Normal(mean, STD)
    torch.testing.assert_close(log_prob(action, mean, STD), normal.log_prob(action).sum(-1))


def test_value_scale_follows_the_returns() -> None:
    scale = ValueScale()
    for _ in range(60):
        scale.update(np.array([-30.0, -10.0]))
    assert abs(scale.mean + 20.0) < 0.1
    assert abs(scale.std - 10.0) < 0.1


def _inputs(rng: np.random.Generator) -> dict[str, np.ndarray]:
    spec = policy_spec("crazyflie")
    draw = {
        "self": rng.normal(size=(*SHAPE, spec.self_size)),
        "team": rng.normal(size=(*SHAPE, SHAPE[2] - 1, spec.team_size)),
        "health": np.ones((*SHAPE, SHAPE[2] - 1)),
        "obstacles": np.zeros((*SHAPE, 1, spec.obstacle_size)),
        "obstacle_mask": np.zeros((*SHAPE, 1)),
    }
    return {name: value.astype(np.float32) for name, value in draw.items()}


def _play(actor: HealthAttentionActor, rng: np.random.Generator) -> Batch:
    """A bandit: the reward is the nearness of every action to (0.5, -0.5)."""
    inputs = _inputs(rng)
    with torch.no_grad():
        flat = [torch.from_numpy(x.reshape(-1, *x.shape[3:])) for x in inputs.values()]
        mean = actor.mean(*flat)[0].numpy().reshape(*SHAPE, 2)
    action = (mean + STD * rng.normal(size=mean.shape)).astype(np.float32)
    reward = -((action - np.array([0.5, -0.5])) ** 2).sum(-1).mean(-1)
    steps, teams, robots = SHAPE
    critic = {
        "robots": np.zeros((steps + 1, teams, robots, ROBOT_SIZE), np.float32),
        "present": np.ones((steps + 1, teams, robots), np.float32),
        "marks": np.zeros((steps + 1, teams, 1, LANDMARK_SIZE), np.float32),
        "real": np.zeros((steps + 1, teams, 1), np.float32),
    }
    valid = np.ones(SHAPE, bool)
    end, none = np.zeros(SHAPE[1]), action[:0]  # the update never looks at them
    return Batch(inputs, critic, mean, action, none, reward, none, valid, end, end, end)


def _learn(rows_that_count: bool) -> tuple[float, float, dict[str, float]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = TrainConfig(gamma=0.01, minibatch=144, epochs=4, robot="crazyflie", actor_lr=3e-3)
    actor, critic = HealthAttentionActor(policy_spec("crazyflie"), 16, 2), Critic(16, 2)
    groups = [{"params": actor.parameters(), "lr": 3e-3}, {"params": critic.parameters()}]
    optimiser, scale = torch.optim.Adam(groups), ValueScale()
    rewards, figures = [], {}
    for _ in range(25):
        batch = _play(actor, rng)
        rewards.append(float(batch.reward.mean()))
        if not rows_that_count:
            batch.valid[..., 1:] = False
        figures = update(config, actor, critic, optimiser, scale, batch, STD, 0.0, rng)
    return rewards[0], rewards[-1], figures


def test_updates_solve_a_tiny_problem() -> None:
    before, after, figures = _learn(rows_that_count=True)
    floor = -2 * STD**2  # what exploration alone costs
    assert before < 4 * floor
    assert after > 1.5 * floor
    assert np.isfinite(list(figures.values())).all()


def test_robots_that_do_not_act_teach_nothing_but_do_no_harm() -> None:
    _, after, _ = _learn(rows_that_count=False)
    assert after > 3 * -2 * STD**2


def _penalty(actor: HealthAttentionActor, inputs: list[torch.Tensor]) -> torch.Tensor:
    _, mean, alone = policy_means(actor, actor.prepare(*inputs), alone=True)
    assert alone is not None and not alone.requires_grad
    return mir_penalty(mean, alone, STD, 5.0).mean()


def test_mir_penalty_is_zero_when_nobody_is_heard() -> None:
    torch.manual_seed(0)
    actor = HealthAttentionActor(policy_spec("crazyflie"), 16, 2)
    inputs = [torch.from_numpy(x[0, 0]) for x in _inputs(np.random.default_rng(1)).values()]
    masked = [*inputs[:2], torch.zeros_like(inputs[2]), *inputs[3:]]
    assert float(_penalty(actor, masked).detach()) < 1e-12
    penalty = _penalty(actor, inputs)
    assert 0.0 < float(penalty.detach()) <= 5.0
    penalty.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in actor.parameters())


def test_mir_penalty_keeps_the_head_count() -> None:
    """A policy that reacts to the head-count alone is not penalised for it."""
    torch.manual_seed(0)
    actor = HealthAttentionActor(policy_spec("crazyflie"), 16, 2)
    with torch.no_grad():
        for stream in (actor.team, actor.ask_team):  # nothing of a teammate's token gets through
            for part in (stream.key, stream.value):
                part.weight.zero_()
                part.bias.zero_()
            stream.null_value.zero_()
    inputs = [torch.from_numpy(x[0, 0]) for x in _inputs(np.random.default_rng(1)).values()]
    mean, _ = actor.mean(*inputs)
    assert float(_penalty(actor, inputs).detach()) < 1e-8
    fewer = [*inputs[:2], torch.zeros_like(inputs[2]), *inputs[3:]]
    assert (actor.mean(*fewer)[0] - mean).abs().max() > 1e-4


def test_critic_does_not_depend_on_robot_order_or_absent_robots() -> None:
    torch.manual_seed(0)
    critic = Critic(16, 2)
    rng = np.random.default_rng(0)
    robots = torch.tensor(rng.normal(size=(2, 5, ROBOT_SIZE)), dtype=torch.float32)
    present = torch.tensor([[1.0, 1, 1, 1, 0]] * 2)
    marks, real = torch.randn(2, 4, LANDMARK_SIZE), torch.ones(2, 4)
    order = torch.tensor([3, 0, 2, 1, 4])
    values = critic(robots, present, marks, real)
    moved = critic(robots[:, order], present[:, order], marks, real)
    torch.testing.assert_close(values[:, order], moved, atol=1e-5, rtol=1e-5)
    robots[:, 4] = 3.0
    again = critic(robots, present, marks, real)
    torch.testing.assert_close(values[:, :4], again[:, :4])
