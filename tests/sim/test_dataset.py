"""Recordings become datasets that say what was flown, and nothing that was not."""

from __future__ import annotations

import errno
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.sim.dataset import vault, writer
from swarmhold.sim.dataset.cli import main
from swarmhold.sim.dataset.layout import Behaviour, flat, part_of
from swarmhold.sim.dataset.manifest import FILE
from swarmhold.sim.dataset.reader import Dataset, open_dataset
from swarmhold.sim.dataset.ticks import join
from swarmhold.sim.dynamics import effort
from swarmhold.sim.field import Field
from swarmhold.sim.robots import model_of

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import Bend, Flight, Row

BUNDLES = Path(__file__).resolve().parents[2] / "export/swarmhold/export/bundles"


@cache
def flight(name: str = "coverage-epuck", seed: int = 3, **broken: Any) -> Flight:
    """Three robots for six seconds; `dead`, `lies` and so on name a robot, from 3 s on."""
    since = {what: {robot: 3.0} for what, robot in broken.items()}
    return Flight(open_bundle(BUNDLES / name), 3, 6.0, seed, **since)


def built(tmp_path: Path, *folders: Path, more: tuple[str, ...] = ()) -> Dataset:
    out = tmp_path / "dataset"
    assert main(["build", *map(str, folders), "--out", str(out), *more]) == 0
    return open_dataset(out)


def recorded(tmp_path: Path, bend: Bend | None = None, **broken: Any) -> Path:
    one = flight(**broken)
    return one.record(tmp_path / "flight", BUNDLES / "coverage-epuck", bend)


def lost(begin: float, end: float, part: str) -> Bend:
    """Messages that the recorder did not get: those with `part` in their topic."""

    def bend(row: Row) -> list[Row]:
        return [] if part in row[0] and begin <= row[1] < end else [row]

    return bend


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


def test_garbage_on_the_wire_gets_nowhere(tmp_path: Path) -> None:
    nan, far = (np.nan,) * 3, (1e38, np.inf, 0.0)
    worse: dict[str, dict[str, Any]] = {
        "sense": {"position": nan, "sighted": (200,), "sightings": (far,)},
        "state": {"position": far, "yaw": 1e30, "control_seq": 2**32 - 1},
        "status": {"mode": 200, "weights": (np.nan, 7.0, -1.0), "states": (99, 99, 99)},
        "health": {"states": (99, 255, 7)},
    }

    def bend(row: Row) -> list[Row]:
        kind, late = row[0].rpartition("/")[2], row[1] > 3.0
        if not late or ("robot" in row[0] and "robot_1" not in row[0]):
            return [row]
        if kind == "cmd_vel":
            return [row, (*row[:2], np.array([np.nan, np.inf]))]
        return [row, (row[0], row[1], replace(row[2], **worse[kind]))] if kind in worse else [row]

    data = built(tmp_path, recorded(tmp_path, bend))
    arrays = data.arrays()  # which are checked to be finite
    assert len(arrays["t_ns"]) > 25
    assert main(["card", str(data.folder)]) == 0


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.08])
def test_ticks_hold_one_decision_of_each_robot_whatever_their_beat(spread: float) -> None:
    rng, decisions, robots = np.random.default_rng(1), 50, 5
    phases = 1.0 + np.linspace(0.0, spread, robots)
    beats = np.arange(decisions) * 0.1 + rng.uniform(-0.002, 0.002, (robots, decisions))
    ticks = join(tuple(beats + phases[:, None]), 0.1)
    assert (ticks.index == np.arange(decisions)[:, None]).all() and not ticks.stale.any()
    assert (ticks.t == (beats + phases[:, None]).max(axis=0)).all()


def test_after_a_stop_nothing_is_learned(tmp_path: Path) -> None:
    def bend(row: Row) -> list[Row]:
        stop = ("/swarm/estop", row[1], True)
        return [row, stop] if row[0] == "/swarm/health" and row[1] == 4.0 else [row]

    folder = recorded(tmp_path, bend)
    data = built(tmp_path, folder)
    assert data.manifest.quality.estop == 20 and data.manifest.quality.ticks == 40
    kept = built(tmp_path / "kept", folder, more=("--keep", "estop"))
    behaviour = kept.arrays()["behaviour"]
    assert (behaviour[40:] == Behaviour.ESTOP).all() and not behaviour[:40].any()


SWAP = {"0": "1", "1": "0"}


@pytest.mark.parametrize("name", ["coverage-epuck", "pursuit-crazyflie"])
@pytest.mark.parametrize("kind", ["cmd_vel", "sense"])
def test_swapped_labels_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    """Of commands, or as if a localisation took one robot for the other from 2 s on."""

    def bend(row: Row) -> list[Row]:
        robot = row[0].removeprefix("/robot_")[0]
        late = kind == "cmd_vel" or row[1] >= 2.0
        other = SWAP.get(robot, robot) if row[0].endswith(kind) and late else robot
        return [(row[0].replace(f"/robot_{robot}", f"/robot_{other}"), *row[1:])]

    folder = flight(name).record(tmp_path / "flight", BUNDLES / name, bend, truth=False)
    with pytest.raises(
        ConfigError, match=r"labels are swapped \(what robot 0 was told moved robot 1"
    ):
        built(tmp_path, folder)


def test_what_somebody_else_commands_is_left_out(tmp_path: Path) -> None:
    folder = recorded(tmp_path, teleop=1)
    data = built(tmp_path, folder)
    assert data.manifest.quality.teleop == pytest.approx(30, abs=4)
    assert (data.arrays()["behaviour"] == Behaviour.POLICY).all()
    kept = built(tmp_path / "kept", folder, more=("--keep", "teleop")).arrays()
    assert (kept["behaviour"][35:, 1] == Behaviour.TELEOP).all()
    assert not kept["behaviour"][:, [0, 2]].any() and not kept["fault"].any()


@pytest.mark.parametrize("what", ["lies", "stuck"])
def test_who_lies_or_does_not_obey_is_marked_and_counts_for_nothing(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = built(tmp_path, recorded(tmp_path, **{what: 1}))
    assert "marked as faulty" in capsys.readouterr().err
    arrays, quality = data.arrays(), data.manifest.quality
    assert quality.lying == (pytest.approx(30, abs=5) if what == "lies" else 0)
    bad = arrays["fault"] == 3
    assert bad[40:, 1].all() and not bad[:, [0, 2]].any() and not bad[:20, 1].any()
    others = built(tmp_path / "others", recorded(tmp_path / "others"))
    assert not others.arrays()["fault"].any()


def test_a_robot_that_is_known_to_be_broken_keeps_its_ticks(tmp_path: Path) -> None:
    told = (("adversary", 1, 3.0),)
    folder = flight(teleop=1).record(tmp_path / "flight", BUNDLES / "coverage-epuck", faults=told)
    data = built(tmp_path, folder)
    arrays = data.arrays()
    assert (data.manifest.quality.teleop, data.manifest.quality.ticks) == (0, 60)
    assert data.manifest.faults[arrays["injected"][50, 1]] == "adversary"
    assert (arrays["behaviour"][35:, 1] == Behaviour.TELEOP).all()


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


def test_what_cannot_be_built_is_one_line(tmp_path: Path) -> None:
    good = recorded(tmp_path)
    out = ("--out", str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="no flight folder"):
        main(["build", str(tmp_path), *out])
    other = flight("pursuit-crazyflie").record(tmp_path / "o", BUNDLES / "pursuit-crazyflie")
    with pytest.raises(ConfigError, match="has scenario pursuit"):
        main(["build", str(good), str(other), *out])
    alien = flight().record(tmp_path / "alien", BUNDLES / "coverage-epuck", digest="0" * 64)
    with pytest.raises(ConfigError, match="no longer the bundle"):
        main(["build", str(alien), *out])

    def flies(row: Row) -> list[Row]:
        other = row[0] == "/robot_2/state"
        return [(*row[:2], replace(row[2], bundle=7)) if other else row]

    with pytest.raises(ConfigError, match="robot 2 says that it flies another bundle"):
        main(["build", str(recorded(tmp_path / "mixed", flies)), *out])
    silent = recorded(tmp_path / "silent", lost(0.0, 9.0, "status"))
    with pytest.raises(ConfigError, match="no robot decides anything"):
        main(["build", str(silent), *out])
    file = next(good.glob("mcap/*.mcap"))
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(ConfigError, match="damaged or cut off"):
        main(["build", str(good), *out])
    with pytest.raises(ConfigError, match="did you mean 'build'"):
        main(["biuld"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_full_disk_and_ctrl_c_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: BaseException
) -> None:
    def fail(path: Path, **arrays: object) -> None:
        path.write_bytes(b"half")
        raise what

    monkeypatch.setattr(writer.np, "savez_compressed", fail)
    folder = recorded(tmp_path)
    with pytest.raises((ConfigError, KeyboardInterrupt)) as caught:
        built(tmp_path, folder)
    if isinstance(what, OSError):
        assert "cannot be written (No space left)" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["flight"]


def test_a_damaged_dataset_is_one_line(tmp_path: Path) -> None:
    folder = built(tmp_path, recorded(tmp_path)).folder
    shard, raw = folder / "shard-0000.npz", (folder / "shard-0000.npz").read_bytes()
    for bad in (raw[:-100], raw[:500] + bytes([raw[500] ^ 1]) + raw[501:]):
        shard.write_bytes(bad)
        with pytest.raises(ConfigError, match="is not the shard that was built"):
            open_dataset(folder).arrays()
    shard.write_bytes(raw)
    with np.load(shard) as file:
        arrays = dict(file)
    arrays["reward"][7, 1] = np.nan
    np.savez(shard, **arrays)
    manifest = json.loads((folder / FILE).read_text())
    manifest["shards"][0]["sha256"] = writer.hashlib.sha256(shard.read_bytes()).hexdigest()
    (folder / FILE).write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="reward is not finite at tick 7"):
        open_dataset(folder).arrays()
    shard.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        open_dataset(folder).arrays()
    (folder / FILE).write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(ConfigError, match="schema 99"):
        open_dataset(folder)
    (folder / FILE).write_text("{")
    with pytest.raises(ConfigError, match="no manifest of a dataset"):
        open_dataset(folder)
    with pytest.raises(ConfigError, match="is no dataset"):
        open_dataset(tmp_path)


def test_the_card_says_what_is_in_a_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = built(tmp_path, recorded(tmp_path, dead=1))
    arrays = data.arrays()
    told = ["card", str(data.folder), "--bundle", str(BUNDLES / "coverage-epuck"), "--json"]
    capsys.readouterr()
    assert main(told) == 0
    card = json.loads(capsys.readouterr().out)
    acts = arrays["alive"] & (arrays["fault"] == 0)
    off = np.abs(arrays["act_applied"] - arrays["act_policy"]).mean(axis=-1)[acts]
    assert card["distance"]["median"] == pytest.approx(np.median(off), abs=1e-4), "it is what flew"
    assert sum(card["distance"]["counts"]) == acts.sum()
    assert card["returns"]["mean"] == pytest.approx(arrays["reward"][:, 0].sum(), abs=1e-3)
    assert card["faults"]["lost"] == pytest.approx(1.0 / 6.0, abs=0.01)
    assert card["behaviour"]["failsafe"] == pytest.approx(1.0 / 6.0, abs=0.01)
    assert 0.3 < card["coverage"]["joint_pairs_per_tick"] <= 1.0
    page = Path(card["page"]).read_text()
    assert page.count("<svg") == 2 and "<script" not in page and "http" not in page
    other = [*told[:3], str(BUNDLES / "coverage-crazyflie")]
    with pytest.raises(ConfigError, match="is for crazyflies"):
        main(other)


def test_labels_that_were_swapped_since_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = built(tmp_path, recorded(tmp_path))
    arrays, card = dict(data.arrays()), ["card", str(data.folder), "--json"]
    capsys.readouterr()
    assert main(card) == 0 and json.loads(capsys.readouterr().out)["confused"] == []
    for name in ("act_applied", "act_policy"):
        arrays[name] = arrays[name][:, [0, 2, 1]]
    shards = writer.write_shards(data.folder, arrays, 0, 0)
    writer.finish(data.folder, data.manifest.model_copy(update={"shards": tuple(shards)}))
    assert main(card) == 0
    assert json.loads(capsys.readouterr().out)["confused"] == [[1, 2], [2, 1]]
    assert main(card[:2]) == 0
    assert "do not learn from this: labels are swapped" in capsys.readouterr().out


def test_a_vault_holds_what_the_dataset_holds(tmp_path: Path) -> None:
    pytest.importorskip("flashbax", reason="flashbax is not installed (extra: vault)")
    folders = recorded(tmp_path, dead=1), recorded(tmp_path / "more", seed=4)
    data = built(tmp_path, *folders)
    place, back = tmp_path / "team.vlt", tmp_path / "back"
    parts = [str(place / "train"), str(place / "held-out")]
    assert main(["export", str(data.folder), "--out", str(place)]) == 0
    assert main(["import", *parts, "--out", str(back)]) == 0
    again = open_dataset(back)
    for split in ("train", "held-out"):
        arrays = data.arrays(split)
        for name, array in again.arrays(split).items():
            if name not in ("t_ns", "episode_id"):  # of which vaults know nothing
                assert np.array_equal(array, arrays[name]), name
    assert (np.diff(np.flatnonzero(np.diff(again.arrays()["episode_id"]))) > 1).all()
    assert again.manifest.observation == data.manifest.observation
    with pytest.raises(ConfigError, match="is no part of a vault"):
        main(["import", str(place), "--out", str(tmp_path / "x")])
    told = json.loads((place / "train/metadata.json").read_text())
    (place / "train/metadata.json").write_text(json.dumps({**told, "swarmhold": "{}"}))
    with pytest.raises(ConfigError, match="hold no manifest"):
        main(["import", parts[0], "--out", str(tmp_path / "x")])


def test_a_foreign_vault_is_taken_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, ticks = np.random.default_rng(0), 50
    ends = np.zeros((1, ticks, 2), bool)
    ends[0, 9::10] = True
    tree = {
        "observations": rng.normal(size=(1, ticks, 2, 6)),
        "actions": rng.uniform(-1.0, 1.0, (1, ticks, 2, 3)),
        "rewards": rng.normal(size=(1, ticks, 2)),
        "terminals": ends,
        "truncations": np.zeros_like(ends),
        "infos": {"state": rng.normal(size=(1, ticks, 8))},
    }
    monkeypatch.setattr(vault, "_read", lambda place: (tree, {}))
    assert main(["import", str(tmp_path / "a.vlt/Good"), "--out", str(tmp_path / "got")]) == 0
    data = open_dataset(tmp_path / "got")
    arrays, held = data.arrays(), data.arrays("held-out")
    assert arrays["act_applied"] == pytest.approx(tree["actions"][0], abs=1e-6)
    assert (np.bincount(arrays["episode_id"]) == 10).all() and set(held["episode_id"]) == {4}
    assert (arrays["behaviour"] == Behaviour.UNKNOWN).all()
    assert main(["card", str(data.folder)]) == 0
    assert "collected by others" in capsys.readouterr().out
    tree["actions"] = np.zeros((1, ticks, 2), int)
    with pytest.raises(ConfigError, match="discrete actions"):
        main(["import", str(tmp_path / "a.vlt/Good"), "--out", str(tmp_path / "other")])
    assert not (tmp_path / "other").exists()


def test_without_flashbax_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flashbax.vault", None)
    monkeypatch.setitem(sys.modules, "flashbax.buffers.trajectory_buffer", None)
    data = built(tmp_path, recorded(tmp_path))
    with pytest.raises(MissingExtraError, match=r"pip install 'swarmhold\[vault\]'"):
        main(["export", str(data.folder), "--out", str(tmp_path / "team.vlt")])
