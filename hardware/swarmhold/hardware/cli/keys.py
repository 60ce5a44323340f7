"""`swarmhold keygen` and `swarmhold sign`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import parse, say
from swarmhold.hardware.signing import load_private, new_key, sign_bundle


@dataclass(frozen=True)
class KeygenArgs:
    """Make a key pair to sign bundles with."""

    key: Annotated[Path, tyro.conf.Positional]
    """File of the private key, e.g. lab.pem; the public one goes to lab.pub.pem."""


@dataclass(frozen=True)
class SignArgs:
    """Vouch for a sealed bundle; its files stay as they are."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder."""
    key: Path
    """Private key."""


def keygen(argv: list[str]) -> int:
    """Make a key pair."""
    args = parse(KeygenArgs, argv, "swarmhold keygen")
    public, key = new_key(args.key)
    say(f"key {key.id}: keep {args.key} secret, give {public} to every robot (--key {public})")
    return 0


def sign(argv: list[str]) -> int:
    """Check a bundle as a robot would, then sign it."""
    args = parse(SignArgs, argv, "swarmhold sign")
    private = load_private(args.key)
    bundle = open_bundle(args.bundle)
    say(f"{args.bundle}: sha256 {bundle.digest[:16]} signed by {sign_bundle(args.bundle, private)}")
    return 0
