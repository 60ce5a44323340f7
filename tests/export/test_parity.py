"""Checkpoint to graph to bundle: parity for every team size, and the invariants of the file."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.export import parity
from swarmhold.export.cli import main
from swarmhold.export.graph import to_onnx
from swarmhold.export.parity import TEAM_SIZES, TOLERANCE, compare
from swarmhold.export.seal import record
from swarmhold.hardware.bundle import INPUTS, OUTPUTS, open_bundle
from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.signing import load_public, new_key
from swarmhold.hardware.spec import ROBOTS, policy_spec
from swarmhold.hardware.types import Observation
from swarmhold.policies.attention import HealthAttentionActor
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.evaluate import torch_policy
from swarmhold.policies.train import train
from swarmhold.sim.env import SwarmEnv

Feeds = dict[str, np.ndarray]


def make_actor(robot: str) -> HealthAttentionActor:
    torch.set_num_threads(1)
    torch.manual_seed(11)
    actor = HealthAttentionActor(policy_spec(robot))
    with torch.no_grad():
        for name, value in actor.named_parameters():
            if "null" in name or value.ndim == 1:
                value.normal_(0.0, 0.3)
            elif "head" in name:
                value.mul_(2.0)
    return actor.eval()


ACTORS = {robot: make_actor(robot) for robot in ROBOTS}
MODELS = {robot: to_onnx(ACTORS[robot], policy_spec(robot)) for robot in ROBOTS}
SESSIONS = {
    robot: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for robot, model in MODELS.items()
}


@pytest.fixture(scope="module", params=[("rendezvous", "epuck"), ("coverage", "crazyflie")])
def recorded(request: pytest.FixtureRequest) -> tuple[str, Observation]:
    scenario, robot = request.param
    env = SwarmEnv(scenario, robot, 2, 4, seed=1)
    seen = record(env, torch_policy(ACTORS[robot]), every=20)
    env.close()
    return robot, seen


def test_parity_over_all_team_sizes(recorded: tuple[str, Observation]) -> None:
    robot, seen = recorded
    found = compare(ACTORS[robot], MODELS[robot], policy_spec(robot), seen)
    assert found.worst <= TOLERANCE
    assert (TEAM_SIZES.start, TEAM_SIZES.stop - 1) == (2, 50)
    assert found.cases >= 49


def test_parity_notices_another_network(recorded: tuple[str, Observation]) -> None:
    robot, seen = recorded
    other = HealthAttentionActor(policy_spec(robot))
    assert compare(other, MODELS[robot], policy_spec(robot), seen).worst > 1e-3


@pytest.mark.parametrize("output", [0, 1])
def test_parity_notices_a_single_nan(recorded: tuple[str, Observation], output: int) -> None:
    """One value that is not finite, at one team size, in either output, is the worst result."""
    robot, seen = recorded

    def broken(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = ACTORS[robot](*inputs)
        if inputs[1].shape[1] == 6:
            outputs[output][0, 0] = float("nan")
        return outputs

    found = compare(broken, MODELS[robot], policy_spec(robot), seen)  # type: ignore[arg-type]
    assert found.worst == float("inf")
    assert found.worst_size == 7


@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_graph_is_one_checked_file_with_free_axes(robot: str) -> None:
    model = onnx.load_from_string(MODELS[robot])
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert [item.name for item in model.graph.input] == list(INPUTS)
    assert [item.name for item in model.graph.output] == list(OUTPUTS)
    shape = [d.dim_param for d in model.graph.input[1].type.tensor_type.shape.dim]
    assert shape[0] and shape[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, as short as can be."""
    run = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(
        scenario="brief", robots=4, teams=2, warm_start=0, iterations=1, width=16, heads=2
    )
    return train(config, run, False, lambda *_: None)


def draw(robot: str, seed: int, mates: int, spots: int, batch: int) -> Feeds:
    rng, spec = np.random.default_rng(seed), policy_spec(robot)
    feeds = {
        "self": rng.normal(size=(batch, spec.self_size)),
        "team": rng.normal(size=(batch, mates, spec.team_size)),
        "health": rng.uniform(0.1, 1.0, (batch, mates)),
        "obstacles": rng.normal(size=(batch, spots, spec.obstacle_size)),
        "obstacle_mask": (rng.random((batch, spots)) < 0.8).astype(float),
    }
    return {name: value.astype(np.float32) for name, value in feeds.items()}


cases = given(
    robot=st.sampled_from(sorted(ROBOTS)),
    seed=st.integers(0, 10**6),
    mates=st.integers(1, 49),
    spots=st.integers(1, 30),
    batch=st.integers(1, 4),
)


@settings(max_examples=60, deadline=None)
@cases
def test_file_agrees_with_torch(robot: str, seed: int, mates: int, spots: int, batch: int) -> None:
    feeds = draw(robot, seed, mates, spots, batch)
    with torch.no_grad():
        wanted = ACTORS[robot](*(torch.from_numpy(feeds[name]) for name in INPUTS))
    bound = np.asarray(policy_spec(robot).action_bound)
    action, attention = SESSIONS[robot].run(OUTPUTS, feeds)
    assert np.abs((action - wanted[0].numpy()) / bound).max() <= TOLERANCE
    assert np.abs(attention - wanted[1].numpy()).max() <= TOLERANCE


@settings(max_examples=60, deadline=None)
@given(
    robot=st.sampled_from(sorted(ROBOTS)),
    seed=st.integers(0, 10**6),
    mates=st.integers(1, 20),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e30]),
)
def test_invariants_hold_in_the_file(robot: str, seed: int, mates: int, bad: float) -> None:
    session, feeds = SESSIONS[robot], draw(robot, seed, mates, 4, 2)
    bound = np.asarray(policy_spec(robot).action_bound)
    action, attention = session.run(OUTPUTS, feeds)
    extra = np.full((2, 1, feeds["team"].shape[-1]), bad, np.float32)

    def more(token: np.ndarray, *weights: float) -> list[np.ndarray]:
        grown = dict(feeds)
        for weight in weights:
            grown["team"] = np.concatenate([grown["team"], token], axis=1)
            column = np.full((2, 1), weight, np.float32)
            grown["health"] = np.concatenate([grown["health"], column], axis=1)
        return session.run(OUTPUTS, grown)

    masked, shares = more(extra, 0.0)
    assert np.abs((masked - action) / bound).max() <= TOLERANCE  # 0 is removal, whatever it says
    assert (shares[:, mates] == 0.0).all()
    kept = np.delete(shares, mates, axis=1)
    assert np.abs(kept - attention).max() <= TOLERANCE
    twin = feeds["team"][:, :1]
    one, two = more(twin, 1.0)[0], more(twin, 0.5, 0.5)[0]
    assert np.abs((one - two) / bound).max() <= TOLERANCE
    alone, null = session.run(OUTPUTS, feeds | {"health": np.zeros_like(feeds["health"])})
    assert np.isfinite(alone).all()
    assert (null[:, -1] == 1.0).all()


def test_export_verb_seals_a_bundle_that_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: Path
) -> None:
    out = tmp_path / "bundle"
    public, key = new_key(tmp_path / "lab.pem")
    sign = ["--sign", str(tmp_path / "lab.pem")]
    assert main([str(trained), "--out", str(out), *sign, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    bundle = open_bundle(out, load_public([public]))
    assert bundle.signed_by == figures["signed_by"] == key.id
    assert bundle.digest == figures["digest"]
    assert figures["parity"]["worst"] <= TOLERANCE
    assert bundle.manifest.team_sizes_trained == (3, 4)
    assert bundle.health.monitor.mismatch_m > 0.0
    assert bundle.health.normality.limit_s > 0.0
    assert "Limits" in (out / "model_card.md").read_text()


def test_golden_vectors_that_are_not_finite_are_refused(tmp_path: Path, trained: Path) -> None:
    """NaN minus anything is NaN, and NaN must not pass as "not larger than the limit"."""
    out = tmp_path / "bundle"
    assert main([str(trained), "--out", str(out)]) == 0
    with np.load(out / "golden.npz") as stored:
        vectors = {name: stored[name] for name in stored.files}
    vectors["case1_action"][0] = np.nan
    np.savez(out / "golden.npz", **vectors)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = sha256((out / "golden.npz").read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="golden"):
        open_bundle(out)


def test_export_refuses_a_graph_that_differs(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmhold.export.seal.to_onnx", lambda *_: MODELS["epuck"])
    with pytest.raises(BundleError, match="nothing was sealed"):
        main([str(trained), "--out", str(tmp_path / "bundle")])
    assert not (tmp_path / "bundle").exists()


def test_golden_vectors_hold_several_team_sizes(recorded: tuple[str, Observation]) -> None:
    robot, seen = recorded
    with np.load(io.BytesIO(parity.golden(MODELS[robot], seen))) as stored:
        sizes = {stored[name].shape[1] for name in stored.files if name.endswith("_team")}
    assert len(sizes) >= 3
