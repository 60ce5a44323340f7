"""Promotion of bundles into a robot's slot, and the way back.

A version that is lower than the highest one ever promoted is refused, or an attacker could bring
back an old bundle whose faults he knows. Rolling back to the bundle before is a decision of its
own, and does not make room for older ones. What was fine-tuned from recordings is promoted once it
has looked on in flights for long enough, without wanting much else than the bundle that flew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swarmhold.hardware.bundle import Bundle, files_of, open_bundle
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.signing import PublicKey
from swarmhold.hardware.slot import Slot, is_slot, place_of, read_slot, write_slot
from swarmhold.hardware.watched import check_watched


def promote(
    bundle: Path,
    slot: Path,
    keys: Sequence[PublicKey] = (),
    flights: Sequence[Path] = (),
    unwatched: bool = False,
) -> Bundle:
    """Make a bundle the one that flies.

    Args:
        bundle: folder, archive, or another slot.
        slot: made if absent.
        keys: pinned.
        flights: folders of flights in which it looked on; they are asked where any are given, and
            needed where the bundle was fine-tuned.
        unwatched: promote a fine-tuned bundle without.

    Raises:
        BundleError: the bundle must not fly, is older than one that flew, or was not watched.
        ConfigError: a flight is none, or another bundle flew or looked on in it.
    """
    found = open_bundle(bundle, keys)
    before = read_slot(slot) if is_slot(slot) else Slot("", "", 0)
    if found.digest == before.current:
        return found
    version = found.manifest.version
    if version <= before.highest:
        raise BundleError(
            f"{bundle} is version {version}, and version {before.highest} was promoted here "
            "before; export it with a higher --version, or go back with promote --back"
        )
    if flights or (found.manifest.finetuned and not unwatched):
        check_watched(flights, found, before.current)
    place = place_of(slot, found.digest)
    if not place.exists():
        _store(files_of(bundle), place)
    if open_bundle(place, keys).digest != found.digest:
        raise BundleError(f"{bundle} was changed while it was copied; try again")
    write_slot(slot, Slot(found.digest, before.current, version))
    return found


def go_back(slot: Path, keys: Sequence[PublicKey] = ()) -> Bundle:
    """Fly the bundle before; a second time brings the later one back.

    Raises:
        BundleError: there is none, or it must not fly.
        ConfigError: there is no slot.
    """
    if not is_slot(slot):
        raise ConfigError(f"{slot} is no slot; make one: swarmhold promote BUNDLE --slot {slot}")
    state = read_slot(slot)
    if not state.previous:
        raise BundleError(f"{slot}: nothing was promoted before the bundle that flies now")
    bundle = open_bundle(place_of(slot, state.previous), keys)
    write_slot(slot, replace(state, current=state.previous, previous=state.current))
    return bundle


def _store(files: Mapping[str, bytes], place: Path) -> None:
    """All of it or nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    try:
        for name, content in files.items():
            (part / name).write_bytes(content)
        os.replace(part, place)
    except BaseException:  # Ctrl-C and full disks leave nothing behind
        shutil.rmtree(part, ignore_errors=True)
        raise
