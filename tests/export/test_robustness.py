"""The robustness page travels in the bundle, sealed like the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmhold.export.cli import main
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.policies import robustness
from swarmhold.policies.calibrate_cli import main as calibrate
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.learning.plan import Column
from swarmhold.policies.learning.tables import DOUBLE, NOMINAL
from swarmhold.policies.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(
        scenario="brief",
        robots=3,
        teams=2,
        warm_start=0,
        iterations=1,
        epochs=1,
        width=16,
        heads=2,
        minibatch=512,
    )
    return train(config, tmp_path_factory.mktemp("run"), False, lambda *_: None)


def test_page_and_figures_are_sealed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = (NOMINAL, Column("spoof", "spoof"), Column("one attacker", attack=200), DOUBLE)
    monkeypatch.setattr(robustness, "COLUMNS", cases)
    bundle = tmp_path / "bundle"
    assert main([str(run), "--out", str(bundle), "--robustness", "2"]) == 0
    assert {"robustness.md", "robustness.json"} <= set(open_bundle(bundle).manifest.files)
    page = (bundle / "robustness.md").read_text()
    table = json.loads((bundle / "robustness.json").read_text())
    assert len(table["rows"]) == 3 * len(cases)
    for case in cases:
        assert f"| {case.label} |" in page
    assert list(run.glob("attacker-*/attacker.safetensors"))  # learned once, found again
    again = tmp_path / "again"
    assert calibrate([str(bundle), "--out", str(again), "--teams", "1", "--robustness", "2"]) == 0
    anew = json.loads((again / "robustness.json").read_text())
    assert [(row["case"], row["weights"]) for row in anew["rows"]] == [
        (row["case"], row["weights"]) for row in table["rows"]
    ]
    for old, new in zip(table["rows"], anew["rows"], strict=True):  # the same policy, as a graph
        if old["case"] == "spoof" and old["weights"] != "supervisor":
            assert new["score"] == pytest.approx(old["score"], abs=1e-3)
    kept = tmp_path / "kept"
    assert calibrate([str(bundle), "--out", str(kept), "--keep", "--robustness", "2"]) == 0
    before, after = open_bundle(bundle), open_bundle(kept)
    assert after.health == before.health and after.digest != before.digest
    (bundle / "robustness.md").write_text(page.replace("0.", "1."))
    with pytest.raises(BundleError, match=r"robustness\.md is not the file that was sealed"):
        open_bundle(bundle)


def test_the_page_covers_what_it_should() -> None:
    labels = [column.label for column in robustness.COLUMNS]
    assert len(set(labels)) == len(labels)
    assert {"nominal", "spoof", "trained adversary", "N x 2", "adversary", "crash"} <= set(labels)


def test_what_keeps_all_and_makes_nothing_is_refused(run: Path, tmp_path: Path) -> None:
    assert main([str(run), "--out", str(tmp_path / "bundle")]) == 0
    with pytest.raises(ConfigError, match="--keep leaves nothing to do"):
        calibrate([str(tmp_path / "bundle"), "--out", str(tmp_path / "again"), "--keep"])


def test_one_episode_is_no_evidence(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2 episodes"):
        main([str(run), "--out", str(tmp_path / "bundle"), "--robustness", "1"])
