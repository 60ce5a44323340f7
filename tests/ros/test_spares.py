"""A spare takes a lost robot's place in a live team, and the lost one finds it taken."""

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.spares import Spares
from swarmhold.hardware.fleet.story import play
from swarmhold.hardware.report.recording import events_of, messages_of

sys.path.insert(0, str(Path(__file__).parent))
from fleet import states, wait_for

pytestmark = pytest.mark.system


def test_a_spare_flies_on_in_the_place_of_a_lost_robot(tmp_path, rendezvous_bundle):
    config = FleetConfig(rendezvous_bundle, 4, tmp_path / "f", spares=1)
    with Fleet(config) as fleet:
        time.sleep(2.0)
        fleet.freeze(2)
        lost = fleet.children["robot_2"]
        assert wait_for(lambda: states(fleet)[2:3] == ["LOST"])
        before = np.array(fleet.live.world["positions"])[2]
        play(fleet, 6.0, [], "flight", spares=Spares(1, 3.0))
        assert fleet.children["robot_2"] is not lost and lost.running
        assert wait_for(lambda: states(fleet)[2] == "HEALTHY", 30.0), "through probation"
        after = np.array(fleet.live.world["positions"])[2]
        assert np.linalg.norm(after - before) > 0.05, "it is another body"
        lost.signal(signal.SIGCONT)
        assert wait_for(lambda: not lost.running, 10.0), "two never fly under one name"
        assert "runs already" in lost.last_words()
        time.sleep(1.0)
        fleet.check(set())
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 4, 60.0), "its twin was heard too"
    events = events_of(config.folder)
    assert [event["robot"] for event in events if event["event"] == "spare"] == [2]
    seen = [
        [int(state) for state in message.states]
        for topic, _, message in messages_of(config.folder)
        if topic == "/swarm/health"
    ]
    of_two = [row[2] for row in seen]
    first_lost = of_two.index(2)
    assert 4 in of_two[first_lost:], "LOST, then on probation"


def test_a_robot_that_was_away_for_a_moment_keeps_its_place(tmp_path, rendezvous_bundle):
    with Fleet(FleetConfig(rendezvous_bundle, 3, tmp_path / "f", record=False)) as fleet:
        time.sleep(5.0)
        fleet.freeze(1)
        time.sleep(2.0)
        fleet.thaw(1)
        assert wait_for(lambda: states(fleet)[1:2] == ["HEALTHY"], 30.0)
        fleet.check(set())


def test_a_team_of_twice_the_trained_size_flies_and_is_warned(tmp_path, root):
    bundle = root / "export/swarmhold/export/bundles/navigation-gritsbot"
    most = open_bundle(bundle).manifest.team_sizes_trained[1]
    config = FleetConfig(bundle, 2 * most, tmp_path / "f", record=False, entities="nearest")
    with Fleet(config) as fleet:
        assert wait_for(lambda: fleet.live.world and states(fleet) == ["HEALTHY"] * 2 * most)
        start = np.array(fleet.live.world["positions"])
        time.sleep(5.0)
        fleet.check(set())
        moved = np.linalg.norm(np.array(fleet.live.world["positions"]) - start, axis=-1)
        assert (moved > 0.02).sum() >= most, "the team has set off"
        warned = [line for line in fleet.live.warnings if "trained with teams of" in line]
        assert len(warned) == 1 and f"{2 * most} robots" in warned[0]
