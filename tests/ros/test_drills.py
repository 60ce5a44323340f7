"""Every supervisor drill with real processes: the team feels no more of it than of none at all."""

import json

import pytest

from swarmhold.hardware.drills import BASELINE, DRILLS, JUMP_S, ROGUE
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.drills import drilled
from swarmhold.hardware.report.recording import messages_of

pytestmark = pytest.mark.system
ROBOTS, SECONDS, SEED = 5, 16.0, 3
# Who weights come from after it happened: the least and the most that may be a supervisor's.
FOLLOWED = {
    "well": (0.9, 1.0), "kill": (0.0, 0.4), "standby": (0.5, 0.95), "stop": (0.5, 0.95),
    "two": (0.9, 1.0), "clock": (0.9, 1.0), "replay": (0.9, 1.0), "lie": (0.9, 1.0),
    "absurd": (0.9, 1.0),
}  # fmt: skip


def fly(folder, bundle, drill):
    return drilled(FleetConfig(bundle, ROBOTS, folder, processes=2), drill, SECONDS, SEED)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory, rendezvous_bundle):
    return fly(tmp_path_factory.mktemp("drill") / "f", rendezvous_bundle, BASELINE)


def test_every_drill_is_flown():
    assert set(FOLLOWED) == set(DRILLS) - {BASELINE}


@pytest.mark.parametrize("drill", FOLLOWED)
def test_a_team_feels_no_more_than_without_a_supervisor(
    tmp_path, rendezvous_bundle, baseline, drill
):
    flown = fly(tmp_path / "f", rendezvous_bundle, drill)
    assert flown.touches <= baseline.touches and flown.breaches <= baseline.breaches
    assert flown.broken_weight < 0.5, "who lies and who is dead is known all the same"
    least, most = FOLLOWED[drill]
    assert least <= flown.followed["supervisor"] <= most
    if drill in ("lie", "absurd"):
        assert flown.healthy_weight > 0.3, "nobody is left alone with a liar's verdict"
    else:
        assert flown.healthy_weight > 0.9
    events = map(json.loads, (tmp_path / "f/events.jsonl").read_text().splitlines())
    spoke = [event["source"] for event in events if event["event"] == "speaks"]
    if drill in ("standby", "stop"):
        assert spoke == ["supervisor", "supervisor_1"], "and who wakes up stands by"
    if drill in (*ROGUE, "two", "clock"):
        assert_it_happened(tmp_path / "f", drill)


def assert_it_happened(folder, drill):
    """The recording holds tables that no honest supervisor with a right clock would publish."""
    tables = [(t, m) for topic, t, m in messages_of(folder) if topic == "/swarm/health"]
    issuers = {message.issuer for _, message in tables}
    late = max(abs(message.header.stamp.sec - received) for received, message in tables)
    keys = [(message.issuer, message.term, message.seq) for _, message in tables]
    assert (late > 0.9 * JUMP_S) == (drill == "clock")
    assert ("a" in issuers) == (drill in ("lie", "absurd"))
    assert (len(set(keys)) < len(keys)) == (drill == "replay")
    if drill == "two":
        last = {message.issuer for received, message in tables if received > tables[-1][0] - 5.0}
        assert last == {"supervisor"}, "of two in one term the first name speaks"
