"""Garbage on every topic of a flying team: nobody dies, and only whose name it bears is doubted."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.recording import messages_of

sys.path.insert(0, str(Path(__file__).parent))
from fleet import states, wait_for

pytestmark = pytest.mark.system
GARBAGE = str(Path(__file__).with_name("garbage.py"))
TWIN_S = 4.5  # a node that has only just started leaves when somebody else speaks in its name
HEALTHY, SUSPECT = HealthState.HEALTHY, HealthState.SUSPECT
# What is polluted; robots that must stay trusted, in which states (garbage in robot 3's name may
# accuse others, and one accuser is worth a doubt); and whether robot 3 is still its own master.
CASES = {
    "team": (
        ["/swarm/health", "/swarm/task", "/swarm/faults", "/diagnostics"],
        [0, 1, 2, 3], [HEALTHY], True,
    ),
    "radio": (["/robot_3/state", "/robot_3/status"], [0, 1, 2], [HEALTHY, SUSPECT], True),
    "hardware": (["/robot_3/sense", "/robot_3/cmd_vel"], [0, 1, 2], [HEALTHY, SUSPECT], False),
}  # fmt: skip


def pollute(fleet, seconds, topics):
    """Returns how many messages were sent."""
    done = subprocess.run(
        [sys.executable, GARBAGE, str(seconds), "1", *topics],
        env=fleet._env, capture_output=True, text=True, timeout=seconds + 60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent, *reached = done.stdout.split()
    assert reached == sorted(topics), "it was heard on every topic"
    return int(sent)


@pytest.mark.parametrize("case", CASES)
def test_a_team_flies_on_amid_garbage(tmp_path, rendezvous_bundle, case):
    topics, others, allowed, master = CASES[case]
    config = FleetConfig(rendezvous_bundle, 4, tmp_path / "f", allow_faults=True)
    with Fleet(config) as fleet:
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 4)
        time.sleep(TWIN_S)
        began = time.time()
        assert pollute(fleet, 6.0, topics) > 100 * len(topics)
        ended = time.time()
        assert all(child.running for child in fleet.children.values())
        fleet.check(set())
        assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 4, 60.0), "all is as it was"
        assert time.time() - fleet.live.table["t"] < 5.0, "the supervisor speaks"
        held_up = fleet.held_up
    seen = {robot: [] for robot in others}
    for topic, received, message in messages_of(tmp_path / "f"):
        if topic == "/swarm/truth":
            assert not (master and np.asarray(message.touched).any())
        owner = topic.split("/")[1]
        if topic.endswith("/status") and began < received < ended and owner != "robot_3":
            seen[int(owner[-1])].append(np.asarray(message.states)[others])
    assert held_up or all(np.isin(rows, allowed).all() for rows in seen.values())
    assert all(len(rows) > 50 for robot, rows in seen.items() if robot != 3)
