"""`swarmhold export`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from swarmhold.export.seal import export_run
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.signing import load_private, sign_bundle
from swarmhold.policies.checkpoint import load_run
from swarmhold.policies.evaluate import TeamPolicy, torch_policy
from swarmhold.policies.learning.cell import settings_of
from swarmhold.policies.learning.plan import Cell
from swarmhold.policies.robustness import robustness


@dataclass(frozen=True)
class ExportArgs:
    """Turn a training run into a sealed bundle."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder of `swarmhold train`."""
    out: Path
    """Bundle folder to write."""
    evaluation: Path | None = None
    """Output of `swarmhold evaluate --json`, to be printed on the model card."""
    robustness: int = 0
    """Paired episodes of each figure of a robustness page in the bundle; 0 for no page."""
    version: int = 1
    """Of the policy; a slot takes no lower one than it had, see `swarmhold promote`."""
    sign: Path | None = None
    """Private key to sign the bundle with, see `swarmhold keygen`."""
    json: bool = False
    """Print the figures as JSON."""


def _table(path: Path) -> dict[str, Any]:
    """An evaluation that was saved.

    Raises:
        ConfigError: the file holds none.
    """
    try:
        table: dict[str, Any] = json.loads(path.read_text())
        if {"nominal", "rows"} <= table.keys():
            return table
    except (OSError, ValueError, AttributeError):
        pass
    raise ConfigError(f"{path} holds no evaluation; write one with: swarmhold evaluate ... --json")


def _pages(run: Path, episodes: int) -> dict[str, bytes]:
    """The robustness page of a training run."""
    config, actor, _ = load_run(run)
    cell = Cell(config, (), episodes)

    def act() -> TeamPolicy:
        return torch_policy(actor)

    return robustness(cell, act, settings_of(cell, act), run, note)


def main(argv: list[str]) -> int:
    """Export, then open the bundle as a robot would."""
    args = parse(ExportArgs, argv, "swarmhold export")
    table = None if args.evaluation is None else _table(args.evaluation)
    if args.version < 1:
        raise ConfigError(f"--version is {args.version}; it must be at least 1")
    private = None if args.sign is None else load_private(args.sign)
    pages = None
    if args.robustness:
        pages = _pages(args.run, args.robustness)
    digest, parity = export_run(args.run, args.out, table, pages, args.version)
    open_bundle(args.out)
    signed_by = None if private is None else sign_bundle(args.out, private)
    if args.json:
        print_json(
            {
                "bundle": str(args.out),
                "digest": digest,
                "parity": parity.as_dict(),
                "signed_by": signed_by,
            }
        )
    else:
        say(
            f"{args.out}: sealed, sha256 {digest[:16]}; graph and network agree within "
            f"{parity.worst:.1e} over teams of 2 to 50"
            + (f"; signed by {signed_by}" if signed_by else "")
        )
    return 0
