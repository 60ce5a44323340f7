"""Probes and figures of a fault plan, on flights whose every sample is known."""

from dataclasses import replace

import numpy as np
import pytest

from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.plan_page import render
from swarmhold.hardware.report.probes import PROBES, effect
from swarmhold.hardware.report.score import Arm, figures, plain, story
from swarmhold.hardware.report.trace import Heard, Trace, in_turn

N, HZ, SECONDS = 4, 20.0, 40.0
T = np.arange(0.0, SECONDS, 1.0 / HZ)
START, END = 10.0, 16.0
IN = (T >= START) & (T < END)
ROBOT = 1


def quiet():
    """Robots that drive circles of 1 m at half speed and tell the truth, with 1 mm of noise."""
    angle = 0.5 * T[:, None] + np.arange(N)
    position = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    rng = np.random.default_rng(0)
    heard = tuple(
        Heard(
            t=T.copy(), late=np.full(len(T), 0.01), boot=np.full(len(T), 7.0 + robot),
            position=position[:, robot] + rng.normal(0, 1e-3, (len(T), 2)),
            height=np.ones(len(T)), hears=np.ones(len(T)), speed=np.full(len(T), 0.5),
            decided=np.ones(len(T), bool), in_turn=np.ones(len(T), bool),
            wanted=0.5 * np.stack([-np.sin(angle[:, robot]), np.cos(angle[:, robot])], axis=-1),
        )
        for robot in range(N)
    )  # fmt: skip
    return Trace(
        T, position, np.zeros((len(T), N), bool), np.full(len(T), 0.05), T,
        np.full((len(T), N), int(HealthState.HEALTHY)), heard, 3.0, 0.0,
    )  # fmt: skip


def changed(trace, **parts):
    """The same where robot 1 says or does something else."""
    heard = list(trace.heard)
    heard[ROBOT] = replace(heard[ROBOT], **parts)
    return replace(trace, heard=tuple(heard))


def thinned(trace, kept):
    own = trace.heard[ROBOT]
    return changed(trace, **{name: getattr(own, name)[kept] for name in Heard.__slots__})


def broken(kind):
    """A flight in which such a fault does what it is to do."""
    trace, rng = quiet(), np.random.default_rng(1)
    own = trace.heard[ROBOT]
    off = own.position.copy()
    if kind in ("crash", "freeze", "reboot", "link_loss"):
        return thinned(trace, ~IN)
    if kind == "partition":
        return changed(trace, hears=np.where(IN, 0.3, 1.0))
    if kind in ("delay", "clock"):
        return changed(trace, late=np.where(IN, 0.6, 0.01))
    if kind == "drop":
        return thinned(trace, ~IN | (rng.random(len(T)) > 0.3))
    if kind == "reorder":
        return changed(trace, in_turn=~IN | (rng.random(len(T)) > 0.3))
    if kind == "duplicate":
        return changed(trace, boot=np.where(IN & (np.arange(len(T)) % 2 == 0), 99.0, own.boot))
    if kind in ("sensor_nan", "nan"):
        off[IN] = np.nan
        return changed(trace, position=off)
    if kind in ("sensor_bias", "spoof", "sensor_drift", "sensor_freeze", "replay", "sensor_noise"):
        off[IN] += rng.normal(0.0, 0.1, off[IN].shape) if kind == "sensor_noise" else 0.2
        return changed(trace, position=off)
    if kind in ("runaway", "adversary"):
        return changed(trace, speed=np.where(IN, 1.0, 0.5))
    if kind == "slow":
        return changed(trace, speed=np.where(IN, 0.1, 0.5))
    if kind == "overrun":
        return changed(trace, decided=~IN | (rng.random(len(T)) > 0.5))
    angle = np.cumsum(np.where(IN, 0.2, 0.5)) / HZ + ROBOT  # weak motors
    position = trace.position.copy()
    position[:, ROBOT] = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return replace(trace, position=position)


def spec(kind, start=START, end=END, robot=ROBOT):
    return FaultSpec(kind, robot, start, end - start)


def test_every_kind_has_a_probe():
    assert set(PROBES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_sees_the_effect_and_nothing_else(kind):
    assert effect(broken(kind), spec(kind)) == "applied"
    assert effect(quiet(), spec(kind)) == "no effect"
    assert effect(broken(kind), spec(kind, robot=2)) == "no effect", "of another robot"


def test_what_ends_before_its_time_has_healed_by_itself():
    trace = thinned(quiet(), ~((T >= START) & (T < START + 1.0)))
    assert effect(trace, spec("link_loss")) == "healed by itself"


def test_of_a_message_for_each_receiver_a_lost_copy_is_seen():
    """Live radios that may lose messages send each end its own, so there are more, not fewer."""
    trace = quiet()
    own, rng = trace.heard[ROBOT], np.random.default_rng(2)
    times = np.where(IN, 6, 1)
    whole = {name: np.repeat(getattr(own, name), times, axis=0) for name in Heard.__slots__}
    assert effect(changed(trace, **whole), spec("drop")) == "no effect"
    kept = (rng.random(times.sum()) > 0.13) | np.repeat(~IN, times)
    fewer = {name: values[kept] for name, values in whole.items()}
    assert effect(changed(trace, **fewer), spec("drop")) == "applied"


def test_a_robot_that_drives_off_and_is_held_back_by_a_fence_has_left_its_place():
    trace = quiet()
    position = trace.position.copy()
    position[:, ROBOT] = position[0, ROBOT]
    stands = replace(changed(trace, speed=np.full(len(T), 0.1)), position=position)
    assert effect(stands, spec("runaway")) == "no effect"
    left = position.copy()
    left[IN, ROBOT, 0] += 0.05 * (T[IN] - START)
    assert effect(replace(stands, position=left), spec("runaway")) == "applied"


def test_a_flier_that_sinks_has_lost_its_motors():
    low = np.where(T > START + 1.0, 0.06, 1.0)
    assert effect(changed(quiet(), height=low), spec("motor_off")) == "applied"


def test_a_small_loss_of_a_slow_robots_motors_is_seen_in_what_they_make_of_set_points():
    trace = quiet()
    way = np.cumsum(np.where(IN, 0.08, 0.1)) / HZ
    position = trace.position.copy()
    position[:, ROBOT] = np.stack([way, np.zeros(len(T))], axis=-1)
    wanted = np.stack([np.full(len(T), 0.1), np.zeros(len(T))], axis=-1)
    assert effect(replace(changed(trace, wanted=wanted), position=position), spec("battery")) == (
        "applied"
    )
    position[:, ROBOT, 0] = 0.1 * T
    whole = replace(changed(trace, wanted=wanted), position=position)
    assert effect(whole, spec("battery")) == "no effect"


def test_weak_motors_show_only_where_more_was_asked_for_before_or_after():
    trace = quiet()
    assert effect(changed(trace, speed=np.full(len(T), 0.1)), spec("slow")) == "no effect"
    stands = np.where(IN | (T < START), 0.0, 0.5)
    assert effect(changed(trace, speed=stands), spec("slow")) == "no effect", "it asks for nothing"
    begins = np.where(IN, 0.15, np.where(T < START, 0.0, 0.5))
    assert effect(changed(trace, speed=begins), spec("slow")) == "applied"


def test_with_a_twin_the_smallest_detour_is_an_effect():
    free, trace = quiet(), quiet()
    position = trace.position.copy()
    position[IN, ROBOT] += 0.05
    strayed = replace(trace, position=position)
    assert effect(strayed, spec("motor_off"), free) == "applied"
    assert effect(free, spec("motor_off"), free) == "no effect"
    elsewhere = free.position.copy()
    elsewhere[:, ROBOT] += 0.3
    moved = replace(free, position=elsewhere)
    assert effect(moved, spec("motor_off"), free) == "no effect", "earlier faults moved it there"


def judged(*verdicts):
    """States as the supervisor had them: (robot, state, from, to)."""
    trace = broken("crash")
    states = trace.states.copy()
    for robot, state, since, until in verdicts:
        states[(since <= T) & (until > T), robot] = int(state)
    return replace(trace, states=states)


def exact(count, hours):
    return 0.0, (count + 3.0) / hours


FOUND = (
    (ROBOT, HealthState.SUSPECT, START + 0.2, START + 0.4),
    (ROBOT, HealthState.LOST, START + 0.4, END),
    (ROBOT, HealthState.PROBATION, END, END + 5.0),
)


def test_the_story_of_a_fault():
    (row,) = story(judged(*FOUND), [spec("crash")], {}, quiet(), False)
    assert (row.status, row.verdict, row.first, row.harmed) == ("applied", "LOST", True, ())
    assert row.suspected_s == pytest.approx(0.2) and row.confirmed_s == pytest.approx(0.4)
    assert row.healed_s == pytest.approx(5.0) and row.recovered_s == 0.0
    made = figures([Arm("supervisor", (judged(*FOUND),)), Arm("free", (quiet(),))], [[row]], exact)
    assert made["missed"] == 0 and made["attribution"] == 1.0 and made["false_alarms"] == 0
    assert made["detection_delay_s"]["p50"] == pytest.approx(0.4)
    assert made["confusion"] == {"crash": {"LOST": 1}}


def test_who_falls_and_says_so_is_found():
    (row,) = story(
        judged((ROBOT, HealthState.ESTOPPED, START + 0.3, SECONDS)),
        [spec("motor_off")], {}, None, False,
    )  # fmt: skip
    assert row.verdict == "ESTOPPED" and row.confirmed_s == pytest.approx(0.3)
    assert row.speed_mps == pytest.approx(0.5, rel=0.05), "half a metre per second on its circle"


def test_who_is_found_with_the_first_word_after_the_onset_was_not_out_before():
    trace = judged((ROBOT, HealthState.QUARANTINED, START, END))
    (row,) = story(trace, [spec("crash", START)], {}, None, False)
    assert row.counts and row.confirmed_s == 0.0 and row.before == "HEALTHY"


def test_missing_it_and_blaming_another():
    (row,) = story(judged(), [spec("crash")], {}, None, False)
    assert row.confirmed_s is None and row.first is None and row.recovered_s is None
    other = (2, HealthState.QUARANTINED, START + 0.1, START + 3.0)
    (row,) = story(judged(other, *FOUND), [spec("crash")], {}, None, False)
    assert row.first is False and row.harmed == (2,)


def test_nobody_is_to_be_taken_out_for_a_lossy_link():
    trace = replace(judged(*FOUND), heard=broken("drop").heard)
    (row,) = story(trace, [spec("drop")], {}, None, False)
    assert not row.counts and row.confirmed_s is not None
    assert figures([Arm("supervisor", (trace,))], [[row]], exact)["unjust"] == 1


def test_a_false_alarm_is_one_while_nothing_acts():
    early = (3, HealthState.LOST, 4.0, 5.0)
    trace = judged(early, *FOUND)
    rows = story(trace, [spec("crash")], {}, None, False)
    made = figures([Arm("supervisor", (trace,))], [rows], exact)
    assert made["false_alarms"] == 1
    calm = START + (SECONDS - END - 2.0)
    # The robot that was broken is left out for a while afterwards.
    assert calm * (N - 1) < made["robot_hours"] * 3600.0 < calm * N


def test_nobody_is_credited_with_a_robot_that_was_out_anyway():
    before = (ROBOT, HealthState.PROBATION, START - 3.0, END + 5.0)
    trace = judged(before)
    rows = story(trace, [spec("crash")], {}, None, False)
    assert rows[0].out_before and not rows[0].counts
    made = figures([Arm("supervisor", (trace,))], [rows], exact)
    assert made["to_be_found"] == made["missed"] == 0 and made["detection_delay_s"]["p50"] is None


def test_what_is_not_injected_is_no_miss():
    rows = story(judged(), [spec("crash")], {0: "not injected"}, None, False)
    made = figures([Arm("supervisor", (judged(),))], [rows], exact)
    assert made["status"] == {"not injected": 1} and made["to_be_found"] == 0


def test_the_task_is_retained_between_floor_and_best():
    falls = np.linspace(1.0, 0.0, len(T))
    free = replace(quiet(), error=falls)
    half = replace(judged(*FOUND), error=np.full(len(T), 0.5 + 0.5 * falls[T >= START].mean()))
    rows = story(half, [spec("crash")], {}, free, False)
    made = figures([Arm("supervisor", (half,)), Arm("free", (free,))], [rows], exact)
    assert made["arms"]["supervisor"]["retained"] == pytest.approx(0.5)
    assert made["arms"]["free"]["retained"] == pytest.approx(1.0)
    arm = made["arms"]["supervisor"]
    parts = arm["error_by_phase_m"]
    assert sum(parts.values()) == pytest.approx(arm["error_m"])
    shares = {name: part / arm["error_m"] for name, part in parts.items()}
    rest = SECONDS - START
    assert shares["broken"] == pytest.approx((END - START) / rest, abs=0.01)
    assert shares["kept out"] == pytest.approx(5.0 / rest, abs=0.01), "on probation for 5 s"


def told(name, rows, trace):
    return {
        "plan": {"name": name, "robots": N, "seed": 1}, "world": "sim", "bundle": "b<1>",
        "scenario": "coverage", "robot": "epuck", "aborted": "",
        "figures": figures([Arm("supervisor", (trace,))], [rows], exact), "rows": [plain(rows)],
        "lanes": {"end_s": SECONDS, "robots": [[[0.0, 0]]] * N},
    }  # fmt: skip


def test_the_page_says_it_and_escapes_what_it_is_given():
    trace = judged(*FOUND)
    one = told("one", story(trace, [spec("crash")], {}, None, False), trace)
    page = render([one])
    assert (
        "SIMULATION" in page and "crash" in page and "b&lt;1&gt;" in page and "<script" not in page
    )
    missed = judged()
    two = told("one", story(missed, [spec("crash")], {}, None, False), missed)
    compared = render([one, two])
    assert "0 of 1 faults had the same fate" in compared and "nobody doubted it" in compared
    assert compared.count("<section>") == 3


def test_messages_are_in_turn_where_their_boot_counts_on():
    boots = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 5.0, 6.0, 5.0, 5.0])
    numbers = np.array([2**32 - 2, 2**32 - 1, 1, 0, 2, 7, 3, 8, 3, 9], float)
    late = np.flatnonzero(~in_turn(boots, numbers))
    assert late.tolist() == [2, 3, 4, 9], "numbers wrap, and copies are in turn"
