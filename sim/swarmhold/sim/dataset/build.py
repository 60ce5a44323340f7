"""Recordings to a dataset: all of it, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.report.recording import recordings_of
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.surroundings import BODY_SLOTS
from swarmhold.sim.dataset.flight import flown, rewarded
from swarmhold.sim.dataset.judge import judge, left_out
from swarmhold.sim.dataset.layout import (
    FIELDS,
    Behaviour,
    observation_slices,
    state_slices,
)
from swarmhold.sim.dataset.listen import Log, listen
from swarmhold.sim.dataset.manifest import (
    HELD_OUT,
    SCHEMA,
    TRAIN,
    Action,
    Manifest,
    Quality,
    ShardEntry,
    Source,
    Split,
)
from swarmhold.sim.dataset.score import Score, reward_of
from swarmhold.sim.dataset.ticks import segments
from swarmhold.sim.dataset.writer import check_new, finish, new_folder, write_shards
from swarmhold.sim.scenarios.registry import scenario_of

FAULTS = ("", *KINDS, "absent")  # what can be broken on purpose


@dataclass(frozen=True, slots=True)
class Options:
    """How to build.

    Attributes:
        bundles: those that flew, for flights whose own is no longer where it was.
        keep: behaviours of robots that do not make a tick be left out.
        held_out: share of the flights that learners do not train on.
    """

    bundles: tuple[Bundle, ...] = ()
    keep: frozenset[Behaviour] = frozenset({Behaviour.POLICY, Behaviour.FAILSAFE})
    held_out: float = 0.2


def build(
    flights: Sequence[Path],
    out: Path,
    opened: Callable[[str], Bundle],
    options: Options,
    say: Callable[[str], None],
) -> Manifest:
    """Build a dataset.

    Args:
        flights: folders with recordings, all of one scenario, robot class and team size.
        out: new folder.
        opened: opens a bundle by the name that a flight gives.
        options: how.
        say: takes lines on what was left out.

    Raises:
        ConfigError: a flight cannot be read or does not fit the others, its bundle is not the
            one that flew, its labels are wrong, or nothing of it is left; or `out` exists.
    """
    check_new(out)
    if not flights:
        raise ConfigError("no recordings; name folders of flights that were recorded")
    logs = [listen(folder) for folder in flights]
    hashes = [_hashes(folder) for folder in flights]
    return assemble(logs, hashes, out, opened, options, say)


def assemble(
    logs: Sequence[Log],
    hashes: Sequence[dict[str, str]],
    out: Path,
    opened: Callable[[str], Bundle],
    options: Options,
    say: Callable[[str], None],
) -> Manifest:
    """Build a dataset of flights that were listened to.

    Args:
        logs: what was heard of each.
        hashes: sha256 of what each was heard from, by name.
        out: new folder.
        opened: opens a bundle by the name that a flight gives.
        options: how.
        say: takes lines on what was left out.

    Raises:
        ConfigError: as `build`.
    """
    check_new(out)
    _check_once([log.folder for log in logs], hashes)
    splits = _splits(hashes, options.held_out)
    plan = _Plan.of(logs)
    with new_folder(out) as part:
        sources, shards, episodes = list[Source](), list[ShardEntry](), 0
        for index, log in enumerate(logs):
            bundle = _bundle_of(log, opened, options.bundles)
            arrays, quality = _flight(plan, log, OnnxPolicy(bundle), options.keep)
            arrays["episode_id"] += episodes
            episodes += quality.episodes
            shards += write_shards(part, arrays, index, len(shards))
            sources.append(_source(log, hashes[index], bundle, splits[index], quality))
            _tell(log, quality, say)
        manifest = plan.manifest(sources, shards)
        finish(part, manifest)
    return manifest


def _source(
    log: Log, files: dict[str, str], bundle: Bundle, split: Split, quality: Quality
) -> Source:
    return Source(
        name=log.folder.name,
        files=files,
        bundle=bundle.digest,
        split=split,
        seed=int(log.info["seed"]),
        quality=quality,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all flights share."""

    spec: PolicySpec
    scenario: str
    n: int
    slots: int
    obstacles: int

    @classmethod
    def of(cls, logs: Sequence[Log]) -> _Plan:
        """Of flights; raises `ConfigError` where they do not fit together."""
        first, kinds = logs[0], ("scenario", "robot", "robots")
        for log in logs[1:]:
            for kind in kinds:
                if log.info[kind] != first.info[kind]:
                    raise ConfigError(
                        f"{log.folder} has {kind} {log.info[kind]}, {first.folder} has "
                        f"{first.info[kind]}; a dataset is of one: build two"
                    )
        scenario, robot, n = (first.info[kind] for kind in kinds)
        fields = [Score(scenario, robot, n, int(log.info["seed"])) for log in logs]
        slots, posts = fields[0].slots, max(field.posts for field in fields)
        told = [len(task.landmarks) + len(task.posts) for log in logs for _, task in log.tasks]
        obstacles = max(slots + posts, *told) + BODY_SLOTS
        return cls(first.spec, scenario, n, slots, obstacles)

    def manifest(self, sources: list[Source], shards: list[ShardEntry]) -> Manifest:
        """Of the dataset."""
        actions = self.spec.action_fields
        return Manifest(
            schema_version=SCHEMA,
            robot=self.spec.robot,
            robots=self.n,
            rate_hz=self.spec.rate_hz,
            action=Action(
                names=tuple(field.name for field in actions),
                units=tuple(field.unit for field in actions),
                frame=actions[0].frame,
                bound=self.spec.action_bound,
            ),
            observation=observation_slices(self.spec, self.n, self.obstacles),
            state=state_slices(self.n, self.slots),
            scenario=self.scenario,
            spec_digest=self.spec.digest(),
            reward=reward_of(scenario_of(self.scenario)),
            bundles=tuple(sorted({source.bundle for source in sources})),
            faults=FAULTS,
            flights=tuple(sources),
            shards=tuple(shards),
            quality=total([source.quality for source in sources]),
        )


def _flight(
    plan: _Plan, log: Log, policy: OnnxPolicy, keep: Collection[Behaviour]
) -> tuple[dict[str, np.ndarray], Quality]:
    """Arrays of a flight with what is left out of it gone."""
    slices = observation_slices(plan.spec, plan.n, plan.obstacles)
    flight = flown(log, policy, slices, plan.obstacles, FAULTS)
    verdict = judge(flight)
    score = Score(plan.scenario, plan.spec.robot, plan.n, int(log.info["seed"]))
    rewarded(flight, score)
    arrays, behaviour, stale = flight.arrays, flight.arrays["behaviour"], flight.ticks.stale
    out = {
        kind: np.zeros(len(stale), bool) if kind in keep else left_out(flight, kind)
        for kind in (Behaviour.TELEOP, Behaviour.ESTOP)
    }
    kept = ~stale.any(axis=1) & ~out[Behaviour.TELEOP] & ~out[Behaviour.ESTOP]
    episode, gaps = segments(flight.ticks.t, kept, 1.0 / plan.spec.rate_hz)
    if not kept.any():
        raise ConfigError(f"{log.folder}: no tick of it is left to learn from")
    arrays["episode_id"] = episode.astype(np.int32)
    last = np.append(episode[1:] != episode[:-1], True)
    arrays["truncated"] = np.repeat(last[:, None], plan.n, axis=1)
    free = arrays["alive"] & (behaviour == Behaviour.POLICY) & kept[:, None] & ~flight.limited
    off = np.abs(arrays["act_applied"] - arrays["act_policy"]).mean(axis=-1)[free]
    quality = Quality(
        ticks=int(kept.sum()),
        seconds=round(float(flight.lasts[kept].sum()), 3),
        episodes=int(episode.max()) + 1,
        gaps=gaps,
        stale=int(stale.any(axis=1).sum()),
        teleop=int(out[Behaviour.TELEOP].sum()),
        estop=int(out[Behaviour.ESTOP].sum()),
        lying=int(verdict.lying[kept].sum()),
        disobedient=int(verdict.disobedient[kept].sum()),
        unlike_task=score.unlike,
        off_policy=round(float(np.median(off)), 4) if len(off) else None,
    )
    return {name: arrays[name][kept] for name in FIELDS}, quality


def total(parts: Sequence[Quality]) -> Quality:
    """Of several flights."""
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in Quality.model_fields
        if name != "off_policy"
    }
    known = [part.off_policy for part in parts if part.off_policy is not None]
    return Quality(**sums, off_policy=float(np.median(known)) if known else None)


def _bundle_of(log: Log, opened: Callable[[str], Bundle], given: Sequence[Bundle]) -> Bundle:
    """The bundle that flew, and that all robots say they fly."""
    digest = str(log.info["digest"])
    bundle = next((one for one in given if one.digest == digest), None)
    bundle = bundle or opened(str(log.info["bundle"]))
    if bundle.digest != digest:
        raise ConfigError(
            f"{log.info['bundle']} is no longer the bundle that {log.folder} was flown with "
            f"(sha256 {digest[:16]}); give that one with --bundle"
        )
    for robot, said in enumerate(log.bundles):
        if said not in (0, bundle.short_digest):
            raise ConfigError(
                f"{log.folder}: robot {robot} says that it flies another bundle "
                f"(sha256 {said:016x}...) than the flight's ({digest[:16]}...); leave it out"
            )
    return bundle


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of the files of a recording, and of the flight's events."""
    files = [folder / "events.jsonl", *recordings_of(folder)]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def _check_once(flights: Sequence[Path], hashes: Sequence[dict[str, str]]) -> None:
    seen: dict[tuple[str, ...], Path] = {}
    for folder, files in zip(flights, hashes, strict=True):
        key = tuple(sorted(files.values()))
        if key in seen:
            raise ConfigError(f"{folder} is the same recording as {seen[key]}; name it once")
        seen[key] = folder


def _splits(hashes: Sequence[dict[str, str]], share: float) -> list[Split]:
    """Whole flights are held out, at least one of several; which does not depend on the order."""
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"a share of {share:g} held out; it must lie in [0, 1)")
    count = min(max(round(share * len(hashes)), 1), len(hashes) - 1) if share else 0
    order = sorted(range(len(hashes)), key=lambda k: sorted(hashes[k].values()))
    return [HELD_OUT if k in order[:count] else TRAIN for k in range(len(hashes))]


def _tell(log: Log, quality: Quality, say: Callable[[str], None]) -> None:
    left = {
        "without all decisions": quality.stale,
        "commanded by somebody else": quality.teleop,
        "after a stop": quality.estop,
    }
    marked = {"lying": quality.lying, "that do not obey": quality.disobedient}
    parts = [f"{log.folder}: {quality.ticks} ticks in {quality.episodes} episodes"]
    for name, counts in (("left out", left), ("marked as faulty, robot-ticks", marked)):
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        parts += [f"{name}: {told}"] if told else []
    say("; ".join(parts))
