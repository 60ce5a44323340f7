"""What messages say against themselves, and what is no reason to doubt them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.health import PROOFS, HealthInput, HealthState, health_init, health_step
from swarmhold.hardware.monitor import BITS, Accusation
from swarmhold.hardware.sanity import Said, SanityConfig, sanity_init, sanity_step
from swarmhold.hardware.settings import HealthSettings

CONFIG, DT = SanityConfig(leap_m=0.1), 0.05
FINDINGS = ("leap", "frozen", "clock", "twin")


def say(place, velocity=(0.0, 0.0, 0.0), stamp=0.0, at=0.0, boot=1.0, fresh=True):
    """One robot's message."""
    return Said(
        np.array([place], float), np.array([velocity], float), np.array([stamp]),
        np.array([at]), np.array([boot]), np.array([fresh]),
    )  # fmt: skip


def hear(messages, start=0.0):
    """Findings by name after each message, one every `DT`."""
    state, found = sanity_init((), 1), []
    for step, message in enumerate(messages):
        state, odd = sanity_step(CONFIG, state, message, start + step * DT)
        found.append({name: bool(getattr(odd, name)[0]) for name in FINDINGS})
    return found


def drive(count, speed=0.5, **change):
    """A robot that drives along x and says so, from time 0."""
    return [
        say((speed * DT * k, 0, 0), (speed, 0, 0), **{"stamp": k * DT, "at": k * DT, **change})
        for k in range(count)
    ]


def any_of(found):
    return {name for findings in found for name, on in findings.items() if on}


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.0, 2.0),
    st.lists(st.floats(0.0, 0.4), min_size=40, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.floats(-1e6, 1e6),
)
def test_an_honest_robot_on_a_bad_channel_is_sane(speed, delays, heard, clock):
    """Late, bunched, lost: stamps tell how far it can have come. Clocks may show what they like."""
    messages, last = [], None
    for k, (delay, arrives) in enumerate(zip(delays, heard, strict=True)):
        place, at = (speed * DT * k, 0, 0), k * DT + 0.2 * delay
        new = say(place, (speed, 0, 0), clock + k * DT, at)
        last = new if arrives or last is None else replace(last, fresh=np.array([False]))
        messages.append(last)
    assert not any_of(hear(messages))


def test_a_leap_is_reported_for_a_while():
    messages = drive(30)
    messages[10:] = [replace(m, position=m.position + 0.3) for m in messages[10:]]
    found = [step["leap"] for step in hear(messages)]
    assert not any(found[:10]) and all(found[10:20]) and not any(found[22:])


def test_after_a_silence_or_a_reboot_any_place_may_be_true():
    later = [replace(m, position=m.position + 5.0, stamp=m.stamp + 3.0) for m in drive(10)]
    assert not any_of(hear([*drive(10), *later])) - {"clock"}
    other = [replace(m, position=m.position + 5.0, boot_id=m.boot_id + 1) for m in drive(10)]
    assert not any_of(hear([*drive(10), *other]))


def test_moving_without_moving_is_a_frozen_sensor_and_standing_is_not():
    frozen = [say((1, 2, 0), (0.3, 0, 0), k * DT, k * DT) for k in range(12)]
    assert [step["frozen"] for step in hear(frozen)].index(True) == CONFIG.frozen_looks
    still = [replace(m, velocity=np.zeros((1, 3))) for m in frozen]
    assert not any_of(hear(still))


def test_a_jump_of_the_clock_is_noticed_and_a_slow_one_followed():
    jump = drive(40)
    jump[20:] = [replace(m, stamp=m.stamp + 0.6) for m in jump[20:]]
    found = hear(jump)
    assert any_of(found) == {"clock"} and not found[20]["clock"] and found[23]["clock"]
    slow = [replace(m, stamp=m.stamp * 1.001) for m in drive(2000)]
    assert not any_of(hear(slow))


def test_a_boot_id_that_comes_back_belongs_to_two():
    once = [*drive(10), *(replace(m, boot_id=m.boot_id + 4) for m in drive(10))]
    assert not any_of(hear(once)) - {"leap"}
    twins = [replace(m, boot_id=np.array([1.0 + k % 2])) for k, m in enumerate(drive(10))]
    assert any_of(hear(twins)) == {"twin"}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.floats() for _ in range(9)], st.booleans()), max_size=12))
def test_any_numbers_give_findings_and_no_warning(rows):
    found = hear([say(r[:3], r[3:6], r[6], r[7], r[8], r[9]) for r in rows])
    assert len(found) == len(rows)


@pytest.mark.parametrize("bit", PROOFS)
@pytest.mark.parametrize("accusers", [0, 1, 2])
def test_two_who_heard_it_quarantine_and_one_makes_suspect(bit, accusers):
    n, config = 4, HealthSettings().health
    bits = np.full((n, n), Accusation.HEARD, BITS)
    bits[:accusers, 3] |= BITS(bit)
    _, out = health_step(
        config, health_init((), n), HealthInput(bits, np.ones(n, bool), np.zeros(n, bool)), 1.0
    )
    wanted = (HealthState.HEALTHY, HealthState.SUSPECT, HealthState.QUARANTINED)[accusers]
    assert out.states[3] == wanted and (out.states[:3] == HealthState.HEALTHY).all()
    assert out.reasons[3] == (bit if accusers == 2 else 0)


def test_an_odd_clock_alone_costs_no_weight():
    n = 4
    bits = np.full((n, n), Accusation.HEARD | Accusation.CLOCK, BITS)
    inputs = HealthInput(bits, np.ones(n, bool), np.zeros(n, bool))
    _, out = health_step(HealthSettings().health, health_init((), n), inputs, 1.0)
    assert (out.weights == 1.0).all()
