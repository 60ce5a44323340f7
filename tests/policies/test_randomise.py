"""The mix of supervision qualities that training goes through."""

from __future__ import annotations

import numpy as np

from swarmhold.policies.randomise import (
    EPISODE_KINDS,
    SHARES,
    WeightRandomiser,
    draw_mix,
    exists_for_others,
    received_weight,
)
from swarmhold.sim.noise import mix

E, N = 6, 5
PRESENT = np.ones((E, N), bool)


def randomiser(kind: str, seed: int = 0) -> WeightRandomiser:
    kinds = np.full(E, EPISODE_KINDS.index(kind))
    return WeightRandomiser(mix(seed, np.arange(E)), kinds, N)


def oracle(now: float, falls_at: float = 5.0) -> np.ndarray:
    """Robot 0 fails: the first column of everybody else's teammates."""
    weights = np.ones((E, N, N - 1))
    weights[:, 1:, 0] = float(now < falls_at)
    return weights


def run(kind: str, seconds: float = 20.0, falls_at: float = 5.0) -> np.ndarray:
    told, exists = randomiser(kind), exists_for_others(PRESENT)
    times = np.arange(0.0, seconds, 0.1)
    return np.stack([told.weights(oracle(now, falls_at), exists, now) for now in times])


def test_shares_of_episode_kinds() -> None:
    assert abs(sum(SHARES) - 1.0) < 1e-12
    drawn = draw_mix(np.random.default_rng(0), 4000, 10, 3, 1.0)
    share = np.bincount(drawn.kinds, minlength=len(SHARES)) / 4000
    assert np.abs(share - SHARES).max() < 0.03
    calm = draw_mix(np.random.default_rng(0), 200, 10, 3, 0.0)
    assert (calm.kinds == 0).all()
    assert not any(calm.faults)


def test_faults_only_where_the_kind_wants_them_and_inside_the_team() -> None:
    drawn = draw_mix(np.random.default_rng(1), 600, 10, 3, 1.0)
    sizes = np.array(drawn.team_sizes)
    assert sizes.min() == 3
    assert sizes.max() == 10
    assert (sizes == 10).mean() > 0.5
    for kind, size, faults in zip(drawn.kinds, sizes, drawn.faults, strict=True):
        with_faults = EPISODE_KINDS[kind] in ("late", "missed", "flapping")
        assert bool(faults) == with_faults
        assert all(fault.robot < size for fault in faults)
        assert len({fault.robot for fault in faults}) == len(faults)


def test_teams_grow_or_shrink_and_without_that_all_else_is_drawn_as_before() -> None:
    drawn = draw_mix(np.random.default_rng(1), 2000, 10, 3, 1.0, join_leave=0.5)
    plain = draw_mix(np.random.default_rng(1), 2000, 10, 3, 1.0)
    assert (plain.presence, plain.team_sizes) == (None, drawn.team_sizes)
    assert plain.faults == drawn.faults and (plain.kinds == drawn.kinds).all()
    assert draw_mix(np.random.default_rng(1), 9, 10, 3, 0.0, join_leave=0.5).presence is None
    assert drawn.presence is not None
    sizes = np.array(drawn.team_sizes)[:, None]
    joins, leaves = np.isfinite(drawn.presence).transpose(2, 0, 1)
    movers = joins.sum(axis=1) + leaves.sum(axis=1)
    assert not (joins.any(axis=1) & leaves.any(axis=1)).any()
    assert not (joins | leaves)[np.arange(10) >= sizes].any()
    assert (sizes[:, 0] - movers >= np.minimum(3, sizes[:, 0] - 1)).all()
    for part, share in ((movers > 0, 0.5), (joins.any(axis=1), 0.25)):
        assert abs(part.mean() - share) < 0.04
    assert movers.max() == 7
    part = drawn.part(slice(3, 5))
    np.testing.assert_array_equal(part.presence, drawn.presence[3:5])


def test_who_joins_is_told_at_once_and_who_leaves_is_noticed_late() -> None:
    for kind in EPISODE_KINDS:
        told = randomiser(kind)
        rows = []
        for now in np.arange(0.0, 12.0, 0.1):
            present = PRESENT.copy()
            present[:, 3], present[:, 4] = now >= 4.0, now < 5.0
            exists = exists_for_others(present)
            rows.append(told.weights(exists.astype(float), exists, now)[:, :3, 2:])
        joined, left = np.moveaxis(np.array(rows), -1, 0)
        assert (joined[:40] == 0.0).all() and (left[76:] == 0.0).all(), kind
        if kind in ("nominal", "late", "missed"):
            assert (joined[40:] == 1.0).all() and (left[:50] == 1.0).all()
            assert (left[50:55] > 0.0).mean() > 0.5, "nobody knows it at once"


def test_late_follows_the_oracle_within_its_delay_and_stays_down() -> None:
    told = run("late")
    np.testing.assert_array_equal(told[:50], 1.0)
    failed = told[:, :, 1:, 0]
    assert (failed[50 + 26 :] == 0.0).all()  # at most 2.0 s of delay and 0.5 s of ramp
    assert (np.diff(failed, axis=0) <= 1e-12).all()
    np.testing.assert_array_equal(told[:, :, :, 1:], 1.0)


def test_missed_never_tells() -> None:
    np.testing.assert_array_equal(run("missed"), 1.0)


def test_false_alarm_hits_healthy_mates_for_seconds_and_ends() -> None:
    told = run("false_alarm", seconds=30.0, falls_at=np.inf)
    low = told < 1.0
    assert low.any()
    assert not low[-1].any()
    spells = low.sum(axis=0) * 0.1
    assert spells.max() <= 5.1
    assert spells[spells > 0].min() >= 0.8


def test_flapping_goes_up_and_down_again() -> None:
    failed = run("flapping")[60:, :, 1:, 0]
    rises = (np.diff(failed, axis=0) > 0.5).any(axis=0)
    assert rises.mean() > 0.5


def test_masked_means_everybody_at_once() -> None:
    told = run("masked", falls_at=np.inf)
    values = told.reshape(len(told), E, -1)
    assert ((values == 0.0).all(axis=2) | (values == 1.0).all(axis=2)).all()
    assert (values == 0.0).any(axis=(0, 2)).all()


def test_dropout_changes_from_step_to_step() -> None:
    told = run("dropout", falls_at=np.inf)
    assert set(np.unique(told)) == {0.0, 1.0}
    assert (told[1:] != told[:-1]).any(axis=(0, 2, 3)).all()


def test_absent_robots_stay_at_zero_in_every_kind() -> None:
    present = PRESENT.copy()
    present[:, -1] = False
    exists = exists_for_others(present)
    for kind in EPISODE_KINDS:
        told = randomiser(kind).weights(np.ones((E, N, N - 1)), exists, 1.0)
        assert (told[:, :-1, -1] == 0.0).all()


def test_received_weight_is_what_others_give() -> None:
    weights = np.ones((1, 3, 2))
    weights[0, 0] = [0.2, 0.4]  # robot 0 gives robots 1 and 2
    weights[0, 2, 0] = 0.0  # robot 2 gives robot 0
    np.testing.assert_allclose(received_weight(weights)[0], [0.5, 0.6, 0.7])


def test_a_team_is_told_the_same_alone_as_among_others() -> None:
    exists = exists_for_others(PRESENT)
    for kind in EPISODE_KINDS:
        kinds = np.full(E, EPISODE_KINDS.index(kind))
        many = WeightRandomiser(mix(3, np.arange(E)), kinds, N)
        alone = WeightRandomiser(mix(3, np.arange(4, 5)), kinds[:1], N)
        for now in np.arange(0.0, 12.0, 0.5):
            told = many.weights(oracle(now), exists, now)
            np.testing.assert_array_equal(
                told[4:5], alone.weights(oracle(now)[:1], exists[:1], now)
            )
