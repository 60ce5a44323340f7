"""`swarmhold finetune`: from a dataset and a run to the next run, or to a refusal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.hardware.cli.main import main
from swarmhold.hardware.spec import policy_spec
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.offline import finetune as rounds
from swarmhold.policies.offline.view import Transitions, rolled
from swarmhold.sim.env import SwarmEnv

sys.path.insert(0, str(Path(__file__).parent))
from tiny_run import CONFIG, make_run

layout = pytest.importorskip("swarmhold.sim.dataset.layout")
kinds = pytest.importorskip("swarmhold.sim.dataset.manifest")
writer = pytest.importorskip("swarmhold.sim.dataset.writer")

SPEC = policy_spec("epuck")


def arrays_of(data: Transitions, slices: dict, wrong: bool) -> dict[str, np.ndarray]:
    """A recording as a dataset's arrays."""
    count, robots = data.alive.shape
    blocks = [data.obs[name].reshape(count, robots, -1) for name in slices]
    found = {name: getattr(data, name) for name in Transitions.__dataclass_fields__}
    found["obs"] = np.concatenate(blocks, axis=-1)
    found["act_applied"] = -np.sign(data.act_policy + 1e-9) if wrong else data.act_applied
    return {
        **found,
        "injected": np.zeros((count, robots), np.uint8),
        "attn_mask": (data.health > 0).astype(np.uint8),
        "t_ns": np.arange(count, dtype=np.int64),
        "tick_age": np.zeros((count, robots), np.float32),
    }


def make_dataset(folder: Path, run: Path, wrong: bool = False) -> Path:
    actor = load_run(run)[1]
    env = SwarmEnv("rendezvous", "epuck", 8, 2, seed=5)
    data = [rolled(env, actor, 0.1, episode) for episode in (0, 1)]
    slots = data[0].obs["obstacles"].shape[2]
    slices = layout.observation_slices(SPEC, 2, slots)
    size = data[0].state.shape[1]
    state = {"robots": layout.Slice(start=0, stop=size, shape=(size,))}
    with writer.new_folder(folder) as part:
        shards, flights = [], []
        for number, one in enumerate(data):
            arrays = arrays_of(one, slices, wrong)
            shards += writer.write_shards(part, arrays, number, len(shards))
            flights.append(
                kinds.Source(
                    name=f"f{number}", files={}, bundle="b", seed=0, quality=kinds.Quality(),
                    split=(kinds.TRAIN, kinds.HELD_OUT)[number],
                )
            )  # fmt: skip
        writer.finish(
            part,
            kinds.Manifest(
                schema_version=kinds.SCHEMA, robot="epuck", robots=2, rate_hz=SPEC.rate_hz,
                action=kinds.Action(
                    names=("a", "b"), units=("1", "1"), frame="body", bound=SPEC.action_bound
                ),
                observation=slices, state=state, scenario="rendezvous", spec_digest="",
                reward=kinds.Reward(id="rendezvous", sha256=""), bundles=("b",), faults=("",),
                flights=flights, shards=shards, quality=kinds.Quality(),
            ),
        )  # fmt: skip
    return folder


def finetune(run: Path, data: Path, out: Path, *more: str) -> int:
    few = ["--steps", "60", "--critic-first", "30", "--episodes", "4", "--json"]
    return main(["finetune", str(run), "--data", str(data), "--out", str(out), *few, *more])


def test_a_policy_goes_on_learning_or_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "FAULT_KINDS", ("spoof",))
    run = make_run(tmp_path / "run")
    data = make_dataset(tmp_path / "data", run)
    code = finetune(run, data, tmp_path / "next")
    told = json.loads(capsys.readouterr().out)
    assert len(told["dataset"]) == 64 and len(told["parent"]) == 64
    assert {"deviation", "critic", "simulator, nominal", "simulator, spoof"} <= set(told["gates"])
    assert code == (1 if told["refusals"] else 0) and (tmp_path / "next").exists() == (code == 0)
    if code == 0:
        config, _, progress = load_run(tmp_path / "next")
        assert config == CONFIG and progress["finetuned"]["parent"] == told["parent"]


def test_poisoned_or_foreign_data_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    wrong = make_dataset(tmp_path / "wrong", run, wrong=True)
    assert finetune(run, wrong, tmp_path / "next") == 2
    assert "do not cover the policy" in capsys.readouterr().err
    assert finetune(run, tmp_path, tmp_path / "next") == 2
    assert "no dataset" in capsys.readouterr().err
    assert finetune(run, wrong, tmp_path / "next", "--cap", "2") == 2
    assert "--cap 2" in capsys.readouterr().err
    assert not (tmp_path / "next").exists()
