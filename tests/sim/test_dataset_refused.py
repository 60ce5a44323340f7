"""What cannot be built or read is one line, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset import writer
from swarmhold.sim.dataset.cli import main
from swarmhold.sim.dataset.manifest import FILE
from swarmhold.sim.dataset.reader import open_dataset

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import BUNDLES, Row, built, flight, lost, recorded


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
