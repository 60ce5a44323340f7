"""The six invariants of health-weighted attention, and what else the graph promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.policies.attention import Attention, HealthAttentionActor

TOLERANCE = 5e-6  # float32: sums over teams of different size are ordered differently
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Inputs = dict[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_actor(robot: str) -> HealthAttentionActor:
    """An untrained actor whose streams all matter: null values and head are not zero."""
    torch.manual_seed(7)
    actor = HealthAttentionActor(policy_spec(robot), width=32, heads=4)
    with torch.no_grad():
        for name, value in actor.named_parameters():
            if "null" in name or value.ndim == 1:
                value.normal_(0.0, 0.5)
            elif "head" in name:
                value.mul_(2.0)
    return actor.eval()


ACTORS = {robot: make_actor(robot) for robot in ROBOTS}


def draw(robot: str, seed: int, mates: int, marks: int) -> Inputs:
    """Plausible tokens in SI units, half of them landmarks."""
    rng = np.random.default_rng(seed)
    spec = policy_spec(robot)
    arrays = {
        "self_token": rng.normal(0.0, 0.5, (3, spec.self_size)),
        "team": rng.normal(0.0, 1.0, (3, mates, spec.team_size)),
        "health": rng.uniform(0.1, 1.0, (3, mates)),
        "obstacles": rng.normal(0.0, 1.0, (3, marks, spec.obstacle_size)),
        "obstacle_mask": np.ones((3, marks)),
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in arrays.items()}


def act(robot: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        mean, shares = ACTORS[robot].mean(*inputs.values())
    return mean, shares


def with_mate(inputs: Inputs, token: torch.Tensor, weight: float) -> Inputs:
    """The same team and one more teammate, the last in the roster."""
    batch = len(inputs["team"])
    return inputs | {
        "team": torch.cat([inputs["team"], token.expand(batch, 1, -1)], dim=1),
        "health": torch.cat([inputs["health"], torch.full((batch, 1), weight)], dim=1),
    }


cases = given(
    robot=st.sampled_from(sorted(ROBOTS)),
    seed=st.integers(0, 10**6),
    mates=st.integers(1, 12),
    marks=st.integers(1, 8),
)


@MANY
@cases
def test_weight_zero_is_removal(robot: str, seed: int, mates: int, marks: int) -> None:
    inputs = draw(robot, seed, mates, marks)
    token = draw(robot, seed + 1, 1, 1)["team"][:1]
    mean, shares = act(robot, inputs)
    masked, masked_shares = act(robot, with_mate(inputs, token, 0.0))
    assert (masked - mean).abs().max() <= TOLERANCE
    assert (masked_shares[:, mates] == 0.0).all()
    kept = torch.cat([masked_shares[:, :mates], masked_shares[:, -1:]], dim=1)
    assert (kept - shares).abs().max() <= TOLERANCE


@MANY
@given(
    robot=st.sampled_from(sorted(ROBOTS)),
    seed=st.integers(0, 10**6),
    bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30, -1e30]),
    weight=st.floats(0.0, 0.05),
)
def test_payload_of_a_masked_mate_is_void(robot: str, seed: int, bad: float, weight: float) -> None:
    inputs = draw(robot, seed, 4, 3)
    size = inputs["team"].shape[-1]
    clean, _ = act(robot, with_mate(inputs, torch.zeros(1, 1, size), 0.0))
    dirty, shares = act(robot, with_mate(inputs, torch.full((1, 1, size), bad), weight))
    assert torch.equal(clean, dirty)
    assert (shares[:, 4] == 0.0).all()


@MANY
@cases
def test_two_twins_at_half_weight_are_one(robot: str, seed: int, mates: int, marks: int) -> None:
    inputs = draw(robot, seed, mates, marks)
    token = draw(robot, seed + 1, 1, 1)["team"][:1]
    one, one_shares = act(robot, with_mate(inputs, token, 1.0))
    twins, shares = act(robot, with_mate(with_mate(inputs, token, 0.5), token, 0.5))
    assert (one - twins).abs().max() <= TOLERANCE
    assert (shares[:, mates] + shares[:, mates + 1] - one_shares[:, mates]).abs().max() <= TOLERANCE


@MANY
@cases
def test_order_of_mates_and_landmarks_is_void(
    robot: str, seed: int, mates: int, marks: int
) -> None:
    inputs = draw(robot, seed, mates, marks)
    rng = np.random.default_rng(seed)
    team, spot = torch.tensor(rng.permutation(mates)), torch.tensor(rng.permutation(marks))
    shuffled = inputs | {
        "team": inputs["team"][:, team],
        "health": inputs["health"][:, team],
        "obstacles": inputs["obstacles"][:, spot],
        "obstacle_mask": inputs["obstacle_mask"][:, spot],
    }
    mean, shares = act(robot, inputs)
    same, moved = act(robot, shuffled)
    assert (mean - same).abs().max() <= TOLERANCE
    assert (shares[:, :-1][:, team] - moved[:, :-1]).abs().max() <= TOLERANCE


@MANY
@given(
    robot=st.sampled_from(sorted(ROBOTS)),
    seed=st.integers(0, 10**6),
    low=st.floats(0.0, 1.0),
    high=st.floats(0.0, 1.0),
)
def test_share_grows_with_weight(robot: str, seed: int, low: float, high: float) -> None:
    inputs = draw(robot, seed, 5, 2)
    low, high = min(low, high), max(low, high)
    shares = []
    for weight in (low, high):
        health = inputs["health"].clone()
        health[:, 2] = weight
        # The query hears of the weight only through the head-count, which is held here.
        with torch.no_grad():
            _, share = ACTORS[robot].mean(
                *(inputs | {"health": health}).values(), head_count=torch.full((3,), 4.0)
            )
        shares.append(share[:, 2])
    assert (shares[1] >= shares[0] - TOLERANCE).all()


@MANY
@cases
def test_all_masked_is_finite_and_alone(robot: str, seed: int, mates: int, marks: int) -> None:
    inputs = draw(robot, seed, mates, marks)
    poison = torch.full_like(inputs["team"], float("nan"))
    inputs |= {"team": poison, "health": torch.zeros_like(inputs["health"])}
    mean, shares = act(robot, inputs)
    assert torch.isfinite(mean).all()
    assert (shares[:, -1] == 1.0).all()
    assert (shares[:, :-1] == 0.0).all()


@MANY
@given(seed=st.integers(0, 10**6), bad=st.sampled_from([float("nan"), float("inf"), 1e38]))
def test_any_input_gives_a_bounded_action(seed: int, bad: float) -> None:
    rng = np.random.default_rng(seed)
    inputs = draw("epuck", seed, 4, 4)
    for value in inputs.values():
        value[torch.tensor(rng.random(value.shape) < 0.3)] = bad
    with torch.no_grad():
        action, shares = ACTORS["epuck"](*inputs.values())
    bound = torch.tensor(policy_spec("epuck").action_bound)
    assert torch.isfinite(action).all()
    assert torch.isfinite(shares).all()
    assert (action.abs() <= bound).all()
    assert (shares.sum(dim=1) - 1.0).abs().max() <= TOLERANCE


def test_a_dead_mate_cannot_leak_through_a_landmark() -> None:
    """Landmarks ask teammates too; the path over them must be closed as well."""
    inputs = draw("epuck", 3, 4, 5)
    inputs["health"][:, 1] = 0.0
    before, _ = act("epuck", inputs)
    inputs["team"][:, 1] = inputs["obstacles"][:, 2, :1]  # it claims to stand somewhere else
    after, _ = act("epuck", inputs)
    assert torch.equal(before, after)


def test_a_live_mate_matters_and_so_does_a_body() -> None:
    inputs = draw("epuck", 3, 4, 5)
    before, _ = act("epuck", inputs)
    moved = inputs | {"team": inputs["team"] + 0.3}
    assert (act("epuck", moved)[0] - before).abs().max() > 1e-4
    seen = inputs | {"obstacles": inputs["obstacles"] + 0.3}
    assert (act("epuck", seen)[0] - before).abs().max() > 1e-4


def test_padding_of_obstacles_is_void() -> None:
    inputs = draw("crazyflie", 5, 4, 3)
    before, _ = act("crazyflie", inputs)
    junk = torch.full((3, 2, inputs["obstacles"].shape[-1]), float("nan"))
    padded = inputs | {
        "obstacles": torch.cat([inputs["obstacles"], junk], dim=1),
        "obstacle_mask": torch.cat([inputs["obstacle_mask"], torch.zeros(3, 2)], dim=1),
    }
    assert (act("crazyflie", padded)[0] - before).abs().max() <= TOLERANCE


def test_no_message_can_outshout_the_cap() -> None:
    """Logits lie in +-8, so no share falls below exp(-16) of an even one, however loud others are.

    Two heads have two winners among three mates and null: without a cap the rest would get 0.
    """
    torch.manual_seed(0)
    attention = Attention(8, 2)
    with torch.no_grad():
        _, shares = attention(torch.randn(5, 1, 8), 1e4 * torch.randn(5, 3, 8), torch.zeros(5, 3))
    assert shares.max() > 0.5
    assert shares.min() >= 0.99 * np.exp(-16.0) / 4.0
