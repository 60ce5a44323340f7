"""Two physics, one set of equations; and what only the reference has: real contacts."""

import json

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.sim.blocks import STATE, Blocks, Row
from swarmhold.sim.cli import validate
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import model_of


def drive(backend, robot, commands, place, yaw, contacts=False, half=50.0, anchored=None):
    n = place.shape[1]
    physics = make_physics(backend, model_of(robot), 1, n, half, contacts)
    physics.reset(place, yaw, np.ones((1, n), bool))
    idle = np.zeros((1, n), bool) if anchored is None else anchored
    track, touched = [], False
    for command in commands:
        physics.advance(command, idle, 0.1)
        track.append(physics.bodies.position[0].copy())
        touched |= physics.touched.any()
    assert not touched or contacts
    assert touched or not contacts or n == 1, "these tests are about contact"
    return physics, np.array(track)


def test_validate_gates_the_twin(capsys, tmp_path):
    picture = tmp_path / "error.png"
    assert validate(["--sequences", "20", "--json", "--plot", str(picture)]) == 0
    out = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert out["position_error_m"]["float64"] <= 1e-9 < out["position_error_m"]["float32"] <= 1e-3
    assert out["disturbed_error_m"] <= 1e-6 and len(out["cases"]) == 7
    assert picture.stat().st_size > 10_000
    with pytest.raises(ConfigError, match="at least one"):
        validate(["--seconds", "0.5"])
    with pytest.raises(ConfigError, match="cannot write the plot"):
        validate(["--sequences", "1", "--seconds", "1", "--plot", str(tmp_path / "no/error.png")])


def test_validate_sees_a_twin_that_parts(monkeypatch, capsys):
    from swarmhold.sim.blocks import Blocks

    advance = Blocks.advance

    def off(self, steps):
        advance(self, steps)
        self.put(0, self.get(0, 3) + 1e-6)

    monkeypatch.setattr(Blocks, "advance", off)
    assert validate(["--sequences", "2", "--seconds", "1"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_epucks_reach_their_wheel_speed_and_turn_on_the_spot():
    commands = np.tile([[[0.1507, 0.0], [0.0, 5.3]]], (10, 1, 1, 1))
    place, yaw = np.array([[[0.0, 0.0], [1.0, 0.0]]]), np.zeros((1, 2))
    physics, track = drive("batched", "epuck", commands, place, yaw)
    assert track[-1, 0, 0] == pytest.approx(0.1507, abs=0.01)
    assert track[-1, 1, :2] == pytest.approx([1.0, 0.0], abs=1e-9)
    assert physics.bodies.spin[0, 1, 2] == pytest.approx(5.3, rel=0.01)


def test_quadrotors_track_velocity_and_hold_height():
    commands = np.tile([[[0.8, -0.3]]], (30, 1, 1, 1))
    physics, track = drive("batched", "crazyflie", commands, np.zeros((1, 1, 2)), np.zeros((1, 1)))
    velocity = physics.bodies.velocity[0, 0]
    assert velocity[0] == pytest.approx(0.8, abs=0.12)
    assert velocity[1] == pytest.approx(-0.3, abs=0.06)
    assert np.abs(track[:, 0, 2] - 1.0).max() < 0.1


@pytest.mark.parametrize("backend", ["batched", "pybullet"])
def test_ground_robots_never_share_a_place(backend):
    rng = np.random.default_rng(1)
    n, radius = 6, model_of("epuck").radius
    angle = np.arange(n) * 2 * np.pi / n
    place = 0.25 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None]
    commands = np.tile([0.15, 0.0], (60, 1, n, 1)) + rng.normal(0, 0.01, (60, 1, n, 2))
    _, track = drive(backend, "epuck", commands, place, angle[None] + np.pi, True, 1.0)
    offset = track[-1, :, None] - track[-1][None]
    distance = np.linalg.norm(offset, axis=-1) + 9 * np.eye(n)
    assert distance.min() > 2 * radius - 0.004


def test_walls_hold_in_pybullet():
    commands = np.tile([[[0.15, 0.0]]], (80, 1, 1, 1))
    _, track = drive(
        "pybullet", "epuck", commands, np.zeros((1, 1, 2)), np.zeros((1, 1)), True, 0.5
    )
    assert track[-1, 0, 0] < 0.5 and track[-1, 0, 0] > 0.4
    assert abs(track[-1, 0, 2] - model_of("epuck").height) < 0.01


def test_a_braked_robot_holds_its_ground():
    place = np.array([[[0.0, 0.0], [-0.3, 0.0]]])
    anchored = np.array([[True, False]])
    commands = np.tile([0.15, 0.0], (40, 1, 2, 1))
    _, track = drive("pybullet", "epuck", commands, place, np.zeros((1, 2)), True, 1.0, anchored)
    assert abs(track[-1, 0, 0]) < 0.1, "it may be pushed a little, not along"


@pytest.mark.parametrize("robot", ROBOTS)
def test_teleport_reset_is_bit_equal_after_contacts(robot):
    rng = np.random.default_rng(2)
    n = 4
    place = 0.2 * rng.uniform(-1, 1, (1, n, 2)) + np.arange(n)[None, :, None] * 0.15
    yaw = np.zeros((1, n))
    commands = rng.uniform(-1, 1, (15, 1, n, 2)) * np.asarray(policy_spec(robot).action_bound)
    physics = make_physics("pybullet", model_of(robot), 1, n, 3.0, True)
    tracks = []
    for _ in range(2):
        physics.reset(place, yaw, np.ones((1, n), bool))
        for command in commands:
            physics.advance(command, np.zeros((1, n), bool), 0.1)
        tracks.append(physics.bodies.position.copy())
    np.testing.assert_array_equal(*tracks)


def test_unknown_backend():
    with pytest.raises(ConfigError, match="choose one of: batched, numpy, pybullet"):
        make_physics("gazebo", model_of("epuck"), 1, 1, 1.0, False)
    with pytest.raises(ConfigError, match="unknown robot class"):
        model_of("turtle")


@pytest.mark.parametrize("robot", ["epuck", "crazyflie"])
@pytest.mark.parametrize("envs", [1, 3])
def test_teams_larger_than_a_block_move_as_they_would_without_blocks(robot, envs):
    shape = (model_of(robot), envs, 150)
    compiled, plain = (Blocks(*shape, compiled=way) for way in (True, False))
    rng = np.random.default_rng(0)
    place, command = rng.normal(size=(envs, 150, 3)), rng.uniform(-0.1, 0.1, (envs, 150, 2))
    for blocks in (compiled, plain):
        blocks.put(Row.POSITION, place)
        blocks.put(Row.COMMAND, command)
        assert (blocks.get(Row.POSITION, 3) == place).all()
        blocks.advance(24)
    np.testing.assert_allclose(compiled.get(0, STATE), plain.get(0, STATE), atol=1e-9)
    moved, some = compiled.get(Row.POSITION, 3), np.array([envs - 1])
    assert (compiled.take(some)[0, :, :3] == moved[-1]).all()
    compiled.give(some, plain.take(some))
    assert (compiled.get(Row.POSITION, 3)[-1] == plain.get(Row.POSITION, 3)[-1]).all()
    with pytest.raises(ConfigError, match="150 robots in a team; this backend moves at most 64"):
        compiled.narrow()
