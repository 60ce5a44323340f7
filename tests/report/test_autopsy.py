"""`swarmhold autopsy` on a simulated recording, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.main import main as swarmhold
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.forensics.autopsy import TIE_S, _failures
from swarmhold.policies.forensics.case import read_case
from swarmhold.policies.forensics.cli import main, parse_mask
from swarmhold.policies.forensics.evidence import Onset, Series, change_point
from swarmhold.policies.forensics.twins import twin_of
from swarmhold.sim.gap.flight import simulated

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))
from autopsy_flights import record
from gap_flights import write_flight

DEAD, LIAR, DIED, LIED = 2, 0, 2.0, 3.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory, coverage_bundle):
    """One robot dies, and later another lies."""
    where = tmp_path_factory.mktemp("autopsy") / "flight"
    return record(where, coverage_bundle, 4, 5.0, {DEAD: DIED}, {LIAR: LIED})


def told(capsys, *given):
    capsys.readouterr()
    assert main([*map(str, given), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_story_of_a_dead_and_a_lying_robot(folder, tmp_path, capsys):
    found = told(capsys, folder, "--twins", 2, "--mask", f"{LIAR}@{LIED}", "--out", tmp_path)
    assert found["first_failed"] == DEAD and found["chain"][0] == DEAD
    assert found["at_s"] == pytest.approx(DIED, abs=0.15)
    assert 0.5 < found["confidence"] <= 1.0
    assert [one["robot"] for one in found["failures"]] == [DEAD, LIAR]
    lie = found["failures"][1]
    assert {one["channel"] for one in lie["evidence"]} >= {"word", "sight"}
    assert lie["t"] == pytest.approx(LIED, abs=0.15)
    assert found["supervisor"][0]["robot"] == DEAD and found["supervisor_agrees"] is True
    assert found["twins"]["mismatch_m"] < 0.03
    assert set(found["masked"]["error_m"]) == {"as_it_was", "masked", "never_masked"}
    page = (tmp_path / "autopsy.html").read_text()
    assert f"Robot {DEAD} failed first" in page and "http" not in page.replace("http://www.w3", "")
    assert json.loads((tmp_path / "autopsy.json").read_text())["first_failed"] == DEAD


def test_a_mask_takes_a_robot_out_of_everybodys_attention(folder, coverage_bundle):
    case = read_case(folder)
    twin = twin_of(case, open_bundle(coverage_bundle), 0, {DEAD: 1.5}, mask=(1, 1.0))
    for robot, column in ((0, 0), (3, 1)):  # of teammate 1 in their weights
        made = twin.decisions[robot]
        assert all(d.weights[column] == 1.0 for t, d in made if t < 0.8)
        assert all(d.weights[column] == 0.0 for t, d in made if t > 1.2)
    assert twin.decisions[DEAD][-1][0] < 1.6  # from then on as recorded
    away = twin.flown.robots[DEAD].position - case.motions.robots[DEAD].position[-1]
    assert np.linalg.norm(away[-1]) < 0.15


def test_nobody_failed_in_a_calm_flight(tmp_path, capsys, coverage_bundle):
    calm = record(tmp_path / "calm", coverage_bundle, 3, 3.0)
    found = told(capsys, calm, "--twins", 0)
    assert found["first_failed"] is None and found["chain"] == [] and found["confidence"] == 0.0
    assert found["supervisor_agrees"] is True and found["twins"] is None


def test_what_cannot_be_examined_is_one_line(
    folder, tmp_path, capsys, coverage_bundle, rendezvous_bundle
):
    assert swarmhold(["autopsy", str(tmp_path)]) == 2
    assert "no flight folder" in capsys.readouterr().err
    torn = tmp_path / "torn"
    (torn / "mcap").mkdir(parents=True)
    (torn / "events.jsonl").write_text((folder / "events.jsonl").read_text())
    for file in (folder / "mcap").iterdir():
        data = file.read_bytes()
        cut = data[: len(data) // 2] if file.suffix == ".mcap" else data
        (torn / "mcap" / file.name).write_bytes(cut)
    assert swarmhold(["autopsy", str(torn)]) == 2
    said = capsys.readouterr().err
    assert "damaged or cut off" in said and said.count("\n") == 1
    brief = simulated(open_bundle(coverage_bundle), 2, 0.5, 3)
    foreign = write_flight(brief, tmp_path / "foreign", coverage_bundle)
    with pytest.raises(ConfigError, match="its recording holds no task; record every topic"):
        main([str(foreign)])
    with pytest.raises(ConfigError, match="flew coverage, the bundle is for rendezvous"):
        main([str(folder), "--bundle", str(rendezvous_bundle), "--twins", "2"])
    with pytest.raises(ConfigError, match="0, or 2 and more"):
        main([str(folder), "--twins", "1"])
    with pytest.raises(ConfigError, match="not ROBOT@SECONDS"):
        parse_mask("three")
    assert parse_mask("3@8.5") == (3, 8.5)


def test_a_change_point_is_where_the_rise_began():
    size = np.concatenate([np.random.default_rng(0).normal(size=200), np.full(20, 9.0)])
    found = change_point(Series("policy", 1, np.arange(220) * 0.1, size))
    assert found is not None and found.t == pytest.approx(20.0) and found.sigma > 8.0
    assert change_point(Series("policy", 1, np.arange(200) * 0.1, size[:200])) is None
    spike = size[:200].copy()
    spike[50] = 1e6  # one outlier is no change
    assert change_point(Series("policy", 1, np.arange(200) * 0.1, spike)) is None


def test_of_two_at_a_time_the_larger_is_first():
    early, large = Onset(0, "policy", 4.0, 5.0), Onset(1, "word", 4.0 + TIE_S / 2, 30.0)
    assert [one.robot for one in _failures([early, large])] == [1, 0]
    later = Onset(1, "word", 4.0 + 2 * TIE_S, 30.0)
    assert [one.robot for one in _failures([early, later])] == [0, 1]
