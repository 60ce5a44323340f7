"""A joint policy in slices, live: who is not needed is not heard, and who is missed is told of."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swarmhold.export.slices import seal_slices
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.normality import NormalityConfig
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.measures import false_alarms
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.report.replay import replay
from swarmhold.policies.bun.network import JointNetwork, Shape

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, states, wait_for

pytestmark = [pytest.mark.system, pytest.mark.quiet]
N = 6
OWN = (0, 1, 2, 3, 4)  # of the self token: all but the way home
COUNTED_S = 3.5


def followers(sources):
    """Everybody flies after the mean of whom it hears; with a ring, they meet."""
    net = JointNetwork(Shape(N, 5, 8, (2, 2)), torch.Generator().manual_seed(0))
    net.requires_grad_(False)
    for weight in (net.own, net.links, *net.deep):
        weight.zero_()
    for robot, heard in enumerate(sources):
        for sender in heard:
            net.link_mask[robot, :, sender] = True
        for axis in (0, 1):
            net.links[robot, axis, heard, axis] = 0.5 / len(heard)
            for weight in net.deep:
                weight[robot, axis, robot, axis] = 1.5
    return net


def flows(domain):
    """(receiver, sender) of all subscriptions of policy nodes to others' states."""
    script = str(Path(__file__).with_name("flows.py"))
    out = subprocess.run(
        [sys.executable, script, str(N), str(COUNTED_S)],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {tuple(pair) for pair in json.loads(out.stdout)}


def arrived(folder, began, ended):
    """States per second that all robots heard in a time, each counted by its receiver.

    A robot hears itself too, as often as it speaks.
    """
    heard = {}
    for topic, _, message in messages_of(folder):
        if topic == "/diagnostics":
            for status in message.status:
                values = {pair.key: pair.value for pair in status.values}
                if "states_heard" in values and began <= message.header.stamp.sec <= ended:
                    stamp = message.header.stamp
                    at = stamp.sec + 1e-9 * stamp.nanosec
                    counts = heard.setdefault(status.hardware_id, [])
                    counts.append((at, int(values["states_heard"])))
    ends = [(counts[0], counts[-1]) for counts in heard.values()]
    return sum((last - first) / (end - at) for (at, first), (end, last) in ends), len(heard)


def test_a_ring_needs_six_flows_of_thirty(tmp_path):
    health = replace(open_bundle("rendezvous-crazyflie").health, normality=NormalityConfig())
    counted = {}
    for name, sources in (
        ("all", [[j for j in range(N) if j != i] for i in range(N)]),
        ("ring", [[(i + 1) % N] for i in range(N)]),
    ):
        bundle = tmp_path / f"{name}-bundle"
        _, plan = seal_slices(
            followers(sources),
            bundle,
            "rendezvous",
            "crazyflie",
            (0, 1, 2, 3, 4),
            400.0,
            {},
            health,
        )
        with Fleet(FleetConfig(bundle, N, tmp_path / name, seed=1, processes=N)) as fleet:
            assert wait_for(lambda: states(fleet) == ["HEALTHY"] * N)
            began = time.time()
            found = flows(fleet.domain)
            assert found == set(plan.edges)
            if name == "ring":
                fleet.kill(3)
                assert wait_for(lambda: states(fleet)[3] == "LOST")
                time.sleep(1.0)
                told = [w for w in fleet.live.warnings if "robot 3 is out" in w]
                assert told and told[0].endswith("these depend on hearing it: 2")
            fleet.check({3} if name == "ring" else set())
        counted[name] = len(found), *arrived(tmp_path / name, began, began + COUNTED_S)
    assert not orphans(str(tmp_path))
    (thirty, before, robots), (six, after, same) = counted["all"], counted["ring"]
    assert (thirty, six) == (30, 6) and robots == same == N
    # Of what a robot hears, its own states are one flow more.
    assert after / before == pytest.approx((6 + N) / (30 + N), rel=0.2)
    recorded = read_flight(tmp_path / "ring")
    assert replay(tmp_path / "ring", open_bundle(bundle)).figures()["action_difference"] < 0.05
    assert false_alarms(recorded)[0] == 0, "who is not heard is not distrusted"
    assert all(log.weights[-1, 3] == 0.0 for log in recorded.robots[:3]), "all know of the lost one"
    behind = recorded.robots[2].attention  # the own entry is that of nobody
    assert behind[len(behind) // 2, 3] == 1.0 and behind[-1].tolist() == [0, 0, 1, 0, 0, 0]
    assert recorded.robots[1].attention[-1].tolist() == [0, 0, 1, 0, 0, 0], "the next one flies on"
