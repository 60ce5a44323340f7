"""Small offsets between where a robot claims to be and where it is seen, summed up over time."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.health import (
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
from swarmhold.hardware.offsets import enough, tally
from swarmhold.hardware.settings import HealthSettings

sys.path.insert(0, str(Path(__file__).parent))
from moments import heard

A, MONITOR = Accusation, MonitorConfig()
OFFSET = replace(MONITOR, sigma_m=0.01, offset_limit=4.5, touch_m=0.08)
STILL = np.zeros(3)


def levels_told(bits):
    """0 to 3, of accusations."""
    return ((bits & A.OFFSET) != 0) + 2 * ((bits & A.OFFSETS) != 0)


def watched(off, config=OFFSET, velocity=STILL, late=None, dt=0.1, apart=1.0):
    """(K, 3) bits of three robots; of robot 1 the claims are `off` (K, 3) m from where it is seen.

    Args:
        off: (K, 3) m; NaN where it is not seen.
        config: thresholds.
        velocity: (3) m/s that all of them claim.
        late: (K) s that messages take on top of the quickest.
        dt: s between two looks.
        apart: m between robots, which are seen with a noise of one centimetre.
    """
    rng, state, seen = np.random.default_rng(0), monitor_init(config, (), 3), []
    for k, error in enumerate(off):
        place = apart * np.eye(3)
        claimed = place + rng.normal(0.0, 0.01, (3, 3))
        claimed[1] += error
        moment = heard(3, claimed=claimed, sensed=place)
        now, lag = np.full(3, k * dt), 0.0 if late is None else late[k]
        said = replace(
            moment.said, velocity=np.tile(velocity, (3, 1)), stamp=now - lag, heard_at=now
        )
        state, bits = monitor_step(config, state, replace(moment, said=said), k * dt)
        seen.append(bits)
    return np.array(seen)


def off_from(start, steps, offset):
    """(K, 3) m, an offset (3) from a step on."""
    off = np.zeros((steps, 3))
    off[start:] = offset
    return off


@pytest.mark.parametrize("dt", [0.05, 0.1])
def test_a_small_offset_that_stays_is_summed_up(dt):
    bits = watched(off_from(20, 40, (0.03, 0.0, 0.0)), dt=dt)
    levels = levels_told(bits)
    assert levels[:20].max() <= 1 and levels[:, [0, 2]].max() <= 1, "noise alone is little"
    assert 1 <= (levels[20:, 1] == 3).argmax() <= 8, "a few sightings, whatever their rate"
    assert (bits[-1, 1] & A.MISMATCH) and not (bits[:22, 1] & A.MISMATCH).any(), "later, for sure"
    assert not levels_told(watched(off_from(0, 40, (0.03, 0, 0)), MONITOR)).any(), "uncalibrated"


def test_one_sighting_far_off_is_no_offset():
    off = np.zeros((60, 3))
    off[20] = 5.0
    bits = watched(off)
    assert levels_told(bits).max() <= 2 and not (bits & A.MISMATCH).any()


def test_who_touches_another_may_be_pushed_about():
    off = off_from(0, 40, (0.03, 0.0, 0.0))
    assert levels_told(watched(off, apart=0.1))[-1, 1] == 3
    assert not levels_told(watched(off, apart=0.05)).any()


def test_who_is_not_seen_any_more_is_forgotten():
    off = off_from(20, 60, (0.03, 0.0, 0.0))
    off[30:] = np.nan
    levels = levels_told(watched(off))[:, 1]
    assert levels[29] == 3 and levels[-1] == 0


def test_an_offset_that_ends_is_forgiven():
    off = off_from(20, 140, (0.04, 0.0, 0.0))
    off[80:] = 0.0
    bits = watched(off)[:, 1]
    assert bits[79] & A.MISMATCH
    assert not bits[-1] & A.MISMATCH and levels_told(bits[-20:]).max() <= 1


@pytest.mark.parametrize(("behind", "across", "caught"), [(0.03, 0.0, False), (0.0, 0.03, True)])
def test_whose_messages_are_always_late_is_behind_itself(behind, across, caught):
    """At 0.3 m/s 3 cm are 0.1 s; that explains nothing of what lies across its way."""
    velocity = np.array([0.3, 0.0, 0.0])
    levels = levels_told(watched(off_from(0, 60, (-behind, across, 0.0)), velocity=velocity))
    assert (levels[:, 1].max() == 3) == caught


def test_whose_messages_were_always_in_time_is_not_behind_itself_by_being_late():
    velocity = np.array([0.3, 0.0, 0.0])
    off = off_from(40, 60, (-0.03, 0.0, 0.0))
    assert levels_told(watched(off, velocity=velocity))[-1, 1] == 3
    still = levels_told(watched(off, velocity=np.array([0.01, 0.0, 0.0])))
    assert still[-1, 1] == 3, "nor does lateness explain it of one that hardly moves"


@pytest.mark.parametrize(("late", "caught"), [(0.0, True), (0.1, False), (0.6, False)])
def test_messages_that_took_longer_than_others_prove_less(late, caught):
    off = off_from(20, 80, (0.03, 0.0, 0.0))
    bits = watched(off, late=np.where(np.arange(80) > 10, late, 0.0))
    assert (levels_told(bits[:40])[:, 1].max() == 3) == caught


def test_a_lag_is_not_learnt_from_an_offset():
    """A robot that goes the way of its own error all the time looks late; it was not before."""
    velocity = np.array([0.15, 0.0, 0.0])
    levels = levels_told(watched(off_from(60, 400, (-0.03, 0.0, 0.0)), velocity=velocity))
    assert (levels[80:, 1] == 3).all()


# What observers make of it together.


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ((3, 3, 3), True),
        ((3, 3, 2), True),
        ((3, 3, 1), False),
        ((3, 3, 0), False),
        ((3, 3, 3, 3, 0, 0, 0), True),
        ((2, 2, 2, 2, 2, 0, 0), True),
        ((3, 3, 3, 2, 0, 0, 0), True),
        ((3, 3, 3, 1, 0, 0, 0), False),
        ((2, 2, 2, 2, 0, 0, 0), False),
        ((1, 1, 1, 1, 1, 1, 1), False),
        ((3, 3), False),
    ],
)
def test_how_much_is_enough(levels, found):
    given = np.array(levels, np.uint8)[:, None]
    assert enough(tally(given), np.array([len(levels)]), liars=1)[0] == found


def test_nobody_is_taken_out_by_one_liar_however_many_are_a_little_in_doubt():
    for n in range(2, 12):
        levels = np.ones((n, 1), np.uint8)
        levels[0] = 3
        assert not enough(tally(levels), np.array([n]), liars=1)[0]
        levels[1:], levels[1] = 0, 3  # with one that errs
        assert not enough(tally(levels), np.array([n]), liars=1)[0]
        assert not enough(tally(levels), np.array([0]), liars=1)[0], "before anybody has an opinion"


def test_a_majority_must_agree_however_sure_the_rest_are():
    levels = np.zeros((16, 1), np.uint8)
    levels[:8] = 3
    assert not enough(tally(levels), np.array([16]), liars=1)[0]
    levels[:9] = 3
    assert enough(tally(levels), np.array([16]), liars=1)[0]


def test_levels_of_those_who_are_trusted_quarantine():
    def after(levels, observers=2):
        n = len(levels)
        bits = np.full((n, n), int(A.SEEN | A.HEARD), BITS)
        bits[:, 0] |= np.array(levels, BITS) * BITS(A.OFFSET)
        inputs = HealthInput(bits, np.ones(n, bool), np.zeros(n, bool))
        return health_step(HealthConfig(observers), health_init((), n), inputs, 1.0)[1].states

    out = after((0, 2, 2, 3, 3))
    assert out.tolist() == [HealthState.QUARANTINED, 0, 0, 0, 0]
    assert not after((3, 2, 2, 1, 0)).any(), "what a robot says of itself does not count"
    assert not after((0, 2, 2, 3, 3), observers=3).any(), "two may be liars"


def test_bundles_of_before_have_no_limit():
    plain = HealthSettings().to_dict()
    monitor = {**plain["monitor"], "offset_limit_s": 3.2}
    monitor.pop("offset_limit")
    assert HealthSettings.from_dict({**plain, "monitor": monitor}).monitor.offset_limit == 0.0
