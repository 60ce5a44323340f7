"""Ranges of what each robot has of its own: latency, wheels, drag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.ground import needs
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.late import Late
from swarmhold.sim.world import World

E, N = 16, 4


def travelled(robot: str, weather: Disturbances, steps: int) -> np.ndarray:
    """(E, N) m that robots get within some decisions, all told to go straight at half speed."""
    env = SwarmEnv("coverage", robot, E, N, contacts=False, seed=3, disturbances=weather)
    start = env.reset(episode=0).truth.position
    setpoint = np.zeros((E, N, 2))
    setpoint[..., 0] = 0.5 * env.spec.action_bound[0]
    for _ in range(steps):
        step = env.step(setpoint)
    env.close()
    return np.asarray(np.linalg.norm(step.truth.position - start, axis=-1))


def test_wheels_differ_as_the_range_says() -> None:
    plain = travelled("epuck", Disturbances(), 8)
    scaled = travelled("epuck", Disturbances(wheel_scale=(0.8, 1.2)), 8)
    share = scaled / np.median(plain)
    assert 0.79 < share.min() < 0.85 and 1.15 < share.max() < 1.21
    assert len(np.unique(share.round(4))) > E * N // 2, "each robot has its own"


def test_a_latency_need_not_be_whole_decisions() -> None:
    """At constant speed a latency is way that is missing: speed times latency."""
    plain = np.median(travelled("epuck", Disturbances(), 8))
    for latency in (0.04, 0.1, 0.25):
        late = np.median(travelled("epuck", Disturbances(latency_s=(latency, latency)), 8))
        assert (plain - late) / (0.5 * 0.1507) == pytest.approx(latency, abs=0.006)
    whole = travelled("epuck", Disturbances(action_delay_s=0.2), 8)
    exact = travelled("epuck", Disturbances(latency_s=(0.2, 0.2)), 8)
    np.testing.assert_allclose(whole, exact, atol=1e-12)


def test_more_drag_is_less_way() -> None:
    plain = travelled("crazyflie", Disturbances(), 20)
    dragged = travelled("crazyflie", Disturbances(drag_scale=(2.0, 2.0)), 20)
    # At rest 3 (v_set - v) = drag v: the law of the on-board controller.
    expected = (3.0 + 0.35) / (3.0 + 0.7)
    assert np.median(dragged / plain) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    "wrong", [{"latency_s": (0.2, 0.1)}, {"wheel_scale": (0.0, 1.0)}, {"drag_scale": (1.0, 99.0)}]
)
def test_ranges_that_make_no_sense_are_refused(wrong: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="rising order"):
        Disturbances(**wrong)  # type: ignore[arg-type]


def test_a_set_point_arrives_after_the_robot_s_own_latency() -> None:
    late = Late(np.array([0.0, 0.03, 0.1]), 0.01)
    held = np.zeros(3, bool)
    seen: list[tuple[float, list[float], list[bool]]] = []
    now = 0.0
    for asked in (1.0, 2.0, 3.0):
        for lasts, goal, idle in late.pieces(now, 0.05, np.full((3, 1), asked), held):
            seen.append((round(lasts, 6), goal[:, 0].tolist(), idle.tolist()))
        now += 0.05
    assert seen == [
        (0.03, [1.0, 0.0, 0.0], [False, True, True]),
        (0.02, [1.0, 1.0, 0.0], [False, False, True]),
        (0.03, [2.0, 1.0, 0.0], [False, False, True]),
        (0.02, [2.0, 2.0, 0.0], [False, False, True]),
        (0.03, [3.0, 2.0, 1.0], [False, False, False]),
        (0.02, [3.0, 3.0, 1.0], [False, False, False]),
    ]


def test_hidden_parameters_are_read_strictly_and_off_by_default() -> None:
    assert parse_hidden([], 3).plain
    found = parse_hidden(["latency=0.06", "wheel_scale:2=0.85"], 3)
    assert found.latency.tolist() == [0.06] * 3 and found.wheel_scale.tolist() == [1, 1, 0.85]
    for word, told in (
        ("latncy=1", "did you mean 'latency'"),
        ("latency=fast", "not NAME=VALUE"),
        ("drag=99", "must lie in 0 to 10"),
        ("drag:3=1", "robot 3 of 3"),
    ):
        with pytest.raises(ConfigError, match=told):
            parse_hidden([word], 3)


def test_robots_behind_links_hide_nothing_of_ours(tmp_path: Path) -> None:
    each = (Options(link="crazyflie:udp://127.0.0.1:1"),)
    config = FleetConfig(tmp_path, 1, tmp_path, each=each, hidden=("drag=2",))
    with pytest.raises(ConfigError, match="tell it to emulate"):
        needs(config)
    with pytest.raises(ConfigError, match="must lie in"):
        needs(FleetConfig(tmp_path, 1, tmp_path, hidden=("drag=-2",)))


def test_a_hidden_robot_moves_otherwise() -> None:
    def way(*words: str) -> np.ndarray:
        world = World("coverage", "epuck", 3, 1, hidden=parse_hidden(words, 3))
        start = world.position.copy()
        for _ in range(12):
            world.advance(0.05, np.tile([0.1, 0.0], (3, 1)), np.zeros(3, bool))
        world.close()
        return np.linalg.norm(world.position - start, axis=-1)

    plain, other = way(), way("wheel_scale:1=0.5", "latency:2=0.3")
    np.testing.assert_allclose(other / plain, [1.0, 0.5, 0.5], atol=0.02)
