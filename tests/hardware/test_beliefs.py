"""What a receiver makes of silence, its own stalls included."""

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.beliefs import MOST_EXCUSED_S, Beliefs
from swarmhold.hardware.messages import EVERYBODY, RobotState

UNSEEN = np.full((2, 3), np.nan)


def message(seq, speed=0.0):
    return RobotState(
        robot=1,
        stamp=0.0,
        boot_id=1,
        seq=seq,
        control_seq=seq,
        position=(0.0, 0.0, 0.0),
        velocity=(speed, 0.0, 0.0),
        yaw=0.0,
        yaw_rate=0.0,
        battery=1.0,
        mode=0,
        bundle=0,
        accusations=b"\0\0\0\0",
        recipient=EVERYBODY,
    )


def listen(beliefs, until, period=0.05, start=0.0):
    """Look every period while robot 1 speaks; returns the time of the last look."""
    now = start
    while now + period <= until:
        now += period
        beliefs.hear(message(round(now * 1000)), now)
        seen = beliefs.evidence(UNSEEN, now)
    assert seen.age[1] == pytest.approx(0.0, abs=1e-9)
    return now


def test_a_receiver_that_was_held_up_blames_nobody():
    beliefs = Beliefs(2)
    now = listen(beliefs, 1.0)
    seen = beliefs.evidence(UNSEEN, now + 0.4)
    assert seen.age[1] < 0.1 and seen.control_age[1] < 0.1
    beliefs.hear(message(2000), now + 0.42)
    assert beliefs.evidence(UNSEEN, now + 0.45).age[1] == pytest.approx(0.03)


def test_silence_is_noticed_all_the_same():
    beliefs = Beliefs(2)
    now = listen(beliefs, 1.0)
    beliefs.evidence(UNSEEN, now + 0.4)
    for later in np.arange(now + 0.45, now + 0.9, 0.05):
        seen = beliefs.evidence(UNSEEN, later)
    assert seen.age[1] > 0.3


def test_a_receiver_that_is_always_late_is_excused_but_once():
    beliefs = Beliefs(2)
    now = listen(beliefs, 1.0)
    for step in range(1, 8):
        seen = beliefs.evidence(UNSEEN, now + 0.2 * step)
    assert seen.age[1] == pytest.approx(1.4 - MOST_EXCUSED_S)


def test_a_pose_is_as_old_as_it_is_whoever_was_late():
    beliefs = Beliefs(2)
    beliefs.hear(message(1, speed=0.5), 0.0)
    beliefs.evidence(UNSEEN, 0.05)
    assert beliefs.evidence(UNSEEN, 0.45).claimed[1, 0] == pytest.approx(0.5 * 0.45)


def test_who_was_never_heard_stays_unheard():
    beliefs = Beliefs(2)
    beliefs.evidence(UNSEEN, 0.0)
    assert np.isinf(beliefs.evidence(UNSEEN, 1.0).age).all()


def test_what_is_late_or_comes_again_is_dropped():
    beliefs = Beliefs(2)
    for seq, where in ((5, 0.5), (4, 0.4), (5, 9.0)):
        beliefs.hear(replace(message(seq), position=(where, 0.0, 0.0)), 1.0 + seq)
    assert beliefs.positions[1, 0] == 0.5 and beliefs.age(6.0)[1] == 0.0
    beliefs.hear(replace(message(1), boot_id=2), 7.0)
    assert beliefs.age(7.0)[1] == 0.0, "after a reboot counting begins anew"


@pytest.mark.parametrize("order", [(1, 7), (7, 1)])
def test_two_senders_in_step_are_both_noticed(order):
    """The receiver looks at the same point of every cycle, so one of them is always the last."""
    beliefs, shown = Beliefs(2), []
    for step in range(8):
        for boot in order:
            beliefs.hear(replace(message(step), boot_id=boot), step * 0.05)
        shown.append(beliefs.evidence(UNSEEN, step * 0.05 + 0.01).said.boot_id[1])
    assert set(shown[:4]) == {1, 7} and shown[0] == shown[2] == shown[4] != shown[1]


def test_a_reboot_is_not_two_senders():
    beliefs, shown = Beliefs(2), []
    for step, boots in enumerate([(1,), (1,), (1, 7), (7,), (7,)]):
        for boot in boots:
            beliefs.hear(replace(message(step), boot_id=boot), step * 0.05)
        shown.append(beliefs.evidence(UNSEEN, step * 0.05 + 0.01).said.boot_id[1])
    assert shown == [1, 1, 7, 7, 7]


def test_who_was_never_heard_is_missed_only_once_it_is_expected():
    beliefs = Beliefs(2)
    assert np.isinf(beliefs.evidence(UNSEEN, 1.0).age[1])
    beliefs.expect(1.0)
    seen = beliefs.evidence(UNSEEN, 1.1)
    assert seen.age[1] == pytest.approx(0.1) and seen.control_age[1] <= 0.0
    beliefs.hear(message(1), 1.12)
    assert beliefs.evidence(UNSEEN, 1.15).age[1] == pytest.approx(0.03)
