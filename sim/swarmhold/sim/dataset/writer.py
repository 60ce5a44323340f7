"""Datasets on their way to the disk: all of one, or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.layout import Arrays
from swarmhold.sim.dataset.manifest import FILE, Manifest, ShardEntry
from swarmhold.sim.dataset.reader import check_arrays

SHARD_TICKS = 4096


def check_new(out: Path) -> None:
    """Raise `ConfigError` if there is something already."""
    if out.exists():
        raise ConfigError(f"{out} exists already; choose a new folder for the dataset")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder that gets its name when everything is in it; Ctrl-C and full disks leave none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    try:
        yield part
        os.chmod(part, 0o755)
        os.replace(part, out)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigError(f"{out} cannot be written ({error.strerror or error})") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_shards(part: Path, arrays: Arrays, flight: int, number: int) -> list[ShardEntry]:
    """Write the shards of a flight.

    Args:
        part: folder in the making.
        arrays: all of the flight, see `FIELDS`.
        flight: its index.
        number: of its first shard.
    """
    entries: list[ShardEntry] = []
    for begin in range(0, len(arrays["t_ns"]), SHARD_TICKS):
        rows = {name: array[begin : begin + SHARD_TICKS] for name, array in arrays.items()}
        path = part / f"shard-{number + len(entries):04d}.npz"
        np.savez_compressed(path, **rows)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(
            ShardEntry(file=path.name, sha256=digest, ticks=len(rows["t_ns"]), flight=flight)
        )
    return entries


def finish(part: Path, manifest: Manifest) -> None:
    """Check the shards against the manifest as readers do, and write it."""
    for entry in manifest.shards:
        with np.load(part / entry.file, allow_pickle=False) as file:
            check_arrays(dict(file), manifest, entry.ticks, entry.file)
    (part / FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
