"""`swarmhold replay`: what cannot be replayed is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.replay_cli import main


def flight(folder: Path, **changed: object) -> Path:
    folder.mkdir()
    about = {
        "event": "flight", "t": 1.0, "bundle": "gone", "digest": "0" * 64, "robots": 2,
        "robot": "epuck", "reweight": True, "entities": "none", **changed,
    }  # fmt: skip
    (folder / "events.jsonl").write_text(json.dumps(about) + "\n")
    return folder


def test_what_cannot_be_replayed_is_one_line(
    tmp_path: Path, rendezvous_bundle: Path, coverage_bundle: Path
) -> None:
    with pytest.raises(ConfigError, match="no flight folder"):
        main([str(tmp_path)])
    other = flight(tmp_path / "other", bundle=str(rendezvous_bundle))
    with pytest.raises(ConfigError, match="no longer the bundle that flew"):
        main([str(other)])
    quads = flight(tmp_path / "quads", robot="crazyflie")
    with pytest.raises(ConfigError, match="the bundle is for epucks"):
        main([str(quads), "--bundle", str(coverage_bundle)])
    empty = flight(tmp_path / "empty")
    with pytest.raises(ConfigError, match="holds no recording"):
        main([str(empty), "--bundle", str(coverage_bundle)])
    (tmp_path / "never").mkdir()
    (tmp_path / "never/events.jsonl").write_text('{"event": "ended", "t": 1.0}\n')
    with pytest.raises(ConfigError, match="never started"):
        main([str(tmp_path / "never")])
