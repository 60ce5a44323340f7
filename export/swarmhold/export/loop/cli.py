"""`swarmhold bench loop`: deployed, recorded, fine-tuned, gated, sealed, flown again."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmhold.export.loop.page import FIELDS, page_of, rows_of, summary
from swarmhold.export.loop.poison import poisoned
from swarmhold.export.loop.rehearse import stored, turn
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.learning.publish import publish


@dataclass(frozen=True)
class LoopArgs:
    """Close the loop on simulated e-pucks that hide a latency and larger wheels."""

    seeds: int = 3
    """Recordings, layouts and learnings; the deployed policy is the same."""
    work: Path | None = None
    """Folder that keeps runs, bundles and figures, with which it goes on where it was stopped."""
    out: Path | None = None
    """Folder that gets loop.md and loop.csv; without it only printed."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Measure."""
    args = parse(LoopArgs, argv, "swarmhold bench loop")
    if args.seeds < 1:
        raise ConfigError(f"--seeds {args.seeds}: need at least 1")
    if args.work is not None:
        args.work.mkdir(parents=True, exist_ok=True)
        found = measure(args.work, args.seeds)
    else:
        with tempfile.TemporaryDirectory(prefix="swarmhold-loop-") as folder:
            found = measure(Path(folder), args.seeds)
    told, made_by = summary(found), commit()
    page = page_of(found, told, made_by)
    if args.out:
        publish(args.out, "loop", page, FIELDS, rows_of(found), made_by)
    if args.json:
        print_json({**told, **found, "commit": made_by})
    else:
        say(page)
    return 0


def measure(work: Path, seeds: int) -> dict[str, Any]:
    """All turns, then the poison; each is stored when it is done."""

    def timed(make: Any) -> dict[str, Any]:
        began = time.monotonic()
        return {**make(), "seconds": time.monotonic() - began}

    turns = [
        stored(work / f"seed-{k}.json", lambda k=k: timed(lambda: turn(work, k, note)))
        for k in range(seeds)
    ]
    poison = stored(work / "poison.json", lambda: timed(lambda: poisoned(work, note)))
    return {"seeds": seeds, "turns": turns, "poison": poison}
