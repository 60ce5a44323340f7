"""The actor with a memory: what it computes, what it learns from, and that it learns at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.memory import restart
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Observation
from swarmhold.policies import imitate, samples
from swarmhold.policies.actor import Actor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.critic import LANDMARK_SIZE, ROBOT_SIZE
from swarmhold.policies.evaluate import torch_policy
from swarmhold.policies.imitate import Imitation, regress, rows_of
from swarmhold.policies.mappo import ValueScale, update
from swarmhold.policies.randomise import draw_mix
from swarmhold.policies.recurrent import Gru, Past, RecurrentActor, recurrent_means
from swarmhold.policies.rollout import Batch, Gauss, Task, means
from swarmhold.policies.samples import samples_of
from swarmhold.policies.sequences import LENGTH, cut
from swarmhold.policies.train import make_learner
from swarmhold.policies.workers import Here
from swarmhold.sim.noise import mix

SPEC = policy_spec("epuck")
TINY = TrainConfig(robots=3, teams=18, width=16, heads=2, minibatch=2048, recurrent=6)
STEPS, LINES = 5, 7


def make_recurrent(seed: int = 0) -> RecurrentActor:
    torch.manual_seed(seed)
    actor = RecurrentActor(SPEC, 6, 16, 2)
    with torch.no_grad():
        actor.head[-1].weight.mul_(10.0)
        actor.gru.recall.weight.mul_(3.0)
    return actor


def scene(rows: int, seed: int = 0) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    sizes = [(SPEC.self_size,), (3, SPEC.team_size), (3,), (2, SPEC.obstacle_size), (2,)]
    own, team, health, marks, real = (torch.randn(rows, *size, generator=rng) for size in sizes)
    return [own, team, (health > 0).float() * 0.9, marks, (real > 0).float()]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 9), memory=st.integers(1, 9))
def test_the_unit_is_a_gru(seed: int, size: int, memory: int) -> None:
    torch.manual_seed(seed)
    ours, theirs = Gru(size, memory), torch.nn.GRUCell(size, memory)
    theirs.load_state_dict(
        {
            "weight_ih": ours.read.weight,
            "weight_hh": ours.recall.weight,
            "bias_ih": ours.read.bias,
            "bias_hh": ours.recall.bias,
        }
    )
    seen, hidden = 3.0 * torch.randn(4, size), torch.rand(4, memory) * 2 - 1
    found = ours.step(ours.read(seen), hidden)
    torch.testing.assert_close(found, theirs(seen, hidden), atol=1e-6, rtol=1e-5)
    assert found.abs().max() <= 1.0


def test_sequences_are_the_graph_step_by_step() -> None:
    """Values and gradients, with a robot that comes back in the middle."""
    actor, inputs = make_recurrent(), scene(STEPS * LINES)
    stored = torch.rand(STEPS, LINES, 6) * 2 - 1
    follows = torch.ones(STEPS, LINES, dtype=torch.bool)
    follows[0], follows[3, 2], follows[1:, 5] = False, False, False
    out = recurrent_means(actor, actor.prepare(*inputs), True, Past(stored, follows))
    wanted, lonely, hidden = [], [], stored[0]
    for step in range(STEPS):
        hidden = torch.where(follows[step][:, None], hidden, stored[step])
        own, team, health, marks, real = (x.unflatten(0, (STEPS, LINES))[step] for x in inputs)
        with torch.no_grad():
            tokens = actor.prepare(own, team, 0.0 * health, marks, real, health.sum(dim=-1))
            found, _ = actor.features(tokens)
            after = actor.gru.step(actor.gru.read(found), hidden)
            lonely.append(torch.tanh(actor.head(torch.cat([found, after], dim=-1))))
        action, _, hidden = actor(own, team, health, marks, real, hidden)
        wanted.append(action / actor.bound)
    assert out.alone is not None
    torch.testing.assert_close(out.mean, torch.cat(wanted), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.alone, torch.cat(lonely), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.hidden[-LINES:], hidden, atol=1e-5, rtol=0)
    parameters = list(actor.parameters())
    slow, fast = (
        torch.autograd.grad((x**2).sum(), parameters, materialize_grads=True)
        for x in (torch.cat(wanted), out.mean)
    )
    size = max(float(x.abs().max()) for x in slow)
    for one, two in zip(slow, fast, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5 * size, rtol=1e-4)


@given(
    steps=st.integers(1, 25), teams=st.integers(1, 3), robots=st.integers(1, 3),
    length=st.integers(1, 12),
)  # fmt: skip
def test_cutting_keeps_every_decision_in_order(
    steps: int, teams: int, robots: int, length: int
) -> None:
    numbers = np.arange(steps * teams * robots).reshape(steps, teams, robots)
    found = cut(numbers, length, fill=-1)
    assert found.shape == (-(-steps // length) * teams, length, robots)
    assert sorted(found[found >= 0]) == list(range(numbers.size))
    for index, line in enumerate(found):
        step = index // teams * length
        np.testing.assert_array_equal(
            line[: steps - step], numbers[step : step + length, index % teams]
        )


REBOOT = FaultSpec("reboot", 1, start_s=3.0, duration_s=4.0)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """One episode of the real environment."""
    drawn = draw_mix(np.random.default_rng(0), TINY.teams, TINY.robots, 2, 1.0)
    drawn.faults[0][:] = [REBOOT]
    task = Task(0, mix(0, np.arange(TINY.teams)), drawn, Gauss(0.3), True, features=True)
    rollouts = Here(TINY, TINY.teams)
    found = rollouts.collect(make_recurrent(), task)
    rollouts.close()
    return found


def test_robots_start_from_zero_and_again_after_a_reboot(batch: Batch) -> None:
    lived = np.abs(batch.hidden).max(axis=-1)
    assert batch.hidden.shape == (*batch.valid.shape, 6)
    assert (lived[0] == 0.0).all() and (lived[~batch.valid] == 0.0).all()
    down = np.flatnonzero(~batch.valid[:, 0, 1])
    back = down[-1] + 1
    assert down[0] > 0 and back < len(lived) - 1
    assert lived[down[0] - 1, 0, 1] > 0.0 and lived[back + 1, 0, 1] > 0.0
    assert (lived[1:][batch.valid[:-1] & batch.valid[1:]] > 0.0).all()


def test_learning_sees_what_was_decided(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences from stored hidden states give the very means of the roll-out, each once."""
    monkeypatch.setattr(samples, "CHUNK", 2000)  # several pieces
    actor = make_recurrent()
    found = samples_of(actor, batch)
    some = np.random.default_rng(0).permutation(len(found.numbers))[:150]
    seen, total = [], 0.0
    for piece in found.pieces(found.numbers[some]):
        assert piece.past is not None
        counts = piece.share > 0
        with torch.no_grad():
            mean = recurrent_means(actor, piece.tokens, False, piece.past).mean
        torch.testing.assert_close(mean[counts], found.mean[piece.rows[counts]], atol=1e-5, rtol=0)
        seen += piece.rows[counts].tolist()
        total += float(piece.share.sum())
    numbers = found.numbers[some]
    assert sorted(seen) == sorted(numbers[numbers >= 0])
    assert total == pytest.approx(1.0, abs=1e-4)


def test_a_team_policy_remembers_until_it_is_reset() -> None:
    policy, seen = torch_policy(make_recurrent()), scene_of_teams()
    weights = np.ones((2, 4, 3))
    first, second = policy(seen, weights), policy(seen, weights)
    assert (np.abs(first - second) > 1e-6).any(axis=-1).all()
    anew = np.zeros((2, 4), bool)
    anew[1, 2] = True
    restart(policy, anew)
    third = policy(seen, weights)
    np.testing.assert_allclose(third[1, 2], first[1, 2], atol=1e-6)
    assert (np.abs(third - first).max(axis=-1) > 1e-6).sum() == 7
    restart(policy)
    np.testing.assert_array_equal(policy(seen, weights), first)


def scene_of_teams() -> Observation:
    own, team, _, marks, real = (x.numpy().reshape(2, 4, *x.shape[1:]) for x in scene(8))
    return Observation(own, team, marks, real)


CUE, TIMES, TEAMS = 5, 8, 40  # a value of the own token, decisions, episodes


def cued(actor: Actor, rng: np.random.Generator, std: float = 0.0) -> Batch:
    """Episodes of single robots that see, at the first decision only, which way to go."""
    cue = rng.choice([-1.0, 1.0], TEAMS)
    own = np.zeros((TIMES, TEAMS, 1, SPEC.self_size), np.float32)
    own[0, :, 0, CUE] = cue
    lead = (TIMES, TEAMS, 1)
    inputs = {
        "self": own,
        "team": np.zeros((*lead, 1, SPEC.team_size), np.float32),
        "health": np.zeros((*lead, 1), np.float32),
        "obstacles": np.zeros((*lead, 1, SPEC.obstacle_size), np.float32),
        "obstacle_mask": np.zeros((*lead, 1), np.float32),
    }
    hidden = np.zeros((TEAMS, 1, actor.memory), np.float32)
    mean, past = [], []
    for step in range(TIMES):
        past.append(hidden)
        given = {key: torch.from_numpy(value[step, :, 0]) for key, value in inputs.items()}
        _, now, hidden = means(actor, given, hidden)
        mean.append(now)
    means_ = np.stack(mean)
    action = means_ + std * rng.normal(size=means_.shape).astype(np.float32)
    label = np.broadcast_to(0.5 * cue[:, None, None] * [1.0, -1.0], (TIMES, TEAMS, 1, 2))
    end, ones = np.zeros(TEAMS), np.ones((TIMES + 1, TEAMS, 1), np.float32)
    critic = {
        "robots": np.zeros((TIMES + 1, TEAMS, 1, ROBOT_SIZE), np.float32),
        "present": ones,
        "marks": np.zeros((TIMES + 1, TEAMS, 1, LANDMARK_SIZE), np.float32),
        "real": 0.0 * ones,
    }
    reward = -((action - label) ** 2).sum(axis=(-1, -2))
    return Batch(
        inputs, critic, means_, action, label.astype(np.float32), reward, action[:0],
        ones[:-1] > 0, end, end, end, np.stack(past) if actor.memory else action[:0],
    )  # fmt: skip


def loss_after_imitation(recurrent: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Mean squared distance to the labels, over all decisions."""
    monkeypatch.setattr(imitate, "STEPS", 30)
    monkeypatch.setattr(imitate, "ROWS", 400)
    config = TINY.model_copy(update={"recurrent": recurrent, "warm_start": 6, "imitation_lr": 1e-2})
    learner, rng = make_learner(config), np.random.default_rng(0)
    for iteration in range(6):
        known = Imitation([rows_of(cued(learner.actor, rng))])
        regress(config, learner.actor, learner.optimiser, known, rng, iteration)
    last = cued(learner.actor, rng)
    return float(-last.reward.mean())


def test_what_was_seen_once_is_learned_only_with_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = (TIMES - 1) / TIMES * 0.5  # the best that one can do who has forgotten
    assert loss_after_imitation(0, monkeypatch) > 0.9 * blind
    assert loss_after_imitation(6, monkeypatch) < 0.1 * blind


def test_mappo_learns_what_was_seen_once() -> None:
    config = TINY.model_copy(update={"trunk": "separate", "epochs": 6, "minibatch": 200})
    learner, rng, std = make_learner(config), np.random.default_rng(0), 0.25
    learner.optimiser.param_groups[0]["lr"] = 5e-3
    scale = ValueScale()
    for _ in range(20):
        update(
            config, learner.actor, learner.critic, learner.optimiser, scale,
            cued(learner.actor, rng, std), std, 0.0, rng,
        )  # fmt: skip
    blind = (TIMES - 1) / TIMES * 0.5
    assert -cued(learner.actor, rng).reward.mean() < 0.3 * blind


def test_a_sequence_starts_anywhere_and_is_judged_once_it_is_up_to_date() -> None:
    lines = np.arange(40 * 3).reshape(40, 3)
    lines[:, 1] = -1
    drawn, judged = imitate.draw_lines(lines, np.random.default_rng(0))
    assert drawn.shape[0] == LENGTH and (drawn % 3 != 1)[drawn >= 0].all()
    assert not judged[drawn < 0].any()
    early = judged[: imitate.BURN_IN]
    assert (drawn[: imitate.BURN_IN][early] < 3 * imitate.BURN_IN).all() and early.any()
    assert set(drawn[judged]) == set(lines[:, [0, 2]].ravel())


@pytest.mark.parametrize(
    "settings",
    [{"algorithm": "maddpg", "critic": "mlp"}, {"actor": "mlp", "regulariser": "none"}],
)
def test_memory_is_for_the_health_actor_on_mappo(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="recurrent needs actor health and algorithm mappo"):
        TrainConfig(recurrent=8, **settings)
    with pytest.raises(ValueError, match="compile"):
        TrainConfig(recurrent=8, compile=True)
