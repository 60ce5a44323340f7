"""How regularly a loop runs."""

import numpy as np
import pytest

from swarmhold.hardware.rates import Level, Rates


def run(times, now, period=0.05, start=0.0):
    rates = Rates(period, start)
    for time in times:
        rates.tick(time)
    return rates.report(now)


def test_a_regular_loop():
    found = run(np.arange(0.05, 1.001, 0.05), 1.0)
    assert (found.level, found.text) == (Level.OK, "regular")
    assert found.rate_hz == pytest.approx(20.0) and found.largest_gap_s == pytest.approx(0.05)


@pytest.mark.parametrize("times", [[0.05, 0.1, 0.4, 0.45], [0.05, 0.1], [0.3, 0.35, 0.4]])
def test_a_gap_at_either_end_or_between_is_found(times):
    found = run(times, 0.45)
    assert found.level == Level.WARN and found.largest_gap_s == pytest.approx(0.3, abs=0.051)
    assert "ms" in found.text


def test_a_loop_that_stands_is_an_error_every_time():
    rates = Rates(0.05, 0.0)
    rates.tick(0.05)
    assert rates.report(0.1).level == Level.OK
    for second in (1.0, 2.0):
        found = rates.report(second)
        assert found.level == Level.ERROR and found.rate_hz == 0.0
        assert found.largest_gap_s == pytest.approx(second - 0.05)
    rates.tick(2.01)
    assert rates.report(2.05).level == Level.WARN, "the gap ended in this span"
    rates.tick(2.06)
    assert rates.report(2.1).level == Level.OK
