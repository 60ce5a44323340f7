"""Datasets to and from Vaults, the format of OG-MARL (arXiv 2302.00521) and its peers.

A vault is one long axis of time behind a leading axis of length 1; episodes end where terminals or
truncations are set. It knows actions in [-1, 1] only as what was done.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from swarmhold.hardware.errors import ConfigError, MissingExtraError
from swarmhold.hardware.types import Bool
from swarmhold.sim.dataset.layout import FIELDS, Arrays, Behaviour, Slice
from swarmhold.sim.dataset.manifest import (
    HELD_OUT,
    SCHEMA,
    TRAIN,
    Action,
    Manifest,
    Quality,
    Reward,
    ShardEntry,
    Source,
    Split,
)
from swarmhold.sim.dataset.reader import Dataset
from swarmhold.sim.dataset.writer import check_new, finish, new_folder, write_shards

KEY = "swarmhold"  # of the manifest in a vault's metadata
INFOS = ("alive", "fault", "injected", "behaviour", "act_policy", "health", "tick_age")
LEAVES = {
    "observations": "obs",
    "actions": "act_applied",
    "rewards": "reward",
    "terminals": "terminal",
    "truncations": "truncated",
}
SPLITS: tuple[Split, ...] = (TRAIN, HELD_OUT)


def to_vault(data: Dataset, out: Path) -> dict[str, int]:
    """Write a dataset as a vault with one part for each split.

    Args:
        data: the dataset.
        out: new folder, by custom `<name>.vlt`.

    Returns:
        Ticks by split.

    Raises:
        ConfigError: there is such a folder, or a shard is damaged.
        MissingExtraError: flashbax is not installed.
    """
    vault, state = _flashbax()
    check_new(out)
    told, ticks = {KEY: data.manifest.model_dump_json(), "dataset": data.digest}, {}
    with new_folder(out) as part:
        for split in SPLITS:
            if not any(flight.split == split for flight in data.manifest.flights):
                continue
            arrays = data.arrays(split)
            tree = _tree(arrays)
            place = {"vault_name": part.name, "rel_dir": str(part.parent), "vault_uid": split}
            with _quiet():
                store = vault(**place, experience_structure=tree, metadata=told)
                ticks[split] = len(arrays["t_ns"])
                store.write(state(tree, ticks[split], False), (0, ticks[split]))
    return ticks


def _tree(arrays: Arrays) -> dict[str, Any]:
    """Leaves (1, T + 1, ...): the last row is room that a buffer never fills."""

    def leaf(name: str) -> np.ndarray:
        array = arrays[name]
        return np.concatenate([array, np.zeros_like(array[:1])])[None]

    infos = {name: leaf(name) for name in (*INFOS, "state")}
    return {**{name: leaf(source) for name, source in LEAVES.items()}, "infos": infos}


def from_vault(places: Sequence[Path], out: Path, rate_hz: float, held_out: float) -> Manifest:
    """Make a dataset of parts of vaults.

    Args:
        places: `<name>.vlt/<part>` each, all alike.
        out: new folder.
        rate_hz: ticks per second, where the vault is not one of ours.
        held_out: share of the episodes, the last ones, that learners do not train on; of ours
            the split is what it was.

    Raises:
        ConfigError: one is no vault or unlike the first, its actions are discrete, or `out`
            exists.
        MissingExtraError: flashbax is not installed.
    """
    check_new(out)
    if not places:
        raise ConfigError("no vault; name parts of one: NAME.vlt/PART")
    like, episodes = None, 0
    with new_folder(out) as folder:
        shards, sources = list[ShardEntry](), list[Source]()
        for place in places:
            tree, told = _read(place)
            ours = _ours(told, place)
            arrays = _arrays(tree, place, ours.rate_hz if ours else rate_hz)
            like = like or ours or _foreign(arrays, rate_hz)
            for rows, split in _parts(arrays["episode_id"], place, ours, held_out):
                some = {name: array[rows] for name, array in arrays.items()}
                some["episode_id"] += episodes
                shards += write_shards(folder, some, len(sources), len(shards))
                sources.append(_source(place, some, split, ours))
            episodes += int(arrays["episode_id"][-1]) + 1
        assert like is not None
        manifest = _manifest(like, sources, shards)
        finish(folder, manifest)
    return manifest


def _ours(told: Mapping[str, Any], place: Path) -> Manifest | None:
    """The manifest of the dataset that a vault was made of, if it was one of ours."""
    if KEY not in told:
        return None
    try:
        return Manifest.model_validate_json(told[KEY])
    except ValidationError as error:
        raise ConfigError(f"{place}: its metadata hold no manifest of a dataset") from error


def _parts(
    episode: np.ndarray, place: Path, ours: Manifest | None, held_out: float
) -> list[tuple[Bool, Split]]:
    """Rows of a part of a vault by split; of ours a part is one."""
    if ours and ours.flights:
        return [(np.ones(len(episode), bool), HELD_OUT if place.name == HELD_OUT else TRAIN)]
    return _by_episode(episode, held_out)


def _read(place: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Tree (1, T, ...) and metadata of a part of a vault."""
    vault, _ = _flashbax()
    if not (place / "metadata.json").is_file():
        raise ConfigError(f"{place} is no part of a vault (no metadata.json); name.vlt/PART is one")
    try:
        told = json.loads((place / "metadata.json").read_text())
        with _quiet():
            name, folder = place.resolve().parent.name, place.resolve().parent.parent
            store = vault(vault_name=name, rel_dir=str(folder), vault_uid=place.name)
            return store.read().experience, told
    except Exception as error:  # of as many kinds as there are layers below
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ConfigError(f"{place} cannot be read as a vault ({reason})") from error


def _arrays(tree: Mapping[str, Any], place: Path, rate_hz: float) -> dict[str, np.ndarray]:
    """Arrays of a dataset; what a vault does not say is unknown, or as if nothing was wrong."""
    missing = [name for name in LEAVES if name not in tree]
    if missing:
        raise ConfigError(f"{place} has no {', '.join(missing)}; it is no vault of a team")
    found = {source: np.asarray(tree[name])[0] for name, source in LEAVES.items()}
    if found["act_applied"].ndim != 3 or found["act_applied"].dtype.kind != "f":
        raise ConfigError(f"{place} has discrete actions; datasets are of set-points")
    infos = {name: np.asarray(value)[0] for name, value in dict(tree.get("infos", {})).items()}
    ticks, n, size = found["act_applied"].shape
    ends = (found["terminal"] > 0.5).any(axis=1) | (found["truncated"] > 0.5).any(axis=1)
    episode = np.concatenate([[0], np.cumsum(ends)[:-1]])
    unknown = {
        "act_policy": np.zeros((ticks, n, size)),
        "alive": np.ones((ticks, n)),
        "behaviour": np.full((ticks, n), Behaviour.UNKNOWN),
        "health": np.ones((ticks, n, n)),
        "state": np.zeros((ticks, 0)),
        "t_ns": np.round(np.arange(ticks) * 1e9 / rate_hz),
        "episode_id": episode,
    }
    known = {name: infos[name] for name in (*INFOS, "state") if name in infos}
    given = {**unknown, **found, **known}
    given["attn_mask"] = given["health"] > 0
    given["obs"] = given["obs"].reshape(ticks, n, -1)
    given["state"] = given["state"].reshape(ticks, -1)
    given["truncated"] = _closed(given["truncated"] > 0.5, given["terminal"] > 0.5)
    zero = np.zeros((ticks, n))
    return {
        name: np.ascontiguousarray(given.get(name, zero)).astype(kind)
        for name, (kind, _) in FIELDS.items()
    }


def _closed(truncated: Bool, terminal: Bool) -> Bool:
    """The last tick ends its episode, whether or not the vault says so."""
    truncated[-1] |= ~terminal[-1]
    return truncated


def _by_episode(episode: np.ndarray, share: float) -> list[tuple[Bool, Split]]:
    """Rows of the episodes to train on, and of those held out."""
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"a share of {share:g} held out; it must lie in [0, 1)")
    count = int(episode[-1]) + 1
    first = count - min(max(round(share * count), 1), count - 1) if share else count
    parts: list[tuple[Bool, Split]] = [(episode < first, TRAIN), (episode >= first, HELD_OUT)]
    return [part for part in parts if part[0].any()]


def _foreign(arrays: Arrays, rate_hz: float) -> Manifest:
    """Of data of which nobody says what they are."""
    n, size = arrays["act_applied"].shape[1:]
    rows = {name: arrays[name].shape[-1] for name in ("obs", "state")}
    layout = {
        name: {name: Slice(start=0, stop=count, shape=(count,))} for name, count in rows.items()
    }
    action = Action(
        names=tuple(f"action_{k}" for k in range(size)),
        units=("1",) * size,
        frame="-",
        bound=(1.0,) * size,
    )
    return Manifest(
        schema_version=SCHEMA, robot="unknown", robots=n, rate_hz=rate_hz, action=action,
        observation=layout["obs"], state=layout["state"], scenario="unknown", spec_digest="",
        reward=Reward(id="unknown", sha256=""), bundles=(), faults=("",), flights=(), shards=(),
        quality=Quality(),
    )  # fmt: skip


def _source(place: Path, arrays: Arrays, split: Split, ours: Manifest | None) -> Source:
    quality = Quality(
        ticks=len(arrays["t_ns"]), episodes=len(np.unique(arrays["episode_id"])),
    )  # fmt: skip
    bundle = ours.bundles[0] if ours and ours.bundles else ""
    return Source(
        name=f"{place.parent.name}/{place.name}", files={}, bundle=bundle, split=split, seed=0,
        quality=quality,
    )  # fmt: skip


def _manifest(like: Manifest, sources: list[Source], shards: list[ShardEntry]) -> Manifest:
    """Of the dataset, which is like that of another manifest."""
    parts = [source.quality for source in sources]
    ticks = sum(part.ticks for part in parts)
    quality = Quality(
        ticks=ticks,
        seconds=round(ticks / like.rate_hz, 3),
        episodes=sum(part.episodes for part in parts),
    )
    told = {"flights": tuple(sources), "shards": tuple(shards), "quality": quality}
    return like.model_copy(update=told)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Flashbax prints; standard output is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _flashbax() -> tuple[Any, Any]:
    """The class of vaults, and what makes a buffer's state of tree, index and fill."""
    try:
        import jax.numpy as jnp
        from flashbax.buffers.trajectory_buffer import TrajectoryBufferState
        from flashbax.vault import Vault
    except ImportError as error:
        raise MissingExtraError(
            "flashbax is not installed; pip install 'swarmhold[vault]'"
        ) from error

    def state(tree: dict[str, Any], index: int, full: bool) -> Any:
        return TrajectoryBufferState(
            experience=tree, current_index=jnp.array(index), is_full=jnp.array(full)
        )

    return Vault, state
