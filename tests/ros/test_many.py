"""Robots that share a process: real nodes, each of which hears and fails for itself."""

import sys
import time
from pathlib import Path

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.many import delivered
from swarmhold.hardware.report.flight import read_flight

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, states, wait_for

pytestmark = [pytest.mark.system, pytest.mark.quiet]


def test_robots_of_one_process_fail_each_for_itself(tmp_path, rendezvous_bundle):
    config = FleetConfig(
        rendezvous_bundle, 6, tmp_path / "f", processes=3, alone=(5,), allow_faults=True
    )
    with Fleet(config) as fleet:
        assert fleet.groups == [(0, 1, 2), (3, 4), (5,)]
        assert {n for n in fleet.children if "_" in n} == {
            "group_0", "group_1", "robot_5", "fault_node",
        }  # fmt: skip
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 6)
        with pytest.raises(ConfigError, match="robot 1 shares its process"):
            fleet.kill(1)
        fleet.inject(FaultSpec("spoof", 1, seed=3))
        assert wait_for(lambda: states(fleet)[1] == "QUARANTINED")
        fleet.inject(FaultSpec("link_loss", 3))
        assert wait_for(lambda: states(fleet)[3] == "LOST")
        fleet.kill(5)
        assert wait_for(lambda: states(fleet)[5] == "LOST")
        time.sleep(1.0)
        assert [states(fleet)[robot] for robot in (0, 2, 4)] == ["HEALTHY"] * 3
        fleet.respawn(5)
        assert wait_for(lambda: states(fleet)[5] in ("PROBATION", "SUSPECT", "HEALTHY"))
        fleet.check(set())
    assert not orphans(str(tmp_path))
    recorded = read_flight(tmp_path / "f")
    last = [log.weights[-1] for log in recorded.robots]
    assert (last[0][[1, 3]] == 0.0).all() and (last[0][[2, 4]] > 0.9).all()
    assert (last[3][[0, 2, 4]] < 0.5).all(), "who hears nobody trusts nobody"
    share = delivered(tmp_path / "f", 0.0, time.time())
    assert share is not None and 0.5 < share <= 1.0
