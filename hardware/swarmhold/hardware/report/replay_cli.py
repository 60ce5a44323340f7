"""`swarmhold replay`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.report.recording import about, events_of
from swarmhold.hardware.report.replay import replay
from swarmhold.hardware.signing import load_public


@dataclass(frozen=True)
class ReplayArgs:
    """Put a recorded flight through controllers, supervisor and policy again."""

    flight: Annotated[Path, tyro.conf.Positional]
    """Folder of a flight with a recording."""
    bundle: Path | None = None
    """Another bundle, which then flies in the shadow; default: that of the flight."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Replay and compare."""
    args = parse(ReplayArgs, argv, "swarmhold replay")
    flown = about(args.flight, events_of(args.flight))
    bundle = open_bundle(args.bundle or flown["bundle"], load_public(args.key))
    shadow = bundle.digest != flown["digest"]
    if shadow and args.bundle is None:
        raise ConfigError(
            f"{flown['bundle']} is no longer the bundle that flew (sha256 {flown['digest'][:16]}); "
            "give one with --bundle, and it flies in the shadow"
        )
    figures = replay(args.flight, bundle).figures()
    if args.json:
        print_json({"flight": str(args.flight), "shadow": shadow, **figures})
        return 0
    who = f"{bundle.manifest.name} in the shadow" if shadow else bundle.manifest.name
    say(f"{args.flight}: {who}, {figures['ticks']} ticks and {figures['tables']} health tables")
    for name, text in (
        ("weights_the_same", "weights as in the flight"),
        ("states_the_same", "the supervisor's states as in the flight"),
        ("action_difference", "set-points differ on average by this share of full speed"),
    ):
        if figures[name] is not None:
            say(f"  {text}: {figures[name]:.1%}")
    say(f"  outputs: sha256 {figures['digest'][:16]}, the same in every replay")
    return 0
