"""Datasets as learners read them: shard by shard, each checked when it is loaded."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.layout import FIELDS, Arrays, width
from swarmhold.sim.dataset.manifest import Manifest, ShardEntry, Split, read_manifest


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk.

    Attributes:
        folder: where it lies.
        manifest: what it holds.
        digest: sha256 of the manifest, which holds those of all shards.
    """

    folder: Path
    manifest: Manifest
    digest: str

    def shards(self, split: Split | None = None) -> Iterator[Arrays]:
        """Arrays of one shard after the other, see `FIELDS`; a shard is of one flight.

        Args:
            split: of the flights; None: all.

        Raises:
            ConfigError: a shard is missing, damaged, or not the one of the manifest.
        """
        for entry in self.manifest.shards:
            if split is None or self.manifest.flights[entry.flight].split == split:
                yield self.load(entry)

    def arrays(self, split: Split | None = None) -> Arrays:
        """All shards as one; arguments and errors as of `shards`."""
        parts = list(self.shards(split))
        if not parts:
            flights = len(self.manifest.flights)
            raise ConfigError(
                f"{self.folder} holds no {split} flights ({flights} in all); build it from more "
                "recordings, of several one is held out"
            )
        return {name: np.concatenate([part[name] for part in parts]) for name in FIELDS}

    def load(self, entry: ShardEntry) -> Arrays:
        """Arrays of a shard.

        Raises:
            ConfigError: it is missing, damaged, or not the one of the manifest.
        """
        path = self.folder / entry.file
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}); build anew") from error
        if hashlib.sha256(raw).hexdigest() != entry.sha256:
            raise ConfigError(
                f"{path} is not the shard that was built (sha256 differs: cut off or changed); "
                "get a fresh copy or build anew"
            )
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path} holds no arrays ({error})") from error
        check_arrays(arrays, self.manifest, entry.ticks, str(path))
        return arrays


def open_dataset(folder: Path) -> Dataset:
    """Open a dataset; shards are read and checked when they are asked for.

    Raises:
        ConfigError: the folder is no dataset, or one of another version.
    """
    return Dataset(folder, *read_manifest(folder))


def check_arrays(arrays: Arrays, manifest: Manifest, ticks: int, where: str) -> None:
    """Whether arrays are what the manifest says.

    Raises:
        ConfigError: one is missing, of another type or shape, or holds what is not finite.
    """
    sizes = {
        "T": ticks,
        "N": manifest.robots,
        "O": width(manifest.observation),
        "A": len(manifest.action.bound),
        "S": width(manifest.state),
    }
    if set(arrays) != set(FIELDS):
        odd = ", ".join(sorted(set(arrays) ^ set(FIELDS)))
        raise ConfigError(f"{where} does not hold the arrays of a dataset ({odd})")
    for name, (kind, dimensions) in FIELDS.items():
        shape, array = tuple(sizes[letter] for letter in dimensions), arrays[name]
        if array.dtype != kind or array.shape != shape:
            raise ConfigError(
                f"{where}: {name} is {array.dtype}{array.shape}, the manifest says {kind}{shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            tick = int(np.argwhere(~np.isfinite(array))[0][0])
            raise ConfigError(f"{where}: {name} is not finite at tick {tick}; build anew")
