"""A live fleet: real processes over real DDS, killed and stopped for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.cycles import cycles, figures
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.measures import detections, false_alarms
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.report.replay import replay
from swarmhold.hardware.signing import load_private, new_key, sign_bundle

sys.path.insert(0, str(Path(__file__).parent))
from fleet import free_domain, orphans, states, wait_for

pytestmark = [pytest.mark.system, pytest.mark.quiet]
SWARMHOLD = str(Path(sys.executable).with_name("swarmhold"))


@pytest.fixture(scope="module")
def flight(tmp_path_factory, rendezvous_bundle):
    """One flight of five in which everything happens; the tests below read its recording.

    A machine that stops the world or a robot for a while breaks more than the story does; then
    it is flown again.
    """
    folder = tmp_path_factory.mktemp("flight")
    for attempt in range(4):
        flown = story(folder / f"{attempt}", rendezvous_bundle)
        if not held_up(flown[0]):
            break
    return flown


def held_up(folder):
    """Whether nodes that nobody broke complain of time that they missed."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    said = [event["text"] for event in map(json.loads, lines) if event["event"] == "warning"]
    return any("stalled" in text or "no sensor frame" in text for text in said)


def story(folder, bundle):
    config = FleetConfig(bundle, 5, folder, allow_faults=True)
    seen = {}
    with Fleet(config) as fleet:
        time.sleep(2.0)
        fleet.kill(3)
        seen["killed"] = wait_for(lambda: states(fleet)[3:4] == ["LOST"])
        fleet.respawn(3)
        seen["back"] = wait_for(lambda: states(fleet)[3] in ("PROBATION", "SUSPECT", "HEALTHY"))
        seen["trusted"] = wait_for(lambda: states(fleet)[3] == "HEALTHY", 30.0)
        fleet.freeze(1)
        seen["stopped"] = wait_for(lambda: states(fleet)[1] == "LOST")
        time.sleep(0.5)
        fleet.thaw(1)
        seen["goes on"] = wait_for(lambda: states(fleet)[1] == "HEALTHY", 30.0)
        fleet.inject(FaultSpec("spoof", 2, duration_s=4.0, seed=3))
        seen["lie"] = wait_for(lambda: states(fleet)[2] == "QUARANTINED")
        fleet.kill_supervisor()
        time.sleep(3.0)
        fleet.check({3})
        pids = [child.pid for child in fleet.children.values()]
    return folder, seen, pids


@pytest.mark.parametrize("what", ["killed", "back", "trusted", "stopped", "goes on", "lie"])
def test_the_supervisor_notices(flight, what):
    assert flight[1][what]


def test_every_healthy_robot_knew_of_kill_and_stop(flight):
    found = detections(read_flight(flight[0]))
    assert {d.kind for d in found} == {"crash", "freeze"}
    # Robots that fail themselves soon before or after are no witnesses.
    assert len(found) >= 4 and all(np.isfinite(d.delay_s) for d in found)


def test_nobody_was_accused_unjustly(flight):
    alarms, hours = false_alarms(read_flight(flight[0]))
    assert alarms == 0 and hours > 0.0


def test_robots_go_on_without_the_supervisor(flight):
    recorded = read_flight(flight[0])
    died = next(
        json.loads(line)["t"]
        for line in (flight[0] / "events.jsonl").read_text().splitlines()
        if "supervisor_crash" in line
    )
    started = next(
        json.loads(line)["t"]
        for line in (flight[0] / "events.jsonl").read_text().splitlines()
        if '"started"' in line
    )
    for robot in (0, 4):
        log = recorded.robots[robot]
        late = log.t > died - started + 1.5
        assert late.sum() > 10, "it goes on ticking"
        assert (log.source[late] != 1).all(), "its weights come from elsewhere"
        assert (log.weights[late][:, 4 - robot] > 0.9).all(), "and say the same of the healthy"


def test_the_policy_gives_masked_robots_exactly_nothing(flight):
    recorded = read_flight(flight[0])
    for log in recorded.robots:
        # Status repeats the last decision's attention; skip the ticks around a change.
        masked = (log.weights == 0.0) & (np.roll(log.weights, 2, axis=0) == 0.0)
        masked[:3] = False
        shares = log.attention[masked & np.isfinite(log.attention)]
        assert (shares == 0.0).all()


def test_a_replay_is_the_same_every_time_and_near_to_the_flight(flight, coverage_bundle):
    bundle = open_bundle(read_flight(flight[0]).info["bundle"])
    first, again = (replay(flight[0], bundle) for _ in range(2))
    assert first.digest == again.digest
    figures = first.figures()
    assert figures["ticks"] > 1000 and figures["tables"] > 100
    assert figures["weights_the_same"] > 0.9 and figures["states_the_same"] > 0.9
    assert figures["action_difference"] < 0.05
    shadow = replay(flight[0], open_bundle(coverage_bundle)).figures()
    assert shadow["digest"] != first.digest and shadow["action_difference"] > 0.2


def test_every_node_says_how_its_loop_runs(flight):
    said = {}
    for topic, _, message in messages_of(flight[0]):
        if topic == "/diagnostics":
            for status in message.status:
                said.setdefault(status.name, []).append(status)
    robots = {f"robot_{robot}/policy: loop" for robot in range(5)}
    assert set(said) == {*robots, "supervisor: loop", "world: loop"}
    for name, statuses in said.items():
        values = [{pair.key: pair.value for pair in status.values} for status in statuses]
        rates = [float(each["rate_hz"]) for each in values[2:]]
        assert 15.0 < np.median(rates) < 25.0, name
        assert {status.level for status in statuses} <= {0, 1, 2}
    last = {pair.key: pair.value for pair in said["robot_0/policy: loop"][-1].values}
    assert last["mode"] == "ACTIVE" and last["weights_from"] in ("LOCAL", "FADING")


def test_no_process_is_left(flight):
    assert not orphans(str(flight[0]))
    for pid in flight[2]:
        assert not Path(f"/proc/{pid}").exists()


def test_faults_are_refused_where_they_are_off(tmp_path, rendezvous_bundle):
    with Fleet(FleetConfig(rendezvous_bundle, 2, tmp_path / "f", record=False)) as fleet:
        with pytest.raises(ConfigError, match="injection is off"):
            fleet.inject(FaultSpec("spoof", 0))
        assert wait_for(lambda: states(fleet) == ["HEALTHY", "HEALTHY"])


def test_who_runs_away_and_says_so_is_found(tmp_path, coverage_bundle):
    """Nobody's sightings contradict it: only its policy does."""
    config = FleetConfig(coverage_bundle, 4, tmp_path / "f", record=False, allow_faults=True)
    with Fleet(config) as fleet:
        time.sleep(1.0)
        fleet.inject(FaultSpec("runaway", 1))
        assert wait_for(lambda: states(fleet)[1:2] == ["QUARANTINED"], 30.0)
        others = [0, 2, 3]
        assert wait_for(lambda: [states(fleet)[robot] for robot in others] == ["HEALTHY"] * 3)


def test_a_standby_takes_over_and_keeps_what_was_known(tmp_path, rendezvous_bundle):
    """Killed, then stopped and woken: robots follow one supervisor, and forgive nobody."""
    config = FleetConfig(rendezvous_bundle, 4, tmp_path / "f", allow_faults=True, standbys=2)
    with Fleet(config) as fleet:
        assert wait_for(lambda: speakers(fleet) == ["supervisor"])
        fleet.inject(FaultSpec("spoof", 2, seed=3))
        assert wait_for(lambda: states(fleet)[2:3] == ["QUARANTINED"])
        fleet.kill_supervisor()
        assert wait_for(lambda: speakers(fleet) == ["supervisor", "supervisor_1"])
        time.sleep(1.0)  # the others are to hear it too
        assert states(fleet)[2] == "QUARANTINED"
        fleet.children["supervisor_1"].signal(signal.SIGSTOP)
        assert wait_for(lambda: speakers(fleet)[2:] == ["supervisor_2"])
        time.sleep(1.0)
        fleet.children["supervisor_1"].signal(signal.SIGCONT)
        time.sleep(3.0)
        assert speakers(fleet)[3:] == []
        fleet.check(set())
    recorded = read_flight(tmp_path / "f")
    late = recorded.robots[0].t > recorded.duration - 1.0
    assert (recorded.robots[0].source[late] == 1).all(), "the table is valid again"
    assert (recorded.robots[0].weights[late][:, 2] == 0.0).all()


def test_a_fleet_file_flies(tmp_path, rendezvous_bundle):
    (tmp_path / "fleet.yaml").write_text(
        f"bundle: {rendezvous_bundle}\nsupervisors: [localhost, localhost]\n"
        "all: {allow_faults: true}\ntypes: {deaf: {reweight: false}}\n"
        "robots: [{name: a}, {name: b, type: deaf}, {name: c}]\n"
    )
    flown = tmp_path / "f"
    command = [SWARMHOLD, "fly", "--fleet", str(tmp_path / "fleet.yaml"), "--seconds", "5"]
    done = subprocess.run(
        [*command, "--fault", "nan:2@1", "--record", str(flown)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    recorded = read_flight(flown)
    last = [log.weights[-1] for log in recorded.robots]
    assert last[0][2] == 0.0 and last[1][2] == 1.0, "robot b makes nothing of health weights"
    assert recorded.info["standbys"] == 1


def speakers(fleet):
    """Supervisors in the order in which they began to speak."""
    lines = (fleet.config.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [event["source"] for event in events if event["event"] == "speaks"]


def test_robots_fly_what_a_pinned_key_has_signed_and_nothing_else(tmp_path, rendezvous_bundle):
    signed = shutil.copytree(rendezvous_bundle, tmp_path / "signed")
    public, key = new_key(tmp_path / "lab.pem")
    sign_bundle(signed, load_private(tmp_path / "lab.pem"))
    config = FleetConfig(signed, 2, tmp_path / "f", keys=(public,), record=False)
    with Fleet(config) as fleet:
        assert fleet.bundle.signed_by == key.id
        assert wait_for(lambda: states(fleet) == ["HEALTHY", "HEALTHY"])
    with pytest.raises(BundleError, match="is not signed"):
        Fleet(replace(config, bundle=rendezvous_bundle, folder=tmp_path / "g"))
    command = [sys.executable, "-m", "swarmhold_nodes.policy_node", "--ros-args"]
    asked = {"bundle": rendezvous_bundle, "keys": public, "team_size": 2}
    parameters = [part for name, value in asked.items() for part in ("-p", f"{name}:={value}")]
    node = subprocess.run([*command, *parameters], capture_output=True, text=True, timeout=60)
    assert node.returncode == 2 and "is not signed" in node.stderr + node.stdout


def fly(folder, bundle, *more):
    command = [SWARMHOLD, "fly", "--bundle", str(bundle), "--robots", "3", "--record", str(folder)]
    return subprocess.Popen(
        [*command, *more], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("moment", ["start-up", "flight"])
def test_ctrl_c_leaves_one_line_and_no_orphan(moment, tmp_path, rendezvous_bundle):
    folder = tmp_path / "f"
    process = fly(folder, rendezvous_bundle, "--seconds", "60")
    events = folder / "events.jsonl"
    word = '"flight"' if moment == "start-up" else '"started"'
    assert wait_for(lambda: events.exists() and word in events.read_text(), 60.0)
    assert orphans(str(tmp_path)) or moment == "start-up"
    if moment == "flight":
        time.sleep(1.5)  # something worth keeping
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped: all processes ended" in err and "Traceback" not in err
    assert not orphans(str(tmp_path))
    if moment == "flight":
        read_flight(folder)


def test_a_launcher_that_is_killed_takes_its_nodes_along(tmp_path, rendezvous_bundle):
    folder = tmp_path / "f"
    process = fly(folder, rendezvous_bundle, "--seconds", "60")
    events = folder / "events.jsonl"
    assert wait_for(lambda: events.exists() and '"started"' in events.read_text(), 60.0)
    process.kill()
    process.communicate(timeout=30)
    assert wait_for(lambda: not orphans(str(tmp_path)), 10.0)


def test_a_broken_bundle_never_starts(tmp_path, rendezvous_bundle):
    out = fly(tmp_path / "f", tmp_path / "nothing")
    _, err = out.communicate(timeout=30)
    assert out.returncode == 2 and "does not exist" in err and "Traceback" not in err


def test_a_second_robot_with_the_same_name_refuses_to_start(tmp_path, rendezvous_bundle):
    config = FleetConfig(rendezvous_bundle, 2, tmp_path / "f", record=False)
    with Fleet(config) as fleet:
        command = [sys.executable, "-m", "swarmhold_nodes.policy_node", "--ros-args"]
        command += ["-r", "__ns:=/robot_0", "-p", f"bundle:={rendezvous_bundle}"]
        command += ["-p", "robot:=0", "-p", "team_size:=2"]
        out = subprocess.run(
            command, env=fleet._env, capture_output=True, text=True, timeout=60, check=False
        )
    assert out.returncode == 2 and "runs already" in out.stderr


def test_node_arguments_of_a_robot_that_is_none(tmp_path, rendezvous_bundle):
    env = {**os.environ, "ROS_LOG_DIR": str(tmp_path), "ROS_DOMAIN_ID": str(free_domain())}
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    command = [sys.executable, "-m", "swarmhold_nodes.policy_node", "--ros-args"]
    command += ["-p", f"bundle:={tmp_path}/none"]
    out = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert out.returncode == 2 and "does not exist" in out.stderr
    assert "Traceback" not in out.stderr


def test_who_is_absent_is_missed_and_may_join_later(tmp_path, rendezvous_bundle):
    flown = tmp_path / "f"
    command = [SWARMHOLD, "fly", "--bundle", str(rendezvous_bundle), "--robots", "4"]
    done = subprocess.run(
        [*command, "--seconds", "24", "--join", "3@8", "1", "--record", str(flown)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "Traceback" in line]
    recorded = read_flight(flown)
    assert {f.kind for f in recorded.faults} == {"absent"} and not len(recorded.robots[1].t)
    early = (recorded.table_t > 6.0) & (recorded.table_t < 8.0)
    assert (recorded.table_states[early][:, [1, 3]] == HealthState.LOST).all()
    assert (recorded.table_states[early][:, [0, 2]] == HealthState.HEALTHY).all()
    after = recorded.table_states[recorded.table_t > 9.5][:, 3]
    assert HealthState.PROBATION in after and after[-1] == HealthState.HEALTHY
    assert recorded.table_states[-1, 1] == HealthState.LOST
    assert false_alarms(recorded)[0] == 0
    page = tmp_path / "page.html"
    made = subprocess.run([SWARMHOLD, "report", str(flown), "--out", str(page)], timeout=60)
    assert made.returncode == 0 and "absent" in page.read_text()


def test_no_node_uses_shared_memory_which_the_killed_would_leave_behind(
    tmp_path, rendezvous_bundle
):
    with Fleet(FleetConfig(rendezvous_bundle, 2, tmp_path / "f", record=False)) as fleet:
        maps = {c.name: Path(f"/proc/{c.pid}/maps").read_text() for c in fleet.children.values()}
    assert set(maps) == {"robot_0", "robot_1", "supervisor", "world"}
    assert not [name for name, text in maps.items() if "/dev/shm/fast" in text]


def test_starting_and_stopping_leaves_nothing_behind(tmp_path, rendezvous_bundle):
    config = FleetConfig(rendezvous_bundle, 2, tmp_path / "f", record=False)
    found = figures(cycles(config, 4))
    assert found["processes_left"] == 0 and found["open_files_more"] == 0
    assert found["threads_more"] <= 0 and found["memory_mb_per_cycle"] < 3.0


def test_what_was_before_a_crash_is_on_disk(tmp_path, rendezvous_bundle):
    """Recording around events: seconds before and after, one file for each, no more."""
    config = FleetConfig(rendezvous_bundle, 3, tmp_path / "f", around_s=3)
    with Fleet(config) as fleet:
        time.sleep(5.0)
        killed = fleet.kill(1)
        assert wait_for(lambda: states(fleet)[1:2] == ["LOST"])
        time.sleep(6.5)
        asked = fleet.children["recorder"].signal(signal.SIGUSR1)
        time.sleep(2.0)
    names = sorted(file.name for file in (tmp_path / "f/around").iterdir())
    assert names == ["000-robot_1-lost", "001-asked"]
    found = {}
    for topic, received, message in messages_of(tmp_path / "f"):
        assert hasattr(message, "__msgtype__")
        found.setdefault(topic, []).append(received)
    last = np.array(found["/robot_1/state"])
    assert (last <= killed + 0.1).all() and last[0] < killed - 1.5 and len(last) > 30
    times = np.array(found["/robot_0/state"])
    lost = next(t for t in times if t > killed)
    assert lost - times[0] > 1.5 and times[-1] > asked + 1.0
    quiet = (times > killed + 7.5) & (times < asked - 3.1)
    assert not quiet.any(), "between the events nothing was written"
    assert "/swarm/task" in found, "what was said once is there too"
    flight = read_flight(tmp_path / "f")
    assert (flight.table_states[:, 1] == HealthState.LOST).any()
    shown = replay(tmp_path / "f", open_bundle(rendezvous_bundle)).figures()
    assert shown["ticks"] > 100 and shown["tables"] > 50
