"""`swarmhold keygen`, `sign` and `promote`: who vouches for a bundle, and where it flies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware import promotion
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import parse, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.signing import load_private, load_public, new_key, sign_bundle


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


@dataclass(frozen=True)
class PromoteArgs:
    """Put a bundle into a robot's slot, from where it flies (`fly --bundle SLOT`)."""

    bundle: Annotated[Path | None, tyro.conf.Positional] = None
    """Bundle folder or archive; its version must be higher than all before it in the slot."""
    slot: Path = Path("slot")
    """Folder of the slot; made if absent."""
    back: bool = False
    """Go back to the bundle before instead."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    shadow: tuple[Path, ...] = ()
    """Flights in which the bundle looked on (`fly --shadow`): ten minutes at least, beside what is
    in the slot, with little disagreement. Needed for bundles that were fine-tuned."""
    unwatched: bool = False
    """Promote a fine-tuned bundle without them."""


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


def promote(argv: list[str]) -> int:
    """Promote a bundle, or go back to the one before."""
    args = parse(PromoteArgs, argv, "swarmhold promote")
    if (args.bundle is None) != args.back:
        raise ConfigError("give either a bundle to promote or --back")
    if args.shadow and (args.back or args.unwatched):
        raise ConfigError("--shadow goes with a bundle, and neither with --back nor --unwatched")
    keys = load_public(args.key)
    if args.bundle is None:
        found = promotion.go_back(args.slot, keys)
    else:
        found = promotion.promote(args.bundle, args.slot, keys, args.shadow, args.unwatched)
    manifest = found.manifest
    say(f"{args.slot}: {manifest.name}, version {manifest.version}, sha256 {found.digest[:16]}")
    return 0
