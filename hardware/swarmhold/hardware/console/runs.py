"""Flights that lie in a folder, their reports, and the slot that robots fly from."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.errors import ConfigError, SwarmholdError
from swarmhold.hardware.promotion import go_back, promote
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.page import Story, render
from swarmhold.hardware.report.recording import about, events_of, recordings_of
from swarmhold.hardware.shipped import shipped
from swarmhold.hardware.signing import PublicKey
from swarmhold.hardware.slot import is_slot, place_of, read_slot

MOST_FLIGHTS = 200
LAST_FLIGHTS = 20  # whose bundles are looked for


class Runs:
    """Reads what is there anew whenever it is asked."""

    def __init__(
        self,
        flights: Path,
        slot: Path | None = None,
        bundles: Path | None = None,
        keys: Sequence[PublicKey] = (),
    ) -> None:
        """Remember where to look.

        Args:
            flights: folder of flight folders.
            slot: that robots fly from; None: nothing can be promoted.
            bundles: folder of bundles that may be promoted, beside those that ship and those
                that the last flights flew.
            keys: pinned.
        """
        self._flights, self._slot, self._bundles = flights, slot, bundles
        self._keys = tuple(keys)
        self._opened: dict[Path, tuple[float, dict[str, Any]]] = {}
        self._rendering = threading.Lock()
        self._pages: dict[Path, tuple[float, str]] = {}

    def flights(self) -> list[dict[str, Any]]:
        """What is known of every flight without reading its recording, the newest first."""
        return [_summary(path) for path in self._newest(MOST_FLIGHTS)]

    def _newest(self, most: int) -> list[Path]:
        found = [path.parent for path in self._flights.glob("*/events.jsonl")]
        return sorted(found, key=_changed, reverse=True)[:most]

    def report(self, name: str) -> str:
        """A flight's report, as HTML.

        Raises:
            ConfigError: there is no such flight, or it holds no recording.
        """
        folder = self._flights / name
        if name != Path(name).name or not (folder / "events.jsonl").is_file():
            raise ConfigError(f"there is no flight {name!r} in {self._flights}")
        with self._rendering:  # one at a time: each takes seconds and the whole flight in memory
            changed, page = self._pages.get(folder, (0.0, ""))
            if changed != _changed(folder):
                page, _ = render(Story(read_flight(folder)))
                self._pages = {folder: (_changed(folder), page)}
            return page

    def bundles(self) -> dict[str, Any]:
        """The slot, and what may be promoted into it."""
        return {
            "slot": None if self._slot is None else self._slot_now(self._slot),
            "pinned": [key.id for key in self._keys],
            "bundles": [self._about(name, path) for name, path in self._candidates().items()],
        }

    def promote(self, name: str) -> dict[str, Any]:
        """Make one of those the bundle that robots fly when they start next.

        Raises:
            ConfigError: there is no slot, or no such bundle.
            BundleError: it must not fly.
        """
        path = self._candidates().get(name)
        if path is None:
            raise ConfigError(f"there is no bundle {name!r}; put it into the folder of --bundles")
        return _names(promote(path, self._need_slot(), self._keys))

    def go_back(self) -> dict[str, Any]:
        """Fly the bundle before.

        Raises:
            ConfigError: there is no slot.
            BundleError: there is none, or it must not fly.
        """
        return _names(go_back(self._need_slot(), self._keys))

    def _need_slot(self) -> Path:
        if self._slot is None:
            raise ConfigError("the console was started without --slot; give the robots' slot")
        return self._slot

    def _candidates(self) -> dict[str, Path]:
        own = self._bundles.iterdir() if self._bundles and self._bundles.is_dir() else ()
        found = {path.name: path for path in sorted(own) if _is_bundle(path)}
        return {**shipped(), **self._flown(), **found}

    def _flown(self) -> dict[str, Path]:
        """Bundles that the last flights flew, under the paths that they give, if still there."""
        paths = (_flew(folder) for folder in self._newest(LAST_FLIGHTS))
        return {str(path): path for path in paths if path is not None and _is_bundle(path)}

    def _slot_now(self, slot: Path) -> dict[str, Any]:
        if not is_slot(slot):
            return {"path": str(slot), "current": None, "previous": None, "highest": 0}
        try:
            state = read_slot(slot)
            places = {
                name: self._about(name, place_of(slot, digest)) if digest else None
                for name, digest in (("current", state.current), ("previous", state.previous))
            }
        except SwarmholdError as error:
            return {"path": str(slot), "error": str(error)}
        return {"path": str(slot), "highest": state.highest, **places}

    def _about(self, name: str, path: Path) -> dict[str, Any]:
        """What a bundle says of itself once it was opened and checked, as a robot would."""
        changed = _changed(path / "manifest.json" if path.is_dir() else path)
        if self._opened.get(path, (0.0, {}))[0] != changed:
            try:
                about = _names(open_bundle(path, self._keys))
            except SwarmholdError as error:
                about = {"error": str(error)}
            self._opened[path] = changed, about
        return {"id": name, **self._opened[path][1]}


def _summary(folder: Path) -> dict[str, Any]:
    try:
        lines = events_of(folder)
        info = about(folder, lines)
    except ConfigError as error:
        return {"name": folder.name, "error": str(error)}
    at = {line["event"]: line["t"] for line in lines if line["event"] in ("started", "ended")}
    faults = [line for line in lines if line["event"] == "fault" and line["kind"] != "absent"]
    seconds = at["ended"] - at["started"] if len(at) == 2 else None
    return {
        "name": folder.name,
        "t": info["t"],
        "bundle": info.get("name"),
        "digest": info.get("digest"),
        "scenario": info.get("scenario"),
        "robot": info.get("robot"),
        "robots": info["robots"],
        "seconds": None if seconds is None else round(seconds, 1),
        "faults": [f"{line['kind']} {line['robot']}" for line in faults],
        "warnings": sum(line["event"] == "warning" for line in lines),
        "estop": any(line["event"] == "estop" for line in lines),
        "recorded": bool(recordings_of(folder)),
        "running": "ended" not in at,
    }


def _flew(folder: Path) -> Path | None:
    """What a flight says to have flown."""
    try:
        return Path(str(about(folder, events_of(folder))["bundle"]))
    except (ConfigError, KeyError):
        return None


def _names(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "digest": bundle.digest,
        "scenario": manifest.scenario,
        "robot": manifest.robot,
        "trained": list(manifest.team_sizes_trained),
        "signed_by": bundle.signed_by,
        "has_signature": bundle.has_signature,
        "parity": bundle.parity,
        "created": manifest.created,
    }


def _is_bundle(path: Path) -> bool:
    return path.suffix == ".zip" or (path / "manifest.json").is_file()


def _changed(path: Path) -> float:
    file = path / "events.jsonl" if (path / "events.jsonl").exists() else path
    return file.stat().st_mtime if file.exists() else 0.0
