"""The card says what is in a dataset, and what one should not learn from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset import writer
from swarmhold.sim.dataset.cli import main

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import BUNDLES, built, recorded


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
