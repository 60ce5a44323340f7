"""The loop on live robots that hide something: flown, recorded, fine-tuned, sealed, flown again."""

import hashlib
import json
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.main import main
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.report.recording import events_of
from swarmhold.policies.offline import finetune, finetune_cli
from swarmhold.policies.offline.priority import Focus, Gate
from swarmhold.policies.offline.tune import Plan
from swarmhold.sim.dataset.reader import open_dataset

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "policies"))
from fleet import orphans, wait_for
from tiny_run import make_run

pytestmark = pytest.mark.system
SECONDS = 4.0


def fly(folder, bundle, seed):
    hidden = ("latency=0.1", "wheel_scale=1.2")
    config = FleetConfig(bundle, 2, folder, seed=seed, hidden=hidden, processes=1)
    with Fleet(config) as fleet:
        assert wait_for(lambda: time.time() > fleet.started_at + SECONDS, SECONDS + 10.0)
        fleet.check(set())
    assert not orphans(str(folder))
    return next(one for one in events_of(folder) if one["event"] == "flight")["digest"]


def test_a_flown_bundle_comes_back_as_its_next_version(tmp_path, capsys, monkeypatch):
    run, one, two = (tmp_path / name for name in ("run-1", "version-1", "version-2"))
    assert main(["export", str(make_run(run)), "--out", str(one)]) == 0
    flights = [tmp_path / "monday", tmp_path / "tuesday"]
    for seed, folder in enumerate(flights):
        assert fly(folder, one, seed) == open_bundle(one).digest
    data, again = tmp_path / "field", tmp_path / "run-2"
    assert main(["dataset", "build", *map(str, flights), "--out", str(data)]) == 0
    few = ["--steps", "320", "--critic-first", "310", "--episodes", "4", "--json"]
    order = ["finetune", str(run), "--data", str(data), "--out", str(again), *few]
    assert main(order) == 2 and not again.exists()
    assert "effective sequences, fewer than 256" in capsys.readouterr().err
    small = partial(Plan, focus=Focus(floor=2.0), gate=Gate(least=2.0))
    monkeypatch.setattr(finetune_cli, "Plan", small)
    monkeypatch.setattr(finetune, "FAULT_KINDS", ())
    code = main(order)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and told["refusals"] == []
    assert main(["export", str(again), "--out", str(two), "--version", "2"]) == 0
    old, new = open_bundle(one), open_bundle(two)
    assert (old.manifest.version, new.manifest.version) == (1, 2) and old.digest != new.digest
    origin = new.manifest.training["finetuned"]
    assert origin["dataset"] == open_dataset(data).digest
    parent = hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest()
    assert origin["parent"] == parent and origin["gates"]["simulator, nominal"]["passed"]
    assert fly(tmp_path / "friday", two, 0) == new.digest
