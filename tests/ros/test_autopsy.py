"""Live robots, one killed and later one that lies: `swarmhold autopsy` tells the story."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.policies.forensics.cli import main

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, states, wait_for

pytestmark = pytest.mark.system
KILLED, LIAR = 2, 0


def test_a_killed_and_a_lying_robot_get_the_right_story(tmp_path, capsys, coverage_bundle):
    folder = tmp_path / "flight"
    config = FleetConfig(coverage_bundle, 5, folder, allow_faults=True, alone=(KILLED,))
    with Fleet(config) as fleet:
        time.sleep(4.0)
        fleet.kill(KILLED)
        assert wait_for(lambda: states(fleet)[KILLED : KILLED + 1] == ["LOST"])
        time.sleep(1.0)
        fleet.inject(FaultSpec("spoof", LIAR, duration_s=20.0, seed=3))
        assert wait_for(lambda: states(fleet)[LIAR] == "QUARANTINED")
        time.sleep(1.5)
        fleet.check({KILLED})
    assert not orphans(str(folder))
    capsys.readouterr()
    assert main([str(folder), "--twins", "2", "--json", "--out", str(tmp_path / "page")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    events = [line for line in lines if line["event"] in ("started", "fault")]
    began = next(line["t"] for line in events if line["event"] == "started")
    truth = {line["robot"]: line["t"] - began for line in events if line["event"] == "fault"}
    assert found["first_failed"] == KILLED and found["chain"][0] == KILLED
    assert found["supervisor_agrees"] is True and found["supervisor"][0]["robot"] == KILLED
    told = {one["robot"]: one for one in found["failures"]}
    assert {KILLED, LIAR} == set(told)
    assert told[KILLED]["evidence"][0]["channel"] == "silence"
    assert "word" in {one["channel"] for one in told[LIAR]["evidence"]}
    for robot, at in truth.items():
        assert told[robot]["t"] == pytest.approx(at, abs=0.5)
    assert f"Robot {KILLED} failed first" in (tmp_path / "page/autopsy.html").read_text()
