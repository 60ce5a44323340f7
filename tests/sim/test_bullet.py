"""PyBullet's two paths are one reference; the native one proves itself or is not used."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from swarmhold.sim import bullet_native
from swarmhold.sim.bullet import BulletServer, bullet_server
from swarmhold.sim.bullet_native import NativeServer, self_test
from swarmhold.sim.flight import FlightSim, FlightTask
from swarmhold.sim.robots import model_of

CALM = FlightTask(end_on_touch=False, episode_s=1e6, reach=1e6)


def test_the_self_test_passes_and_sees_a_wrong_body(monkeypatch):
    assert self_test() is None
    step = NativeServer.fly
    monkeypatch.setattr(
        NativeServer, "fly", lambda self, thrust, torque: step(self, thrust * (1 + 1e-9), torque)
    )
    assert "differ by" in bullet_native._compare()


@pytest.mark.parametrize("drag", [False, True])
def test_native_equals_python_calls_to_a_picometre(drag):
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (48, 6, 4, 4))
    tracks = []
    for backend in ("pybullet", "pybullet-native"):
        sim = FlightSim(6, 4, backend, drag=drag, task=CALM, auto_reset=False)
        sim.blocks.put(0, sim.blocks.get(0, 3) + np.array([0.0, 0.0, 20.0]))
        sim._bodies.push()
        tracks.append(np.array([sim.step(action)[0].copy() for action in actions]))
        sim.close()
    assert np.abs(tracks[0] - tracks[1])[..., :3].max() <= 1e-12


def test_a_failing_self_test_falls_back_and_says_why(monkeypatch, caplog):
    monkeypatch.setattr(bullet_native, "_verdict", ["its C functions are not exported"])
    with caplog.at_level(logging.WARNING):
        server = bullet_server(True, model_of("crazyflie"), 1, 2, 5.0, True, True)
    assert type(server) is BulletServer and not server.native
    assert "slower way: its C functions are not exported" in caplog.text
    server.close()


def test_neighbours_in_one_server_do_not_matter():
    actions = np.random.default_rng(1).uniform(-1, 1, (30, 3, 2, 4))
    many = FlightSim(3, 2, "pybullet", auto_reset=False, task=CALM)
    alone = FlightSim(1, 2, "pybullet", auto_reset=False, task=CALM)
    for action in actions:
        many.step(action)
        alone.step(action[:1])
    assert np.abs(many.state[0] - alone.state[0]).max() < 1e-12


def test_the_camera_sees_something():
    sim = FlightSim(1, 4, "pybullet")
    image = sim._bodies.server.picture()
    assert image.shape == (240, 320, 3) and image.std() > 1.0
    sim.close()


def test_it_comes_without_a_greeting():
    """PyBullet tells the time of its build; nobody asked."""
    code = "import sys; from swarmhold.sim import bullet; print('error', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "error\n")
