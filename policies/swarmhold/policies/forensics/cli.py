"""`swarmhold autopsy`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import for_json, note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.signing import load_public
from swarmhold.policies.forensics.autopsy import ARMS, Autopsy, as_json, examine
from swarmhold.policies.forensics.case import read_case
from swarmhold.policies.forensics.evidence import WORDS
from swarmhold.policies.forensics.page import render


@dataclass(frozen=True)
class AutopsyArgs:
    """Who failed first in a recorded flight, and how it spread. Never used to mask robots."""

    flight: Annotated[Path, tyro.conf.Positional]
    """Folder of a flight with a recording."""
    bundle: Path | None = None
    """Another bundle whose policy is asked; default: that of the flight."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    twins: int = 8
    """Simulated flights from where the recording begins, to compare with; 0: none."""
    mask: str | None = None
    """ROBOT@SECONDS: also fly it again with that robot masked from then on."""
    out: Path | None = None
    """Folder for autopsy.html and autopsy.json."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Read, examine, tell."""
    args = parse(AutopsyArgs, argv, "swarmhold autopsy")
    if args.twins < 0 or args.twins == 1:
        raise ConfigError(f"--twins {args.twins}: give 0, or 2 and more to compare with")
    mask = None if args.mask is None else parse_mask(args.mask)
    case = read_case(args.flight)
    info = case.motions.info
    bundle = open_bundle(args.bundle or info["bundle"], load_public(args.key))
    if args.bundle is None and bundle.digest != info["digest"]:
        raise ConfigError(
            f"{info['bundle']} is no longer the bundle that flew (sha256 {info['digest'][:16]}); "
            "give one with --bundle"
        )
    found = examine(case, bundle, args.twins, mask, note)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "autopsy.html").write_text(render(found), encoding="utf-8")
        told = json.dumps(for_json(as_json(found)), indent=1, allow_nan=False)
        (args.out / "autopsy.json").write_text(told + "\n", encoding="utf-8")
    if args.json:
        print_json(as_json(found))
        return 0
    for line in lines_of(found):
        say(line)
    if args.out is not None:
        say(f"page: {args.out / 'autopsy.html'}")
    return 0


def parse_mask(word: str) -> tuple[int, float]:
    """`3@8.5` as robot and seconds.

    Raises:
        ConfigError: it is something else.
    """
    robot, _, at = word.partition("@")
    try:
        return int(robot), float(at)
    except ValueError as error:
        raise ConfigError(f"--mask {word!r} is not ROBOT@SECONDS, e.g. 3@8.5") from error


def lines_of(found: Autopsy) -> list[str]:
    """The story in words."""
    first = found.first
    if first is None:
        out = [f"{found.case.motions.folder}: nobody failed"]
    else:
        what = WORDS[first.onsets[0].channel]
        out = [
            f"{found.case.motions.folder}: robot {first.robot} failed first, at {first.t:.2f} s: "
            f"it {what} ({first.sigma:.0f} sigma); confidence {found.confidence:.2f}"
        ]
    for one in found.failures[1:]:
        out.append(
            f"  robot {one.robot} failed at {one.t:.2f} s: it {WORDS[one.onsets[0].channel]}"
        )
    if found.course is not None:
        sources = {edge.robot: edge.source for edge in found.course.edges}
        for robot, t in found.course.affected.items():
            by = f" by robot {sources[robot]}" if robot in sources else ""
            out.append(f"  robot {robot} was affected{by}, from {t:.2f} s on")
    for v in found.verdicts:
        why = f" ({', '.join(v.reasons)})" if v.reasons else ""
        out.append(f"  the supervisor took robot {v.robot} out at {v.t:.2f} s: {v.state}{why}")
    if found.agrees is not None:
        out.append(f"  supervisor and autopsy {'agree' if found.agrees else 'disagree'}")
    if found.course is not None:
        out.append(
            f"  before that, twins were {100 * found.course.mismatch_m:.1f} cm off the recording"
            + _unlike(found.course.unlike)
        )
    if found.masked is not None:
        told = as_json(found)["masked"]
        parts = (f"{ARMS[arm]} {error:.3f} m" for arm, error in told["error_m"].items())
        out.append(
            f"  task error had robot {found.masked.robot} been masked at {found.masked.at:g} s: "
            + ", ".join(parts)
        )
    return out


def _unlike(robots: tuple[int, ...]) -> str:
    if not robots:
        return ""
    named = ", ".join(map(str, robots))
    return f", those of robot {named} too far to say anything of it"
