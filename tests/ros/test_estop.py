"""The emergency stop and the drivers' watchdogs, with real processes that are killed for real."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.report.recording import messages_of

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, wait_for

pytestmark = pytest.mark.system
ESTOP = "import sys; from swarmhold.hardware.fleet.estop import main; sys.exit(main(sys.argv[1:]))"


def estop(*args):
    """Run it; exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", ESTOP, *map(str, args), "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def places(fleet):
    return np.array(fleet.live.world["positions"])


def at_rest(fleet):
    """Whether nobody moves for a second."""
    before = places(fleet)
    time.sleep(1.0)
    return np.linalg.norm(places(fleet) - before, axis=-1).max() < 2e-3


def test_a_stop_is_confirmed_and_nothing_releases_it(tmp_path, coverage_bundle):
    config = FleetConfig(coverage_bundle, 4, tmp_path / "f")
    with Fleet(config) as fleet:
        time.sleep(2.0)
        assert not at_rest(fleet)
        code, said = estop(config.folder)
        assert code == 0 and said["confirmed"] == [0, 1, 2, 3] and said["seconds"] < 5.0
        stopped = {"mode": "STOP", "driver": True}
        assert said["robots"] == {str(robot): stopped for robot in range(4)}
        assert wait_for(lambda: at_rest(fleet), 5.0)
        fleet.kill_supervisor()
        fleet.start_supervisor()  # the next one knows nothing of a stop, and releases nobody
        time.sleep(2.0)
        assert at_rest(fleet)
        fleet.kill(2)
        fleet.respawn(2)  # a new policy would drive; its driver was not restarted, and says so
        time.sleep(3.0)
        assert at_rest(fleet)
        fleet.check(set())
    assert not orphans(str(config.folder))
    modes = {}
    for topic, _, message in messages_of(config.folder):
        if topic.endswith("/state"):
            modes.setdefault(topic, []).append(message.mode)
    for topic, said in modes.items():
        first = said.index(3)
        assert first > 0 and set(said[first:]) == {3}, f"{topic} was released"


def test_it_needs_neither_supervisor_nor_world_nor_recorder(tmp_path, rendezvous_bundle):
    config = FleetConfig(rendezvous_bundle, 3, tmp_path / "f", record=False)
    with Fleet(config) as fleet:
        for name in ("supervisor", "world"):
            fleet.children[name].signal(signal.SIGKILL)
        fleet.children["robot_1"].signal(signal.SIGSTOP)
        time.sleep(1.0)
        code, said = estop(config.folder, "--seconds", 3)
        assert code == 1 and said["confirmed"] == [0, 2]
        assert said["robots"]["1"]["mode"] is None, "who is silent is named"
        assert said["robots"]["0"] == {"mode": "STOP", "driver": None}, "its driver died first"
        fleet.children["robot_1"].signal(signal.SIGCONT)
        code, said = estop("--domain", fleet.domain, "--seconds", 8)
        assert code == 0 and said["confirmed"] == [0, 1, 2], "found without being told"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_driver_brings_a_robot_without_policy_to_rest(tmp_path, coverage_bundle, number):
    with Fleet(FleetConfig(coverage_bundle, 3, tmp_path / "f", record=False)) as fleet:
        assert wait_for(lambda: fleet.live.world)
        os.kill(fleet.children["robot_0"].pid, number)
        time.sleep(1.5)
        before = places(fleet)[0]
        time.sleep(1.5)
        assert np.linalg.norm(places(fleet)[0] - before) < 2e-3


def test_nobody_there_is_said(tmp_path):
    code, said = estop("--domain", 99, "--seconds", 2.5)
    assert code == 1 and said["confirmed"] == [] and said["robots"] == {}
