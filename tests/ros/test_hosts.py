"""A team over several hosts: network namespaces, and between them a cable that can be cut.

The world, which poses as the robots' hardware, has a host of its own whose cables stay whole: what
is cut is the radio between robots, never a robot from its own wheels. It also records, so that one
recording holds what every side of a cut said.
"""

import json
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, wait_for
from hosts import Parts, hosts_or_skip

from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.fleet import fleet as fleets
from swarmhold.hardware.fleet.budget import budget_of
from swarmhold.hardware.fleet.environment import environment
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.fleet.hosts import Part, part_of
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.measures import false_alarms
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.team_health import WeightSource

pytestmark = [pytest.mark.system, pytest.mark.quiet]
RADIO = ("base", "mid", "far")
HOSTS = ("arena", *RADIO)
WHERE = ("base", "base", "mid", "far", "far")  # robots, in roster order
MET_M = 0.2  # task error of a team that has met
DOMAIN = 57  # every test has its own network
IN = (HealthState.SUSPECT, HealthState.PROBATION, HealthState.HEALTHY)


def fleet_file(folder, hosts, bundle, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "fleet.yaml"
    values = {
        "bundle": str(bundle),
        "domain": DOMAIN,
        "hosts": {name: {"address": address} for name, address in hosts.addresses.items()},
        "world": "arena",
        "supervisors": ["base", "mid"],
        "robots": [{"name": f"robot{i}", "host": host} for i, host in enumerate(WHERE)],
    }
    file.write_text(yaml.safe_dump({**values, **changes}))
    return file


def team(hosts, folder, bundle, seconds):
    return Parts(hosts, fleet_file(folder, hosts, bundle), "--seconds", str(seconds))


def flown(parts):
    """Until the flight is over everywhere, without a word of complaint."""
    assert set(parts.wait().values()) == {0}, parts.log
    assert not any("Traceback" in log for log in parts.log.values())
    assert not orphans(str(parts.folder))


def all_started(parts):
    assert wait_for(lambda: all(parts.started(name) for name in HOSTS), 100.0), parts.wait()


def started_at(folder):
    lines = (folder / "arena/events.jsonl").read_text().splitlines()
    return next(event["t"] for event in map(json.loads, lines) if event["event"] == "started")


def tables(folder):
    """(receive time, s of the flight; issuer; term; states) of every table."""
    began = started_at(folder)
    return [
        (t - began, message.issuer, message.term, [HealthState(int(s)) for s in message.states])
        for topic, t, message in messages_of(folder / "arena")
        if topic == "/swarm/health"
    ]


def touched(folder):
    """Robots in contact, summed over all messages."""
    return sum(
        int(np.sum(message.touched))
        for topic, _, message in messages_of(folder / "arena")
        if topic == "/swarm/truth"
    )


# --- discovery ------------------------------------------------------------------------------------

NODE = """
import sys, time, rclpy
from rclpy.node import Node
rclpy.init()
node = Node(sys.argv[1], enable_rosout=False, start_parameter_services=False)
end = time.monotonic() + 20.0
while len(set(node.get_node_names())) < int(sys.argv[2]) and time.monotonic() < end:
    time.sleep(0.1)
print(len(set(node.get_node_names())), flush=True)
sys.stdin.read()  # stay for the others
"""


def test_all_nodes_of_all_hosts_find_each_other_without_multicast(tmp_path, rendezvous_bundle):
    """Seven on one host: by itself the middleware looks for four."""
    with hosts_or_skip("one", "two") as hosts:
        robots = [{"name": f"r{i}", "host": "two" if i else "one"} for i in range(7)]
        file = load_fleet(
            fleet_file(
                tmp_path, hosts, rendezvous_bundle, robots=robots, supervisors=[], world="one"
            )
        )
        nodes = []
        for index, robot in enumerate(file.robots):
            folder = tmp_path / robot.host
            folder.mkdir(exist_ok=True)
            env = environment(folder, DOMAIN, part_of(file, robot.host).network)
            command = hosts.on(robot.host, sys.executable, "-c", NODE, f"n{index}", "7")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            nodes.append(subprocess.Popen(command, env=env, text=True, **pipes))
        found = [node.stdout.readline() for node in nodes]
        multicasts, frames = hosts.total("multicast"), hosts.total("frames")
        for node in nodes:
            node.communicate(timeout=30)
    assert found == ["7\n"] * 7
    assert multicasts == 0 and frames > 0


# --- a flight that nothing disturbs ---------------------------------------------------------------


@pytest.fixture(scope="module")
def calm(tmp_path_factory, rendezvous_bundle):
    """A flight on four hosts, one of which is switched on late; bytes on the cables meanwhile."""
    folder = tmp_path_factory.mktemp("calm")
    with hosts_or_skip(*HOSTS) as hosts, team(hosts, folder, rendezvous_bundle, 20) as parts:
        parts.start("arena", "base", "mid")
        assert wait_for(lambda: orphans(str(folder)), 60.0)
        time.sleep(6.0)  # longer than robots wait once they sense
        assert not parts.started("arena")
        parts.start("far")
        all_started(parts)
        time.sleep(6.0)
        before, began = hosts.total("bytes"), time.time()
        time.sleep(10.0)
        rate = (hosts.total("bytes") - before) / (time.time() - began)
        multicasts = hosts.total("multicast")
        flown(parts)
    return folder, rate, multicasts, (began, began + 10.0)


def test_hosts_wait_for_each_other_and_nobody_is_accused(calm):
    flight = read_flight(calm[0] / "arena")
    assert not flight.warnings
    assert all(set(states) == {HealthState.HEALTHY} for _, _, _, states in tables(calm[0]))
    assert false_alarms(flight)[0] == 0 and touched(calm[0]) == 0
    assert flight.error[-1] < MET_M < flight.error[0]
    assert calm[2] == 0, "no multicast"


def test_the_radio_budget_is_what_passes_on_the_cable(calm):
    """At the rate that the loops really had."""
    flight = read_flight(calm[0] / "arena")
    window = np.array(calm[3]) - started_at(calm[0])
    hz = ((flight.t >= window[0]) & (flight.t < window[1])).sum() / (window[1] - window[0])
    planned = budget_of(load_fleet(calm[0] / "fleet.yaml")).air
    assert 0.85 < calm[1] / (planned * hz / 20.0) < 1.15


def test_the_folder_of_the_recorder_is_a_whole_flight(calm):
    page = calm[0] / "page.html"
    command = [Path(sys.executable).with_name("swarmhold"), "report", calm[0] / "arena"]
    made = subprocess.run([*command, "--out", page], capture_output=True, text=True, timeout=100)
    assert made.returncode == 0, made.stderr
    assert not list((calm[0] / "far").glob("mcap")) and (calm[0] / "far/events.jsonl").exists()


# --- cables cut and mended ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut(tmp_path_factory, rendezvous_bundle):
    """A robots' host is cut off on the way to the meeting; later the speaking supervisor's.

    The first for less than the time in which nodes forget each other, the second for longer.
    """
    folder = tmp_path_factory.mktemp("cut")
    marks = {}
    with hosts_or_skip(*HOSTS) as hosts, team(hosts, folder, rendezvous_bundle, 54) as parts:
        parts.start(*HOSTS)
        all_started(parts)
        assert wait_for(lambda: "speaks" in {event["event"] for event in parts.events("base")})
        time.sleep(2.0)
        for name, others, seconds, rest in (
            ("far", ("base", "mid"), 5.0, 10.0),
            ("base", ("mid", "far"), 13.0, 18.0),
        ):
            hosts.cut(name, *others)
            since = time.time()
            time.sleep(seconds)
            hosts.mend(name, *others)
            marks[name] = np.array([since, time.time()]) - started_at(folder)
            time.sleep(rest)
        flown(parts)
    return folder, marks


def test_who_is_cut_off_is_lost_to_the_rest_and_comes_back(cut):
    folder, marks = cut
    since, until = marks["far"]
    seen = [(t, states) for t, issuer, _, states in tables(folder) if issuer == "supervisor"]
    during = [states for t, states in seen if since + 2.0 < t < until]
    lost = [HealthState.HEALTHY] * 3 + [HealthState.LOST] * 2
    assert during and all(states == lost for states in during)
    back = [states for t, states in seen if until + 3.0 < t < marks["base"][0]]
    assert all(states[robot] in IN for states in back for robot in range(5))
    assert HealthState.HEALTHY not in back[0][3:], "trust has to be earned"
    assert back[-1] == [HealthState.HEALTHY] * 5


def test_the_rest_works_on_and_who_is_cut_off_relies_on_itself(cut):
    folder, marks = cut
    since, until = marks["far"]
    flight = read_flight(folder / "arena")
    for robot, log in enumerate(flight.robots):
        during = (log.t > since + 3.0) & (log.t < until)
        assert during.sum() > 10, "it goes on ticking"
        own = WHERE[robot] == "far"
        assert (log.source[during] == WeightSource.SUPERVISOR).all() == (not own)
        for other, host in enumerate(WHERE):
            same_side = (host == "far") == own
            assert (log.weights[during][:, other] == (1.0 if same_side else 0.0)).all()
    error = np.interp([since + 0.5, until], flight.t, flight.error)
    assert error[1] < error[0], "they go on to meet"
    assert np.interp(marks["base"][0], flight.t, flight.error) < MET_M


def test_a_standby_speaks_where_the_supervisor_is_not_heard_and_in_the_end_one_does(cut):
    folder, marks = cut
    since, until = marks["base"]
    spoken = tables(folder)
    took, term = min((t, term) for t, issuer, term, _ in spoken if issuer == "supervisor_1")
    assert since + 2.0 < took < until
    assert term > max(term for t, _, term, _ in spoken if t < took)
    during = {issuer for t, issuer, _, _ in spoken if took < t < until}
    assert during == {"supervisor", "supervisor_1"}, "each side has one"
    last = [(issuer, term, states) for t, issuer, term, states in spoken if t > until + 14.0]
    assert last and all(each == last[0] for each in last), "exactly one speaks"
    assert last[0][1:] == (max(term for _, _, term, _ in spoken), [HealthState.HEALTHY] * 5)
    flight = read_flight(folder / "arena")
    for log in flight.robots:
        late = log.t > until + 14.0
        assert (log.source[late] == WeightSource.SUPERVISOR).all()
        assert (log.weights[late] > 0.5).all(), "no permanent loss"


def test_cuts_break_nothing_else(cut):
    said = [
        event
        for name in HOSTS
        for event in map(json.loads, (cut[0] / name / "events.jsonl").read_text().splitlines())
        if event["event"] == "warning" and event["t"] < started_at(cut[0]) + 52.0
    ]
    assert not said and touched(cut[0]) == 0


# --- a bad radio ----------------------------------------------------------------------------------


def test_a_slow_lossy_radio_that_reorders_costs_nobody_its_place(tmp_path, rendezvous_bundle):
    with hosts_or_skip(*HOSTS, seed=3) as hosts:
        for a, b in combinations(RADIO, 2):
            hosts.trouble(a, b, delay_s=0.05, jitter_s=0.02, drop=0.05, reorder=0.05)
        with team(hosts, tmp_path, rendezvous_bundle, 20) as parts:
            parts.start(*HOSTS)
            all_started(parts)
            flown(parts)
        assert hosts.total("lost") > 100
    flight = read_flight(tmp_path / "arena")
    states = {state for _, _, _, states in tables(tmp_path) for state in states}
    assert states <= {HealthState.HEALTHY, HealthState.SUSPECT}
    assert flight.error[-1] < MET_M and touched(tmp_path) == 0


# --- parts alone ----------------------------------------------------------------------------------


def test_ctrl_c_ends_a_part_that_waits_for_the_others(tmp_path, rendezvous_bundle):
    with hosts_or_skip(*HOSTS) as hosts:
        parts = team(hosts, tmp_path, rendezvous_bundle, 60).start("far")
        assert wait_for(lambda: len(orphans(str(tmp_path))) >= 2, 60.0)
        parts.stop()
        assert parts.wait() == {"far": 130}
        assert "stopped: all processes ended" in parts.log["far"]
    assert not orphans(str(tmp_path))


def test_a_part_without_a_world_says_where_it_looked_for_one(
    tmp_path, rendezvous_bundle, monkeypatch
):
    monkeypatch.setattr(fleets, "START_S", 8.0)
    part = Part(robots=(1,), ranks=(), world=False, host="pi", lead="base")
    config = fleets.FleetConfig(rendezvous_bundle, 2, tmp_path / "f", host=part)
    with pytest.raises(NotReadyError, match="no sensor frames from base"), fleets.Fleet(config):
        pass
    assert not orphans(str(tmp_path))
