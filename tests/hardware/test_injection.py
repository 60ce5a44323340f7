"""Every fault that a node takes: what it changes, what it leaves alone, and that it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.controller import Tick
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import (
    BEHIND_S,
    BODY_KINDS,
    FULL,
    KINDS,
    SIGNAL_KINDS,
    FaultSpec,
)
from swarmhold.hardware.injection.injector import NODE_KINDS, Injector
from swarmhold.hardware.injection.radio import GHOST
from swarmhold.hardware.messages import (
    EVERYBODY,
    SUPERVISOR,
    Command,
    Mode,
    PolicyStatus,
    RobotState,
    SensorFrame,
)
from swarmhold.hardware.spec import policy_spec

N, HALF, DT = 4, 1.0, 0.05
SPECS = [policy_spec(robot) for robot in ("epuck", "crazyflie")]


def frame(k, x=0.2):
    return SensorFrame(
        k * DT, (x + 0.01 * k, -0.1, 0.0), (0.2, 0.0, 0.0), 0.3, 0.1, 1.0, (1, 2),
        ((1.0, 0.0, 0.0), (0.0, -0.4, 0.0)), (),
    )  # fmt: skip


def tick(k, own, action=(0.05, 0.1), mode=Mode.ACTIVE):
    state = RobotState(
        0, EVERYBODY, 5, k, k, own.stamp, own.position, own.velocity, own.yaw, own.yaw_rate, 1.0,
        int(mode), 0, b"\0" * 2 * N,
    )  # fmt: skip
    asked = 0.001 if k % 2 == 0 else 0.0  # the policy decides in every other tick
    status = PolicyStatus(0, own.stamp, (), (), (), 0, int(mode), DT, asked, 0, 0)
    return Tick(Command(own.stamp, action, int(mode)), state, status)


def run(fault, steps=60, spec=SPECS[0], actions=None):
    """Frames, commands and messages of a robot that has the fault, if any, from step 20 to 40."""
    injector, out = Injector(spec, 0, N, HALF), []
    for k in range(steps):
        if k == 20 and fault is not None:
            injector.add(replace(fault, duration_s=20 * DT - 1e-6), k * DT)
        own = injector.sense(frame(k), k * DT)
        action = (0.05, 0.1) if actions is None else actions[k]
        bent, sent = injector.apply(tick(k, own, action), frame(k), k * DT)
        out.append((own, bent.command, sent))
    return out


def test_all_kinds_have_their_place():
    assert {*NODE_KINDS, *BODY_KINDS, *SIGNAL_KINDS} == set(KINDS)
    assert len(NODE_KINDS) + len(BODY_KINDS) + len(SIGNAL_KINDS) == len(KINDS)
    injector = Injector(SPECS[0], 0, N, HALF)
    for kind in SIGNAL_KINDS:
        with pytest.raises(ConfigError, match="signal"):
            injector.add(FaultSpec(kind, 0), 0.0)
    assert not injector.add(FaultSpec("battery", 0), 0.0), "for whoever drives the motors"
    assert not injector.add(FaultSpec("nan", 1), 0.0), "for somebody else"


@pytest.mark.parametrize("spec", SPECS, ids=["epuck", "crazyflie"])
@pytest.mark.parametrize("kind", NODE_KINDS)
def test_a_fault_acts_while_it_lasts_and_not_longer(kind, spec):
    actions = np.random.default_rng(0).uniform(-0.1, 0.1, (60, 2))
    actions = [tuple(float(value) for value in row) for row in actions]
    well, ill = (
        run(None, spec=spec, actions=actions),
        run(FaultSpec(kind, 0, severity=1.0, seed=4), spec=spec, actions=actions),
    )
    differs = [repr(a) != repr(b) for a, b in zip(well, ill, strict=True)]
    assert not any(differs[:20])
    late = 20 if kind == "delay" else 1  # what was sent late still arrives; the last one is held
    assert not any(differs[40 + late :])
    if kind == "partition":  # the radio's other half: nobody is heard
        assert all(sent == [] for _, _, sent in ill[20:40])
    assert any(differs[20:40])


def test_severity_is_what_the_specification_says():
    half = {
        kind: run(FaultSpec(kind, 0, severity=0.5, seed=4)) for kind in FULL if kind in NODE_KINDS
    }
    off = [
        np.subtract(own.position, frame(k).position)
        for k, (own, _, _) in enumerate(half["sensor_bias"])
    ]
    assert np.linalg.norm(off[30]) == pytest.approx(0.25)
    off = [
        np.subtract(own.position, frame(k).position)
        for k, (own, _, _) in enumerate(half["sensor_drift"])
    ]
    assert np.linalg.norm(off[39]) == pytest.approx(0.05 * 19 * DT)
    assert half["slow"][30][1].action == pytest.approx((0.6 * 0.05, 0.6 * 0.1))
    assert half["clock"][30][2][0].stamp == pytest.approx(30 * DT + 0.5)
    noise = [
        np.subtract(own.position, frame(k).position)
        for k, (own, _, _) in enumerate(half["sensor_noise"])
    ]
    assert 0.06 < np.std(noise[20:40]) < 0.14


def test_a_robot_that_is_to_stop_does_so_whatever_has_gone_wrong():
    for spec in SPECS:
        for kind in NODE_KINDS:
            injector = Injector(spec, 0, N, HALF)
            injector.add(FaultSpec(kind, 0, seed=1), 0.0)
            for mode in (Mode.HOLD, Mode.LAND, Mode.STOP):
                still = tick(1, frame(1), (0.0, 0.0), mode)
                bent, _ = injector.apply(still, frame(1), 0.05)
                assert bent.command == still.command


def test_liars_tell_each_receiver_another_place_within_the_arena():
    sent = run(FaultSpec("spoof", 0, seed=4))[30][2]
    assert [s.recipient for s in sent] == [1, 2, 3, SUPERVISOR]
    assert len({s.position for s in sent}) == 4
    assert all(max(map(abs, s.position[:2])) <= HALF for s in sent)


def test_a_second_sender_has_another_boot_id_and_another_place():
    own, ghost = run(FaultSpec("duplicate", 0))[30][2]
    assert (own.boot_id, ghost.boot_id) == (5, GHOST)
    assert np.allclose(np.add(own.position[:2], ghost.position[:2]), 0.0)


def test_late_messages_are_late_by_what_was_asked_for():
    whole = run(FaultSpec("delay", 0, severity=0.2, seed=4), steps=200)
    waits = [
        k * DT - s.stamp
        for k, (_, _, sent) in enumerate(whole)
        for s in sent
        if 20 <= round(s.stamp / DT) < 40
    ]
    assert len(waits) == 20, "all of them arrive"
    assert 0.1 < np.median(waits) < 0.35


def test_messages_out_of_order_all_arrive_and_some_after_later_ones():
    injector, sent = Injector(SPECS[0], 0, N, HALF), []
    injector.add(FaultSpec("reorder", 0, duration_s=200 * DT, seed=3), 0.0)
    for k in range(230):
        _, out = injector.apply(tick(k, frame(k)), frame(k), k * DT)
        sent += [(state.seq, k * DT - state.stamp) for state in out]
    numbers, waits = np.array(sent).T
    assert sorted(numbers) == list(range(230)), "none is lost, none comes twice"
    assert list(numbers[-25:]) == list(range(205, 230)), "in order again when it is over"
    assert 0.3 < (numbers < np.maximum.accumulate(numbers))[:200].mean() < 0.6
    assert 0.4 < (waits[:200] < 0.5 * DT).mean() < 0.6 and waits.max() < BEHIND_S + 1.5 * DT


def test_what_repeats_repeats_and_the_rest_goes_on():
    sent = [s for _, _, messages in run(FaultSpec("replay", 0))[20:40] for s in messages]
    assert len({s.position for s in sent}) == 1 and len({s.seq for s in sent}) == 20
    frozen = [own for own, _, _ in run(FaultSpec("sensor_freeze", 0))[20:40]]
    assert len({f.position for f in frozen}) == 1 and len({f.stamp for f in frozen}) == 20


def test_bursts_lose_messages_both_ways():
    injector = Injector(SPECS[0], 0, N, HALF)
    injector.add(FaultSpec("drop", 0, seed=2), 0.0)
    sent, heard = [], []
    for k in range(4000):
        _, out = injector.apply(tick(k, frame(k)), frame(k), k * DT)
        sent.append(len(out))
        heard.append([injector.hears(end, k * DT) for end in (1, 2, 3, None)])
    share = 1 - np.mean(sent) / N
    lost = 1 - np.mean(heard, axis=0)
    assert 0.08 < share < 0.18 and (lost > 0.07).all() and (lost < 0.2).all()
    silent = np.flatnonzero(~np.array(heard)[:, 0])
    runs = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
    assert np.mean([len(burst) for burst in runs]) > 3, "in bursts"


def test_a_partition_leaves_each_side_to_itself():
    robots = [Injector(SPECS[0], i, N, HALF) for i in range(N)]
    for injector in robots:
        for robot in (0, 2):
            injector.add(FaultSpec("partition", robot), 0.0)
    assert [robots[0].hears(end, 0.1) for end in (1, 2, 3, None)] == [False, True, False, False]
    assert all(robots[1].hears(end, 0.1) for end in (0, 2, 3, None)), "nothing comes from there"
    _, sent = robots[0].apply(tick(1, frame(1)), frame(1), 0.1)
    assert [s.recipient for s in sent] == [2]


def test_names_that_are_not_in_the_roster_break_nothing():
    injector = Injector(SPECS[0], 0, N, HALF)
    for kind in ("drop", "partition", "link_loss"):
        injector.add(FaultSpec(kind, 0), 0.0)
        assert injector.hears(200, 0.1) in (True, False)
        assert not injector.add(FaultSpec(kind, 200), 0.0)


def test_a_dead_radio_is_deaf_too():
    injector = Injector(SPECS[0], 0, N, HALF)
    injector.add(FaultSpec("link_loss", 0, duration_s=1.0), 0.0)
    assert not injector.hears(1, 0.5) and not injector.hears(None, 0.5) and injector.hears(1, 1.5)


def test_a_late_decision_is_none_to_whoever_counts_them():
    injector = Injector(SPECS[0], 0, N, HALF)
    injector.add(FaultSpec("overrun", 0, duration_s=20 * DT), 0.0)
    asked = []
    for k in range(60):
        bent, _ = injector.apply(tick(k, frame(k)), frame(k), k * DT)
        asked.append(bent.status.inference_s > 0.0)
    assert np.mean(asked[:20]) < 0.25 and np.mean(asked[22:]) == 0.5
