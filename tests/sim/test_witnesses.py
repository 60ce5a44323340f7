"""Who is heard by few is still missed, and lies unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from swarmhold.export.bench import main
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.witnesses import SHAPES, Learned, fail
from swarmhold.sim.witnesses_cli import figures

BUNDLE = Path(__file__).resolve().parents[2] / "export/swarmhold/export/bundles/rendezvous-epuck"
N = 4


def test_shapes_say_who_hears_whom() -> None:
    for name, heard in (("everybody", N - 1), ("two", 2), ("one", 1), ("nobody", 0)):
        hears = [SHAPES[name](robot, N) for robot in range(N)]
        assert all(robot not in others for robot, others in enumerate(hears))
        assert (
            np.bincount([o for others in hears for o in others], minlength=N).tolist()
            == [heard] * N
        )


def test_a_dead_robot_that_nobody_hears_is_known_by_the_supervisor() -> None:
    found = fail(open_bundle(BUNDLE), SHAPES["nobody"], N, "crash", 0)
    assert 0.0 < found.supervisor <= found.everybody < np.inf and np.isnan(found.hearers)


def test_a_lie_needs_two_who_hear_it() -> None:
    bundle = open_bundle(BUNDLE)
    two, one = (fail(bundle, SHAPES[name], N, "spoof", 0) for name in ("two", "one"))
    assert two.hearers <= two.supervisor + 0.1 and two.everybody < np.inf
    assert one.hearers < np.inf and one.supervisor == np.inf == one.everybody


def test_figures_count_what_was_not_learned() -> None:
    events = [Learned(0.4, 0.5, 0.3, 0), Learned(np.inf, np.inf, np.nan, 2)]
    told = figures(events)
    assert told["supervisor"] == {"known": 1, "of": 2, "p50": 0.4, "most": 0.4}
    assert told["hearers"]["of"] == 1 and told["accused"] == 2
    assert json.dumps(figures(events[1:]))  # nothing known, and no NaN


def test_bad_input_is_one_line() -> None:
    with pytest.raises(ConfigError, match="need 4 and 1 at least"):
        main(["witnesses", str(BUNDLE), "--robots", "3"])
