"""A robot's slot: what flies changes as a whole or not at all, and never back by accident."""

import json
import shutil
import zipfile

import pytest

from swarmhold.hardware import promotion
from swarmhold.hardware.bundle import open_bundle, seal_bundle
from swarmhold.hardware.cli.main import main
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.promotion import go_back, promote
from swarmhold.hardware.signing import load_private, load_public, new_key, sign_bundle
from swarmhold.hardware.slot import read_slot


@pytest.fixture
def make(tmp_path, rendezvous_bundle):
    """Bundles of any version; of one version they differ by their card."""

    def bundle(version, word=""):
        folder = tmp_path / f"bundle-{version}{word}"
        values = json.loads((rendezvous_bundle / "manifest.json").read_text())
        for key in ("schema_version", "spec", "spec_digest"):
            values.pop(key)
        files = {name: (rendezvous_bundle / name).read_bytes() for name in values.pop("files")}
        files["model_card.md"] += word.encode()
        seal_bundle(folder, {**values, "version": version}, files)
        return folder

    return bundle


def test_a_slot_flies_what_was_promoted_and_goes_back(make, tmp_path):
    slot, one, two = tmp_path / "slot", make(1), make(2)
    assert promote(one, slot).digest == open_bundle(slot).digest == open_bundle(one).digest
    promote(two, slot)
    promote(two, slot)  # again changes nothing
    shutil.rmtree(two)
    assert open_bundle(slot).manifest.version == 2
    assert go_back(slot).manifest.version == open_bundle(slot).manifest.version == 1
    assert go_back(slot).manifest.version == 2


def test_an_archive_and_another_slot_can_be_promoted(make, tmp_path):
    archive = tmp_path / "one.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in make(1).iterdir():
            out.write(file, f"deep/{file.name}")
        out.writestr("deep/malware.sh", "rm -rf /")
    first = promote(archive, tmp_path / "a")
    assert promote(tmp_path / "a", tmp_path / "b").digest == first.digest
    assert not list((tmp_path / "b").rglob("malware.sh")), "only what the manifest lists"


@pytest.mark.parametrize("word", ["", "other"])
def test_downgrades_are_refused_even_after_going_back(make, tmp_path, word):
    slot = tmp_path / "slot"
    for version in (1, 2, 3):
        promote(make(version), slot)
    go_back(slot)
    with pytest.raises(BundleError, match="version 3 was promoted here before"):
        promote(make(1), slot)
    with pytest.raises(BundleError, match="version 3 was promoted here before"):
        promote(make(3, "x" + word), slot)
    assert open_bundle(slot).manifest.version == 2
    promote(make(4), slot)


def test_a_bundle_that_must_not_fly_leaves_the_slot_as_it_was(make, tmp_path):
    slot = tmp_path / "slot"
    promote(make(1), slot)
    broken = make(2)
    (broken / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        promote(broken, slot)
    assert open_bundle(slot).manifest.version == 1


def test_a_full_disk_leaves_the_slot_as_it_was(make, tmp_path, monkeypatch):
    slot = tmp_path / "slot"
    promote(make(1), slot)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        promotion._store({"a": b"b"}, slot / "bundles" / ("0" * 64))
    assert [p.name for p in (slot / "bundles").iterdir()] == [read_slot(slot).current]


def test_pinned_keys_hold_for_promotion_and_for_flight(make, tmp_path):
    pytest.importorskip("cryptography")
    slot, bundle = tmp_path / "slot", make(1)
    public, key = new_key(tmp_path / "lab.pem")
    pinned = load_public([public])
    with pytest.raises(BundleError, match="is not signed"):
        promote(bundle, slot, pinned)
    sign_bundle(bundle, load_private(tmp_path / "lab.pem"))
    promote(bundle, slot, pinned)
    assert open_bundle(slot, pinned).signed_by == key.id


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"current": "x"}', '{"current": "../..", "previous": "", "highest": 1}',
     '{"current": 1, "previous": "", "highest": 1}',
     '{"current": "", "previous": "", "highest": "1"}'],
)  # fmt: skip
def test_a_damaged_slot_is_one_line_and_no_flight(tmp_path, text):
    (tmp_path / "slot").mkdir()
    (tmp_path / "slot/slot.json").write_text(text)
    with pytest.raises(BundleError, match="damaged") as caught:
        open_bundle(tmp_path / "slot")
    assert "\n" not in str(caught.value)


def test_the_verb(make, tmp_path, capsys):
    slot = ["--slot", str(tmp_path / "slot")]
    assert main(["promote", "--back", *slot]) == 2
    assert "is no slot" in capsys.readouterr().err
    assert main(["promote", str(make(1)), *slot]) == 0
    assert "version 1" in capsys.readouterr().out
    assert main(["promote", "--back", *slot]) == 2
    assert main(["promote", *slot]) == 2
    assert main(["promote", str(make(2)), *slot]) == 0
    assert main(["verify", slot[1]]) == 0
    assert main(["promote", "--back", *slot]) == 0
    with pytest.raises(ConfigError):
        go_back(tmp_path)
