"""`swarmhold bench train` measures in turns, and names what is missing."""

from __future__ import annotations

import json

import pytest

from swarmhold.export.bench import main
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies import bench

TINY = ["train", "--rounds", "1", "--seconds", "0.01", "--teams", "2", "--width", "16"]


def test_the_object_for_programs_and_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "RETURNS", bench.RETURNS.model_copy(update={"teams": 1}))
    few = bench.SHARED_OUT.model_copy(update={"robots": 3, "teams": 17, "width": 16})
    monkeypatch.setattr(bench, "SHARED_OUT", few)
    more = ["--returns", "2", "--iterations", "1", "--workers", "2"]
    assert main([*TINY, "--json", *more]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out.splitlines()[-1])
    wanted = {"update_over_plain", "update_over_plain_with_mir", "update_separate_over_plain"}
    assert wanted <= found["ratios"].keys() and all(x > 0 for x in found["ratios"].values())
    assert sum(row["median"] for row in found["shares"].values()) == pytest.approx(1.0)
    assert 0 < found["simulator_share"] < 1
    assert found["team_steps_per_cpu_s"]["end_to_end"]["median"] > 0
    assert found["mode"] in ("f32", "bf16") and found["machine"]["torch"]
    assert "sb3: left out" in printed.err and "end_to_end_over_sb3" not in found["ratios"]
    assert found["workers_over_one"]["median"] > 0
    assert all(len(row["values"]) == 2 for row in found["returns"].values())
    monkeypatch.setattr(bench, "bench_train", lambda *_: found)
    assert main(TINY) == 0
    text = capsys.readouterr().out
    assert "update_over_plain" in text and "share of an iteration" in text
    assert text.count("(95 %), n = 2") == 3


def test_interval_is_students() -> None:
    found = bench.interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2.0 and found["half_width"] == pytest.approx(2.484, abs=1e-3)


def test_wrong_arguments_are_one_line() -> None:
    for argv, message in (
        (["train", "--rounds", "0"], "at least one round"),
        (["train", "--peer", "gpd=/bin/python"], "with one of: sb3"),
        (["training"], "choose one of: sim, ground, train"),
    ):
        with pytest.raises(ConfigError, match=message):
            main(argv)
