"""`swarmhold verify`: open a bundle exactly as a robot would."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.fuzz import Feeds, Fuzzed, Outputs, fuzz
from swarmhold.hardware.signing import load_public


@dataclass(frozen=True)
class VerifyArgs:
    """Check hashes, contract, graph and golden vectors of a bundle."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder or zip archive."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    fuzz: int = 0
    """Also run the graph on this many observations of arbitrary values, NaN and infinities."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Verify one bundle.

    Args:
        argv: arguments after the verb.

    Returns:
        0 if the bundle may fly; the caller turns the error of a bad one into one line and 2.
    """
    args = parse(VerifyArgs, argv, "swarmhold verify")
    bundle = open_bundle(args.bundle, load_public(args.key))
    manifest = bundle.manifest
    low, high = manifest.team_sizes_trained
    found = _fuzzed(bundle, args.fuzz) if args.fuzz > 0 else None
    if args.json:
        print_json(
            {
                "bundle": str(args.bundle),
                "digest": bundle.digest,
                "name": manifest.name,
                "scenario": manifest.scenario,
                "robot": manifest.robot,
                "team_sizes_trained": [low, high],
                "signed_by": bundle.signed_by,
                **({"fuzzed": asdict(found)} if found else {}),
            }
        )
    else:
        teams = f"teams of {low} to {high}"
        unchecked = ", signed, by whom was not checked: no --key" if bundle.has_signature else ""
        signed = f", signed by {bundle.signed_by}" if bundle.signed_by else unchecked
        say(f"{args.bundle}: good. {manifest.name}, {teams}, sha256 {bundle.digest[:16]}{signed}")
        if found:
            say(f"{found.observations:,} arbitrary observations: all outputs finite and in bounds")
    return 0


def _fuzzed(bundle: Bundle, count: int) -> Fuzzed:
    """Throw anything at the graph.

    Raises:
        BundleError: an output is not finite, or an action out of bounds.
    """
    names, memory = bundle.outputs, bundle.manifest.memory

    def act(feeds: Feeds) -> Outputs:
        return dict(zip(names, bundle.session.run(names, feeds), strict=True))

    found = fuzz(act, bundle.spec, count, 0, memory.size if memory else 0)
    if not found.good:
        raise BundleError(
            f"of {found.observations:,} observations of arbitrary values {found.not_finite:,} gave "
            f"outputs that are not finite, {found.out_of_bounds:,} actions out of bounds; train "
            "and export again, and do not fly this"
        )
    return found
