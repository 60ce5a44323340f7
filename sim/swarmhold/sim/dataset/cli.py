"""`swarmhold dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import tyro

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.cli.config import choose, note, parse, print_json, say
from swarmhold.hardware.files import replace_file
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.signing import load_public
from swarmhold.sim.dataset.build import Options, build
from swarmhold.sim.dataset.card import describe
from swarmhold.sim.dataset.layout import Behaviour
from swarmhold.sim.dataset.page import lines, render
from swarmhold.sim.dataset.reader import open_dataset
from swarmhold.sim.dataset.vault import from_vault, to_vault


@dataclass(frozen=True)
class BuildArgs:
    """Make a dataset to learn from out of recorded flights."""

    flights: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of flights with recordings, all of one scenario, robot class and team size."""
    out: Path
    """New folder."""
    bundle: tuple[Path, ...] = ()
    """Bundles that flew, for flights whose own is no longer where it was."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundles."""
    held_out: float = 0.2
    """Share of the flights that nobody trains on; of several at least one."""
    keep: tuple[Literal["teleop", "estop"], ...] = ()
    """Ticks that are otherwise left out: commanded by somebody else, or after a stop."""
    json: bool = False
    """The manifest as one JSON object on standard output."""


@dataclass(frozen=True)
class CardArgs:
    """What is in a dataset; every shard of it is checked."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    bundle: Path | None = None
    """Bundle that distances are taken to; default: to what flew."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    out: Path | None = None
    """Page to write; default: card.html beside the shards."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class ExportArgs:
    """Write a dataset as a Vault, as OG-MARL reads it; a part for each split."""

    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    out: Path
    """New folder, by custom NAME.vlt."""


@dataclass(frozen=True)
class ImportArgs:
    """Make a dataset of parts of Vaults, as OG-MARL writes them."""

    vault: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Parts, each NAME.vlt/PART."""
    out: Path
    """New folder."""
    rate_hz: float = 10.0
    """Ticks per second, where the vault does not say."""
    held_out: float = 0.2
    """Share of the episodes that nobody trains on, where the vault does not say."""


def main(argv: list[str]) -> int:
    """`dataset WHAT`."""
    known = {"build": build_verb, "card": card_verb, "export": export_verb, "import": import_verb}
    return choose("dataset", "a dataset", known, argv)


def build_verb(argv: list[str]) -> int:
    """`dataset build`."""
    args = parse(BuildArgs, argv, "swarmhold dataset build")
    keys = load_public(args.key)

    @lru_cache
    def opened(name: str) -> Bundle:
        return open_bundle(name, keys)

    also = {Behaviour[word.upper()] for word in args.keep}
    options = Options(
        bundles=tuple(open_bundle(path, keys) for path in args.bundle),
        keep=Options().keep | also,
        held_out=args.held_out,
    )
    with stoppable():
        manifest = build(args.flights, args.out, opened, options, note)
    if args.json:
        print_json(manifest.model_dump())
        return 0
    held = sum(flight.split == "held-out" for flight in manifest.flights)
    say(
        f"{args.out}: {manifest.ticks} ticks of {manifest.robots} robots, "
        f"flights: {len(manifest.flights)}, of which {held} held out"
    )
    return 0


def card_verb(argv: list[str]) -> int:
    """`dataset card`."""
    args = parse(CardArgs, argv, "swarmhold dataset card")
    data = open_dataset(args.dataset)
    bundle = None if args.bundle is None else open_bundle(args.bundle, load_public(args.key))
    card, out = describe(data, bundle), args.out or args.dataset / "card.html"
    page = render(card, args.dataset.resolve().name)
    replace_file(out, lambda part: part.write_text(page, encoding="utf-8"))
    if args.json:
        print_json({**card.as_json(), "page": str(out)})
    else:
        say("\n".join([*lines(card), f"page: {out}"]))
    return 0


def export_verb(argv: list[str]) -> int:
    """`dataset export`."""
    args = parse(ExportArgs, argv, "swarmhold dataset export")
    with stoppable():
        ticks = to_vault(open_dataset(args.dataset), args.out)
    say(f"{args.out}: " + ", ".join(f"{count} ticks in {part}" for part, count in ticks.items()))
    return 0


def import_verb(argv: list[str]) -> int:
    """`dataset import`."""
    args = parse(ImportArgs, argv, "swarmhold dataset import")
    with stoppable():
        manifest = from_vault(args.vault, args.out, args.rate_hz, args.held_out)
    say(f"{args.out}: {manifest.ticks} ticks of {manifest.robots} robots")
    return 0
