"""Datasets go to OG-MARL's vaults and come back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.sim.dataset import vault
from swarmhold.sim.dataset.cli import main
from swarmhold.sim.dataset.layout import Behaviour
from swarmhold.sim.dataset.reader import open_dataset

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import built, recorded


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
