"""A robot's bundle slot: which bundle flies now, and which flew before.

    slot/
      slot.json               digests of `current` and `previous`, highest version ever promoted
      bundles/<digest>/       the bundles, as they were checked

It is switched by replacing one small file, so that whatever interrupts a promotion leaves the old
bundle or the new one in place. See `promotion`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from swarmhold.hardware.errors import BundleError
from swarmhold.hardware.files import replace_file

STATE = "slot.json"


@dataclass(frozen=True, slots=True)
class Slot:
    """What `slot.json` says.

    Attributes:
        current: digest of the bundle that flies.
        previous: digest of the one before it, "" if there was none.
        highest: highest version ever promoted here.
    """

    current: str
    previous: str
    highest: int


def is_slot(path: Path) -> bool:
    """Whether a folder is a slot."""
    return (path / STATE).is_file()


def read_slot(path: Path) -> Slot:
    """The state of a slot.

    Raises:
        BundleError: it is damaged.
    """
    try:
        slot = Slot(**json.loads((path / STATE).read_text()))
        if all(isinstance(d, str) for d in (slot.current, slot.previous)) and slot.highest >= 0:
            return slot
    except (OSError, ValueError, TypeError):
        pass
    raise BundleError(f"{path}: {STATE} is damaged; promote a bundle into a new slot")


def current_of(path: Path) -> Path:
    """Folder of the bundle that flies from a slot.

    Raises:
        BundleError: the slot is damaged.
    """
    return place_of(path, read_slot(path).current)


def place_of(slot: Path, digest: str) -> Path:
    """Folder of a bundle in a slot.

    Raises:
        BundleError: that is no digest.
    """
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BundleError(f"{slot}: {STATE} is damaged; promote a bundle into a new slot")
    return slot / "bundles" / digest


def write_slot(slot: Path, state: Slot) -> None:
    """Switch, all of it or nothing, and for good."""

    def write(part: Path) -> None:
        with part.open("w") as file:
            file.write(json.dumps(asdict(state), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())

    replace_file(slot / STATE, write)
