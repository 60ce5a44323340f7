"""Emulated robots: what their firmware does without anybody's library, and the verb."""

import json
import signal
import socket
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common as mavlink

from swarmhold.hardware.drivers.faultapp import read_answer, read_order, write_order
from swarmhold.hardware.drivers.links import KINDS, RANGES, parse_link, read_links, write_links
from swarmhold.hardware.drivers.pilot import Phase, Pilot
from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, Mode
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.sim.emulate.cli import main
from swarmhold.sim.emulate.crazyflie import LEVEL_S, SHUTDOWN_S, Crazyflie
from swarmhold.sim.emulate.emulator import crazyflies
from swarmhold.sim.emulate.mavlink import LOST_S, MavlinkVehicle
from swarmhold.sim.emulate.vehicle import OFF, Body
from swarmhold.sim.robots import model_of
from swarmhold.sim.world import World

CODE = "import sys; from swarmhold.sim.emulate.cli import main; sys.exit(main(sys.argv[1:]))"
VERB = [sys.executable, "-c", CODE]
ARM, HOVER = bytes([0x9D, 1, 1]), bytes([0x7C, 10]) + struct.pack("<ffff", 0.4, 0.0, 0.0, 1.0)


def body(height=1.0, up=1.0):
    nought = np.zeros(3)
    place = np.array([0.0, 0.0, height])
    return Body(place, nought, np.array([0.0, 0.0, 0.0, 1.0]), 0.0, nought, up, 1.0)


def test_a_crazyflie_flies_only_when_armed_and_levels_then_falls_without_setpoints():
    robot = Crazyflie()
    robot.hear(HOVER, body(), 10.0)
    assert robot.steer(body(), 10.0) == OFF
    assert robot.hear(ARM, body(), 10.1) == [bytes([0x9D, 0x81, 1, 1])]
    robot.hear(HOVER, body(), 10.2)
    assert robot.steer(body(), 10.3).velocity == pytest.approx((0.4, 0.0))
    level = robot.steer(body(), 10.3 + LEVEL_S)
    assert level.velocity == (0.0, 0.0) and level.height == 1.0 and level.powered
    assert robot.steer(body(), 10.3 + SHUTDOWN_S) == OFF


def test_on_its_back_it_switches_itself_off_and_refuses_to_be_armed():
    robot = Crazyflie()
    robot.hear(ARM, body(), 0.0)
    for step in range(30):
        robot.hear(HOVER, body(0.1, up=-1.0), 0.1 * step)
        robot.steer(body(0.1, up=1.0 if step < 5 else -1.0), 0.1 * step)
    assert robot.steer(body(0.1, up=-1.0), 3.0) == OFF
    assert robot.hear(ARM, body(0.1, up=1.0), 3.1) == [bytes([0x9D, 0x81, 0, 0])]


@given(st.binary(max_size=32))
def test_garbage_kills_no_firmware(datagram):
    robot = Crazyflie()
    for answer in robot.hear(datagram, body(), 0.0):
        assert 1 <= len(answer) <= 31
    robot.steer(body(), 0.1)
    robot.speak(body(), 0.2)


def test_a_landed_team_has_no_power_and_lands_again():
    world, rest = World("rendezvous", "crazyflie", 2, 1, landed=True), np.zeros((2, 2))
    assert (world.position[:, 2] < 0.1).all()
    world.advance(0.5, rest, np.ones(2, bool))
    assert (world.position[:, 2] < 0.1).all(), "without power it stands"
    world.power(0, True)
    world.hover_at(0, 0.8)
    for _ in range(20):
        world.advance(0.1, rest, np.array([False, True]))
    assert world.position[0, 2] == pytest.approx(0.8, abs=0.05) and world.position[1, 2] < 0.1
    world.power(0, False)
    for _ in range(10):
        world.advance(0.1, rest, np.ones(2, bool))
    assert world.position[0, 2] < 0.1
    world.close()


def test_the_verb_says_where_robots_are_and_leaves_no_socket(tmp_path):
    file = tmp_path / "fleet.yaml"
    told = ["--crazyflies", "2", "--port", "0", "--fleet", str(file), "--json"]
    process = subprocess.Popen([*VERB, *told], stdout=subprocess.PIPE, text=True)
    found = json.loads(process.stdout.readline())
    assert all(link.startswith("crazyflie:udp://127.0.0.1:") for link in found["links"])
    assert [link in file.read_text() for link in found["links"]] == [True, True]
    process.send_signal(signal.SIGINT)
    assert process.wait(20.0) == 0
    process.stdout.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", int(found["links"][0].rpartition(":")[2])))


def test_what_cannot_be_emulated_is_one_line():
    with pytest.raises(ConfigError, match="spoof is not done to emulated hardware"):
        crazyflies("rendezvous", 1, faults=[FaultSpec("spoof", 0)])
    with pytest.raises(ConfigError, match="fault names robot 3 of 2"):
        crazyflies("rendezvous", 2, faults=[FaultSpec("link_loss", 3)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotReadyError, match="cannot be bound"):
            crazyflies("rendezvous", 1, ports=[taken.getsockname()[1]])


def test_orders_of_faults_come_back_as_they_were_given():
    fault = FaultSpec("motor_off", 2, duration_s=4.0, severity=0.5, seed=7)
    order, answer = read_order(write_order(fault))
    assert order == ("motor_off", 0.5, 4.0, 7) and read_answer(answer) is Injected.APPLIED
    order, answer = read_order(b"F" + bytes(12) + b"spoof")
    assert order is None and read_answer(answer) is Injected.UNSUPPORTED
    assert read_order(b"hello") == (None, None) and read_answer(b"F") is None


def test_links_are_read_as_written_and_mistakes_are_named():
    links = {0: parse_link("crazyflie:udp://127.0.0.1:1"), 7: parse_link("crazyflie:usb://0")}
    assert read_links(write_links(links)) == links and set(KINDS) >= {"crazyflie"}
    for text, words in (
        ("crazyflie", "not of the form KIND:ADDRESS"),
        ("crazyfly:usb://0", "did you mean 'crazyflie'"),
        ("crazyflie:a b", "not of the form"),
        ("mavlink:udpin://0.0.0.0:14540", "not of the form URL#SYSTEM"),
        ("mavlink:udpin://0.0.0.0:14540#300", "not of the form URL#SYSTEM"),
    ):
        with pytest.raises(ConfigError, match=words):
            parse_link(text)
    for text in ("", "x=crazyflie:a", "1=crazyflie:a 1=crazyflie:b"):
        with pytest.raises(ConfigError):
            read_links(text)


def test_robots_with_links_sense_no_farther_than_in_training():
    assert {name: (model_of(name).peer_range, model_of(name).near_range) for name in ROBOTS} == (
        RANGES
    )


LIMITS = safety_config(policy_spec("crazyflie"), 5.0)
AHEAD = Command(0.0, (0.5, 0.0), Mode.ACTIVE)


def fly(pilot, seconds, now, height, command=None):
    """Steps of 0.05 s of a flier that is where it is asked to be."""
    for _ in range(round(seconds / 0.05)):
        now += 0.05
        if command is not None:
            pilot.command(command, now)
        wish = pilot.step(height, now)
        height = wish.height if wish.motors else 0.0
    return now, height, wish


def test_a_flight_climbs_flies_holds_and_lands_in_silence():
    pilot = Pilot(LIMITS, 1.0)
    assert not fly(pilot, 1.0, 0.0, 0.0, AHEAD)[2].motors, "nothing but take_off lifts it"
    assert not pilot.grounded, "who waits to be armed is as good as any"
    pilot.take_off(0.0, 1.0)
    now, height, wish = fly(pilot, 3.0, 1.0, 0.0, AHEAD)
    assert not pilot.grounded and pilot.phase is Phase.FLY and wish.velocity == (0.5, 0.0)
    now, height, wish = fly(pilot, 1.0, now, height)
    assert wish.velocity == (0.0, 0.0) and wish.height == pytest.approx(1.0)
    now, height, wish = fly(pilot, 5.0, now, height)
    assert pilot.phase is Phase.GROUND and height == 0.0, "down before the motors are stopped"
    assert pilot.grounded and not pilot.stopped, "and says so: its policy moves nothing any more"
    assert not fly(pilot, 1.0, now, height, AHEAD)[2].motors, "and it does not go up by itself"


@pytest.mark.parametrize("way", ["sinks", "told"])
def test_who_fell_stays_down(way):
    pilot = Pilot(LIMITS, 1.0)
    pilot.take_off(0.0, 0.0)
    now, _, _ = fly(pilot, 3.0, 0.0, 0.0, AHEAD)
    if way == "told":
        pilot.fell()
    for step in range(20):
        pilot.command(AHEAD, now + 0.05 * step)
        wish = pilot.step(0.1, now + 0.05 * step)
    assert pilot.phase is Phase.DOWN and pilot.stopped and not wish.motors
    pilot.take_off(0.0, now + 2.0)
    assert not fly(pilot, 1.0, now + 2.0, 0.0, AHEAD)[2].motors


def test_who_was_let_go_is_sent_nothing():
    pilot = Pilot(LIMITS, 1.0)
    pilot.take_off(0.0, 0.0)
    pilot.let_go()
    assert not fly(pilot, 1.0, 0.0, 1.0, AHEAD)[2].motors and pilot.phase is Phase.GONE


def ground():
    """Messages of a ground station, packed and read by pymavlink."""
    return mavlink.MAVLink(None, 255, mavlink.MAV_COMP_ID_MISSIONPLANNER)


def command(number, *values, system=3):
    return mavlink.MAVLink_command_long_message(
        system, 1, number, 0, *values, *[0.0] * (7 - len(values))
    )


def told(vehicle, message, station, now, where=None):
    """What a vehicle answers."""
    out = vehicle.hear(message.pack(station), where or body(0.06), now)
    return [answer for data in out for answer in ground().parse_buffer(data)]


def velocity(north, east, down):
    return mavlink.MAVLink_set_position_target_local_ned_message(
        0, 3, 1, 1, 0b110111000111, 0, 0, 0, north, east, down, 0, 0, 0, 0, 0
    )


def test_a_vehicle_obeys_its_own_commands_alone_and_lands_when_setpoints_stay_away():
    vehicle, station = MavlinkVehicle(3, 14540), ground()
    assert told(vehicle, command(400, 1.0, system=2), station, 0.0) == []
    assert told(vehicle, command(176, 1.0, 6.0), station, 0.1)[0].result == 1, "no set-points yet"
    assert told(vehicle, velocity(0.4, 0.1, -0.5), station, 0.2) == []
    assert [m.result for n in ((400, 1.0), (176, 1.0, 6.0)) for m in told(
        vehicle, command(*n), station, 0.3)] == [0, 0]  # fmt: skip
    steps = [vehicle.steer(body(0.5), 0.3 + 0.05 * step) for step in range(5)]
    assert steps[-1].velocity == pytest.approx((0.1, 0.4)), "north is y, east is x"
    assert steps[-1].height > steps[1].height and steps[-1].powered
    assert vehicle.steer(body(0.5), 0.3 + LOST_S).velocity == (0.0, 0.0)
    down = [vehicle.steer(body(0.05), 1.4 + 0.1 * step) for step in range(20)]
    assert down[-1] == OFF, "it has landed, and switched itself off"


def test_failures_are_injected_and_taken_back_by_command():
    vehicle, station = MavlinkVehicle(3, 14540), ground()
    answers = [
        told(vehicle, command(420, *values), station, 0.0)[0].result
        for values in ((101.0, 1.0, 2.0), (101.0, 0.0), (105.0, 1.0), (0.0, 1.0))
    ]
    assert answers == [0, 0, 3, 3], "it has neither failures of the link nor of the gyroscope"
    orders = [(kind, duration) for kind, _, duration, _ in vehicle.orders()]
    assert orders == [("motor_off", np.inf), ("motor_off", 0.0), ("motor_stuck", 0.0)]
    assert vehicle.orders() == []


@given(st.binary(max_size=64))
def test_garbage_kills_no_autopilot(datagram):
    vehicle = MavlinkVehicle(3, 14540)
    vehicle.hear(datagram, body(), 0.0)
    assert vehicle.speak(body(), 0.1)


def test_a_mended_motor_turns_again():
    world, rest = World("rendezvous", "crazyflie", 1, 1), np.zeros((1, 2))
    world.inject(FaultSpec("motor_off", 0, severity=0.02))
    world.advance(0.1, rest, np.zeros(1, bool))
    gain = world._physics.blocks.get(21, 4)
    world.mend(0, "motor_off")
    world.advance(0.1, rest, np.zeros(1, bool))
    assert gain.min() < 1.0 and world._physics.blocks.get(21, 4).min() == 1.0
    world.close()


@pytest.mark.parametrize("args", [[], ["--crazyflies", "1", "--mavlink", "1"], ["--mavlink", "-1"]])
def test_the_verb_wants_one_kind(args):
    with pytest.raises(ConfigError, match="say how many robots of which kind"):
        main(args)


def test_who_falls_stays_about_where_it_fell():
    world, ahead = World("rendezvous", "crazyflie", 2, 1), np.tile([0.5, 0.0], (2, 1))
    for _ in range(40):
        world.advance(0.05, ahead, np.zeros(2, bool))
    world.inject(FaultSpec("motor_off", 1, 0.0, 60.0))
    began = world.position[1, :2].copy()
    for _ in range(100):
        world.advance(0.05, ahead, np.zeros(2, bool))
    place, velocity, _, _ = world.pose(1)
    assert place[2] < 0.1 and np.linalg.norm(velocity) < 0.01
    assert np.linalg.norm(place[:2] - began) < 1.0
    world.close()
