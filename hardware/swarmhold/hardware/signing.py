"""Signatures of bundles: Ed25519 (RFC 8032) over the manifest's bytes, in a file beside it.

The manifest holds the digest of every other file, so that its signature vouches for all of them.
Who flies pins public keys: a bundle that none of them has signed is refused. Needs the extra
`sign`; nothing else in here does. Keys are PEM files as OpenSSL reads and writes them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.files import replace_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE = "signature.json"
PURPOSE = b"swarmhold bundle manifest v1\0"  # what is signed here can be nothing else elsewhere
LARGEST = 4096  # bytes of a key file


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may vouch for bundles.

    Attributes:
        id: first 16 hexadecimal digits of the sha256 of its raw 32 bytes.
        key: the key.
    """

    id: str
    key: Ed25519PublicKey


def new_key(path: Path) -> tuple[Path, PublicKey]:
    """Make a key pair.

    Args:
        path: of the private key, readable by its owner alone; the public one goes beside it.

    Returns:
        Path of the public key, and the key.

    Raises:
        ConfigError: a file is there already.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = path.with_suffix(".pub" + path.suffix)
    pem = serialization.Encoding.PEM
    secret = private.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for file in (path, public):
        if file.exists():
            raise ConfigError(f"{file} is there already; give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, data, mode in ((path, secret, 0o600), (public, shown, 0o644)):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(data)
    return public, _named(private.public_key())


def load_private(path: Path) -> Ed25519PrivateKey:
    """The key to sign with.

    Raises:
        ConfigError: the file is no such key, or others than its owner may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"{path} can be read by others than its owner; run chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} is no private key in PEM without a passphrase ({error}); make one with "
            "swarmhold keygen"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; make one with swarmhold keygen")
    return key


def load_public(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Keys to pin.

    Args:
        paths: PEM files of public keys, or folders of them (`*.pem`); none: no key is pinned.

    Raises:
        ConfigError: a file is no such key, or there is none where some were named.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.pem")) if path.is_dir() else [path]
    if paths and not files:
        raise ConfigError(f"no public key (*.pem) in {', '.join(map(str, paths))}")
    return tuple(_public(path) for path in files)


def pinned(text: str) -> tuple[PublicKey, ...]:
    """Keys from a node's parameter: paths as in PATH; none where it is empty.

    Raises:
        ConfigError: see `load_public`.
    """
    return load_public([Path(part) for part in text.split(os.pathsep)] if text else [])


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """Contents of the signature file for a manifest."""
    signed = base64.b64encode(key.sign(PURPOSE + manifest)).decode()
    values = {"algorithm": "ed25519", "key": _named(key.public_key()).id, "signature": signed}
    return (json.dumps(values, indent=2) + "\n").encode()


def sign_bundle(folder: Path, key: Ed25519PrivateKey) -> str:
    """Sign a sealed bundle in its folder.

    Returns:
        The key's id.

    Raises:
        BundleError: there is no bundle.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise BundleError(f"{folder} is no bundle folder; give one that export has written")
    content = sign(manifest.read_bytes(), key)
    replace_file(folder / SIGNATURE, lambda part: part.write_bytes(content))
    return _named(key.public_key()).id


def check(manifest: bytes, signature: bytes, keys: Sequence[PublicKey], where: Path) -> PublicKey:
    """Hold a signature against pinned keys.

    Args:
        manifest: its bytes.
        signature: contents of the signature file.
        keys: pinned.
        where: bundle, for messages.

    Returns:
        The key that has signed.

    Raises:
        BundleError: none of the keys has signed these bytes.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        values = json.loads(signature)
        algorithm, name = values["algorithm"], values["key"]
        raw = base64.b64decode(values["signature"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BundleError(f"{where}: {SIGNATURE} is damaged; sign the bundle again") from error
    if algorithm != "ed25519":
        raise BundleError(f"{where}: signed by {algorithm!r}, which is not trusted; use ed25519")
    for trusted in keys:
        if trusted.id == name:
            try:
                trusted.key.verify(raw, PURPOSE + manifest)
            except InvalidSignature:
                raise BundleError(
                    f"{where}: manifest.json is not what key {name} has signed; get a fresh copy"
                ) from None
            return trusted
    known = ", ".join(trusted.id for trusted in keys)
    raise BundleError(f"{where}: signed by key {name!s:.16}, which is not pinned here ({known})")


def _public(path: Path) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise ConfigError(f"{path} is a private key; pin the public one, and keep this one secret")
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no public key in PEM ({error})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is no Ed25519 key; make one with swarmhold keygen")
    return _named(key)


def _named(key: Ed25519PublicKey) -> PublicKey:
    return PublicKey(hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16], key)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give a key file") from error
    if len(data) > LARGEST:
        raise ConfigError(f"{path} is no key: larger than {LARGEST} bytes")
    return data
