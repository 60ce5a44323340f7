"""Fleets of robots behind links, flown by the policies that fly simulated ones.

The robots are emulated: unmodified client libraries fly them. Nothing of it knows that they are.
"""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from swarmhold.hardware.drivers.conformance import check
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.errors import NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.environment import ALONE, environment
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.process import Child, end_all
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.emulate.emulator import crazyflies, mavlink_vehicles
from swarmhold_nodes.twist_driver import TwistDriver

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, states, wait_for

N, BROKEN, CUT, SEED = 6, 1, 4, 3
HEALTHY = np.array([robot not in (BROKEN, CUT) for robot in range(N)])
# s after the first motors turn: all are up after 3 s.
FAULTS = [
    FaultSpec("motor_off", BROKEN, start_s=6.0),
    FaultSpec("link_loss", CUT, start_s=8.0, duration_s=5.0),
]


KINDS = {"crazyflie": crazyflies, "mavlink": mavlink_vehicles}


def fleet_file(folder, links, **more):
    robots = [{"name": f"robot_{i}", "link": link} for i, link in enumerate(links)]
    file = folder / "fleet.yaml"
    told = {"bundle": "rendezvous-crazyflie", "seed": SEED, "robots": robots, **more}
    file.write_text(yaml.safe_dump(told))
    return file


def resources():
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sockets += os.readlink(entry).startswith("socket:")
        except OSError:
            continue
    return threading.active_count(), sockets


@pytest.fixture(scope="module", params=KINDS)
def flight(request, tmp_path_factory):
    """Six emulated robots meet; one loses a motor, one its link.

    A machine that stops the emulator for a while cuts all links at once; then it is flown again.
    """
    for _ in range(3):
        folder = tmp_path_factory.mktemp(request.param)
        seen = story(folder, KINDS[request.param])
        if not any("was not heard" in text and f"robot {CUT}" not in text for text in seen["said"]):
            break
    return folder, seen


def story(folder, emulate):
    seen = {"before": resources()}
    with emulate("rendezvous", N, SEED, FAULTS) as emulator:
        file = load_fleet(fleet_file(folder, emulator.addresses))
        config = FleetConfig(
            file.bundle, N, folder / "flight", seed=SEED, each=file.robots, arm=True, processes=2
        )
        with Fleet(config) as fleet:
            seen["real"] = fleet.live.real
            seen["flew"] = wait_for(lambda: emulator.flying.all())
            seen["fell"] = wait_for(lambda: emulator.world.position[BROKEN, 2] < 0.2)
            seen["lost"] = wait_for(lambda: states(fleet)[CUT : CUT + 1] == ["LOST"])
            seen["back"] = wait_for(lambda: states(fleet)[CUT] == "ESTOPPED", 30.0)
            seen["met"] = wait_for(lambda: emulator.world.solved(HEALTHY), 30.0)
            seen["solved"] = wait_for(lambda: fleet.live.world.get("solved"))
            seen["states"] = states(fleet)
            seen["up"] = emulator.world.position[:, 2].copy()
            seen["said"] = list(fleet.live.warnings)
            fleet.check(set())
        seen["down"] = wait_for(lambda: not emulator.flying.any())
        seen["heights"] = emulator.world.position[:, 2].copy()
    wait_for(lambda: resources() <= seen["before"])
    seen["after"] = resources()
    return seen


pytestmark = [pytest.mark.system, pytest.mark.quiet]


def test_nobody_is_taken_for_hardware(flight):
    lines = (flight[0] / "flight/events.jsonl").read_text().splitlines()
    linked = [event for event in map(json.loads, lines) if event["event"] == "linked"]
    assert [event["reality"] for event in linked] == ["SIM"] * N and not flight[1]["real"]


@pytest.mark.parametrize("what", ["flew", "fell", "lost", "back", "met", "solved", "down"])
def test_the_team_finishes_without_those_that_broke(flight, what):
    assert flight[1][what], flight[1]


def test_the_healthy_stay_up_until_the_end_and_then_land(flight):
    assert (flight[1]["up"][HEALTHY] > 0.8).all() and (flight[1]["heights"] < 0.15).all()
    said = [("HEALTHY" if healthy else "ESTOPPED") for healthy in HEALTHY]
    assert flight[1]["states"] == said, "who fell is stopped, and counts for nothing"


def test_who_fell_stays_stopped_and_says_so(flight):
    modes, stopped = {}, {}
    for topic, _, message in messages_of(flight[0] / "flight"):
        _, robot, kind = [*topic.split("/"), "", ""][:3]
        if kind == "state":
            modes.setdefault(robot, set()).add(message.mode)
        elif kind == "sense":
            stopped.setdefault(robot, []).append(message.stopped)
    for robot in range(N):
        name, fell = f"robot_{robot}", not HEALTHY[robot]
        assert (Mode.STOP in modes[name]) == fell and stopped[name][-1] == fell
        assert not stopped[name][0]


def test_no_process_no_thread_and_no_socket_is_left(flight):
    assert not orphans(str(flight[0]))
    assert flight[1]["after"] <= flight[1]["before"]


def test_nothing_moves_without_arm(tmp_path):
    with crazyflies("rendezvous", 2, SEED) as emulator:
        file = load_fleet(fleet_file(tmp_path, emulator.addresses))
        config = FleetConfig(file.bundle, 2, tmp_path / "flight", seed=SEED, each=file.robots)
        before = emulator.world.position.copy()
        with Fleet(config) as fleet:
            assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 2), "it senses and decides"
        assert not emulator.flying.any()
        np.testing.assert_allclose(emulator.world.position, before, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_command_breaks_the_body_and_a_stop_stops_the_rest(tmp_path, kind):
    with KINDS[kind]("rendezvous", 3, SEED) as emulator:
        file = load_fleet(fleet_file(tmp_path, emulator.addresses))
        config = FleetConfig(
            file.bundle, 3, tmp_path / "flight", seed=SEED, each=file.robots, arm=True,
            allow_faults=True,
        )  # fmt: skip
        with Fleet(config) as fleet:
            height = emulator.world.position[:, 2]
            assert wait_for(lambda: emulator.flying.all()) and (height > 0.8).all()
            fleet.inject(FaultSpec("motor_off", 1, duration_s=20.0))
            assert wait_for(lambda: emulator.world.position[1, 2] < 0.2)
            assert (emulator.world.position[[0, 2], 2] > 0.8).all()
            fleet.stop_team()
            assert wait_for(lambda: not emulator.flying.any()), "motors off, wherever they are"
        lines = (tmp_path / "flight/events.jsonl").read_text().splitlines()
        broken = [event for event in map(json.loads, lines) if event["event"] == "fault"]
        assert [(event["kind"], event["robot"]) for event in broken] == [("motor_off", 1)]


BOTS = str(Path(__file__).with_name("twist_robots.py"))


@pytest.mark.parametrize("stamped", [False, True])
def test_robots_that_speak_ros_meet_and_stop(tmp_path, stamped):
    links = [f"twist:/bot_{i}{'#stamped' * stamped}" for i in range(3)]
    file = load_fleet(fleet_file(tmp_path, links, bundle="rendezvous-epuck", seed=0))
    config = FleetConfig(file.bundle, 3, tmp_path / "flight", each=file.robots, arm=True)
    fleet, seen = Fleet(config), {}
    bots = Child(
        "bots",
        [sys.executable, BOTS, "3", "0", *(["stamped"] if stamped else [])],
        environment(tmp_path, fleet.domain, ALONE),
        tmp_path / "bots.log",
        lambda _, line: seen.update(line),
    )
    try:
        with fleet:
            assert not fleet.live.real
            assert wait_for(lambda: fleet.live.world.get("solved"), 30.0), fleet.live.warnings
            assert wait_for(lambda: states(fleet) == ["HEALTHY"] * 3)
            fleet.stop_team()
            stood = np.array(seen["pose"])
            assert not wait_for(lambda: np.abs(np.array(seen["pose"]) - stood).max() > 0.01, 1.0)
    finally:
        end_all([bots])


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
def test_the_twist_driver_conforms(tmp_path, ros_domain):
    """In a node that spins in a thread, with robots in a process of their own."""
    spec = policy_spec("epuck")
    bots = Child(
        "bots", [sys.executable, BOTS, "1", "0"], environment(tmp_path, ros_domain, ALONE),
        tmp_path / "bots.log", lambda *_: None,
    )  # fmt: skip
    context = Context()
    rclpy.init(context=context)
    node = Node("drivers", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()

    def fresh():
        board = Localisation(1.5, 0.3)
        limits = safety_config(spec, np.inf)
        return TwistDriver(node, "/bot_0", 0, spec, limits, board, False)

    try:
        assert bots.ready.wait(20.0), bots.last_words()
        assert check(fresh, spec) == []
        real = TwistDriver(
            node, "/bot_9", 0, spec, safety_config(spec, np.inf), Localisation(1.5, 0.3), False
        )
        with pytest.raises(NotReadyError, match="no odometry on /bot_9/odom"):
            real.connect()
        real.close()
    finally:
        executor.shutdown()
        context.try_shutdown()
        spinner.join()
        node.destroy_node()
        end_all([bots])
