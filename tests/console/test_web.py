"""Who may look and who may act, over real HTTP."""

import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from swarmhold.hardware.console.guard import Answer, Conflict, Once
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.operator_token import read_token
from swarmhold.hardware.plan import parse_plan

sys.path.insert(0, str(Path(__file__).parent))
from desk import TOKEN, serving
from team import Puppet

ASSETS = Path(__file__).parents[2] / "hardware/swarmhold/hardware/console/assets"
PLAN = """
name: two
robots: 4
seed: 3
faults:
  - {unit: link, type: wrong, at_s: 2, duration_s: 5}
  - {unit: agent, type: off, target: 1, at_s: [9, 12], duration_s: 5}
"""
COMMANDS = {
    "/api/stop": {"confirm": "STOP"},
    "/api/faults": {"faults": [{"kind": "spoof", "robot": 1}], "dry_run": True},
    "/api/faults/abort": {},
    "/api/faults/read": {"text": PLAN},
    "/api/bundles/promote": {"bundle": "coverage-epuck"},
    "/api/bundles/back": {},
}


@pytest.fixture
def console(tmp_path):
    puppet = Puppet()
    with serving(puppet, tmp_path) as (url, desk), httpx.Client(base_url=url) as client:
        client.puppet, client.desk, client.folder = puppet, desk, tmp_path
        yield client


def act(client, path, order, key="k1", token=TOKEN, **headers):
    given = {"Idempotency-Key": key, "Authorization": f"Bearer {token}", **headers}
    return client.post(path, json=order, headers={k: v for k, v in given.items() if v is not None})


def audit(client):
    return [json.loads(line) for line in (client.folder / "audit.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("path", ["/", "/api/about", "/api/picture", "/api/stream", "/metrics"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", ""])
def test_a_forged_host_sees_nothing(console, path, host):
    answer = console.get(path, headers={"Host": host.format(port=console.base_url.port)})
    assert answer.status_code == 421
    assert "robots" not in answer.text


def test_its_own_names_are_let_in(console):
    for name in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        host = f"{name}:{console.base_url.port}"
        assert console.get("/api/about", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", ""])
def test_a_forged_origin_is_refused(console, origin):
    origin = origin.format(port=console.base_url.port)
    assert console.get("/api/about", headers={"Origin": origin}).status_code == 403
    assert act(console, "/api/stop", {"confirm": "STOP"}, Origin=origin).status_code == 403
    assert console.puppet.stops == 0


def test_a_page_of_another_site_cannot_act_even_with_the_token(console):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert act(console, "/api/stop", {"confirm": "STOP"}, **headers).status_code == 403
    own = {"Origin": f"http://127.0.0.1:{console.base_url.port}", "Sec-Fetch-Site": "same-origin"}
    assert act(console, "/api/stop", {"confirm": "STOP"}, **own).status_code == 202
    assert console.puppet.stops == 1


@pytest.mark.parametrize("path", COMMANDS)
def test_no_command_without_the_token(console, path):
    for token in ("wrong", TOKEN[:-1], TOKEN + "x", "Bearer", "é"):
        header = f"Bearer {token}".encode()
        refused = console.post(
            path,
            json=COMMANDS[path],
            headers={b"Authorization": header, b"Idempotency-Key": b"k"},
        )
        assert refused.status_code == 401, token
    assert act(console, path, COMMANDS[path], Authorization=None).status_code == 401
    assert act(console, path, COMMANDS[path], Authorization=f"Basic {TOKEN}").status_code == 401
    assert console.puppet.stops == 0 and not console.puppet.injected
    refused = audit(console)
    assert len(refused) == 7 and {line["status"] for line in refused} == {401}
    assert TOKEN not in (console.folder / "audit.jsonl").read_text()


@pytest.mark.parametrize("path", COMMANDS)
def test_without_a_token_it_is_read_only(tmp_path, path):
    with serving(Puppet(), tmp_path, token=None) as (url, _), httpx.Client(base_url=url) as client:
        assert client.get("/api/about").json()["read_only"]
        for token in ("None", TOKEN):
            assert act(client, path, COMMANDS[path], token=token).status_code == 403


def test_a_command_is_done_once_however_often_it_comes(console):
    order = {"confirm": "STOP"}
    first, again = (act(console, "/api/stop", order) for _ in range(2))
    assert first.status_code == again.status_code == 202 and first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers and console.puppet.stops == 1
    other = act(console, "/api/faults/abort", {})
    assert other.status_code == 422 and "another request" in other.json()["detail"]
    assert act(console, "/api/stop", order, key="k2").status_code == 202
    assert console.puppet.stops == 2
    for key in (None, "", "a b", "x" * 201):
        assert act(console, "/api/stop", order, key=key).status_code == 422
    assert console.puppet.stops == 2


def test_two_at_the_same_time_are_one(tmp_path):
    once, go, done = Once(), threading.Event(), []

    def slow():
        go.wait(10)
        done.append(1)
        return Answer(200, {})

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(once.do, "k", "d", slow)
        while not once._done:
            pass
        with pytest.raises(Conflict, match="under way") as caught:
            once.do("k", "d", slow)
        assert caught.value.status == 409
        go.set()
        assert first.result() == (Answer(200, {}), False)
    assert once.do("k", "d", slow) == (Answer(200, {}), True) and done == [1]


def test_what_fails_is_not_remembered_as_done():
    once = Once()
    with pytest.raises(ZeroDivisionError):
        once.do("k", "d", lambda: 1 / 0)
    assert once.do("k", "d", lambda: Answer(200, {})) == (Answer(200, {}), False)


def test_every_command_is_in_the_audit_log(console):
    for index, (path, order) in enumerate(COMMANDS.items()):
        act(console, path, order, key=f"k{index}")
    lines = audit(console)
    assert [line["command"] for line in lines] == list(COMMANDS)
    assert [line["status"] for line in lines] == [202, 200, 200, 200, 409, 409]
    assert all(line["peer"] == "127.0.0.1" and line["t"] > 1e9 for line in lines)
    assert (console.folder / "audit.jsonl").stat().st_mode & 0o077 == 0


def test_long_and_odd_bodies_are_refused_before_they_are_read(console):
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "k"}
    assert console.post("/api/stop", content=b"x" * 70000, headers=headers).status_code == 413
    parts = (b"x" for _ in range(3))
    assert console.post("/api/stop", content=parts, headers=headers).status_code == 411
    for content in (b"", b"{", b"[]", b'{"confirm": "stop"}', b'{"confirm": "STOP", "x": 1}'):
        assert console.post("/api/stop", content=content, headers=headers).status_code == 422
    assert console.puppet.stops == 0


def test_a_plan_is_looked_at_before_anything_is_broken(console):
    plan = [
        {"kind": "spoof", "robot": 1, "start_s": 0.0, "duration_s": 5.0},
        {"kind": "delay", "robot": 2, "start_s": 1.0},
        {"kind": "nan", "robot": 9},
        {"kind": "drop", "robot": 3, "start_s": 7.0},
    ]
    looked = act(console, "/api/faults", {"faults": plan, "dry_run": True}).json()
    verdicts = {row["kind"]: row["refused"] for row in looked["plan"]}
    assert verdicts == {
        "spoof": "",
        "nan": "the team has robots 0 to 3",
        "delay": "more than 1 of 4 robots at a time",
        "drop": "",
    }
    assert looked["accepted"] == 2 and not console.puppet.injected
    whole = act(console, "/api/faults", {"faults": plan, "dry_run": False}, key="k2")
    assert whole.status_code == 409 and not console.puppet.injected
    done = act(console, "/api/faults", {"faults": plan[:1], "dry_run": False}, key="k3")
    assert done.status_code == 202
    while console.desk.faults()["running"]:
        pass
    assert [(f.kind, f.robot) for f in console.puppet.injected] == [("spoof", 1)]
    assert console.get("/api/faults").json()["plan"][0]["status"] == "sent"
    assert [k["kind"] for k in console.get("/api/faults").json()["kinds"]] == list(KINDS)


def test_a_plan_file_is_read_as_every_world_reads_it(console):
    read = act(console, "/api/faults/read", {"text": PLAN})
    assert read.status_code == 200, read.text
    drawn = [FaultSpec(**fault) for fault in read.json()["faults"]]
    assert tuple(drawn) == parse_plan(PLAN).faults_drawn() and read.json()["robots"] == 4
    order = {"faults": read.json()["faults"], "dry_run": True}
    looked = act(console, "/api/faults", order, key="k2")
    assert looked.json()["accepted"] == 2 and console.puppet.injected == []
    for key, wrong in enumerate(("name: two", PLAN + "speed: 3", "[" * 50_000, "a: [", "x", "\0")):
        answer = act(console, "/api/faults/read", {"text": wrong}, key=f"w{key}")
        assert answer.status_code == 409 and len(answer.json()["detail"].splitlines()) == 1
    assert "unknown key 'speed'" in act(console, "/api/faults/read", {"text": PLAN + "speed: 3"},
                                        key="w1").json()["detail"]  # fmt: skip


def test_a_plan_can_be_aborted_and_a_stop_aborts_it(console):
    later = {"faults": [{"kind": "spoof", "robot": 1, "start_s": 300}], "dry_run": False}
    for key, (path, order) in enumerate(list(COMMANDS.items())[:3:2]):
        assert act(console, "/api/faults", later, key=f"p{key}").status_code == 202
        assert act(console, "/api/faults", later, key=f"q{key}").status_code == 409, "one at a time"
        act(console, path, order, key=f"a{key}")
        console.desk._breaking._thread.join(5)
        assert console.get("/api/faults").json()["plan"][0]["status"] == "aborted"
    assert not console.puppet.injected


def test_nothing_comes_from_elsewhere_and_the_page_is_small(console):
    total, text = 0, console.get("/").text
    for path in ["/", *re.findall(r'(?:src|href)="(/[^"]+)"', text)]:
        answer = console.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for file in ASSETS.iterdir():
        content = file.read_text()
        total += len(content.encode())
        links = set(re.findall(r"https?://[^\s\"'<>`)]+", content))
        assert links <= {"http://www.w3.org/2000/svg"}, file
        if file.suffix != ".html":
            assert console.get(f"/assets/{file.name}").text == content
    assert total < 300_000
    for path in ("/assets/../web.py", "/assets/%2e%2e/web.py", "/assets/none.js", "/docs"):
        assert console.get(path).status_code == 404


def test_prometheus_reads_it(console):
    console.puppet.says([0, 1, 2], seconds=3.0)
    answer = console.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = dict(
        re.fullmatch(r"([a-z0-9_]+(?:\{[^}]*\})?) (\S+)", line).groups()
        for line in answer.text.splitlines()
        if not line.startswith("#")
    )
    assert found["swarmhold_up"] == "1"
    assert float(found['swarmhold_robot_age_seconds{robot="3"}']) == pytest.approx(3.0)
    assert found['swarmhold_robot_state{robot="3",state="LOST"}'] == "1"
    assert found["swarmhold_estop_given"] == "0"


def test_a_stream_tells_what_was_and_what_is_new(console):
    with console.stream("GET", "/api/stream", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = []
        for line in answer.iter_lines():
            if line.startswith("event:"):
                events.append(line[7:])
            if events == ["picture"] and line == "":
                console.puppet.says([0, 1, 3], seconds=2.0)
            if "robot 2: LOST" in line:
                break
    assert events[0] == "picture" and {"stop", "happened"} <= set(events)


def test_only_so_many_pages(console, monkeypatch):
    monkeypatch.setattr(type(console.desk), "MOST_VIEWERS", 1)
    with console.stream("GET", "/api/stream") as first:
        lines = first.iter_lines()
        next(lines)
        assert console.get("/api/stream", timeout=10).status_code == 503
        assert act(console, "/api/stop", {"confirm": "STOP"}).status_code == 202
    deadline = time.monotonic() + 10
    while console.desk.hub.listeners:
        assert time.monotonic() < deadline, "who has left is forgotten"
        time.sleep(0.02)


def test_tokens_in_files(tmp_path):
    file = tmp_path / "token"
    for content, mode, words in (
        ("x" * 20, 0o644, "may be read by others"),
        ("short", 0o600, "at least 16"),
        ("two words of a token", 0o600, "one word"),
    ):
        file.write_text(content)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=words):
            read_token(file)
    file.write_text("x" * 20 + "\n")
    assert read_token(file) == "x" * 20
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "none")
