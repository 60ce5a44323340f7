"""Recordings become datasets that say what was flown, and nothing that was not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.layout import flat, part_of
from swarmhold.sim.dataset.ticks import join
from swarmhold.sim.dynamics import effort
from swarmhold.sim.field import Field
from swarmhold.sim.robots import model_of

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import BUNDLES, Row, built, flight, lost, recorded


@pytest.mark.parametrize("name", ["coverage-epuck", "pursuit-crazyflie", "discovery-gritsbot"])
def test_what_is_built_is_what_was_seen_and_decided(tmp_path: Path, name: str) -> None:
    one = flight(name)
    data = built(tmp_path, one.record(tmp_path / "flight", BUNDLES / name))
    arrays, slices = data.arrays(), data.manifest.observation
    bound = np.asarray(data.manifest.action.bound)
    assert len(arrays["t_ns"]) == len(one.decided[0])
    for robot, decided in enumerate(one.decided):
        for k, (_, seen, action) in enumerate(decided):
            row = flat(seen, slices["obstacles"].shape[0])
            assert arrays["obs"][k, robot] == pytest.approx(row, abs=1e-5)
            assert arrays["act_policy"][k, robot] * bound == pytest.approx(action, abs=1e-4)
    assert arrays["alive"].all() and not arrays["fault"].any() and not arrays["terminal"].any()
    assert arrays["truncated"].sum() == 3 and arrays["truncated"][-1].all()
    assert data.manifest.quality.unlike_task == 0
    last = part_of(arrays["obs"][1:], slices, "self", "last_action")
    told = [row[2] for row in one.rows if row[0] == "/robot_1/cmd_vel"]
    assert last[:, 1] == pytest.approx(np.array(told)[1:-1:2] / bound, abs=1e-5)
    both = (np.array(told)[0:-1:2] + np.array(told)[1::2]) / 2.0
    assert arrays["act_applied"][: len(both), 1] == pytest.approx(both / bound, abs=1e-5)


@pytest.mark.parametrize("truth", [True, False])
def test_rewards_are_those_of_the_scenario(tmp_path: Path, truth: bool) -> None:
    one = flight()
    data = built(tmp_path, one.record(tmp_path / "f", BUNDLES / "coverage-epuck", truth=truth))
    arrays, field = data.arrays(), Field("coverage", "epuck", 3, 3)
    bound, nobody = np.asarray(data.manifest.action.bound), np.zeros(3, bool)
    after = part_of(arrays["state"], data.manifest.state, "robots", "position")[1:]
    heading = part_of(arrays["state"], data.manifest.state, "robots", "heading")[1:]
    for k, place in enumerate(after):
        work = effort(model_of("epuck"), arrays["act_applied"][k] * bound, bound)
        yaw = np.arctan2(heading[k, :, 1], heading[k, :, 0])
        reward = field.outcome(place, yaw, nobody, ~nobody, work).reward[0]
        assert arrays["reward"][k] == pytest.approx(reward, abs=1e-4)
    assert arrays["reward"].std() > 0.0
    where = {row[1]: row[2][0] for row in one.rows if row[0] == "/swarm/truth"}
    assert after[9] == pytest.approx(where[1.0], abs=0.002)


def test_a_dead_robot_ends_no_episode_and_counts_for_nothing(tmp_path: Path) -> None:
    data = built(tmp_path, recorded(tmp_path, dead=1))
    arrays, late = data.arrays(), slice(35, None)
    assert (data.manifest.quality.ticks, data.manifest.quality.episodes) == (60, 1)
    assert not arrays["alive"][late, 1].any() and arrays["alive"][:, [0, 2]].all()
    assert (arrays["fault"][late, 1] == 2).all() and not arrays["obs"][late, 1].any()
    assert not arrays["attn_mask"][late][:, [0, 2], 1].any()
    assert arrays["attn_mask"][1:30][:, [0, 2], 1].all()
    assert (np.diff(arrays["tick_age"][late, 1]) > 0.0).all()
    assert arrays["tick_age"][:, 0].max() < 0.06


def test_episodes_end_where_nobody_knows_what_followed(tmp_path: Path) -> None:
    data = built(tmp_path, recorded(tmp_path, lost(2.0, 3.0, "")))
    arrays, quality = data.arrays(), data.manifest.quality
    assert (quality.gaps, quality.episodes, quality.stale) == (1, 2, 0)
    step = np.diff(arrays["t_ns"]) * 1e-9
    same = np.diff(arrays["episode_id"]) == 0
    assert step[same].max() < 0.25 < step[~same].min()
    assert arrays["truncated"][:-1][~same].all() and not arrays["truncated"][:-1][same].any()


def test_one_missing_decision_is_bridged_and_several_are_left_out(tmp_path: Path) -> None:
    data = built(tmp_path, recorded(tmp_path, lost(2.0, 2.1, "robot_1/status")))
    assert (data.manifest.quality.stale, data.manifest.quality.episodes) == (0, 1)
    age = data.arrays()["tick_age"]
    assert age[:, 1].max() > 0.09 > age[:, 0].max()
    data = built(tmp_path / "more", recorded(tmp_path / "more", lost(2.0, 2.35, "robot_1/status")))
    assert (data.manifest.quality.stale, data.manifest.quality.episodes) == (4, 2)


def test_a_recording_that_is_cut_off_kills_nobody(tmp_path: Path) -> None:
    """Robots begin and end with it, each in the middle of a tick."""

    def bend(row: Row) -> list[Row]:
        first = row[0] in ("/robot_0/status", "/robot_2/status")
        return [] if first and (row[1] < 0.1 or row[1] > 5.85) else [row]

    data = built(tmp_path, recorded(tmp_path, bend))
    assert data.arrays()["alive"].all()
    assert (data.manifest.quality.stale, data.manifest.quality.ticks) == (1, 59)


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.08])
def test_ticks_hold_one_decision_of_each_robot_whatever_their_beat(spread: float) -> None:
    rng, decisions, robots = np.random.default_rng(1), 50, 5
    phases = 1.0 + np.linspace(0.0, spread, robots)
    beats = np.arange(decisions) * 0.1 + rng.uniform(-0.002, 0.002, (robots, decisions))
    ticks = join(tuple(beats + phases[:, None]), 0.1)
    assert (ticks.index == np.arange(decisions)[:, None]).all() and not ticks.stale.any()
    assert (ticks.t == (beats + phases[:, None]).max(axis=0)).all()


def test_whole_flights_are_held_out_whatever_their_order(tmp_path: Path) -> None:
    folders = [
        flight(seed=seed).record(tmp_path / f"f{seed}", BUNDLES / "coverage-epuck")
        for seed in (3, 4)
    ]
    one = built(tmp_path, *folders)
    other = built(tmp_path / "again", *reversed(folders))
    assert {f.name: f.split for f in one.manifest.flights} == {
        f.name: f.split for f in other.manifest.flights
    }
    held, rest = (set(one.arrays(split)["episode_id"]) for split in ("held-out", "train"))
    assert held and rest and not held & rest
    with pytest.raises(ConfigError, match="same recording"):
        built(tmp_path / "twice", folders[0], folders[0])
    alone = built(tmp_path / "alone", folders[0])
    assert alone.manifest.flights[0].split == "train"
    with pytest.raises(ConfigError, match="no held-out flights"):
        alone.arrays("held-out")
