"""`swarmhold bench cycles`: start and stop a fleet again and again, and count what stays behind."""

from __future__ import annotations

import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import tyro

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import check_stop, stoppable

WARM_UP = 2  # cycles in which caches and pools may still grow


@dataclass(frozen=True)
class CyclesArgs:
    """Start a fleet, wait until all robots act, stop it; again and again."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle to fly."""
    robots: int = 3
    """Team size."""
    cycles: int = 1000
    """Starts and stops."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is there between two cycles.

    Attributes:
        processes: nodes of swarmhold whose command line names the run folder.
        segments: entries of /dev/shm.
        files: open file descriptors of the launcher.
        threads: of the launcher.
        memory_mb: resident memory of the launcher.
    """

    processes: int
    segments: int
    files: int
    threads: int
    memory_mb: float


def main(argv: list[str]) -> int:
    """Run the cycles; 1 if anything stays behind."""
    args = parse(CyclesArgs, argv, "swarmhold bench cycles")
    if args.cycles < WARM_UP + 1:
        raise ConfigError(f"--cycles is {args.cycles}; the first {WARM_UP} only warm up")
    with stoppable(), TemporaryDirectory() as folder:
        seen = cycles(
            FleetConfig(args.bundle, args.robots, Path(folder), record=False), args.cycles
        )
    out = figures(seen)
    if args.json:
        print_json(out)
    else:
        for name, value in out.items():
            say(f"{name}: {value}")
    return 0 if out["left_behind"] == 0 else 1


def cycles(config: FleetConfig, count: int) -> list[Left]:
    """What is there before the first cycle, and after each."""
    seen = [_left(config.folder)]
    for cycle in range(count):
        check_stop()
        with Fleet(config):
            pass
        (config.folder / "events.jsonl").unlink()
        seen.append(_left(config.folder))
        if (cycle + 1) % 10 == 0:
            note(f"{cycle + 1} of {count} cycles: {seen[-1]}")
    return seen


def figures(seen: list[Left]) -> dict[str, Any]:
    """Summary; growth counts from the end of the warm-up."""
    first, warm, last = seen[0], seen[WARM_UP], seen[-1]
    rest = max(len(seen) - 1 - WARM_UP, 1)
    segments = max(last.segments - first.segments, 0)
    return {
        "cycles": len(seen) - 1,
        "left_behind": max(left.processes for left in seen) + segments,
        "processes_left": max(left.processes for left in seen),
        "shared_memory_segments_left": segments,
        "open_files_more": last.files - warm.files,
        "threads_more": last.threads - warm.threads,
        "memory_mb_per_cycle": round((last.memory_mb - warm.memory_mb) / rest, 4),
    }


def _left(folder: Path) -> Left:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    shared = Path("/dev/shm")
    return Left(
        _processes(str(folder)),
        len(list(shared.iterdir())) if shared.is_dir() else 0,
        len(os.listdir("/proc/self/fd")),
        threading.active_count(),
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )


def _processes(folder: str) -> int:
    """Nodes that run with this run folder in their environment."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                count += f"{folder}/logs".encode() in (entry / "environ").read_bytes()
            except OSError:
                continue  # gone, or somebody else's
    return count
