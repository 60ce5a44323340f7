"""The keystore of a team, laid out as SROS 2 has it: one enclave for every process.

    public/    certificates of the authority that vouches for identities and for permissions
    private/   its key, which never leaves the computer on which the keystore is made
    enclaves/  governance.p7s, and for each process: its key and certificate, the authority's
               certificates, governance.p7s and permissions.p7s, both signed by the authority

Made again, authority and keys stay what they are; only what has changed is signed anew. Needs the
extra `sign`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.files import replace_file
from swarmhold.hardware.security.access import Access
from swarmhold.hardware.security.policies import governance, permissions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

AUTHORITY = "swarmhold CA"
ROLES = ("identity_ca", "permissions_ca")  # both are the one authority
ENCLAVE = (
    *("identity_ca.cert.pem", "permissions_ca.cert.pem", "governance.p7s"),
    *("cert.pem", "key.pem", "permissions.p7s"),
)  # what a process needs to find
EARLY = timedelta(minutes=5)  # certificates begin before now, for clocks that are behind


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it, by enclave.

    Attributes:
        new: have got a key, or a certificate in place of one that is over.
        kept: are as they were, but maybe for what they may do.
        gone: belong to nobody in the team; whoever holds their keys can still join.
    """

    new: tuple[str, ...]
    kept: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Authority:
    key: EllipticCurvePrivateKey
    certificate: Certificate


def make_keystore(folder: Path, access: Mapping[str, Access], domain: int, days: int) -> Made:
    """Make a keystore, or bring one up to date.

    Args:
        folder: made if absent.
        access: by enclave.
        domain: ROS domain.
        days: for which new certificates are valid.

    Raises:
        ConfigError: what is there is no keystore, or its authority's certificate is over.
    """
    for name in ("public", "private", "enclaves"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "private").chmod(0o700)
    authority = _authority(folder, days)
    base = folder / "enclaves"
    _sign(authority, base / "governance", governance(domain))
    new = [name for name in access if _enclave(authority, folder, name, access[name], domain, days)]
    there = ("/" + str(file.parent.relative_to(base)) for file in base.rglob("cert.pem"))
    return Made(
        tuple(new),
        tuple(name for name in access if name not in new),
        tuple(sorted(name for name in there if name not in access)),
    )


def missing_from(folder: Path, enclaves: Mapping[str, Access]) -> list[str]:
    """Files that processes will look for in vain, relative to the keystore."""
    wanted = [f"enclaves{enclave}/{file}" for enclave in enclaves for file in ENCLAVE]
    return [name for name in wanted if not (folder / name).is_file()]


def _enclave(
    authority: _Authority, folder: Path, name: str, access: Access, domain: int, days: int
) -> bool:
    """Bring one enclave up to date; whether it has a new certificate."""
    place = folder / "enclaves" / name.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    up = Path(*[".."] * (1 + name.count("/")))
    for role in ROLES:
        _link(place / f"{role}.cert.pem", up / "public" / f"{role}.cert.pem")
    _link(place / "governance.p7s", up / "enclaves/governance.p7s")
    key = _key(place / "key.pem")
    certificate, fresh = _certificate(place / "cert.pem", name, key, authority, days)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    allowed = permissions(name, access, domain, begins, ends)
    _sign(authority, place / "permissions", allowed)
    return fresh


def _authority(folder: Path, days: int) -> _Authority:
    key_file, file = folder / "private/ca.key.pem", folder / "public/ca.cert.pem"
    if key_file.is_file() != file.is_file():
        raise ConfigError(
            f"{folder} has only one of {key_file.name} and {file.name}; restore the other one, or "
            "make a new keystore elsewhere"
        )
    key = _key(key_file)
    certificate, _ = _certificate(file, AUTHORITY, key, None, days)
    for role in ROLES:
        _link(folder / f"public/{role}.cert.pem", Path("ca.cert.pem"))
        _link(folder / f"private/{role}.key.pem", Path("ca.key.pem"))
    return _Authority(key, certificate)


def _key(file: Path) -> EllipticCurvePrivateKey:
    """The key in a file (P-256, readable by its owner alone), made if there is none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if not file.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        content = made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        return made
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise ConfigError(f"{file} can be read by others than its owner; run chmod 600 {file}")
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{file} is no private key in PEM; remove it to make a new one"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{file} is no key on an elliptic curve; remove it to make a new one")
    return key


def _certificate(
    file: Path, name: str, key: EllipticCurvePrivateKey, by: _Authority | None, days: int
) -> tuple[Certificate, bool]:
    """The certificate in a file if it is good, or else a new one; and whether it is new.

    Args:
        file: where it lies.
        name: whom it is for.
        key: whose public half it vouches for.
        by: who vouches; None: it does so itself, as authorities do, and is never replaced.
        days: validity of a new one.

    Raises:
        ConfigError: the authority's own is over, or not of its key.
    """
    from cryptography.hazmat.primitives import serialization

    now = datetime.now(timezone.utc)
    if file.exists():
        found = _read(file)
        issuer = found if by is None else by.certificate
        if (
            found is not None
            and issuer is not None
            and found.public_key() == key.public_key()
            and found.not_valid_after_utc > now
            and _issued(found, issuer)
        ):
            return found, False
        if by is None:
            raise ConfigError(
                f"{file} is over, or not of the authority's key; make a new keystore elsewhere"
            )
    made = _issue(name, key, by, now, days)
    content = made.public_bytes(serialization.Encoding.PEM)
    replace_file(file, lambda part: part.write_bytes(content))
    return made, True


def _read(file: Path) -> Certificate | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        return None


def _issued(found: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        found.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _issue(
    name: str, key: EllipticCurvePrivateKey, by: _Authority | None, now: datetime, days: int
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = (now - EARLY).replace(microsecond=0)
    ends = begins + timedelta(days=days)
    if by is not None:
        ends = min(ends, by.certificate.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(by is None, 1 if by is None else None), critical=True)
        .sign(key if by is None else by.key, hashes.SHA256())
    )


def _sign(authority: _Authority, stem: Path, text: str) -> None:
    """The document and, if it has changed, its signature (S/MIME), side by side."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs7

    document, signed = stem.with_suffix(".xml"), stem.with_suffix(".p7s")
    if signed.is_file() and document.is_file() and document.read_text() == text:
        return
    options = [pkcs7.PKCS7Options.Text, pkcs7.PKCS7Options.DetachedSignature]
    content = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(text.encode())
        .add_signer(authority.certificate, authority.key, hashes.SHA256())
        .sign(serialization.Encoding.SMIME, options)
    )
    replace_file(signed, lambda part: part.write_bytes(content))
    replace_file(document, lambda part: part.write_text(text))


def _link(file: Path, target: Path) -> None:
    if not (file.is_symlink() and file.readlink() == target):
        file.unlink(missing_ok=True)
        file.symlink_to(target)
