"""Bundles: what is sealed opens, and whatever is wrong is one line and no flight."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from swarmhold.hardware.bundle import open_bundle, seal_bundle
from swarmhold.hardware.errors import BundleError, SpecMismatchError
from swarmhold.hardware.observe import observe
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Kinematics, Surroundings


@pytest.fixture
def copy(tmp_path, rendezvous_bundle):
    return shutil.copytree(rendezvous_bundle, tmp_path / "bundle")


def edit_manifest(bundle, **changes):
    path = bundle / "manifest.json"
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))


def refused(bundle, kind, words):
    with pytest.raises(kind) as caught:
        open_bundle(bundle)
    line = str(caught.value)
    assert "\n" not in line and str(bundle) in line
    assert words in line, line


def test_a_sealed_bundle_opens_as_folder_and_as_archive(copy, tmp_path):
    folder = open_bundle(copy)
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in copy.iterdir():
            out.write(file, f"bundle/{file.name}")
    assert open_bundle(archive).digest == folder.digest


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "parity.json", "model_card.md"])
def test_an_edited_file_is_refused(copy, name):
    path = copy / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(copy, BundleError, f"{name} is not the file that was sealed")


def test_a_truncated_model_is_refused(copy):
    path = copy / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    refused(copy, BundleError, "model.onnx is not the file that was sealed")


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "manifest.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    refused(copy, BundleError, f"{name} is missing")


def test_a_linked_file_is_refused(copy, tmp_path):
    real = tmp_path / "elsewhere.onnx"
    shutil.move(copy / "model.onnx", real)
    (copy / "model.onnx").symlink_to(real)
    refused(copy, BundleError, "is a link")


def test_cut_off_manifest(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:-200])
    refused(copy, BundleError, "not valid JSON")


def test_unknown_manifest_key(copy):
    edit_manifest(copy, surprise=1)
    refused(copy, BundleError, "surprise")


def test_unknown_schema(copy):
    edit_manifest(copy, schema_version=99)
    refused(copy, BundleError, "schema 99")


def test_escaping_file_name(copy):
    values = json.loads((copy / "manifest.json").read_text())
    edit_manifest(copy, files={**values["files"], "../../etc/passwd": "0" * 64})
    refused(copy, BundleError, "not allowed")


def test_wrong_spec_digest(copy):
    edit_manifest(copy, spec_digest="0" * 64)
    refused(copy, SpecMismatchError, "another contract")


def test_other_robot_than_the_spec(copy):
    edit_manifest(copy, robot="crazyflie")
    refused(copy, SpecMismatchError, "another contract")


def test_unknown_robot(copy):
    edit_manifest(copy, robot="turtle")
    refused(copy, SpecMismatchError, "unknown robot class")


def test_wrong_rate(copy):
    edit_manifest(copy, rate_hz=50.0)
    refused(copy, SpecMismatchError, "50 Hz")


def test_unknown_health_setting(copy):
    edit_manifest(copy, health={**HealthSettings().to_dict(), "surprise": 1})
    refused(copy, BundleError, "surprise")


def reseal(copy, **replaced):
    values = json.loads((copy / "manifest.json").read_text())
    for key in ("schema_version", "spec", "spec_digest", "files"):
        values.pop(key)
    files = {
        file.name: file.read_bytes() for file in copy.iterdir() if file.name != "manifest.json"
    }
    seal_bundle(copy, values, {**files, **replaced})


def test_wrong_golden_vectors_stop_a_resealed_bundle(copy):
    with np.load(copy / "golden.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["case0_action"] = arrays["case0_action"] + 0.1
    np.savez(copy / "golden.npz", **arrays)
    reseal(copy)
    refused(copy, BundleError, "golden vectors come out")


def test_a_file_that_is_no_graph_is_refused(copy):
    reseal(copy, **{"model.onnx": b"not a graph"})
    refused(copy, BundleError, "cannot be loaded")


def test_empty_golden_vectors_prove_nothing(copy):
    np.savez(copy / "golden.npz")
    reseal(copy)
    refused(copy, BundleError, "golden")


def test_no_bundle_at_all(tmp_path):
    refused(tmp_path / "nowhere", BundleError, "does not exist")
    file = tmp_path / "text.zip"
    file.write_text("hello")
    refused(file, BundleError, "neither a bundle folder nor a zip archive")


def test_sealing_needs_every_required_file(tmp_path):
    with pytest.raises(BundleError, match=r"golden\.npz"):
        seal_bundle(tmp_path, {"robot": "epuck"}, {"model.onnx": b""})


def scene(mates, lead=()):
    rng = np.random.default_rng(mates)

    def robots(*shape):
        return Kinematics(
            rng.uniform(-1, 1, (*shape, 3)),
            rng.uniform(-0.1, 0.1, (*shape, 3)),
            rng.uniform(-3, 3, shape),
            rng.uniform(-1, 1, shape),
        )

    nothing = np.zeros((*lead, 0))
    around = Surroundings(
        np.zeros((*lead, 0, 3)), nothing, nothing.astype(int), nothing, nothing, nothing > 0
    )
    return observe(
        policy_spec("epuck"),
        robots(*lead),
        np.zeros((*lead, 2)),
        robots(*lead, mates),
        np.zeros((*lead, mates)),
        around,
        np.zeros((*lead, 3)),
    )


@pytest.mark.parametrize("mates", [0, 1, 9, 49])
def test_any_team_size_acts_within_bounds(rendezvous_bundle, mates):
    policy = OnnxPolicy(open_bundle(rendezvous_bundle))
    out = policy.act(scene(mates), np.ones(mates))
    assert out.finite and out.action.shape == (2,)
    assert (np.abs(out.action) <= np.asarray(policy.bundle.spec.action_bound) + 1e-9).all()
    assert out.attention.sum() == pytest.approx(1.0, abs=1e-5)


def test_masked_garbage_changes_nothing(rendezvous_bundle):
    policy = OnnxPolicy(open_bundle(rendezvous_bundle))
    seen = scene(4)
    health = np.array([1.0, 0.0, 1.0, 1.0])
    clean = policy.act(seen, health)
    for garbage in (np.nan, np.inf, 1e30):
        seen.team[1] = garbage
        dirty = policy.act(seen, health)
        np.testing.assert_array_equal(dirty.action, clean.action)
        np.testing.assert_array_equal(dirty.attention, clean.attention)
    assert clean.attention[1] == 0.0


def test_team_size_outside_training_is_worth_a_line(rendezvous_bundle):
    policy = OnnxPolicy(open_bundle(rendezvous_bundle))
    low, high = policy.bundle.manifest.team_sizes_trained
    assert policy.team_size_warning(high) is None
    assert f"{high + 5} robots" in policy.team_size_warning(high + 5)
    assert low == 3


def test_bundles_that_ship_are_found_by_name(tmp_path, monkeypatch, rendezvous_bundle):
    assert open_bundle("rendezvous-epuck").digest == open_bundle(rendezvous_bundle).digest
    with pytest.raises(BundleError, match="did you mean 'rendezvous-epuck'"):
        open_bundle("rendezvous-epack")
    with pytest.raises(BundleError, match="does not exist"):
        open_bundle("elsewhere/rendezvous-epuck")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rendezvous-epuck").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle("rendezvous-epuck")  # what is here goes first
