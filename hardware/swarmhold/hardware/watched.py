"""Whether a bundle that looked on in flights (`shadow`) may fly: how long, and how far apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import BundleError, ConfigError
from swarmhold.hardware.report.recording import about, events_of

LONG_S = 600.0  # that it must have looked on
APART = 0.15  # of the action range, largest 95th percentile of the difference
FEWEST = 50  # decisions of a robot, below which a percentile says nothing


@dataclass(frozen=True, slots=True)
class Watched:
    """What shadows found.

    Attributes:
        seconds: in which it looked on, of each flight in the robot in which it did so longest.
        p95: of the difference of both actions, share of the action range; of the worst robot.
        problem: why it was switched off, if it was; else "".
    """

    seconds: float = 0.0
    p95: float = 0.0
    problem: str = ""

    @property
    def refusal(self) -> str:
        """Why it may not fly; "" if nothing speaks against it."""
        if self.problem:
            return f"it was switched off in flight: {self.problem}"
        if self.seconds < LONG_S:
            return (
                f"it was watched for {self.seconds:.0f} s, and {LONG_S:.0f} s are needed; fly on "
                "with --shadow"
            )
        if not self.p95 <= APART:
            return (
                f"it differs from what flies by {self.p95:.2f} of the action range (95th "
                f"percentile), more than {APART:g}"
            )
        return ""


def watched(flights: Sequence[Path], bundle: Bundle, deployed: str = "") -> Watched:
    """Read what flights say of a bundle.

    Args:
        flights: folders.
        bundle: that looked on.
        deployed: digest of the bundle that it looked on beside; "": any.

    Raises:
        ConfigError: a folder is no flight, is given twice, or another bundle flew or looked on.
    """
    if len({flight.resolve() for flight in flights}) < len(flights):
        raise ConfigError("the same flight is given twice; its minutes count once")
    seconds, worst, problem = 0.0, 0.0, ""
    for flight in flights:
        lines = events_of(flight)
        _check(flight, about(flight, lines), bundle, deployed)
        longest = dict[int, int]()
        for robot, last in _stretches(lines):
            longest[robot] = longest.get(robot, 0) + last["decisions"]
            worst = max(worst, last["p95"])
        seconds += max(longest.values(), default=0) / bundle.spec.rate_hz
        problem = problem or next(
            (str(line["problem"]) for line in lines if line["event"] == "shadow" and _ill(line)), ""
        )
    return Watched(seconds, worst, problem)


def check_watched(flights: Sequence[Path], bundle: Bundle, deployed: str) -> Watched:
    """Refuse a bundle that was not watched long enough, or that does other things.

    Raises:
        BundleError: it must not fly yet.
        ConfigError: see `watched`.
    """
    found = watched(flights, bundle, deployed)
    if found.refusal:
        name = f"{bundle.manifest.name}, version {bundle.manifest.version}"
        raise BundleError(
            f"{name}: {found.refusal}; give its flights with promote --shadow FLIGHT, or "
            "take it without with --unwatched"
        )
    return found


def _check(flight: Path, info: Mapping[str, Any], bundle: Bundle, deployed: str) -> None:
    looked_on = info.get("shadow_digest")
    if looked_on != bundle.digest:
        who = "nobody" if looked_on is None else f"sha256 {str(looked_on)[:16]}"
        raise ConfigError(
            f"{flight}: {who} looked on, not sha256 {bundle.digest[:16]}; give flights that flew "
            "with --shadow of this very bundle"
        )
    if deployed and info.get("digest") != deployed:
        raise ConfigError(
            f"{flight}: sha256 {str(info.get('digest'))[:16]} flew, and the slot has "
            f"{deployed[:16]}; give flights of the bundle that is to be replaced"
        )


def _stretches(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """What each robot said last in each of its lives; a new life counts from nothing."""
    last: dict[int, Mapping[str, Any]] = {}
    for line in lines:
        if line["event"] != "shadow" or not _sound(line):
            continue
        before = last.get(line["robot"])
        if before is not None and line["decisions"] < before["decisions"]:
            yield line["robot"], before
        last[line["robot"]] = line
    yield from last.items()


def _sound(line: Mapping[str, Any]) -> bool:
    """Whether a line says what shadows say, of enough decisions."""
    robot, many, p95 = (line.get(name) for name in ("robot", "decisions", "p95"))
    counts = isinstance(robot, int) and isinstance(many, int) and many >= FEWEST
    return counts and isinstance(p95, (int, float)) and math.isfinite(p95)


def _ill(line: Mapping[str, Any]) -> bool:
    return bool(line.get("problem"))
