"""The console before a live team: real processes, real DDS, a real browser, real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "console"))
from browser import NEEDED, chromium
from fleet import orphans, wait_for

pytestmark = [pytest.mark.system, pytest.mark.quiet, NEEDED]
CONSOLE = (
    "import sys; from swarmhold.hardware.console.cli import main; sys.exit(main(sys.argv[1:]))"
)
HEALTHY = "window.consoleState?.picture?.robots.every(r => r.state === 'HEALTHY')"
KNOWN = "document.querySelector('#facts .v')?.textContent.startsWith('coverage-epuck v1')"
# What can be read on the page that does not depend on the very millisecond.
SHOWN = """(() => ({
  cards: Object.fromEntries([...document.querySelectorAll('.card')].map(c => [c.dataset.robot, [
    c.dataset.state, c.querySelector('.fault')?.textContent || '',
    c.querySelector('dd').textContent]])),
  facts: [...document.querySelectorAll('#facts .v')].map(v => v.textContent).slice(0, 2),
  masked: consoleState.picture.weights.map(row => row && row.map(w => w < 0.05)),
  places: consoleState.picture.robots.map(r => r.place),
  t: consoleState.picture.t,
}))()"""


@contextmanager
def console(folder, *args):
    """The verb as a process; yields the link that it prints, and its pid."""
    log = folder / f"console-{time.monotonic_ns()}.log"
    command = [sys.executable, "-c", CONSOLE, *map(str, args)]
    command += ["--port", "0", "--operate", "--runs", str(folder)]
    with log.open("w") as said:
        process = subprocess.Popen(command, stderr=said, cwd=folder)
    try:
        assert wait_for(lambda: "http" in log.read_text() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield "http" + log.read_text().split("http")[1].split()[0], process
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()


def node_of(process, name):
    """Pid of a node that a console started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if name.encode() in line and int(parent) == process.pid:
                return int(entry.name)
    return None


def stop_by_keyboard(page):
    page.key(" ", "Space")
    page.until("document.querySelector('#stop').classList.contains('armed')")
    page.key(" ", "Space")


def test_a_killed_robot_is_lost_a_stop_is_counted_and_the_replay_shows_the_same(
    tmp_path, coverage_bundle
):
    config = FleetConfig(coverage_bundle, 4, tmp_path / "f", allow_faults=True)
    with chromium(tmp_path) as open_page:
        with (
            Fleet(config) as fleet,
            console(tmp_path, "--flight", config.folder) as (link, process),
        ):
            page = open_page()
            page.go(link)
            page.until(HEALTHY, 60)
            page.until("document.querySelector('#mode').textContent === 'SIM'")
            began = time.monotonic()
            fleet.kill(2)
            card = "document.querySelector('[data-robot=\"2\"]').dataset.state"
            while page.js(card) != "LOST":
                assert time.monotonic() - began < 20
            print(f"killed to LOST on the page: {time.monotonic() - began:.2f} s")
            page.until("document.querySelectorAll('.card').length === 4")
            page.until("consoleState.picture.robots[2].trust === 0")
            page.until("consoleState.picture.robots[2].faults[0] === 'crash'")
            page.until(KNOWN)
            time.sleep(1.5)
            live = page.js(SHOWN)
            stop_by_keyboard(page)
            page.until("consoleState.stop?.confirmed.length === 3", 30)
            counted = page.js("document.querySelector('#stop-count').textContent")
            assert counted == "STOP: 3 of 4 confirmed", "a dead robot confirms nothing"
            told = page.js("document.querySelector('#stop-panel .note').textContent")
            assert "waiting for 2" in told
            fleet.check({2})
            asked = [url for url in page.requests() if not url.startswith(("about:", "data:"))]
            assert asked and all(url.startswith(link.split("/#")[0]) for url in asked)
            assert not page.problems()
        lines = (tmp_path / "console-audit.jsonl").read_text().splitlines()
        assert [json.loads(line)["command"] for line in lines] == ["/api/stop"]
        with console(tmp_path, "--flight", config.folder) as (link, _):
            page = open_page()
            page.go(link)
            page.until(
                f"window.consoleState?.about?.span && consoleState.about.span[1] > {live['t']}", 120
            )
            page.js(f"import('/assets/store.js').then(store => store.look({live['t']}))")
            page.until(f"Math.abs(consoleState.picture.t - {live['t']}) < 0.11")
            page.until("document.querySelector('[data-robot=\"2\"]')?.dataset.state === 'LOST'")
            page.until(KNOWN)
            again = page.js(SHOWN)
            assert page.js("document.querySelector('#mode').textContent") == "REPLAY"
            for what in ("cards", "facts", "masked"):
                assert again[what] == live[what], what
            for here, there in zip(again["places"], live["places"], strict=True):
                assert here == pytest.approx(there, abs=0.05), "0.1 s of driving"
    assert not orphans(str(config.folder)) and node_of(process, "swarmhold_nodes") is None


def test_the_stop_needs_no_telemetry_and_reaches_everybody(tmp_path, coverage_bundle):
    """The node that listens hangs, then dies; a second node says stop, and goes on saying it."""
    with (
        Fleet(FleetConfig(coverage_bundle, 3, tmp_path / "f", record=False)) as fleet,
        chromium(tmp_path) as open_page,
        console(tmp_path, "--domain", fleet.domain) as (link, process),
    ):
        page = open_page()
        page.go(link)
        page.until(HEALTHY, 60)
        first = node_of(process, "console_node")
        os.kill(first, signal.SIGSTOP)
        page.until("!document.querySelector('#alert').hidden")
        stop_by_keyboard(page)
        page.until("document.querySelector('#stop-count')?.textContent.startsWith('ALL 3')", 30)
        fleet.kill(1)
        fleet.respawn(1)
        page.until("document.querySelector('#stop-count').textContent.startsWith('ALL 3')", 30)
        assert wait_for(lambda: node_of(process, "console_node") not in (None, first), 30)
        page.until("document.querySelector('#alert').hidden", 30)
        os.kill(node_of(process, "estop_node"), signal.SIGKILL)
        assert wait_for(lambda: node_of(process, "estop_node") is not None, 10)
        page.until("consoleState.stop.note.includes('started 2 times')")


def test_faults_are_injected_and_shown(tmp_path, coverage_bundle):
    config = FleetConfig(coverage_bundle, 4, tmp_path / "f", record=False, allow_faults=True)
    with (
        Fleet(config),
        chromium(tmp_path) as open_page,
        console(tmp_path, "--flight", config.folder, "--allow-faults") as (link, _),
    ):
        page = open_page()
        page.go(link)
        page.until(HEALTHY, 60)
        page.key("a")
        page.until("document.querySelector('#plan tbody select')")
        kinds = page.js("[...document.querySelectorAll('#plan option')].map(o => o.value)")
        assert "spoof" in kinds and not {"crash", "freeze", "reboot"} & set(kinds)
        page.js("document.querySelector('#plan-dry').click()")
        page.until("!document.querySelector('#plan-go').disabled")
        for _ in range(2):
            page.js("document.querySelector('#plan-go').click()")
        page.until("consoleState.picture.robots[0].faults[0] === 'spoof'", 30)
        page.until("consoleState.picture.robots[0].state === 'QUARANTINED'", 30)
        page.until("consoleState.happenings.some(e => e.kind === 'fault' && e.value === 'spoof')")
