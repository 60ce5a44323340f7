"""Learning from recordings: what is replayed, who learns from what, and what says no."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.actor import Actor
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.offline import safeguards, view
from swarmhold.policies.offline.carry import Carry
from swarmhold.policies.offline.learner import OfflineLearner, Rates, returns_of
from swarmhold.policies.offline.priority import Focus, Gate
from swarmhold.policies.offline.safeguards import Trial, Verdict
from swarmhold.policies.offline.store import BY_HAND, SequenceStore, balance, quality
from swarmhold.policies.offline.tune import Plan, tune
from swarmhold.policies.offline.view import Transitions, joined, rolled
from swarmhold.policies.recurrent import RecurrentActor
from swarmhold.sim.env import SwarmEnv

SPEC = policy_spec("epuck")


def make_actor(seed: int = 0) -> Actor:
    torch.manual_seed(seed)
    return HealthAttentionActor(SPEC, 16, 2).eval()


def flight(teams: int = 3, broken: bool = False, noise: float = 0.2, seed: int = 0) -> Transitions:
    env = SwarmEnv(Carry(), "epuck", teams, 2, seed=seed)
    faults = [[FaultSpec("freeze", 1, 5.0)] if broken else [] for _ in range(teams)]
    return rolled(env, make_actor(), noise, 0, faults)


@pytest.fixture(scope="module")
def whole() -> Transitions:
    return flight()


@pytest.fixture(scope="module")
def broken() -> Transitions:
    return flight(broken=True)


def learner_of(data: Transitions, **rates: float) -> OfflineLearner:
    return OfflineLearner.make(data, make_actor(), Rates(**rates), seed=3)


def test_recorded_policy_actions_are_those_of_the_actor(whole: Transitions) -> None:
    np.testing.assert_allclose(whole.actions_of(make_actor()), whole.act_policy, atol=1e-5)
    some = np.array([5, 300, 2])
    np.testing.assert_allclose(
        whole.actions_of(make_actor(), some), whole.act_policy[some], atol=1e-5
    )
    assert np.abs(whole.act_applied - whole.act_policy).mean() > 0.05


def test_a_dataset_reads_back_by_its_slices(whole: Transitions) -> None:
    @dataclass
    class Slice:
        start: int
        stop: int
        shape: tuple[int, ...]

    slices, blocks, at = {}, [], 0
    for name in ("self", "team", "obstacles", "obstacle_mask"):
        block = whole.obs[name]
        flat = block.reshape(*block.shape[:2], -1)
        slices[name] = Slice(at, at + flat.shape[-1], block.shape[2:])
        blocks.append(flat)
        at += flat.shape[-1]
    names = [name for name in Transitions.__dataclass_fields__ if name != "obs"]
    arrays = {name: getattr(whole, name) for name in names}
    again = Transitions.of({**arrays, "obs": np.concatenate(blocks, axis=-1)}, slices)
    for name, block in whole.obs.items():
        np.testing.assert_array_equal(again.obs[name], block)
    np.testing.assert_allclose(again.actions_of(make_actor()), whole.act_policy, atol=1e-5)


def test_sequences_stay_within_an_episode(whole: Transitions) -> None:
    store = SequenceStore.cut(joined([whole, flight(2, seed=1)]), 7)
    data = store.data
    assert (data.episode_id[store.ticks] == data.episode_id[store.ticks][:, :1]).all()
    assert (np.diff(store.ticks, axis=1) == 1).all()
    assert len(np.unique(store.ticks)) == store.ticks.size
    assert len(store.ticks) == 5 * (150 // 7)
    assert not data.follows[np.flatnonzero(data.truncated.any(axis=1))].any()


def test_a_frozen_robot_is_world_and_not_policy(broken: Transitions) -> None:
    store = SequenceStore.cut(broken, 5)
    rng, actor = np.random.default_rng(0), make_actor()
    store.refresh(actor, rng)
    before = store.distance.copy()
    hurt = ~broken.counts
    assert hurt[:, 1].any() and not hurt[:, 0].any()
    broken.act_applied[hurt] = 1.0
    store.refresh(actor, rng)
    np.testing.assert_allclose(store.distance, before)
    learner = learner_of(broken)
    joint = learner._joint(learner.actor, np.arange(len(hurt)))
    assert bool((joint[torch.from_numpy(hurt)] == 1.0).all())
    broken.act_applied[hurt] = 0.0


def test_who_steers_by_hand_or_stopped_is_replayed_less_or_never() -> None:
    behaviour = np.zeros((3, 4, 2), np.uint8)
    behaviour[1, 2, 0], behaviour[2, 0, 1] = view.TELEOP, view.ESTOP
    assert quality(behaviour).tolist() == [1.0, BY_HAND, 0.0]


def test_rare_faults_get_their_share() -> None:
    rare = np.arange(1000) < 50
    weight = balance(rare, 0.2)
    assert weight[rare].sum() / weight.sum() == pytest.approx(0.2)
    assert (balance(np.arange(1000) < 500, 0.2) == 1.0).all()
    assert balance(np.arange(1000) < 1, 0.2).max() == 20.0


def test_priorities_times_balance_have_the_effective_size(broken: Transitions) -> None:
    store = SequenceStore.cut(joined([broken, flight(5, seed=2)]), 5)
    store.refresh(make_actor(1), np.random.default_rng(0))
    store.focus(Focus(0.3, 0.1, 20.0), 0.0)
    assert store.effective == pytest.approx(0.3 * len(store.ticks), rel=1e-3)
    near = store.distance < np.median(store.distance)
    drawn = np.bincount(store.draw(np.random.default_rng(1), 4000), minlength=len(near))
    assert drawn[near].sum() > 0.8 * drawn.sum()
    store.focus(Focus(0.3, 0.1, 20.0), 1.0)
    assert store.effective == pytest.approx(0.1 * len(store.ticks), rel=1e-3)


def test_the_critics_are_two(whole: Transitions) -> None:
    learner = learner_of(whole, cql=0.5)
    ticks = np.arange(40)
    twins = [dict(net.named_parameters()) for net in learner.critics]
    slow = [dict(net.named_parameters()) for net in learner.target_critics]
    for name, own in twins[0].items():
        assert not torch.equal(own, twins[1][name]) or own.std() == 0
    for net, target in zip(twins, slow, strict=True):
        assert all(torch.equal(net[name], target[name]) for name in net)
    losses, _ = learner.critic_losses(ticks)
    for mine, (loss, net) in enumerate(zip(losses, learner.critics, strict=True)):
        everybody = [*net.parameters(), *learner.critics[1 - mine].parameters()]
        slopes = torch.autograd.grad(loss, everybody, allow_unused=True, retain_graph=True)
        half = len(slopes) // 2
        assert all(slope is not None and slope.abs().sum() > 0 for slope in slopes[:half])
        assert all(slope is None for slope in slopes[half:])
        on_actor = torch.autograd.grad(
            loss, list(learner.actor.parameters()), allow_unused=True, retain_graph=True
        )
        assert all(slope is None for slope in on_actor)


def test_the_conservative_term_presses_values_off_the_data(whole: Transitions) -> None:
    gaps = []
    for cql in (0.0, 1.0):
        learner = learner_of(whole, cql=cql)
        rng = np.random.default_rng(0)
        for _ in range(40):
            learner.step(rng.integers(0, 450, 64), learn_actor=False)
        rows = np.arange(0, 450, 7)
        seen, action = learner.insight.values[rows], learner._applied(rows)
        with torch.no_grad():
            off = learner.critics[0](seen, torch.rand_like(action) * 2 - 1)
            gaps.append(float((learner.critics[0](seen, action) - off).mean()))
    assert gaps[1] > gaps[0] + 0.02


def test_the_policy_learns_what_pays(whole: Transitions) -> None:
    """Reward for driving forwards, whoever does it: after learning, both drive more."""
    paid = dataclasses.replace(whole, reward=whole.act_applied[..., :1].mean(axis=1).repeat(2, 1))
    learner = learner_of(paid, gamma=0.5, anchor=0.0, cloning=0.0, actor=1e-3)
    rng = np.random.default_rng(0)
    for step in range(80):
        learner.step(rng.integers(0, 450, 64), learn_actor=step >= 30)
    risen = whole.actions_of(learner.actor) - whole.act_policy
    assert (risen[..., 0].mean(axis=0) > 0.1).all()


def test_returns_end_with_the_episode(whole: Transitions) -> None:
    found = returns_of(whole, 0.9)
    assert found[149] == pytest.approx(whole.reward[149].mean(), rel=1e-5)
    assert found[148] == pytest.approx(whole.reward[148].mean() + 0.9 * found[149], rel=1e-5)


def small_plan(**more: object) -> Plan:
    values = {"steps": 40, "critic_first": 10, "refresh": 20, "gate": Gate(50.0)}
    return Plan(**{**values, "focus": Focus(floor=50.0), **more})  # type: ignore[arg-type]


def test_tuning_starts_from_the_deployed_policy_and_leaves_it_alone(whole: Transitions) -> None:
    deployed = make_actor()
    kept = {name: value.clone() for name, value in deployed.state_dict().items()}
    tuned = tune(whole, whole, deployed, small_plan())
    assert all(torch.equal(value, kept[name]) for name, value in deployed.state_dict().items())
    assert tuned.steps == 40 and tuned.verdicts[0].passed
    assert 0.0 < tuned.log[-1]["deviation"] < 0.15
    again = tune(whole, whole, deployed, small_plan())
    for name, value in again.actor.state_dict().items():
        assert torch.equal(value, tuned.actor.state_dict()[name])


def test_tuning_stops_at_the_cap_with_the_last_policy_within(whole: Transitions) -> None:
    plan = small_plan(cap=1e-4, steps=200)
    tuned = tune(whole, whole, make_actor(), plan)
    assert tuned.steps < 200 and tuned.verdicts[0].passed
    assert tuned.verdicts[0].figures["p95"] <= 1e-4 < tuned.log[-1]["deviation"]


def test_data_of_another_policy_or_too_few_are_refused(whole: Transitions) -> None:
    swapped = dataclasses.replace(whole, act_applied=-np.sign(whole.act_policy + 1e-9))
    with pytest.raises(ConfigError, match="away from the policy"):
        tune(swapped, whole, make_actor(), small_plan())
    with pytest.raises(ConfigError, match="effective sequences"):
        tune(whole, whole, make_actor(), small_plan(gate=Gate()))
    by_hand = dataclasses.replace(whole, behaviour=np.full_like(whole.behaviour, view.TELEOP))
    with pytest.raises(ConfigError, match="under the policy's control"):
        tune(by_hand, whole, make_actor(), small_plan())
    with pytest.raises(ConfigError, match="without memory"):
        tune(whole, whole, RecurrentActor(SPEC, 8, 16, 2), small_plan())


def test_safeguards_say_no_with_reasons() -> None:
    some, counts = np.zeros((50, 2, 2)), np.ones((50, 2), bool)
    assert safeguards.deviation(some + 0.1, some, counts).passed
    assert "departs" in safeguards.deviation(some + 0.4, some, counts).refusal
    assert "held out" in safeguards.deviation(some, some, ~counts).refusal
    returns = np.linspace(-10.0, 0.0, 11)
    assert safeguards.sane_values(np.full(5, 1.9), returns).passed
    assert "critics believe" in safeguards.sane_values(np.full(5, 2.1), returns).refusal
    assert not safeguards.sane_values(np.full(5, np.nan), returns).passed


def test_the_simulator_gate_asks_every_condition() -> None:
    rng, base = np.random.default_rng(0), np.full(64, -10.0)
    noise = 0.1 * rng.normal(size=64)
    trials = [
        Trial("nominal", base + noise, base, 3, 3),
        Trial("freeze", base - 1.0 + noise, base, 0, 0),
        Trial("spoof", base + 1.0 + noise, base, 5, 4),
    ]
    found = safeguards.no_worse(trials, rng)
    assert [verdict.passed for verdict in found] == [True, False, False]
    assert "freeze: the return" in found[1].refusal and "1 more contacts" in found[2].refusal


def test_what_was_tuned_says_where_it_comes_from() -> None:
    gates = [Verdict("deviation", "", {"p95": 0.1})]
    told = safeguards.provenance("d1", "p1", gates)
    assert told["gates"]["deviation"] == {"passed": True, "p95": 0.1}
    with pytest.raises(ConfigError, match="shadow"):
        safeguards.provenance("d1", "p1", gates, shadows=3)
    with pytest.raises(ConfigError, match="parent"):
        safeguards.provenance("d1", "", gates)
