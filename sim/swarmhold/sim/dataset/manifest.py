"""`manifest.json` of a dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.layout import Slices

SCHEMA = 1
FILE = "manifest.json"
TRAIN: Final = "train"
HELD_OUT: Final = "held-out"
Split = Literal["train", "held-out"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Action(_Part):
    """What the actions mean: shares, times `bound` in physical units."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    frame: str
    bound: tuple[float, ...]


class Reward(_Part):
    """What made the rewards."""

    id: str
    sha256: str
    """Of the sources of the scenario."""


class Quality(_Part):
    """What became of the ticks of a flight, or of all of them."""

    ticks: int = 0
    """That are in the dataset."""
    seconds: float = 0.0
    episodes: int = 0
    gaps: int = 0
    """Holes in the recording, at which episodes were split."""
    stale: int = 0
    """Ticks left out: the decision of some robot is missing in the recording."""
    teleop: int = 0
    """Ticks left out: somebody else commanded some robot."""
    estop: int = 0
    """Ticks left out: some robot had stopped for good."""
    lying: int = 0
    """Robot-ticks marked as faulty: where it said it was, it was not."""
    disobedient: int = 0
    """Robot-ticks marked as faulty: it did not move as it was told."""
    unlike_task: int = 0
    """Ticks at which the landmarks that were told are not those that the scenario would have."""
    off_policy: float | None = None
    """Median distance of what was applied to what the policy says, in shares, unfiltered ticks."""


class Source(_Part):
    """One flight."""

    name: str
    """Of its folder."""
    files: dict[str, str]
    """sha256 by name."""
    bundle: str
    """Digest of what flew."""
    split: Split
    seed: int
    quality: Quality


class ShardEntry(_Part):
    """One file of arrays."""

    file: str = Field(pattern=r"^shard-\d{4,}\.npz$")
    sha256: str
    ticks: int = Field(ge=1)
    flight: int = Field(ge=0)
    """Index in `flights`."""


class Manifest(_Part):
    """All that is to know of a dataset besides its arrays."""

    schema_version: int
    robot: str
    robots: int = Field(ge=1)
    """N."""
    rate_hz: float = Field(gt=0)
    """Ticks per second."""
    action: Action
    observation: Slices
    state: Slices
    scenario: str
    spec_digest: str
    """Of the contract; empty where the data were collected by others."""
    reward: Reward
    bundles: tuple[str, ...]
    """Digests of all bundles that flew."""
    faults: tuple[str, ...]
    """Names of what was broken on purpose; index 0: nothing."""
    flights: tuple[Source, ...]
    shards: tuple[ShardEntry, ...]
    quality: Quality

    @property
    def ticks(self) -> int:
        """T of all shards."""
        return sum(shard.ticks for shard in self.shards)


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a dataset, and its digest, which stands for the whole dataset.

    Raises:
        ConfigError: the folder is no dataset, or one of another version.
    """
    path = folder / FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{folder} is no dataset (no {FILE}); make one: swarmhold dataset build"
        ) from error
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path} is no manifest of a dataset ({place}: {first['msg']})") from None
    if manifest.schema_version != SCHEMA:
        raise ConfigError(
            f"{folder} has schema {manifest.schema_version}, this is for {SCHEMA}; build it anew"
        )
    return manifest, hashlib.sha256(raw).hexdigest()
