"""Low-level flight: one contract, five backends; contact goes to PyBullet and comes back."""

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.flight import BACKENDS, OTHER, OWN, FlightSim, FlightTask

CALM = FlightTask(end_on_touch=False, episode_s=1e6, reach=1e6)


def fly(sim, actions):
    return np.array([sim.step(action)[0].copy() for action in actions])


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_backends_fly_the_same(backend):
    rng = np.random.default_rng(1)
    actions = rng.uniform(-0.05, 0.05, (40, 3, 4, 4))
    track = fly(FlightSim(3, 4, backend, np.float64, seed=5), actions)
    assert track.shape == (40, 3, 4, OWN + 3 * OTHER)
    reference = fly(FlightSim(3, 4, "numpy", np.float64, seed=5), actions)
    assert np.abs(track - reference).max() < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_episodes_end_and_start_anew_the_same_everywhere(backend):
    rng = np.random.default_rng(2)
    actions = rng.uniform(-1, 1, (60, 4, 1, 4))
    actions[:, 0] = 0.0
    task = FlightTask(episode_s=0.9, reach=0.5)
    sims = [FlightSim(4, 1, name, np.float64, seed=3, task=task) for name in (backend, "numpy")]
    ends = limits = 0
    for action in actions:
        for sim in sims:
            sim.step(action)
        mine, other = sims
        np.testing.assert_array_equal(mine.terminated, other.terminated)
        np.testing.assert_array_equal(mine.truncated, other.truncated)
        assert np.abs(mine.observation - other.observation).max() < 1e-6
        assert np.abs(mine.reward - other.reward).max() < 1e-6
        ends, limits = ends + mine.terminated.sum(), limits + mine.truncated.sum()
    assert ends > 4 and limits >= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_contact_ends_the_episode(backend):
    sim = FlightSim(2, 2, backend, np.float64, seed=3)
    fall = np.zeros((2, 2, 4))
    fall[0, 0] = -0.6
    ended = np.zeros(2, bool)
    for _ in range(60):
        sim.step(fall)
        ended |= sim.terminated
        if sim.terminated[0]:
            assert sim.touched[0, 0] and sim.reward[0, 0] < -1.0
    assert ended.tolist() == [True, False]


@pytest.mark.parametrize("backend", BACKENDS)
def test_masked_reset_touches_the_masked_and_replays_bit_for_bit(backend):
    rng = np.random.default_rng(4)
    actions = rng.uniform(-1, 1, (60, 4, 2, 4))
    sim = FlightSim(4, 2, backend, np.float64, task=CALM, auto_reset=False)
    sim.reset(seed=[7, 8, 9, 10])
    first = fly(sim, actions)
    before = sim.state
    mask = np.array([True, False, True, False])
    sim.reset(mask, seed=[7, 8, 9, 10])
    np.testing.assert_array_equal(sim.state[~mask], before[~mask])
    again = fly(sim, actions)
    np.testing.assert_array_equal(again[:, mask], first[:, mask])
    other = FlightSim(4, 2, backend, np.float64, task=CALM, auto_reset=False)
    other.reset(seed=[70, 8, 9, 10])
    assert np.abs(other.observation[0] - first[0, 0]).max() > 1e-3, "seeds matter"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_snapshot_goes_on_bit_for_bit(backend, dtype):
    rng = np.random.default_rng(5)
    actions = rng.uniform(-1, 0.6, (60, 4, 2, 4))
    sim = FlightSim(4, 2, backend, dtype, task=CALM, auto_reset=False, drag=False)
    fly(sim, actions[:30])
    saved = sim.snapshot()
    first = fly(sim, actions[30:])
    sim.restore(saved)
    np.testing.assert_array_equal(fly(sim, actions[30:]), first)


def test_contact_is_pybullets_and_goes_back_to_the_twin():
    sims = [FlightSim(20, 2, name, np.float64, task=CALM) for name in ("mixed", "pybullet-native")]
    down, up = np.full((20, 2, 4), -0.2), np.full((20, 2, 4), 0.2)
    down[::2] = up[::2] = 0.0
    inside = []
    for action in [down] * 100 + [up] * 60:
        for sim in sims:
            sim.step(action)
        inside.append(sims[0]._bodies.inside.copy())
        assert np.abs(sims[0].state - sims[1].state).max() < 1e-6
    inside = np.array(inside)
    assert not inside[:, ::2].any(), "teams that hover stay in the twin"
    assert inside[95, 1::2].all() and sims[0].state[1, 0, 2] > 0.2 and not inside[-1].any()


def test_teams_fill_more_than_one_server():
    sim = FlightSim(40, 2, "mixed", np.float64, task=CALM)
    for _ in range(70):
        sim.step(np.full((40, 2, 4), -0.5))
    assert sim._bodies.inside.all() and len(sim._bodies._pools) == 3
    assert sim._bodies.touching.all() and (sim.state[..., 2] > 0.06).all()


@pytest.mark.parametrize("backend", ["batched", "numpy", "pybullet-native"])
def test_faults_and_weather_reach_the_rotors(backend):
    weather = Disturbances(wind=1.5, mass=0.2)
    calm = FlightSim(2, 2, backend, np.float64, auto_reset=False)
    rough = FlightSim(2, 2, backend, np.float64, disturbances=weather, auto_reset=False)
    plan = [[FaultSpec("motor_off", 0, 0.2)], []]
    for sim in (calm, rough):
        sim.reset(seed=3, faults=plan if sim is calm else None)
    hover = np.zeros((2, 2, 4))
    for _ in range(40):
        calm.step(hover)
        rough.step(hover)
    drop = calm.state[..., 2]
    assert drop[0, 0] < drop[0, 1] - 0.1 and abs(drop[1, 0] - drop[1, 1]) < 0.4
    drift = np.linalg.norm(rough.state[..., :2] - calm.state[..., :2], axis=-1)
    assert (drift[1] > 0.02).all()


def test_nonsense_actions_hover():
    sims = [FlightSim(1, 2, name, np.float64) for name in ("batched", "numpy")]
    bad = np.full((1, 2, 4), np.nan)
    bad[0, 1] = [np.inf, -np.inf, 9.0, -9.0]
    for sim in sims:
        sim.step(bad)
        assert np.isfinite(sim.observation).all()
    assert np.abs(sims[0].state[0, 0] - sims[1].state[0, 0]).max() < 1e-12


def test_wrong_arguments_are_one_line():
    with pytest.raises(ConfigError, match="choose one of: batched"):
        FlightSim(1, 1, "gazebo")
    with pytest.raises(ConfigError, match="at least 1"):
        FlightSim(0, 4)
    with pytest.raises(ConfigError, match="at most 64"):
        FlightSim(1, 65)
