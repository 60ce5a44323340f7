"""`swarmhold calibrate`: thresholds of a sealed bundle, anew."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import tyro

from swarmhold.hardware.bundle import Bundle, files_of, open_bundle, seal_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.signing import SIGNATURE
from swarmhold.policies.calibrate import accused, calibrated
from swarmhold.policies.config import TrainConfig
from swarmhold.policies.learning.plan import Cell
from swarmhold.policies.robustness import robustness
from swarmhold.sim.env import SwarmEnv

CARD = "model_card.md"


@dataclass(frozen=True)
class CalibrateArgs:
    """Fly a bundle without faults in the simulator, and seal what the detectors see into it."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle folder or archive."""
    out: Path
    """Bundle folder to write; unsigned, since its manifest is another one."""
    robots: int | None = None
    """Team size; by default the largest one trained, 8 at most."""
    teams: int = 32
    """Teams that fly side by side, one episode each."""
    backend: str = "pybullet"
    """Physics: pybullet, or batched, numpy, mixed, pybullet-native."""
    seed: int = 1
    """Of the layouts."""
    robustness: int = 0
    """Paired episodes of each figure of a robustness page in the bundle; 0 for no page."""
    keep: bool = False
    """Keep the thresholds that it has, and make the robustness page alone."""
    json: bool = False
    """Print the thresholds as JSON."""


def main(argv: list[str]) -> int:
    """Calibrate one bundle."""
    args = parse(CalibrateArgs, argv, "swarmhold calibrate")
    bundle = open_bundle(args.bundle)
    robots = args.robots or min(bundle.manifest.team_sizes_trained[1], 8)
    if robots < 2 or args.teams < 1:
        raise ConfigError(f"{args.teams} teams of {robots} robots; at least 1 of 2 are needed")
    if args.keep and not args.robustness:
        raise ConfigError("--keep leaves nothing to do; it goes with --robustness EPISODES")
    manifest, policy = bundle.manifest, OnnxPolicy(bundle)
    if args.keep:
        return _sealed(args, bundle, policy, bundle.health, "")
    env = SwarmEnv(
        *(manifest.scenario, manifest.robot, args.teams, robots, args.backend, True),
        seed=args.seed,
    )
    with closing(env):
        found = calibrated(env, lambda _: OnnxTeam(policy))
    flown = f"{args.teams} teams of {robots} in {args.backend}"
    return _sealed(args, bundle, policy, found, flown)


def _sealed(
    args: CalibrateArgs, bundle: Bundle, policy: OnnxPolicy, found: HealthSettings, flown: str
) -> int:
    pages = _pages(bundle, policy, found, args.robustness) if args.robustness else {}
    digest = reseal(args.bundle, bundle, args.out, found, flown, pages)
    open_bundle(args.out)
    if args.json:
        print_json({"bundle": str(args.out), "digest": digest, "health": found.to_dict()})
    else:
        say(f"{args.out}: sealed, sha256 {digest[:16]}; accused is {accused(found)}")
    return 0


def _pages(
    bundle: Bundle, policy: OnnxPolicy, settings: HealthSettings, episodes: int
) -> dict[str, bytes]:
    """The robustness page of a bundle, with the thresholds that it is going to have."""
    made = bundle.manifest
    config = TrainConfig(
        scenario=made.scenario, robot=made.robot, robots=made.team_sizes_trained[1]
    )
    with TemporaryDirectory() as folder:
        return robustness(
            *(Cell(config, (), episodes), lambda: OnnxTeam(policy), settings, Path(folder), note)
        )


def reseal(
    source: Path,
    bundle: Bundle,
    out: Path,
    found: HealthSettings,
    flown: str,
    pages: Mapping[str, bytes] | None = None,
) -> str:
    """The same bundle with other thresholds, and with further files; returns its digest.

    Args:
        source: bundle.
        bundle: the same, opened.
        out: folder of the new one.
        found: thresholds.
        flown: on what they were calibrated; "": they are as they were.
        pages: further files by name.
    """
    files = {**files_of(source), **(pages or {})}
    values = bundle.manifest.model_dump(exclude={"schema_version", "spec", "spec_digest", "files"})
    for name in ("manifest.json", SIGNATURE):
        files.pop(name, None)
    if flown:
        files[CARD] += (
            "\n## Calibration\n\nCalibrated again, on fault-free episodes of "
            f"{flown}, and in place of the thresholds above: accused is {accused(found)}.\n"
        ).encode()
    return seal_bundle(out, {**values, "health": found.to_dict()}, files)
