"""Replay priorities: their maths, and games in which uniform replay is known to fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.cli.main import main
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.offline import table
from swarmhold.policies.offline.games import DECOUPLED, SIGN, TWIN, around, play
from swarmhold.policies.offline.priority import (
    BESIDE,
    Focus,
    Gate,
    due,
    effective_size,
    mean_gap,
    priorities,
    steepness_for,
)


@pytest.fixture(scope="module")
def found() -> dict:
    return table.measure(20)


def test_every_cell_comes_as_near_as_it_may(found: dict) -> None:
    twin = [cell for cell in found["cells"] if cell["game"] == "twin peaks"]
    assert len(twin) == 6
    for cell in found["cells"]:
        assert abs(cell["value"] - cell["reference"]) <= cell["tolerance"], cell
    for cell in twin:
        assert cell["tolerance"] == {"BRUD": 0.02, "PJAP": 0.015}[cell["arm"]]
        assert abs(cell["gap"] - cell["reference_gap"]) < 0.04, cell


def test_players_that_disagree_meet_with_priorities_only(found: dict) -> None:
    assert found["reached"]["uniform, BRUD"] == 0
    assert found["reached"]["uniform, PJAP"] >= 19
    assert found["reached"]["wrong quadrant, BRUD"] == 0
    assert found["reached"]["wrong quadrant, PJAP"] == 0
    assert found["gate"]["uniform"]["passes"]
    assert not found["gate"]["wrong quadrant"]["passes"]


def test_the_joint_step_points_away_where_foretold(found: dict) -> None:
    ways = found["direction"]
    assert ways["as_foretold"] == ways["pairs"] and 0 < ways["against"] < ways["pairs"]


def test_the_chosen_steepness_is_as_good_as_the_best(found: dict) -> None:
    for row in found["steepness"]:
        assert row["below_best"] <= 0.01, row
    wide = found["steepness"][-1]["values"]
    assert wide["3.0"] > max(wide["0.5"], wide["12.0"])  # too soft and too steep are both worse


@pytest.mark.parametrize("centre", [(0.3, 0.3), (-1.0, 1.0), (2.0, -3.0)])
def test_where_nothing_is_shared_any_data_do(centre: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    for steepness in (0.0, 3.0):
        played = play(DECOUPLED, around(rng, 3, centre, 0.5), steepness, rng)
        assert np.all(played.value > -1e-3)


def test_slopes_are_those_of_the_rewards() -> None:
    x, y = np.random.default_rng(1).uniform(-1.0, 1.0, (2, 50))
    for game in (DECOUPLED, SIGN, TWIN):
        risen = (game.reward(x + 1e-6, y) - game.reward(x - 1e-6, y)) / 2e-6
        np.testing.assert_allclose(game.slope(x, y), risen, atol=1e-6)
        np.testing.assert_allclose(game.reward(x, y), game.reward(y, x), atol=1e-12)
    assert pytest.approx(0.5625) == TWIN.best


def test_who_is_broken_or_steered_by_hand_does_not_count() -> None:
    action, policy = np.zeros((2, 3, 2, 2)), np.zeros((2, 3, 2, 2))
    counts = np.ones((2, 3, 2), bool)
    action[0, :, 1] = 1.0
    np.testing.assert_allclose(mean_gap(action, policy, counts), [0.5, 0.0])
    counts[0, :, 1] = False
    np.testing.assert_allclose(mean_gap(action, policy, counts), [0.0, 0.0])
    counts[0] = False
    away = mean_gap(action, policy, counts)
    assert np.isinf(away[0])
    assert priorities(away, 3.0).tolist() == [0.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(1e-3, 10.0),
    share=st.floats(0.1, 0.9),
    rare=st.floats(0.3, 1.0),
)
def test_bisection_hits_the_wanted_size(seed: int, scale: float, share: float, rare: float) -> None:
    rng = np.random.default_rng(seed)
    away = scale * rng.random(1500)
    beside = np.where(rng.random(1500) < 0.3, rare, 1.0)
    target = share * float(effective_size(beside))
    steep = steepness_for(away, target, beside)
    size = float(effective_size(priorities(away, steep) * beside))
    assert size == pytest.approx(target, rel=1e-3)


def test_far_from_everything_priorities_still_tell_near_from_far() -> None:
    found = priorities(np.array([50.0, 50.01, 80.0]), 1.0)
    assert found[0] == 1.0 and 0.1 < found[1] < 0.9 and found[2] == 1e-3


def test_focus_narrows_and_stops_at_its_floor() -> None:
    focus = Focus()
    targets = [focus.target(10_000, share) for share in (0.0, 0.5, 1.0)]
    assert targets[0] == pytest.approx(3000) and targets[2] == pytest.approx(1000)
    assert targets[0] > targets[1] > targets[2]
    assert focus.target(500, 1.0) == 256.0


def test_few_sequences_are_all_refreshed_and_many_in_turns() -> None:
    rng, replayed = np.random.default_rng(0), np.array([3, 99_999])
    assert len(due(1000, 20, replayed, rng)) == 1000
    some = due(100_000, 20, replayed, rng)
    assert set(replayed) <= set(some.tolist()) and len(some) <= BESIDE + 2


def test_the_gate_refuses_few_and_far_data() -> None:
    near, gate = np.full(1000, 0.1), Gate()
    assert not gate.judge(near, np.ones(1000)).refusal
    assert "effective sequences" in gate.judge(near[:255], np.ones(255)).refusal
    assert "away from the policy" in gate.judge(near + 0.6, np.ones(1000)).refusal
    with pytest.raises(ConfigError, match="do not cover"):
        gate.judge(np.full(1000, np.inf), np.ones(1000)).demand()


def test_the_bench_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "pjap", "--seeds", "1"]) == 2
    assert "--seeds 1" in capsys.readouterr().err
