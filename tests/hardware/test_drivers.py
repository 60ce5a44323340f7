"""Every driver keeps to the same contract: in memory, and with the clients' own libraries."""

import threading
import time

import numpy as np
import pytest

from swarmhold.hardware.drivers.conformance import check
from swarmhold.hardware.drivers.links import driver_of, parse_link
from swarmhold.hardware.drivers.localisation import FRESH_S, Localisation
from swarmhold.hardware.drivers.loopback import LoopbackDriver, LoopbackWorld
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.errors import ConfigError, MissingExtraError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, Mode
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.emulate.emulator import crazyflies, mavlink_vehicles
from swarmhold.sim.emulate.tables import PARAM_TABLE

SPEC = policy_spec("crazyflie")
LIMITS = safety_config(SPEC, 5.0)


EMULATED = {
    "crazyflie": lambda robots: crazyflies("rendezvous", robots),
    "mavlink": lambda robots: mavlink_vehicles("rendezvous", robots),
}


def flier(emulator, robot=0, hardware=False):
    link = parse_link(emulator.addresses[robot])
    return driver_of(link, robot, LIMITS, Localisation(6.0, 1.0), 1.0, hardware)


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_loopback_conforms():
    spec = policy_spec("epuck")
    world = LoopbackWorld(spec, np.zeros((1, 3)), np.zeros(1))

    def fresh():
        limits = safety_config(spec, np.inf)
        world.watchdogs = [type(world.watchdogs[0])(limits)]
        return LoopbackDriver(world, 0)

    def wait(seconds):
        for _ in range(max(round(seconds / 0.05), 1)):
            world.advance(0.05)

    assert check(fresh, spec, wait, arms=False) == []


class Stubborn(LoopbackDriver):
    """Does not care for a stop, and leaves a thread behind."""

    def connect(self):
        super().connect()
        if not hasattr(type(self), "left"):
            type(self).left = threading.Event()
            threading.Thread(target=type(self).left.wait, daemon=True).start()

    def stop(self):
        self.hold()


def test_a_breach_is_found():
    spec = policy_spec("epuck")
    world = LoopbackWorld(spec, np.zeros((1, 3)), np.zeros(1))
    wrong = check(lambda: Stubborn(world, 0), spec, world.advance, arms=True)
    Stubborn.left.set()
    for part in ("moves without arm()", "after stop() a command is applied", "1 threads"):
        assert any(part in line for line in wrong), (part, wrong)


@pytest.mark.parametrize("kind", EMULATED)
def test_fliers_conform(kind):
    with EMULATED[kind](1) as emulator:
        assert check(lambda: flier(emulator), SPEC) == []


def test_a_crazyflie_is_hardware_unless_it_says_otherwise(monkeypatch):
    names = {name: code for name, code in PARAM_TABLE.items() if name != "sim.emulated"}
    monkeypatch.setattr("swarmhold.sim.emulate.crazyflie.PARAM_TABLE", names)
    monkeypatch.setattr("swarmhold.sim.emulate.tables.PARAM_TABLE", names)
    with crazyflies("rendezvous", 1) as emulator:
        with pytest.raises(ConfigError, match="is a real robot; say that it may be: --hardware"):
            flier(emulator).connect()
        driver = flier(emulator, hardware=True)
        driver.connect()
        assert driver.reality is Reality.HARDWARE
        with pytest.raises(ConfigError, match="at most 30 s"):
            driver.inject(FaultSpec("motor_off", 0))
        driver.close()


def test_nobody_answers():
    with crazyflies("rendezvous", 1) as emulator:
        driver = flier(emulator)
    before = threading.active_count()
    with pytest.raises(NotReadyError, match="no Crazyflie answers at udp://127"):
        driver.connect()
    assert wait_for(lambda: threading.active_count() <= before)


def test_who_is_not_heard_is_no_sighting_but_still_a_body():
    board = Localisation(6.0, 1.0)
    board.report(1, (0.0, 0.5, 1.0), 10.0)
    board.report(2, (3.0, 0.0, 1.0), 10.0)
    fresh = board.around(0, (0.0, 0.0, 1.0), np.pi / 2, 10.1)
    assert fresh.sighted == (1, 2) and len(fresh.bodies) == 1
    np.testing.assert_allclose(fresh.sightings[0], (0.5, 0.0, 0.0), atol=1e-12)
    late = board.around(0, (0.0, 0.0, 1.0), np.pi / 2, 10.1 + FRESH_S)
    assert late.sighted == () and late.bodies == fresh.bodies


def test_who_has_come_down_is_still_a_body_to_those_above():
    board = Localisation(6.0, 1.0)
    board.report(1, (0.0, 0.5, 0.06), 10.0)
    assert board.around(0, (0.0, 0.0, 1.0), 0.0, 10.1).bodies == ((0.0, 0.5, -0.94),)


@pytest.mark.parametrize("kind", EMULATED)
def test_a_broken_motor_brings_it_down_and_it_stays_down(kind):
    with EMULATED[kind](1) as emulator:
        driver = flier(emulator)
        driver.connect()
        driver.arm()
        assert driver.inject(FaultSpec("sensor_bias", 0)) is Injected.UNSUPPORTED
        assert driver.inject(FaultSpec("motor_off", 0, duration_s=5.0)) is Injected.APPLIED

        def down():
            driver.hold()
            return driver.read().stopped and driver.read().position[2] < 0.2

        assert wait_for(down)
        with pytest.raises(NotReadyError, match="start its driver anew"):
            driver.arm()
        driver.close()


@pytest.mark.parametrize("kind", EMULATED)
def test_a_cut_link_is_noticed_and_the_flier_does_not_take_off_again(kind):
    with EMULATED[kind](1) as emulator:
        driver = flier(emulator)
        driver.connect()
        driver.arm()
        fault = FaultSpec("link_loss", 0, duration_s=3.0)
        if kind == "crazyflie":
            assert driver.inject(fault) is Injected.APPLIED
        else:
            assert driver.inject(fault) is Injected.UNSUPPORTED, "MAVLink has none"
            emulator.inject(fault)
        time.sleep(0.6)
        with pytest.raises(NotReadyError, match="was not heard for"):
            driver.read()

        def back():
            driver.command(Command(0.0, (0.3, 0.0), Mode.ACTIVE))
            try:
                return driver.read().stopped
            except NotReadyError:
                return False

        assert wait_for(back)
        assert wait_for(lambda: driver.read().position[2] < 0.2), "the firmware brings it down"
        time.sleep(0.5)
        assert driver.read().position[2] < 0.2, "and there it stays"
        driver.close()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("crazyflie:udp://127.0.0.1:9", r"cflib is not installed; pip install 'swarmhold\[crazyf"),
        ("mavlink:udpin://127.0.0.1:9#1", r"mavsdk is not installed; pip install 'swarmhold\[mavl"),
    ],
)
def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch, link, words):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    driver = driver_of(parse_link(link), 0, LIMITS, Localisation(6.0, 1.0), 1.0, False)
    with pytest.raises(MissingExtraError, match=words):
        driver.connect()
    driver.close()
