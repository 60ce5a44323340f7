"""Recordings and simulations as sources, flights and bundles on the shelf, and the command line."""

import json
import shutil
import sys
import time
from pathlib import Path

import httpx
import pytest

from swarmhold.hardware.console import cli
from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.live import Signals
from swarmhold.hardware.console.replay import Replay
from swarmhold.hardware.console.source import GROUP, simulated
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.policies.console import team

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from desk import TOKEN, serving
from team import Puppet
from test_report import write_recording


def last(hub):
    return json.loads(hub.latest)


def test_a_recording_is_drawn_from_beginning_to_end(tmp_path):
    write_recording(tmp_path, garbage=True)
    replay, hub = Replay(tmp_path), Hub(float("inf"))
    replay.start(hub)
    replay.wait(60)
    first, end = hub.span
    assert first == pytest.approx(100.0) and end == pytest.approx(101.95, abs=0.11)
    picture = last(hub)
    assert picture["mode"] == "REPLAY" and picture["bodies"] == "HARDWARE"
    assert picture["supervisor"]["name"] == "s" and picture["weights"] == [[1.0, 1.0]] * 2
    told = [(e["kind"], e["value"], e["robot"], e["until"]) for e in hub.happenings()]
    assert ("fault", "freeze", 1, None) in told and ("fault", "freeze", 1, 101.0) in told
    assert json.loads(hub.at(100.75))["robots"][1]["faults"] == ["freeze"]
    assert json.loads(hub.at(101.5))["robots"][1]["faults"] == []
    with pytest.raises(NotReadyError, match="nobody to stop"):
        replay.stop_all()
    replay.close()


def test_a_stream_goes_through_a_recording_in_its_own_time(tmp_path):
    write_recording(tmp_path)
    with serving(Replay(tmp_path), tmp_path) as (url, desk):
        desk.source.wait(60)
        seen, began = [], time.monotonic()
        ask = httpx.stream("GET", f"{url}/api/stream?at=100.5&speed=4", timeout=30)
        with ask as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and '"mode":"REPLAY"' in line:
                    seen.append(json.loads(line[5:])["t"])
                if '"ended":true' in line:
                    break
        took = time.monotonic() - began
        assert seen[0] == pytest.approx(100.5, abs=0.11) and seen[-1] == pytest.approx(
            101.9, abs=0.2
        )
        assert seen == sorted(set(seen)) and 14 <= len(seen) <= 16
        assert took > 1.3 / 4, "not all at once"


def test_what_is_no_recording_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no flight folder"):
        Replay(tmp_path)
    write_recording(tmp_path)
    file = tmp_path / "mcap/mcap.mcap"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="damaged or cut off"):
        Replay(tmp_path).start(Hub())


def test_signals_of_the_launcher_are_read_as_they_are_written(tmp_path):
    signals, file = Signals(tmp_path), tmp_path / "events.jsonl"
    assert signals.new() == []
    lines = [
        {"event": "flight", "t": 1.0},
        {"event": "fault", "t": 2.0, "kind": "crash", "robot": 1},
        {"event": "fault", "t": 2.0, "kind": "spoof", "robot": 2},  # comes by its topic
        {"event": "fault", "t": 3.0, "kind": "respawn", "robot": 1},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_text(text[:-5])
    assert signals.new() == [{"fault": "crash", "robot": 1, "lasts_s": 1e6}]
    file.write_text(text)
    assert signals.new() == [{"fault": "crash", "robot": 1, "lasts_s": 0.0}]
    assert signals.new() == []


def wait_until(condition, seconds=60.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_simulated_team_breaks_heals_and_stops(tmp_path):
    source, hub = team("coverage", 5, None, 3, True), Hub()
    source.start(hub)

    def states():
        return [card["state"] for card in hub.last["robots"]] if hub.last else []

    try:
        wait_until(lambda: states() == ["HEALTHY"] * 5)
        picture = last(hub)
        assert picture["mode"] == "SIM" and picture["task"]["scenario"] == "coverage"
        assert all(abs(sum(row) - 1.0) < 0.01 for row in picture["attention"])
        source.inject(FaultSpec("crash", 2, duration_s=4.0))
        wait_until(lambda: states()[2] == "LOST")
        wait_until(lambda: hub.last["robots"][2]["trust"] == 0.0)
        wait_until(lambda: all(row is None or row[2] == 0.0 for row in hub.last["attention"]))
        wait_until(lambda: states()[2] in ("PROBATION", "SUSPECT", "HEALTHY"))
        told = [(e["kind"], e["value"]) for e in hub.happenings() if e["robot"] == 2]
        assert told[0] == ("fault", "crash") and ("state", "LOST") in told
        with pytest.raises(ConfigError):
            source.inject(FaultSpec("crash", 7))
        source.stop_all()
        wait_until(lambda: len(source.stopped()["confirmed"]) == 5)
        wait_until(lambda: states() == ["ESTOPPED"] * 5)
        wait_until(lambda: max(abs(v) for c in hub.last["robots"] for v in c["velocity"]) < 0.01)
    finally:
        source.close()


def test_teams_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="unknown scenario"):
        team("chess")
    with pytest.raises(ConfigError, match="1 to 100"):
        team("coverage", 101)
    with pytest.raises(ConfigError, match="is for"):
        team("coverage", 3, Path("discovery-gritsbot"))
    source = team("coverage", 2)
    with pytest.raises(ConfigError):
        source.inject(FaultSpec("spoof", 0))
    source.close()


def test_a_simulation_is_found_by_its_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\na = house_team:make\n")
    (tmp_path / "house_team.py").write_text("def make(name, **options): return name, options\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert simulated("x", {"robots": 3}) == ("x", {"robots": 3})


def test_flights_reports_and_bundles(tmp_path, coverage_bundle):
    flights, shelf, slot = tmp_path / "flights", tmp_path / "shelf", tmp_path / "slot"
    (flights / "one").mkdir(parents=True)
    write_recording(flights / "one")
    (flights / "torn").mkdir()
    (flights / "torn/events.jsonl").write_text("")
    second = shutil.copytree(coverage_bundle, shelf / "second")
    manifest = json.loads((second / "manifest.json").read_text())
    (second / "manifest.json").write_text(json.dumps({**manifest, "version": 2}))
    flown = shutil.copytree(coverage_bundle, tmp_path / "flown")
    bad = shutil.copytree(coverage_bundle, shelf / "bad")
    (bad / "model_card.md").write_text("better than ever")
    with (
        serving(Puppet(), flights, slot=slot, bundles=shelf) as (url, _),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        listed = {run["name"]: run for run in client.get("/api/runs").json()}
        assert listed["one"]["robots"] == 2 and listed["one"]["recorded"]
        assert listed["one"]["faults"] == ["freeze 1", "thaw 1"] and "error" in listed["torn"]
        report = client.get("/runs/one/report")
        assert report.status_code == 200 and "sandbox" in report.headers["content-security-policy"]
        for name in ("torn", "none", "..", "%2e%2e", "..%2fone"):
            assert client.get(f"/runs/{name}/report").status_code == 404

        def act(path, order, key):
            headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
            return client.post(path, json=order, headers=headers)

        def slot_now():
            found = client.get("/api/bundles").json()["slot"]
            return [found[name] and found[name]["version"] for name in ("current", "previous")]

        assert slot_now() == [None, None]
        assert act("/api/bundles/promote", {"bundle": "coverage-epuck"}, "1").status_code == 200
        assert act("/api/bundles/promote", {"bundle": "second"}, "2").json()["version"] == 2
        assert slot_now() == [2, 1]
        assert act("/api/bundles/back", {}, "3").status_code == 200
        assert act("/api/bundles/back", {}, "3").headers["idempotency-replayed"] == "true"
        assert slot_now() == [1, 2], "once, though it was asked for twice"
        for name, words in (("bad", "model_card.md"), ("none", "no bundle"), ("../x", "no bundle")):
            refused = act("/api/bundles/promote", {"bundle": name}, f"r{name}")
            assert refused.status_code == 409 and words in refused.json()["detail"]
        errors = {b["id"]: b.get("error") for b in client.get("/api/bundles").json()["bundles"]}
        assert "model_card.md" in errors["bad"] and errors["second"] is None
        assert str(flown) not in errors, "no flight flew it yet"
        lines = (flights / "one/events.jsonl").read_text().splitlines()
        first = {**json.loads(lines[0]), "bundle": str(flown)}
        (flights / "one/events.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]))
        known = {
            b["id"]: b["digest"]
            for b in client.get("/api/bundles").json()["bundles"]
            if "digest" in b
        }
        assert known[str(flown)] == known["coverage-epuck"]


@pytest.mark.parametrize(
    ("words", "args"),
    [
        ("give one of", ()),
        ("give one of", ("--sim", "coverage", "--domain", "4")),
        ("not both", ("--domain", "4", "--operate", "--token-file", "x")),
        ("cannot be read", ("--domain", "4", "--token-file", "none")),
        ("open to others", ("--domain", "4", "--host", "0.0.0.0")),
        ("must lie in", ("--domain", "4", "--port", "70000")),
        ("no flight folder", ("--flight", "none")),
        ("cannot be read", ("--fleet", "none.yaml")),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(tmp_path, monkeypatch, words, args):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words) as caught:
        cli.main([*args, *(() if "--port" in args else ("--port", "0"))])
    assert "\n" not in str(caught.value)


def test_a_port_that_is_taken_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(Puppet(), tmp_path) as (url, _):
        port = url.rsplit(":", 1)[1]
        with pytest.raises(NotReadyError, match="choose a --port"):
            cli.main(["--domain", "4", "--port", port])
