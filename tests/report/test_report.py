"""Figures against cases counted by hand, a recording there and back, and the page in a browser."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.cli import sort_flights
from swarmhold.hardware.report.flight import FOREVER, Fault, Flight, RobotLog, read_flight
from swarmhold.hardware.report.measures import (
    attention_at,
    detections,
    error_curve,
    false_alarms,
    final_error,
    loop_figures,
    quantiles,
    summary,
)
from swarmhold.hardware.report.page import Story, render
from swarmhold.hardware.report.recording import events_of

sys.path.insert(0, str(Path(__file__).parent))
from flight_folder import header, recording, typestore, write_events


def make_flight(tmp_path, faults=(), n=4, seconds=30.0, delay=0.3, reweight=True):
    """Robots on a line, 0.1 m apart; everybody masks a faulty robot `delay` s after its onset."""
    t = np.arange(0.0, seconds, 0.05)
    weights = np.ones((len(t), n))
    for fault in faults:
        if reweight:
            weights[(t >= fault.start + delay) & (t < fault.end), fault.robot] = 0.0
    place = np.zeros((len(t), n, 2))
    place[..., 0] = 0.1 * np.arange(n)
    log = RobotLog(
        t=t,
        weights=weights,
        attention=np.full((len(t), n), 1.0 / n),
        source=np.ones(len(t), int),
        period=np.where(t > 0, 0.05, 0.0),
        inference=np.where(np.arange(len(t)) % 2 == 0, 0.0004, 0.0),
        missed=np.zeros(len(t)),
    )
    info = {
        "robots": n,
        "scenario": "rendezvous",
        "robot": "epuck",
        "seed": 1,
        "name": "x",
        "digest": "0" * 64,
        "bundle": "b",
        "reweight": reweight,
    }
    return Flight(
        folder=tmp_path,
        info=info,
        duration=seconds,
        faults=list(faults),
        t=t,
        position=place,
        error=np.linspace(1.0, 0.5, len(place)),
        touched=np.zeros((len(t), n), bool),
        robots=[log] * n,
        table_t=t,
        table_states=np.zeros((len(t), n), int),
        landmarks=np.zeros((0, 3)),
        half_width=1.0,
        recording=tmp_path / "x.mcap",
        warnings=[],
    )


def test_delays_run_from_the_signal_to_half_weight(tmp_path):
    flight = make_flight(tmp_path, [Fault("crash", 2, 5.0, FOREVER)])
    found = detections(flight)
    assert [d.observer for d in found] == [0, 1, 3]
    assert all(d.delay_s == pytest.approx(0.3, abs=0.051) for d in found)


def test_what_nobody_notices_is_missed_and_spoils_the_quantiles(tmp_path):
    flight = make_flight(tmp_path, [Fault("crash", 2, 5.0, FOREVER)], delay=99.0)
    delays = np.array([d.delay_s for d in detections(flight)])
    assert np.isinf(delays).all()
    assert quantiles(delays, (50, 95)) == {"p50": None, "p95": None}
    assert summary(None, flight, None)["detection_delay_s"]["missed"] == 3


def test_robots_that_fail_together_are_no_witnesses(tmp_path):
    faults = [Fault("crash", 2, 5.0, FOREVER), Fault("freeze", 1, 7.0, FOREVER)]
    found = detections(make_flight(tmp_path, faults))
    assert {(d.robot, d.observer) for d in found} == {(2, 0), (2, 3), (1, 0), (1, 3)}


def test_one_false_alarm_is_one_onset(tmp_path):
    flight = make_flight(tmp_path)
    assert false_alarms(flight)[0] == 0
    weights = flight.robots[0].weights.copy()
    weights[100:120, 3] = 0.2
    weights[200:201, 3] = 0.2
    robots = [replace(flight.robots[0], weights=weights), *flight.robots[1:]]
    alarms, hours = false_alarms(replace(flight, robots=robots))
    assert alarms == 2
    assert hours == pytest.approx(4 * 29.95 / 3600, rel=0.01)


def test_justified_weights_are_no_alarm(tmp_path):
    flight = make_flight(tmp_path, [Fault("crash", 2, 5.0, FOREVER)])
    assert false_alarms(flight)[0] == 0


def test_task_error_counts_the_healthy(tmp_path):
    flight = make_flight(tmp_path, n=3)
    assert final_error(flight) == pytest.approx(0.4 / 3)
    broken = make_flight(tmp_path, [Fault("crash", 2, 5.0, FOREVER)], n=3)
    curve = error_curve(broken)
    assert curve[0] == pytest.approx(0.4 / 3) and curve[-1] == pytest.approx(0.1)


def test_coverage_error_looks_at_what_matters(tmp_path):
    flight = make_flight(tmp_path, [Fault("crash", 1, 0.0, FOREVER)], n=2)
    marks = np.array([[0.0, 0.2, 1.0], [0.9, 0.0, 0.1]])
    flight = replace(flight, landmarks=marks, info={**flight.info, "scenario": "coverage"})
    assert final_error(flight) == pytest.approx(0.2)


def test_loops_and_attention(tmp_path):
    flight = make_flight(tmp_path, [Fault("crash", 2, 5.0, FOREVER)])
    figures = loop_figures([flight])
    assert figures["loop_period_s"]["p99"] == pytest.approx(0.05)
    assert figures["inference_s"]["p50"] == pytest.approx(0.0004)
    assert figures["missed_tick_share"] == 0.0
    assert attention_at(flight, 10.0) == pytest.approx(np.full((4, 4), 0.25))
    assert np.isnan(attention_at(flight, -5.0)).all()


def test_flights_are_sorted_by_what_was_done(tmp_path):
    fault = [Fault("crash", 2, 5.0, FOREVER)]
    nominal, helped = make_flight(tmp_path), make_flight(tmp_path, fault)
    alone = make_flight(tmp_path, fault, reweight=False)
    story = sort_flights([alone, nominal, helped])
    assert (story.nominal, story.helped, story.alone) == (nominal, helped, alone)
    with pytest.raises(ConfigError, match="exactly one"):
        sort_flights([helped, helped])
    other = replace(nominal, info={**nominal.info, "seed": 2})
    with pytest.raises(ConfigError, match="differ in scenario"):
        sort_flights([helped, other])


def page(tmp_path):
    fault = [Fault("crash", 2, 5.0, 15.0), Fault("spoof", 1, 3.0, FOREVER)]
    story = Story(
        make_flight(tmp_path, fault),
        make_flight(tmp_path),
        make_flight(tmp_path, fault, reweight=False),
    )
    return render(story)


def test_the_page_needs_no_network_and_its_data_is_json(tmp_path):
    text, figures = page(tmp_path)
    assert not re.findall(r"(?:src|href)\s*=|@import|url\(\s*['\"]?http", text)
    links = [u for u in re.findall(r"https?://[^\s\"'<>]+", text) if "www.w3.org" not in u]
    assert not links
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data["flights"]) == 3 and len(data["attention"]) == 2
    assert figures["detection_delay_s"]["n"] > 0
    parser = HTMLParser()
    parser.feed(text)


def test_hostile_names_stay_text(tmp_path):
    flight = make_flight(tmp_path)
    flight = replace(flight, info={**flight.info, "name": "</script><script>alert(1)</script>"})
    text, _ = render(Story(flight))
    assert text.count("<script") == 2


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_real_browser_draws_everything(tmp_path):
    file = tmp_path / "report.html"
    text, _ = page(tmp_path)
    trap = "<script>window.onerror=(m)=>{document.title='broken '+m}</script>"
    file.write_text(text.replace("<main>", trap + "<main>"))
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path}/profile",
        "--dump-dom",
        f"file://{file}",
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>swarmhold flight report</title>" in dom
    assert dom.count("<canvas") == 3 and dom.count("<svg") >= 7
    assert "4 robots flew" in dom


def write_recording(folder, n=2, ticks=40, garbage=False):
    """A small but real MCAP."""
    kind = typestore().types
    f32, u8 = np.float32, np.uint8
    with recording(folder) as send:

        def say(topic, name, k, *values):
            name, t = f"swarmhold_msgs/msg/{name}", 100.0 + 0.05 * k
            message = kind[name](header(t), *values)
            send(topic, name, t, message)

        for k in range(ticks):
            say("/swarm/truth", "Truth", k, np.arange(3.0 * n), np.zeros(n, f32),
                np.ones(n, bool), np.zeros(n, bool), 0.25)  # fmt: skip
            for wide in (n, n + 1) if garbage else (n,):  # of another team
                say("/swarm/health", "HealthTable", k, 1 if wide == n else 9, k, "s", 1.0,
                    np.ones(wide, f32), np.zeros(wide, u8), np.zeros(wide, np.uint16))  # fmt: skip
            if garbage:
                send("/swarm/health", None, 100.0 + 0.05 * k, b"\0\1\0\0\xff\xff")
            for i in range(n):
                say(f"/robot_{i}/status", "PolicyStatus", k, i, np.ones(n, f32),
                    np.full(n, 0.5, f32), np.zeros(n, u8), 1, 0, 0.05, 0.001, 0, 0)  # fmt: skip
    info = {"robots": n, "scenario": "rendezvous", "robot": "epuck", "seed": 0, "name": "x",
            "digest": "0" * 64, "bundle": "b"}  # fmt: skip
    faults = ("freeze", 1, 0.5), ("thaw", 1, 1.0)
    write_events(folder, info, 2.0, faults, began=100.0)


def test_a_recording_is_read_back_without_ros(tmp_path):
    write_recording(tmp_path)
    flight = read_flight(tmp_path)
    assert flight.position.shape == (40, 2, 2) and flight.duration == 2.0
    assert flight.faults == [Fault("freeze", 1, 0.5, 1.0)]
    assert flight.robots[0].t == pytest.approx(0.05 * np.arange(40), abs=1e-6)
    assert flight.table_states.shape == (40, 2)
    moving = replace(flight, info={**flight.info, "scenario": "pursuit"})
    assert (error_curve(moving) == 0.25).all(), "as the world had it"


def test_what_other_hosts_did_comes_in_with_their_events(tmp_path):
    flight = {"event": "flight", "t": 0.0, "robots": 2}
    here = [flight, {"event": "started", "t": 1.0}, {"event": "ended", "t": 9.0}]
    there = [flight, {"event": "started", "t": 1.1}, {"event": "ended", "t": 11.0}]
    there.insert(2, {"event": "fault", "t": 4.0, "kind": "crash", "robot": 1})
    for name, lines in (("events", here), ("events-pi", there)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert events_of(tmp_path) == [*here[:2], there[2], here[2]]


def test_a_recording_that_was_cut_off_is_one_line(tmp_path):
    write_recording(tmp_path)
    file = tmp_path / "mcap/mcap.mcap"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ConfigError) as caught:
        read_flight(tmp_path)
    assert "damaged or cut off" in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    write_recording(folder)
    return folder


def read_or_one_line(folder):
    """A flight of two, or None."""
    try:
        flight = read_flight(folder)
    except ConfigError as error:
        assert "\n" not in str(error)
        return None
    assert flight.n == 2 and all(0 <= fault.robot < 2 for fault in flight.faults)
    assert all(log.weights.shape == (len(log.t), 2) for log in flight.robots)
    return flight


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_recordings_and_events_are_read_or_one_line(recorded, tmp_path, data):
    """Cut off or with flipped bytes; events with any lines among them, and some of them missing."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    if data.draw(st.booleans()):
        file = tmp_path / "mcap/mcap.mcap"
        content = bytearray(file.read_bytes())
        content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
        for _ in range(data.draw(st.integers(0, 3)) if content else 0):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
    else:
        lines = (tmp_path / "events.jsonl").read_text().splitlines()
        value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=2),
        )
        keys = st.sampled_from(["event", "t", "kind", "robot", "duration_s", "source", "text"])
        words = st.sampled_from(["flight", "started", "fault", "warning", "thaw", "crash"])
        more = st.dictionaries(keys, words | value).map(json.dumps) | st.text(max_size=20)
        for _ in range(data.draw(st.integers(1, 4))):
            lines.insert(data.draw(st.integers(0, len(lines))), data.draw(more))
        del lines[data.draw(st.integers(0, len(lines) - 1))]
        (tmp_path / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    read_or_one_line(tmp_path)


def test_garbage_among_the_messages_is_left_out(tmp_path):
    """Bytes that are no message, and messages of another team."""
    write_recording(tmp_path, garbage=True)
    flight = read_or_one_line(tmp_path)
    assert flight.position.shape == (40, 2, 2) and flight.table_states.shape == (40, 2)
    assert [len(log.t) for log in flight.robots] == [40, 40]


def test_a_flight_that_never_started_says_so(tmp_path):
    write_recording(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(ConfigError, match="never started"):
        read_flight(tmp_path)
    shutil.rmtree(tmp_path / "mcap")
    write_recording(tmp_path)
    shutil.rmtree(tmp_path / "mcap")
    with pytest.raises(ConfigError, match="holds no recording"):
        read_flight(tmp_path)
