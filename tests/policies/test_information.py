"""MIR3's bound: the closed form is the published sum, and it bounds what is known."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policies.test_replay import make_batch

from swarmhold.policies.config import TrainConfig
from swarmhold.policies.information import Club, deviation, inform, make_club


def brute_force(club: Club, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """CLUB with its negatives summed over all pairs (arXiv 2006.12013, eq. 6)."""
    with torch.no_grad():
        mu, variance = club.mu(x), club.spread(x).exp()
        negatives = ((y[None, :, :] - mu[:, None, :]) ** 2).mean(dim=1)
        return ((negatives - (y - mu) ** 2) / (2 * variance)).sum(dim=-1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), rows=st.integers(2, 40), size=st.integers(1, 4))
def test_the_closed_form_is_the_sum_over_all_pairs(seed: int, rows: int, size: int) -> None:
    torch.manual_seed(seed)
    x, y = torch.randn(rows, 3), torch.randn(rows, size)
    club = Club(3, size, width=8)
    found = club.bound(x, y, torch.ones(rows, size))
    torch.testing.assert_close(found, brute_force(club, x, y), rtol=1e-3, atol=1e-4)


def fitted(correlation: float) -> float:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.randn(4000, 1)
    y = correlation * x + (1 - correlation**2) ** 0.5 * torch.randn(4000, 1)
    club, ones = Club(1, 1), torch.ones(4000, 1)
    for _ in range(20):
        club.fit(x, y, ones, steps=40)
    return float(club.bound(x, y, ones).mean())


def test_the_bound_lies_above_the_true_information_and_vanishes_without_any() -> None:
    assert abs(fitted(0.0)) < 0.03
    assert fitted(0.6) >= -0.5 * np.log(1 - 0.6**2) - 0.02
    assert fitted(0.8) > fitted(0.6) > fitted(0.2)


def test_robots_that_do_not_act_betray_nothing() -> None:
    torch.manual_seed(0)
    x, y, counts = torch.randn(50, 2), torch.randn(50, 4), torch.ones(50, 4)
    counts[:, 2:] = 0.0
    other = y.clone()
    other[:, 2:] = 1e6
    club = Club(2, 4)
    torch.testing.assert_close(club.bound(x, y, counts), club.bound(x, other, counts))
    torch.testing.assert_close(deviation(y, counts), deviation(other, counts))


def test_the_penalty_of_a_policy_that_always_does_the_same_is_nothing() -> None:
    valid = np.ones((6, 4, 3), bool)
    for name in ("mir3", "deviation"):
        config = TrainConfig(robot="crazyflie", robots=3, regulariser=name)
        torch.manual_seed(0)
        batch = make_batch(valid)
        told, figures = inform(config, make_club(config), batch, 1.0)
        assert abs(figures["penalty"]) < 1e-5
        np.testing.assert_allclose(told.reward, batch.reward, atol=1e-4)
        batch.action[...] = np.random.default_rng(0).uniform(-1, 1, batch.action.shape)
        told, figures = inform(config, make_club(config), batch, 0.5)
        lost = (batch.reward - told.reward).mean()
        np.testing.assert_allclose(lost, 0.5 * figures["penalty"], rtol=1e-4, atol=1e-6)
        assert name == "mir3" or figures["penalty"] > 0.5


def test_other_regularisers_leave_the_reward_alone() -> None:
    batch = make_batch(np.ones((6, 4, 3), bool))
    told, figures = inform(TrainConfig(robot="crazyflie"), None, batch, 1.0)
    assert told is batch and figures == {}
