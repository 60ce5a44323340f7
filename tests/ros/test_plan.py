"""A fault plan against real processes: what is done, what is seen of it, and when it is stopped."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, wait_for
from hosts import SWARMHOLD, hosts_or_skip

from swarmhold.export.faults_cli import main
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.plan_flight import fly_plan
from swarmhold.hardware.network.air import Air
from swarmhold.hardware.plan import FaultPlan
from swarmhold.hardware.report.plan_record import recorded

pytestmark = [pytest.mark.system, pytest.mark.quiet]
FAULTS = [
    {"unit": "agent", "type": "off", "target": 1, "at_s": 3, "duration_s": 4},
    {"unit": "link", "type": "wrong", "target": 2, "at_s": 9, "duration_s": 4},
    {"unit": "sensor", "type": "garbage", "target": 3, "at_s": 15, "duration_s": 3},
]
PLAN = {"name": "live", "robots": 4, "rest_s": 5, "seed": 2, "faults": FAULTS}


def test_a_plan_is_flown_and_scored(tmp_path, capsys, coverage_bundle):
    file = tmp_path / "live.yaml"
    file.write_text(yaml.safe_dump(PLAN))
    given = ["run", str(file), "--world", "ros", "--bundle", str(coverage_bundle)]
    code = main([*given, "--arms", "supervisor", "--out", str(tmp_path / "a"), "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and not told["aborted"]
    rows = told["rows"][0]
    assert [row["kind"] for row in rows] == ["crash", "spoof", "sensor_nan"]
    assert [row["status"] for row in rows] == ["applied"] * 3
    assert [row["verdict"] for row in rows] == ["LOST", "QUARANTINED", "QUARANTINED"]
    for planned, row in zip(FAULTS, rows, strict=True):
        assert abs(row["start_s"] - planned["at_s"]) < 1.0, "onsets are those of the recording"
        assert row["first"] and not row["harmed"]
    assert rows[0]["healed_s"] is not None and rows[1]["healed_s"] is not None
    assert "live nodes" in (tmp_path / "a/report.html").read_text().lower()
    agrees_with_simulation(file, tmp_path, capsys, coverage_bundle)


def agrees_with_simulation(file, folder, capsys, bundle):
    """The same file, simulated, has the same fate; the page says so of all worlds."""
    given = ["run", str(file), "--bundle", str(bundle), "--layouts", "1", "--arms", "supervisor"]
    assert main([*given, "--out", str(folder / "b")]) == 0
    runs = [str(folder / "a"), str(folder / "b")]
    assert main(["compare", *runs, "--out", str(folder / "page")]) == 0
    page = (folder / "page/live.md").read_text()
    assert "3 of 3 faults had the same fate in all 2 worlds" in page and "| ros | sim |" in page
    assert len((folder / "page/live.csv").read_text().splitlines()) == 1 + 3 * 2


def test_a_plan_ends_where_it_becomes_dangerous(tmp_path, coverage_bundle):
    plan = FaultPlan.model_validate({**PLAN, "abort": {"out": 1}})
    flown = fly_plan(FleetConfig(coverage_bundle, 4, tmp_path / "f"), plan, "supervisor", "t")
    assert "robots [1] are out of the team" in flown.aborted and 3.0 < flown.aborted_s < 9.0
    found = recorded(tmp_path / "f", plan.faults_drawn())
    assert found.answers == {1: "not injected", 2: "not injected"} and found.aborted
    late = found.trace.position[found.trace.t > found.trace.t[-1] - 0.4]
    assert len(late) > 3 and abs(late[-1] - late[0]).max() < 2e-3, "everybody has stopped"


def test_bases_that_speak_ros_are_broken_by_the_same_plan(tmp_path, capsys, coverage_bundle):
    """What their link cannot do is said, and is why worlds differ."""
    faults = [
        {"unit": "link", "type": "off", "target": 1, "at_s": 2, "duration_s": 2},
        {"unit": "motor", "type": "stuck", "target": 2, "at_s": 4.5, "duration_s": 2},
    ]
    file = tmp_path / "short.yaml"
    file.write_text(yaml.safe_dump({**PLAN, "rest_s": 1, "robots": 3, "faults": faults}))
    given = ["run", str(file), "--bundle", str(coverage_bundle), "--arms", "supervisor"]
    world = ["--world", "emulated", "--link", "twist"]
    assert main([*given, *world, "--out", str(tmp_path / "twist"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["status"] for row in told["rows"][0]] == ["applied", "unsupported"]
    assert told["link"] == "twist" and told["rows"][0][0]["verdict"] == "LOST"
    assert main([*given, "--layouts", "1", "--out", str(tmp_path / "sim")]) == 0
    capsys.readouterr()
    main(["compare", str(tmp_path / "twist"), str(tmp_path / "sim"), "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["agrees"] and rows[0]["worlds"]["sim"]["detected"]
    assert "a twist says nothing of motors" in rows[1]["worlds"]["twist"]["why"]


def test_a_bundle_of_fliers_does_not_drive_bases(tmp_path, coverage_bundle):
    given = ["run", "twelve", "--world", "emulated", "--bundle", str(coverage_bundle)]
    with pytest.raises(ConfigError, match="for epuck robots: --link twist"):
        main([*given, "--out", str(tmp_path / "a")])


BELOW = [
    {"unit": "link", "type": "off", "target": 1, "at_s": 2, "duration_s": 2},
    {"unit": "link", "type": "reordered", "target": 2, "at_s": 6, "duration_s": 2},
]


def below(folder):
    file = folder / "below.yaml"
    file.write_text(yaml.safe_dump({**PLAN, "rest_s": 1, "robots": 3, "faults": BELOW}))
    over = ["--world", "ros", "--network", "namespaces", "--arms", "supervisor"]
    return ["faults", "run", str(file), *over, "--bundle"]


def test_an_emergency_stop_reaches_who_was_cut_off(tmp_path, coverage_bundle):
    hosts_or_skip()
    plan = FaultPlan.model_validate({**PLAN, "robots": 3, "faults": BELOW, "abort": {"out": 1}})
    with Air(3) as air:
        config = FleetConfig(coverage_bundle, 3, tmp_path / "f", air=air)
        flown = fly_plan(config, plan, "supervisor", "t")
    assert "robots [1] are out of the team" in flown.aborted
    lines = (tmp_path / "f/events.jsonl").read_text().splitlines()
    stopped = [e["source"] for e in map(json.loads, lines) if e["event"] == "estop"]
    assert {"robot_0", "robot_1", "robot_2"} <= set(stopped)


def test_an_emergency_stop_of_another_terminal_reaches_hosts_of_their_own(
    tmp_path, coverage_bundle
):
    hosts_or_skip()
    stop = [SWARMHOLD, "estop", str(tmp_path / "f")]
    with Air(3) as air, Fleet(FleetConfig(coverage_bundle, 3, tmp_path / "f", air=air)):
        told = subprocess.run([*stop, "--json"], capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["confirmed"] == [0, 1, 2]
    late = subprocess.run(stop, capture_output=True, text=True, timeout=60)
    assert late.returncode == 2 and "has ended, and its hosts with it" in late.stderr


def test_links_are_broken_below_dds_by_the_same_plan(tmp_path, capsys, coverage_bundle):
    hosts_or_skip()
    given = [*below(tmp_path)[1:], str(coverage_bundle)]
    assert main([*given, "--out", str(tmp_path / "a"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = told["rows"][0]
    assert [row["status"] for row in rows] == ["applied"] * 2
    assert rows[0]["verdict"] == "LOST" and rows[0]["healed_s"] is not None
    assert rows[1]["confirmed_s"] is None and not any(row["harmed"] for row in rows)
    assert told["network"] == "namespaces"
    lines = (tmp_path / "a/supervisor/events.jsonl").read_text().splitlines()
    done = [event["kind"] for event in map(json.loads, lines) if event["event"] == "fault"]
    assert done == ["link_loss", "reorder"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_hosts_whose_launcher_ends_early(
    tmp_path, number, coverage_bundle, monkeypatch
):
    hosts_or_skip()
    monkeypatch.setenv("FOLDER", str(tmp_path))  # by which their cable is known

    def cables():
        return orphans(str(tmp_path), program=b"network.cable")

    command = [SWARMHOLD, *below(tmp_path), str(coverage_bundle), "--out", str(tmp_path / "a")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert wait_for(lambda: len(orphans(str(tmp_path))) > 4, 60.0)
        assert cables()
        run.send_signal(number)
        log = run.communicate(timeout=60)[1]
    assert "Traceback" not in log
    assert run.returncode == (130 if number == signal.SIGINT else -number)
    assert wait_for(lambda: not orphans(str(tmp_path)) and not cables(), 10.0)
