"""What a flight folder holds: events as JSON lines, and the recording."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.hardware.messages import MOST_ROBOTS

# What ends a fault in a flight's events, and which: no signal says how long it lasts.
ENDS = {"thaw": ("freeze",), "respawn": ("crash", "absent")}


def events_of(folder: Path) -> list[dict[str, Any]]:
    """The ground truth that the launcher wrote, with what those of other hosts add.

    Lines that are none of theirs are left out.

    Args:
        folder: of the flight; events of other hosts' parts may lie in it as events-*.jsonl.

    Raises:
        ConfigError: the folder is no flight.
    """
    path = folder / "events.jsonl"
    if not path.is_file():
        raise ConfigError(
            f"{folder} is no flight folder (no events.jsonl); give one that fly wrote"
        )
    others = [line for file in sorted(folder.glob("events-*.jsonl")) for line in _lines(file)]
    added = [line for line in others if line["event"] in ("fault", "speaks", "warning")]
    return sorted(_lines(path) + added, key=lambda line: float(line["t"]))


def _lines(path: Path) -> list[dict[str, Any]]:
    found = (as_event(line) for line in path.read_text().splitlines())
    return [values for values in found if values is not None]


def as_event(line: str) -> dict[str, Any] | None:
    """What a line of `events.jsonl` says; None of one that was cut off, or is none of ours."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if _is_event(values) else None


def _is_event(values: Any) -> bool:
    """Whether it has a name and a time, and names a robot where one is broken."""
    if not isinstance(values, dict) or not isinstance(values.get("event"), str):
        return False
    if not isinstance(values.get("t"), (int, float)) or not math.isfinite(values["t"]):
        return False
    if values["event"] != "fault":
        return True
    lasts = values.get("duration_s", 0.0)
    named = isinstance(values.get("kind"), str) and isinstance(values.get("robot"), int)
    return named and isinstance(lasts, (int, float))


def about(folder: Path, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What was flown, by the launcher's lines.

    Raises:
        ConfigError: the flight never started.
    """
    info = next((line for line in lines if line["event"] == "flight"), None)
    if info is None:
        raise ConfigError(f"{folder}: the flight never started; see {folder}/logs")
    if not isinstance(info.get("robots"), int) or not 1 <= info["robots"] <= MOST_ROBOTS:
        raise ConfigError(f"{folder}/events.jsonl does not say how many robots flew")
    return info


def began_at(folder: Path, lines: list[dict[str, Any]]) -> float:
    """S, wall clock, at which the team began to act.

    Raises:
        ConfigError: it never did.
    """
    began = next((float(line["t"]) for line in lines if line["event"] == "started"), None)
    if began is None:
        raise ConfigError(f"{folder}: the flight never started; see {folder}/logs")
    return began


def recordings_of(folder: Path) -> list[Path]:
    """MCAP files: the one of the whole flight, or one for each event."""
    whole = sorted((folder / "mcap").glob("*.mcap"))
    return whole[:1] or sorted((folder / "around").glob("*/*.mcap"))


def recording_of(folder: Path) -> Path:
    """The MCAP file, or the first of several.

    Raises:
        ConfigError: there is none.
    """
    files = recordings_of(folder)
    if not files:
        raise ConfigError(
            f"{folder} holds no recording (mcap/*.mcap or around/*/*.mcap); fly with --record"
        )
    return files[0]


def messages_of(folder: Path) -> Iterator[tuple[str, float, Any]]:
    """Topic, receive time (s, wall clock) and message, in the order of their receipt.

    Bytes that are no message are left out: somebody sent garbage, and no node has heard it either.

    Raises:
        ConfigError: the recording is missing or damaged.
        MissingExtraError: rosbags is not installed.
    """
    recording = recording_of(folder)
    try:
        from rosbags.highlevel import AnyReader
    except ImportError as error:
        raise MissingExtraError(
            "rosbags is not installed; pip install 'swarmhold[record]'"
        ) from error
    try:
        with AnyReader([file.parent for file in recordings_of(folder)]) as reader:
            for connection, stamp, raw in reader.messages():
                message = _decoded(reader, raw, connection.msgtype)
                if message is not None:
                    yield connection.topic, stamp * 1e-9, message
    except Exception as error:  # rosbags and the decoders raise many kinds for damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ConfigError(
            f"{recording} is damaged or cut off ({reason}); the recorder was not ended cleanly"
        ) from error


def _decoded(reader: Any, raw: bytes, kind: str) -> Any:
    try:
        return reader.deserialize(raw, kind)
    except Exception:  # as many kinds of them
        return None
