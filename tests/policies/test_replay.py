"""Per-agent prioritised replay: who is in which queue, how often, and what is forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.policies.critic import LANDMARK_SIZE, ROBOT_SIZE
from swarmhold.policies.replay import Queues, Replay
from swarmhold.policies.rollout import Batch

STEPS, TEAMS, ROBOTS = 6, 4, 3


def make_batch(valid: np.ndarray, number: float = 0.0) -> Batch:
    steps, teams, robots = valid.shape
    lead = (steps, teams, robots)
    actor = {
        name: np.full((*lead, *tail), number, np.float32)
        for name, tail in (
            ("self", (2,)),
            ("team", (robots - 1, 2)),
            ("health", (robots - 1,)),
            ("obstacles", (1, 2)),
            ("obstacle_mask", (1,)),
        )
    }
    critic = {
        "robots": np.zeros((steps + 1, teams, robots, ROBOT_SIZE), np.float32),
        "present": np.ones((steps + 1, teams, robots), np.float32),
        "marks": np.zeros((steps + 1, teams, 1, LANDMARK_SIZE), np.float32),
        "real": np.zeros((steps + 1, teams, 1), np.float32),
    }
    action = np.full((*lead, 2), 0.5, np.float32)
    reward = number + np.arange(steps)[:, None] + 0.01 * np.arange(teams)
    end = np.zeros(teams)
    return Batch(
        actor, critic, action, action, action, reward, action[:0], valid, end, end, end
    )  # fmt: skip


def filled(valid: np.ndarray, mask_faulty: bool = True) -> Replay:
    replay = Replay(1000, 0.4)
    replay.add(make_batch(valid), mask_faulty)
    return replay


def healthy() -> np.ndarray:
    return np.ones((STEPS, TEAMS, ROBOTS), bool)


def test_a_faulty_robot_is_out_of_its_own_queue_and_in_no_other_way() -> None:
    valid = healthy()
    valid[3:, 1, 2] = False
    replay = filled(valid)
    step, team = np.divmod(np.arange(STEPS * TEAMS), TEAMS)
    broken = (step >= 3) & (team == 1)
    onset = (step == 2) & (team == 1)  # in the transition after it the fault sets in
    last = step == STEPS - 1  # has no successor
    mass = replay.queues.mass[:, : STEPS * TEAMS] > 0
    assert (mass[2] == ~(broken | onset | last)).all()
    assert (mass[0] == ~(onset | last)).all()
    assert (mass[-1] == ~(onset | last)).all()
    assert (filled(valid, mask_faulty=False).queues.mass[2, : STEPS * TEAMS] > 0)[
        broken & ~last
    ].all()


def test_what_a_faulty_robot_was_told_to_do_is_not_what_it_did() -> None:
    valid = healthy()
    valid[3:, 1, 2] = False
    action = filled(valid).rows["action"].reshape(-1, TEAMS, ROBOTS, 2)[:STEPS]
    assert (action[valid] == 0.5).all() and (action[~valid] == 0.0).all()


def test_the_next_transition_is_of_the_same_team() -> None:
    replay = filled(healthy())
    ids, _ = replay.queues.draw(0, np.random.default_rng(0), 50, 0.4)
    gap = replay.rows["reward"][replay.next_of(ids)] - replay.rows["reward"][ids]
    np.testing.assert_allclose(gap, 1.0, atol=1e-5)


def test_the_oldest_episode_is_forgotten_in_every_queue() -> None:
    replay = Replay(2 * STEPS * TEAMS, 0.4)
    broken = healthy()
    broken[:, :, 0] = False
    for number, valid in enumerate((healthy(), healthy(), broken)):
        replay.add(make_batch(valid, 100.0 * number), True)
    size = STEPS * TEAMS
    assert (replay.rows["reward"][:size] >= 200).all()
    assert not replay.queues.mass[0, :size].any()  # though the first episode was in it
    assert replay.queues.mass[1, :size].any()


def test_decisions_since_the_fault_are_kept() -> None:
    valid = healthy()
    valid[3:, 1, 2] = False
    since = filled(valid).rows["since"].reshape(-1, TEAMS)[:STEPS]
    assert since[:, 1].tolist() == [-1, -1, -1, 0, 1, 2]
    assert (since[:, 0] == -1).all()


@settings(max_examples=30, deadline=None)
@given(alpha=st.floats(0.0, 1.0), count=st.integers(2, 60), seed=st.integers(0, 2**31))
def test_draws_follow_the_rank_and_weights_undo_it(alpha: float, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queues = Queues(1, count, alpha)
    queues.enter(np.arange(count), np.ones((1, count), bool))
    queues.judge(0, np.arange(count), rng.permutation(count).astype(np.float32))
    queues.sort()
    chance = np.empty(count)
    chance[np.argsort(-queues.priority[0])] = np.arange(1, count + 1) ** -alpha
    chance /= chance.sum()
    ids, weight = queues.draw(0, rng, 4000, 1.0)
    # Drawn one per segment of equal mass, so counts are off by one at each edge at most.
    assert (np.abs(np.bincount(ids, minlength=count) - 4000 * chance) <= 2.0).all()
    np.testing.assert_allclose(weight * chance[ids] / (weight * chance[ids]).max(), 1.0, rtol=1e-4)


def test_new_transitions_come_first() -> None:
    queues = Queues(1, 10, 1.0)
    queues.enter(np.arange(9), np.ones((1, 9), bool))
    queues.judge(0, np.arange(9), np.arange(9))
    queues.enter(np.array([9]), np.ones((1, 1), bool))
    queues.sort()
    assert queues.mass[0, 9] == pytest.approx(0.5) or queues.mass[0, 9] == 1.0
    assert queues.mass[0, 0] == queues.mass[0].min()


def test_an_empty_queue_gives_nothing() -> None:
    ids, weight = Queues(2, 5, 0.4).draw(1, np.random.default_rng(0), 8, 0.4)
    assert len(ids) == len(weight) == 0


def test_arrays_in_a_folder_are_found_again(tmp_path: Path) -> None:
    first = Replay(1000, 0.0, tmp_path)
    first.add(make_batch(healthy(), 7.0), True)
    second = Replay(1000, 0.0, tmp_path)
    second.queues, second.episodes = first.queues, first.episodes
    second.add(make_batch(healthy(), 9.0), True)
    reward = second.rows["reward"].reshape(-1, STEPS, TEAMS)
    assert reward[0].min() == 7.0 and reward[1].min() == 9.0
