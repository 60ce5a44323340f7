"""Signed bundles: whom robots believe, and every way in which they must not."""

import base64
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.bundle import open_bundle, seal_bundle
from swarmhold.hardware.cli.main import main
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.promotion import promote
from swarmhold.hardware.signing import (
    SIGNATURE,
    check,
    load_private,
    load_public,
    new_key,
    pinned,
    sign_bundle,
)

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Private and public file of two keys."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: (folder / f"{name}.pem", new_key(folder / f"{name}.pem")[0]) for name in "ab"}


@pytest.fixture
def bundle(tmp_path, rendezvous_bundle, keys):
    copy = shutil.copytree(rendezvous_bundle, tmp_path / "bundle")
    sign_bundle(copy, load_private(keys["a"][0]))
    return copy


def refused(bundle, key, words):
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle, load_public([key]))
    assert "\n" not in str(caught.value) and words in str(caught.value), caught.value


def test_a_signed_bundle_opens_with_its_key_as_folder_and_as_archive(bundle, keys, tmp_path):
    trusted = load_public([keys["b"][1], keys["a"][1]])
    assert open_bundle(bundle, trusted).signed_by == trusted[1].id
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for file in bundle.iterdir():
            out.write(file, f"bundle/{file.name}")
    assert open_bundle(archive, trusted).signed_by == trusted[1].id
    unchecked = open_bundle(bundle)
    assert unchecked.signed_by is None and unchecked.has_signature
    (bundle / SIGNATURE).unlink()
    assert not open_bundle(bundle).has_signature


def test_what_the_pinned_keys_have_not_signed_is_refused(bundle, keys):
    refused(bundle, keys["b"][1], "not pinned here")
    (bundle / SIGNATURE).unlink()
    refused(bundle, keys["a"][1], "is not signed")
    open_bundle(bundle)


def test_a_changed_manifest_is_refused_even_if_it_fits_its_files(bundle, keys):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"rendezvous-epuck"', '"rendezvous-Epuck"'))
    open_bundle(bundle)
    refused(bundle, keys["a"][1], "is not what key")


def test_a_changed_file_is_refused_whoever_signed(bundle, keys):
    path = bundle / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    refused(bundle, keys["a"][1], "is not the file that was sealed")


def test_a_signature_of_something_else_is_refused(bundle, keys):
    """The key has signed these bytes, but not as a bundle."""
    key = load_private(keys["a"][0])
    path = bundle / SIGNATURE
    values = json.loads(path.read_text())
    raw = key.sign((bundle / "manifest.json").read_bytes())
    path.write_text(json.dumps({**values, "signature": base64.b64encode(raw).decode()}))
    refused(bundle, keys["a"][1], "is not what key")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "none"}, "'none', which is not trusted"),
        ({"signature": ""}, "is not what key"),
        ({"signature": "!"}, "damaged"),
        ({"key": 7}, "not pinned here"),
    ],
)
def test_an_edited_signature_is_refused(bundle, keys, change, words):
    path = bundle / SIGNATURE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refused(bundle, keys["a"][1], words)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=60).map(str.encode))
def test_any_bytes_for_a_signature_are_one_line(noise):
    with pytest.raises(BundleError, match=r"damaged|not pinned|not trusted"):
        check(b"{}", noise, (), Path("b"))


def resealed(bundle, version=None, **replaced):
    """The bundle with other files, sealed again, as whoever made them could."""
    values = json.loads((bundle / "manifest.json").read_text())
    for key in ("schema_version", "spec", "spec_digest"):
        values.pop(key)
    files = {name: (bundle / name).read_bytes() for name in values.pop("files")}
    seal_bundle(bundle, {**values, "version": version or values["version"]}, {**files, **replaced})


def tampered(bundle):
    path = bundle / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(bundle):
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes()[:-100])


def nan_producing(bundle):
    """A graph with the right names and shapes, whose actions are no numbers."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string((bundle / "model.onnx").read_bytes())
    for node in model.graph.node:
        node.output[:] = ["raw" if name == "action" else name for name in node.output]
    make = onnx.helper.make_node
    model.graph.node.extend(
        [
            make("Sub", ["raw", "raw"], ["zero"]),
            make("Div", ["zero", "zero"], ["action"]),
        ]
    )
    resealed(bundle, **{"model.onnx": model.SerializeToString()})


def wrong_spec(bundle):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"robot": "epuck"', '"robot": "crazyflie"'))


BAD = {
    tampered: "model.onnx is not the file that was sealed",
    truncated: "manifest.json is not valid JSON",
    lambda bundle: (bundle / SIGNATURE).unlink(): "is not signed, and keys are pinned",
    lambda bundle: resealed(bundle, version=1): "is version 1, and version 2 was promoted here",
    nan_producing: "gives values of 'action' that are not finite",
    wrong_spec: "made for another contract",
}
NAMES = ["tampered", "truncated", "unsigned", "downgraded", "NaN-producing", "wrong-spec"]


@pytest.mark.parametrize(("spoil", "words"), BAD.items(), ids=NAMES)
def test_no_bad_bundle_comes_into_a_slot(bundle, keys, tmp_path, spoil, words, request):
    """Each is refused with a line of its own, and what flew before flies on."""
    key, trusted = load_private(keys["a"][0]), load_public([keys["a"][1]])
    resealed(bundle, version=2)
    sign_bundle(bundle, key)
    slot = tmp_path / "slot"
    good = promote(bundle, slot, trusted)
    resealed(bundle, version=3, **{"model_card.md": b"next"})
    sign_bundle(bundle, key)
    spoil(bundle)
    if "unsigned" not in request.node.name:
        sign_bundle(bundle, key)  # not even its maker's signature helps
    with pytest.raises(BundleError) as caught:
        promote(bundle, slot, trusted)
    line = str(caught.value)
    assert words in line and "\n" not in line
    assert sum(other in line for other in BAD.values()) == 1
    assert open_bundle(slot, trusted).digest == good.digest


def test_sealing_again_takes_the_old_signature_away(bundle):
    values = json.loads((bundle / "manifest.json").read_text())
    for key in ("schema_version", "spec", "spec_digest"):
        values.pop(key)
    files = {name: (bundle / name).read_bytes() for name in values.pop("files")}
    seal_bundle(bundle, values, files)
    assert not (bundle / SIGNATURE).exists()


def test_private_keys_are_their_owners(keys, tmp_path):
    private, public = keys["a"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    loose = tmp_path / "loose.pem"
    shutil.copy(private, loose)
    os.chmod(loose, 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_private(loose)
    with pytest.raises(ConfigError, match="is there already"):
        new_key(private)
    with pytest.raises(ConfigError, match="is a private key"):
        load_public([private])
    with pytest.raises(ConfigError, match="no private key in PEM"):
        os.chmod(public, 0o600)
        load_private(public)


def test_what_is_no_key_is_one_line(tmp_path):
    odd = tmp_path / "odd.pem"
    odd.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for paths, words in (
        ([odd], "no public key in PEM"),
        ([tmp_path / "none.pem"], "give a key file"),
        ([tmp_path / "empty"], "no public key"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match=words) as caught:
            load_public(paths)
        assert "\n" not in str(caught.value)
    assert pinned("") == ()


def test_keygen_sign_and_verify(tmp_path, rendezvous_bundle, capsys):
    bundle = shutil.copytree(rendezvous_bundle, tmp_path / "bundle")
    (bundle / SIGNATURE).unlink(missing_ok=True)
    key, public = str(tmp_path / "lab.pem"), str(tmp_path / "lab.pub.pem")
    assert main(["keygen", key]) == 0
    assert main(["verify", str(bundle), "--key", public]) == 2
    assert "is not signed" in capsys.readouterr().err
    assert main(["sign", str(bundle), "--key", key]) == 0
    assert main(["verify", str(bundle), "--key", str(tmp_path)]) == 2, "a private key among them"
    assert main(["verify", str(bundle), "--key", public]) == 0
    assert "signed by" in capsys.readouterr().out
