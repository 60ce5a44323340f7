"""Drills in simulated time: whatever becomes of supervisors, nobody is hit and nobody leaves."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.export.bench import main
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.drills import BASELINE, DRILLS
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.injection.rogue import WAYS, Rogue
from swarmhold.hardware.messages import WORD, HealthTable, later
from swarmhold.policies.drills_cli import summary
from swarmhold.sim.drills import Flight

ROBOTS, SECONDS = 4, 15.0


def table(term, seq):
    return HealthTable(0.0, term, seq, "supervisor", 1.0, (1.0,) * 3, (0,) * 3, (0,) * 3)


@given(st.sampled_from(WAYS), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
def test_a_rogue_says_what_can_be_sent(way, terms):
    rogue = Rogue(way, 3, seed=1)
    for seq, term in enumerate(terms):
        rogue.hear(table(term, seq))
        said = rogue.say(0.0)
        assert 0 <= said.term < WORD and len(said.weights) == len(said.states) == 3
        if way == "replay":
            assert said in [table(t, s) for s, t in enumerate(terms)]
        else:
            assert later(said.term, term), "it counts for more than what it heard"


@pytest.fixture(scope="module")
def flown(rendezvous_bundle):
    """Flights by drill, each flown once."""
    bundle, done = open_bundle(rendezvous_bundle), {}

    def fly(drill):
        if drill not in done:
            flight = Flight(bundle, ROBOTS, drill, seed=1)
            done[drill] = flight.run(SECONDS), flight.log
        return done[drill]

    return fly


def test_nothing_depends_on_what_time_of_day_a_supervisor_believes_it_is(flown):
    (well, log), (clock, other) = flown("well"), flown("clock")
    np.testing.assert_array_equal(np.array(log.weights), np.array(other.weights))
    assert log.errors == other.errors, "everybody went where it went, to the bit"
    assert well.followed["supervisor"] > 0.99 and clock.followed == well.followed


@pytest.mark.parametrize("drill", ["kill", "replay", "absurd"])
def test_contacts_are_those_of_the_baseline_or_fewer(flown, drill):
    (base, _), (found, log) = flown(BASELINE), flown(drill)
    assert (found.touches, found.breaches) <= (base.touches, base.breaches)
    assert np.isfinite(log.errors).all() and found.broken_weight < 0.5
    assert base.followed["supervisor"] == 0.0


def test_summaries_hold_flights_against_the_baseline(flown):
    base, bad = flown(BASELINE)[0], flown("kill")[0]
    worse = type(bad)(**{**bad.to_dict(), "touches": base.touches + 1})
    assert summary("kill", [base, bad])["as_good_as_none"]
    assert not summary("kill", [base, worse])["as_good_as_none"]


def test_on_the_command_line(rendezvous_bundle, capsys):
    args = ["drills", str(rendezvous_bundle), "--robots", "4", "--seeds", "1", "--seconds", "15"]
    assert main([*args, "--drill", "lie", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["drill"] for row in said["drills"]] == [BASELINE, "lie"]
    assert all(flight["touches"] == 0 for flight in said["flights"])
    assert said["drills"][1]["healthy_weight"] < said["drills"][0]["healthy_weight"]
    with pytest.raises(ConfigError, match="did you mean 'kill'"):
        main([*args, "--drill", "kil"])
    with pytest.raises(ConfigError, match="nothing happens"):
        main(["drills", str(rendezvous_bundle), "--seconds", "3"])
    assert BASELINE in DRILLS
