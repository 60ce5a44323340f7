"""Monitors, fusion and state machine: detection, restraint, and the promises of the design."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.authority import merge_weights
from swarmhold.hardware.health import (
    PROOFS,
    HealthConfig,
    HealthInput,
    HealthState,
    health_init,
    health_step,
)
from swarmhold.hardware.monitor import (
    BITS,
    Accusation,
    MonitorConfig,
    monitor_init,
    monitor_step,
)

sys.path.insert(0, str(Path(__file__).parent))
from moments import heard

MONITOR, HEALTH = MonitorConfig(), HealthConfig()
A = Accusation
FEW = settings(max_examples=60, deadline=None)


def watch(inputs, steps=1, dt=0.05):
    state = monitor_init(MONITOR, (), len(inputs.age))
    bits = None
    for k in range(steps):
        state, bits = monitor_step(MONITOR, state, inputs, k * dt)
    return bits


def fuse(matrices, dt=0.05, reporting=None, state=None, start=0.0):
    """Feed accusation matrices (O, N), one per tick; returns all outputs and the last state."""
    n = matrices[0].shape[1]
    state = state or health_init((), n)
    outs = []
    for k, matrix in enumerate(matrices):
        on = np.ones(len(matrix), bool) if reporting is None else reporting
        inputs = HealthInput(matrix.astype(BITS), on, np.zeros(n, bool))
        state, out = health_step(HEALTH, state, inputs, start + k * dt)
        outs.append(out)
    return outs, state


def accuse(n, subject, bit, by):
    matrix = np.full((n, n), int(A.HEARD), BITS)
    for observer in by:
        matrix[observer, subject] = int(bit)
    return matrix


def silent(n, subject, by):
    """Some hear nothing of it, and the rest know nothing."""
    matrix = accuse(n, subject, A.SILENT, by)
    rest = [observer for observer in range(n) if observer not in by]
    matrix[rest, subject] = 0
    return matrix


# What one observer notices ---------------------------------------------------------------


def test_quiet_team_is_not_accused():
    accusing = A.SILENT | A.STUCK | A.MISMATCH | A.CORRUPT | A.REBOOT
    assert not (watch(heard(5), steps=20) & accusing).any()


def test_silence_is_noticed_and_only_of_the_silent():
    age = np.array([0.02, 0.31, 0.02, 0.02])
    bits = watch(heard(4, age=age, control_age=age))
    assert (bits & A.SILENT).astype(bool).tolist() == [False, True, False, False]


def test_beats_with_a_stuck_counter_are_noticed():
    bits = watch(heard(3, control_age=np.array([0.02, 0.5, 0.02])))
    assert (bits & A.STUCK).astype(bool).tolist() == [False, True, False]


def test_most_of_the_team_silent_at_once_is_the_channel():
    age = np.array([0.02, 1.0, 1.0, 1.0, 1.0])
    assert not (watch(heard(5, age=age)) & A.SILENT).any()


def test_an_observer_that_slept_accuses_nobody_of_silence():
    state = monitor_init(MONITOR, (), 3)
    state, _ = monitor_step(MONITOR, state, heard(3), 0.0)
    late = heard(3, age=np.array([0.02, 0.6, 0.02]))
    state, bits = monitor_step(MONITOR, state, late, 0.6)
    assert not (bits & A.SILENT).any()
    _, bits = monitor_step(MONITOR, state, late, 0.65)
    assert (bits & A.SILENT).any()


def test_never_heard_robots_are_no_evidence():
    age = np.array([0.02, np.inf, 0.02])
    assert not watch(heard(3, age=age, control_age=age, fresh=np.isfinite(age)))[1]


def test_lies_need_several_sightings():
    false = np.zeros((3, 3))
    false[1, 0] = 0.5
    assert not (watch(heard(3, claimed=false), steps=2) & A.MISMATCH).any()
    bits = watch(heard(3, claimed=false), steps=3)
    assert (bits & A.MISMATCH).astype(bool).tolist() == [False, True, False]


def test_what_comes_late_may_be_off_by_as_much_as_a_robot_drives_in_that_time():
    config = replace(MONITOR, speed_mps=0.5)
    for late, caught in ((0.0, True), (0.5, False)):
        state = monitor_init(config, (), 3)
        for k in range(20):
            off = np.zeros((3, 3))
            off[1, 0] = 0.2 if k > 10 else 0.0
            now = np.full(3, 0.05 * k)
            behind = now - np.array([0.0, late if k > 10 else 0.0, 0.0])
            seen = heard(3, claimed=off)
            seen = replace(seen, said=replace(seen.said, stamp=behind, heard_at=now))
            state, bits = monitor_step(config, state, seen, 0.05 * k)
        assert bool(bits[1] & A.MISMATCH) == caught


def test_unseen_robots_are_not_judged():
    false = np.zeros((3, 3))
    false[1, 0] = 0.5
    blind = np.full((3, 3), np.nan)
    bits = watch(heard(3, claimed=false, sensed=blind), steps=9)
    assert not (bits & (A.MISMATCH | A.SEEN)).any()


def test_nan_messages_are_corrupt_not_liars():
    claimed = np.zeros((3, 3))
    claimed[1] = np.nan
    corrupt = np.array([False, True, False])
    bits = watch(heard(3, claimed=claimed, corrupt=corrupt), steps=4)
    assert bits[1] & A.CORRUPT and not bits[1] & A.MISMATCH


def test_a_new_boot_id_is_reported_for_a_while():
    state = monitor_init(MONITOR, (), 2)
    state, _ = monitor_step(MONITOR, state, heard(2), 0.0)
    state, bits = monitor_step(MONITOR, state, heard(2, boot_id=np.array([1.0, 9.0])), 0.05)
    assert bits[1] & A.REBOOT
    for k in range(2, 20):
        state, bits = monitor_step(MONITOR, state, heard(2, boot_id=np.array([1.0, 9.0])), 0.05 * k)
    assert not bits[1] & A.REBOOT


# What the team makes of it ----------------------------------------------------------------


def test_two_observers_mask_a_silent_robot_at_once():
    outs, _ = fuse([silent(5, 3, by=(0, 1))])
    assert outs[0].weights[3] == 0.0
    assert outs[0].states[3] == HealthState.LOST
    assert (np.delete(outs[0].weights, 3) == 1.0).all()


def test_one_observer_where_others_know_nothing_raises_doubt_then_loss():
    outs, _ = fuse([silent(5, 3, by=(0,))] * 30)
    assert outs[0].states[3] == HealthState.SUSPECT
    assert all(out.weights[3] > 0.5 for out in outs[:18])
    assert outs[-1].states[3] == HealthState.LOST


@pytest.mark.parametrize("bits", [A.SILENT, *PROOFS, A(0xFFFF) & ~A.HEARD])
def test_one_observer_against_two_who_hear_it_only_raises_doubt(bits):
    """Its link is bad, or it lies: it must not be able to take anybody out, let alone all."""
    matrix = np.full((5, 5), int(A.HEARD), BITS)
    matrix[0, 1:] = int(bits)
    outs, _ = fuse([matrix] * 200)
    assert all((out.states[1:] == HealthState.SUSPECT).all() for out in outs)
    assert all((out.weights > 0.5).all() for out in outs)


@pytest.mark.parametrize(("deaf", "lost"), [((0, 1), False), ((0, 1, 2), True)])
def test_links_fail_each_for_itself_and_a_robot_for_all(deaf, lost):
    """Of five, robot 3 speaks itself; of the other four two or one still hear it."""
    matrix = accuse(5, 3, A.SILENT, by=deaf)
    matrix[3, 3] = 0
    outs, _ = fuse([matrix] * 60)
    assert (outs[-1].states[3] == HealthState.LOST) == lost
    assert lost or min(out.weights[3] for out in outs) > 0.5


@pytest.mark.parametrize(("observers", "hear", "at_once", "later"), [
    (2, 1, False, False), (3, 0, True, True), (3, 1, False, True), (4, 1, False, True),
    (4, 2, False, False), (5, 1, True, True), (5, 2, False, False),
])  # fmt: skip
def test_few_observers_must_agree_or_be_of_one_mind_for_long(observers, hear, at_once, later):
    """Who says that it hears the silent one may lie; not for long, where others could tell."""
    matrix = accuse(observers + 1, observers, A.SILENT, by=range(hear, observers))
    matrix[observers] = 0
    reporting = np.arange(observers + 1) < observers
    outs, _ = fuse([matrix] * 40, reporting=reporting)
    assert (outs[0].states[observers] == HealthState.LOST) == at_once
    assert (outs[-1].states[observers] == HealthState.LOST) == later


def test_a_flickering_link_never_costs_half_the_weight():
    on, off = accuse(5, 3, A.SILENT, by=(0,)), accuse(5, 3, A.HEARD, by=())
    outs, _ = fuse(([on] * 4 + [off] * 30) * 5)
    assert min(out.weights[3] for out in outs) > 0.5


def test_a_lone_observer_is_believed():
    outs, _ = fuse([accuse(2, 1, A.SILENT, by=(0,))], reporting=np.array([True, False]))
    assert outs[0].states[1] == HealthState.LOST


def test_a_liar_needs_a_majority_of_those_who_see_it():
    seen = accuse(6, 2, A.SEEN, by=(0, 1, 3, 4, 5))
    two = seen.copy()
    two[[0, 1], 2] |= int(A.MISMATCH)
    assert fuse([two])[0][0].states[2] == HealthState.HEALTHY
    three = two.copy()
    three[3, 2] |= int(A.MISMATCH)
    outs, _ = fuse([three])
    assert outs[0].states[2] == HealthState.QUARANTINED and outs[0].weights[2] == 0.0


def test_liars_cannot_outvote_the_honest():
    """Three of ten accuse everybody; seven see nothing wrong."""
    matrix = np.full((10, 10), int(A.SEEN | A.HEARD), np.uint8)
    matrix[:3] |= int(A.MISMATCH)
    outs, _ = fuse([matrix] * 20)
    assert (outs[-1].states == HealthState.HEALTHY).all()


def test_at_most_a_minority_is_held_on_cross_checks():
    matrix = np.full((5, 5), int(A.SEEN | A.MISMATCH), np.uint8)
    outs, _ = fuse([matrix])
    assert (outs[0].states == HealthState.QUARANTINED).sum() <= 2


@pytest.mark.parametrize(("bad", "common"), [(2, False), (3, True)])
@pytest.mark.parametrize("by", ["cross-check", "motion"])
def test_too_many_bad_at_once_have_a_common_cause(bad, common, by):
    """Of six, two can be held on soft evidence; three at once are wind, channel or threshold."""
    matrix = np.zeros((7, 6), int)
    if by == "motion":
        matrix[6, :bad] = A.ABNORMAL
    else:
        matrix[:] = A.SEEN
        matrix[:, :bad] |= A.MISMATCH
    out = fuse([matrix])[0][0]
    assert bool(out.common) is common
    assert (out.states == HealthState.QUARANTINED).sum() <= 2


def test_no_news_is_no_recovery():
    nothing = np.zeros((5, 5), np.uint8)
    outs, state = fuse([silent(5, 3, by=(0, 1))])
    outs, _ = fuse([nothing] * 100, state=state, start=0.05)
    assert all(out.weights[3] == 0.0 for out in outs)


def test_the_way_back_leads_through_probation():
    gone, fine = accuse(5, 3, A.SILENT, by=(0, 1, 2)), accuse(5, 3, A.HEARD, by=())
    outs, state = fuse([gone] * 80)
    outs, _ = fuse([fine] * 300, state=state, start=4.0)
    states = [int(out.states[3]) for out in outs]
    assert HealthState.PROBATION in states
    assert states[-1] == HealthState.HEALTHY and outs[-1].weights[3] == 1.0
    weights = [out.weights[3] for out in outs]
    assert max(np.diff(weights)) < 0.1, "weights rise slowly"


def test_probation_grows_with_relapses():
    gone, fine = accuse(3, 1, A.SILENT, by=(0, 2)), accuse(3, 1, A.HEARD, by=())
    state, start, lengths = None, 0.0, []
    for _ in range(3):
        _, state = fuse([gone] * 80, state=state, start=start)
        outs, state = fuse([fine] * 600, state=state, start=start + 4.0)
        lengths.append(sum(out.states[1] == HealthState.PROBATION for out in outs))
        start += 34.0
    assert lengths[0] < lengths[1] < lengths[2]


def test_estop_is_latched_by_the_caller_and_wins():
    n = 3
    quiet = np.full((n, n), int(A.HEARD), np.uint8)
    stop = np.array([False, True, False])
    state = health_init((), n)
    state, out = health_step(HEALTH, state, HealthInput(quiet, np.ones(n, bool), stop), 0.0)
    assert out.states[1] == HealthState.ESTOPPED and out.weights[1] == 0.0
    state, out = health_step(HEALTH, state, HealthInput(quiet, np.ones(n, bool), ~stop & stop), 9.0)
    assert out.states[1] == HealthState.ESTOPPED


# Properties ------------------------------------------------------------------------------

logs = st.lists(
    st.lists(st.integers(0, 127), min_size=16, max_size=16), min_size=1, max_size=40
).map(lambda rows: [np.array(row, np.uint8).reshape(4, 4) for row in rows])


@FEW
@given(logs)
def test_weights_lie_in_range_and_outcasts_get_nothing(log):
    outs, _ = fuse(log)
    before = np.zeros(4)
    for out in outs:
        assert ((out.weights >= 0) & (out.weights <= 1)).all()
        outcast = (out.states == HealthState.QUARANTINED) | (out.states == HealthState.LOST)
        assert (out.weights[outcast] == 0.0).all()
        jumped = (before == HealthState.QUARANTINED) & (out.states == HealthState.HEALTHY)
        assert not jumped.any(), "nobody leaves quarantine without probation"
        before = out.states


@FEW
@given(logs, st.permutations(range(4)))
def test_the_order_of_robots_does_not_matter(log, order):
    """Up to the cap on soft quarantines, which has to choose: it is left out here."""
    log = [matrix & ~np.uint8(A.MISMATCH) for matrix in log]
    outs, _ = fuse(log)
    order = np.array(order)
    moved, _ = fuse([matrix[np.ix_(order, order)] for matrix in log])
    for a, b in zip(outs, moved, strict=True):
        np.testing.assert_array_equal(a.weights[order], b.weights)


@FEW
@given(logs)
def test_batches_equal_single_runs(log):
    single, _ = fuse(log)
    state = health_init((2,), 4)
    for k, matrix in enumerate(log):
        both = HealthInput(
            np.stack([matrix, matrix]), np.ones((2, 4), bool), np.zeros((2, 4), bool)
        )
        state, out = health_step(HEALTH, state, both, 0.05 * k)
        np.testing.assert_array_equal(out.weights[0], single[k].weights)
        np.testing.assert_array_equal(out.weights[1], single[k].weights)


@FEW
@given(logs, st.integers(0, 3), st.integers(0, 3))
def test_one_more_accusation_of_silence_never_helps_the_accused_now(log, observer, subject):
    if observer == subject:
        return
    _, state = fuse(log)
    matrix = log[-1].copy()
    worse = matrix.copy()
    worse[observer, subject] |= int(A.SILENT)
    now = 0.05 * len(log)
    a, _ = fuse([matrix], state=state, start=now)
    b, _ = fuse([worse], state=state, start=now)
    assert b[0].weights[subject] <= a[0].weights[subject] + 1e-12


@pytest.mark.parametrize("age", [0.0, 0.9, 1.5, 30.0, np.inf])
def test_merge_never_raises_above_local_evidence_while_leased(age):
    table, local = np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0])
    hard = np.array([False, False, False])
    merged = merge_weights(table, np.asarray(age), local, hard)
    assert merged[1] == 0.0
    if age <= 1.0:
        assert merged[2] == 0.0, "the supervisor can lower"
    if age > 20.0:
        assert merged[2] > 0.9, "an expired table gives way"


def test_own_hard_evidence_counts_at_once():
    ones = np.ones(3)
    merged = merge_weights(ones, np.asarray(0.0), ones, np.array([False, True, False]))
    assert merged.tolist() == [1.0, 0.0, 1.0]
