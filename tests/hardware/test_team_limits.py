"""How large a live team may be is said once, and the same everywhere."""

import re

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import FleetFile
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.injection.radio import SUPERVISOR
from swarmhold.hardware.messages import EVERYBODY, MOST_ROBOTS, check_team


def test_messages_hold_as_many_robots_as_a_team_may_have(root):
    folder = root / "ros2_ws/src/swarmhold_msgs/msg"
    bounds = {
        (file.stem, name): int(bound)
        for file in folder.glob("*.msg")
        for bound, name in re.findall(r"\[<=(\d+)\]\s+(\w+)", file.read_text())
    }
    per_robot = {"weights", "states", "reasons", "attention", "accusations", "sighted", "yaws"}
    found = {bound for (_, name), bound in bounds.items() if name in per_robot}
    assert found == {MOST_ROBOTS}
    assert bounds["Truth", "positions"] == bounds["SensorFrame", "sightings"] == 3 * MOST_ROBOTS


def test_fleets_and_fleet_files_end_where_messages_do(rendezvous_bundle, tmp_path):
    check_team(MOST_ROBOTS)
    for robots in (0, MOST_ROBOTS + 1):
        with pytest.raises(ConfigError, match=f"{robots} robots; a live team has 1 to"):
            Fleet(FleetConfig(rendezvous_bundle, robots, tmp_path / "f"))
    bound = FleetFile.model_json_schema()["properties"]["robots"]["maxItems"]
    assert bound == MOST_ROBOTS


def test_too_many_processes_are_refused_with_the_cure(rendezvous_bundle, tmp_path):
    with pytest.raises(ConfigError, match=r"64 processes for 64 robots.*--processes"):
        Fleet(FleetConfig(rendezvous_bundle, 64, tmp_path / "f", processes=64))
    assert not (tmp_path / "f").exists()
    assert MOST_ROBOTS < SUPERVISOR < EVERYBODY
