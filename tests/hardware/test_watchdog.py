"""Drivers bring their robot to rest on their own: silence in stages, and stops that stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.drivers.loopback import LoopbackDriver, LoopbackWorld
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.estop import stopped_state
from swarmhold.hardware.fleet.estop import SEARCH_S, Confirmations, EstopArgs, place_of
from swarmhold.hardware.messages import Command, Mode
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec

LIMITS = safety_config(policy_spec("crazyflie"), 4.0)
AHEAD = Command(0.0, (0.1, 0.0), Mode.ACTIVE)


def test_silence_holds_then_lands_then_stops():
    watchdog = Watchdog(LIMITS)
    assert watchdog.stage(0.0) is Mode.STOP and not watchdog.heard
    watchdog.hear(Mode.ACTIVE, 10.0)
    stages = [watchdog.stage(10.0 + age) for age in (0.1, 0.5, 3.0, 7.0)]
    assert stages == [Mode.ACTIVE, Mode.HOLD, Mode.LAND, Mode.STOP]
    watchdog.hear(Mode.ACTIVE, 20.0)
    assert watchdog.stage(20.0) is Mode.ACTIVE, "a silence that is over is forgiven"


@given(st.lists(st.tuples(st.sampled_from(Mode), st.floats(0.0, 9.0))), st.booleans())
def test_nothing_releases_a_stop(story, by_command):
    watchdog, now = Watchdog(LIMITS), 5.0
    watchdog.hear(Mode.ACTIVE, now)
    _ = watchdog.hear(Mode.STOP, now) if by_command else watchdog.stop()
    for mode, seconds in story:
        now += seconds
        watchdog.hear(mode, now)
        assert watchdog.stage(now) is Mode.STOP


@given(st.sampled_from(Mode), st.floats(0.0, 10.0))
def test_the_most_urgent_wins(asked, silent):
    watchdog = Watchdog(LIMITS)
    watchdog.hear(asked, 0.0)
    assert watchdog.stage(silent) >= asked


@pytest.fixture
def driver():
    world = LoopbackWorld(policy_spec("epuck"), np.zeros((1, 3)), np.zeros(1))
    driver = LoopbackDriver(world, 0)
    driver.connect()
    return driver, world


def drive(driver, world, seconds, command=None):
    start = world.position[0, 0]
    for _ in range(round(seconds / 0.05)):
        if command is not None:
            driver.command(command)
        world.advance(0.05)
    return world.position[0, 0] - start


def test_a_driver_comes_to_rest_when_its_policy_falls_silent(driver):
    assert drive(*driver, 1.0, AHEAD) == pytest.approx(0.1)
    assert drive(*driver, 2.0) <= 0.1 * (LIMITS.hold_s + 0.1)
    assert drive(*driver, 1.0) == 0.0
    assert drive(*driver, 1.0, AHEAD) == pytest.approx(0.1), "and goes on with new commands"


@pytest.mark.parametrize("way", ["command", "call"])
def test_a_stopped_driver_stays_stopped(driver, way):
    drive(*driver, 1.0, AHEAD)
    if way == "call":
        driver[0].stop()
    else:
        driver[0].command(Command(0.0, (0.1, 0.0), Mode.STOP))
    assert drive(*driver, 1.0, AHEAD) == 0.0
    assert driver[0].command(AHEAD).mode is Mode.STOP


def test_a_robot_confirms_a_stop_before_it_ever_sensed_anything():
    first = stopped_state(None, 2, 77, 9)
    again = stopped_state(first, 2, 77, 9)
    assert (first.mode, first.robot, first.boot_id) == (Mode.STOP, 2, 77)
    assert again.seq == first.seq + 1 and again.control_seq == first.control_seq
    assert np.isnan(first.position).all(), "it does not make up where it is"


FLEET = """
bundle: rendezvous-epuck
hosts: {base: {address: ADDRESS}, pi: {address: 10.77.0.11}}
supervisors: [base]
robots: [{name: a, host: base}, {name: b, host: pi}]
"""


def test_where_a_stop_is_said(tmp_path):
    file = tmp_path / "fleet.yaml"
    file.write_text("domain: 42" + FLEET.replace("ADDRESS", "127.0.0.1"))
    found = place_of(EstopArgs(fleet=file))
    assert (found.domain, found.robots) == (42, 2) and "10.77.0.11" in found.profile
    file.write_text("domain: 42" + FLEET.replace("ADDRESS", "10.77.0.10"))
    with pytest.raises(NotReadyError, match="none of base, pi"):
        place_of(EstopArgs(fleet=file))
    file.write_text("bundle: rendezvous-epuck\nrobots: [{name: a}]\n")
    with pytest.raises(ConfigError, match="names no domain"):
        place_of(EstopArgs(fleet=file))
    for wrong in (EstopArgs(), EstopArgs(fleet=file, domain=3), EstopArgs(domain=3, seconds=0)):
        with pytest.raises(ConfigError, match="give one of"):
            place_of(wrong)
    with pytest.raises(ConfigError, match="no flight folder"):
        place_of(EstopArgs(flight=tmp_path))


def test_a_stop_counts_when_policy_and_driver_say_so():
    found = Confirmations(2)
    assert not found.everybody
    for robot in (0, 1):
        found.take("estop", {"event": "robot", "robot": robot, "mode": "STOP"})
    assert found.everybody and not found.complete(0.1), "drivers may only not have been found yet"
    assert found.complete(SEARCH_S + 0.1), "or they are dead"
    found.take("estop", {"event": "robot", "robot": 1, "driver": False})
    assert not found.everybody and not found.complete(SEARCH_S + 0.1)
    for robot in (0, 1):
        found.take("estop", {"event": "robot", "robot": robot, "driver": True})
    assert found.complete(0.1)
    found.take("estop", {"event": "robot", "robot": 0, "mode": "ACTIVE"})
    assert not found.everybody


def test_a_driver_tells_of_its_stop():
    world = LoopbackWorld(policy_spec("crazyflie"), np.zeros((1, 3)), np.zeros(1))
    driver = LoopbackDriver(world, 0)
    driver.connect()
    assert not driver.read().stopped
    driver.stop()
    assert driver.read().stopped
