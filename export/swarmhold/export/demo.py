"""`swarmhold demo`: the whole line in one command.

Train (or take the bundle that ships), verify, fly three times on the same seed (no faults;
faults with the supervisor; the same faults with all weights 1), and write one report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.fleet.story import play
from swarmhold.hardware.report.cli import sort_flights
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.page import render
from swarmhold.hardware.runtime import OnnxPolicy

SHIPPED = files("swarmhold.export").joinpath("bundles")
LEAST_ROBOTS = 5  # one killed, one stopped, one lying, and two to look at


@dataclass(frozen=True)
class DemoArgs:
    """Fly a team, break it, write a report."""

    train: bool = False
    """Train a small policy on the spot instead of flying the bundle that ships."""
    bundle: Path | None = None
    """Another bundle to fly."""
    scenario: str = "coverage"
    """Task of the shipped or trained bundle: coverage or rendezvous."""
    robots: int = 8
    """Team size."""
    seed: int = 0
    """Of the world, the same in all three flights."""
    seconds: float = 30.0
    """Length of each flight."""
    out: Path | None = None
    """New folder for recordings and report; default: flights/demo-<time>."""
    domain: int | None = None
    """ROS domain; default: a free one for each flight."""
    json: bool = False
    """End with one JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Run the demo."""
    args = parse(DemoArgs, argv, "swarmhold demo")
    if args.robots < LEAST_ROBOTS:
        raise ConfigError(f"--robots is {args.robots}; the demo breaks three, give {LEAST_ROBOTS}")
    if args.train and args.bundle:
        raise ConfigError("--train and --bundle exclude each other")
    if args.seconds < 20:
        raise ConfigError(f"--seconds is {args.seconds:g}; the story needs at least 20")
    folder = args.out or Path("flights") / time.strftime("demo-%Y%m%d-%H%M%S")
    if folder.exists():
        raise ConfigError(f"{folder} exists already; choose a new folder with --out")
    folder.mkdir(parents=True)
    try:
        with stoppable():
            return _run(args, folder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"all processes ended; what was done so far: {folder}") from None


def _run(args: DemoArgs, folder: Path) -> int:
    bundle = _bundle(args, folder)
    warning = OnnxPolicy(open_bundle(bundle)).team_size_warning(args.robots)
    if warning:
        note(f"warning: {warning}")
    note(f"bundle: {bundle} verified")
    faults = story(args.robots, args.seconds)
    common = FleetConfig(
        bundle, args.robots, folder, seed=args.seed, domain=args.domain, allow_faults=True
    )
    flights: list[tuple[str, FleetConfig, Sequence[FaultSpec]]] = [
        ("1 of 3, no faults", replace(common, folder=folder / "nominal"), ()),
        ("2 of 3, faults", replace(common, folder=folder / "supervisor"), faults),
        (
            "3 of 3, the same faults without re-weighting",
            replace(common, folder=folder / "no-reweighting", reweight=False),
            faults,
        ),
    ]
    for title, config, cues in flights:
        note(f"flight {title}: {config.robots} robots, {args.seconds:.0f} s")
        with Fleet(config) as fleet:
            play(fleet, args.seconds, cues, title)
    recorded = [read_flight(config.folder) for _, config, _ in flights]
    told = sort_flights(recorded)
    page, figures = render(told)
    report = folder / "report.html"
    report.write_text(page, encoding="utf-8")
    if args.json:
        print_json(
            {
                **figures,
                "report": str(report.resolve()),
                "recording": str(told.helped.recording.resolve()),
            }
        )
    else:
        error = figures["task_error"]
        say(
            f"task error: {error['nominal']:.3f} m without faults, "
            f"{error['with_supervisor']:.3f} m with faults and supervisor, "
            f"{error['without_supervisor']:.3f} m without re-weighting"
        )
        say(f"report: {report.resolve()}")
    return 0


def story(robots: int, seconds: float) -> list[FaultSpec]:
    """One robot is killed and comes back, one is stopped for good, one lies from early on.

    Args:
        robots: team size, at least `LEAST_ROBOTS`.
        seconds: length of the flight.
    """
    third = seconds / 3
    return [
        FaultSpec("spoof", 0, start_s=0.1 * seconds, seed=5),
        FaultSpec("crash", 2, start_s=0.2 * seconds, duration_s=third),
        FaultSpec("freeze", 1, start_s=0.25 * seconds),
    ]


def _bundle(args: DemoArgs, folder: Path) -> Path:
    """The bundle to fly: given, trained now, or shipped."""
    if args.bundle is not None:
        return args.bundle
    if args.train:
        return _train(args, folder)
    shipped = Path(str(SHIPPED)) / f"{args.scenario}-epuck"
    if not shipped.is_dir():
        raise ConfigError(
            f"no bundle ships for scenario {args.scenario!r}; choose coverage or rendezvous"
        )
    return shipped


def _train(args: DemoArgs, folder: Path) -> Path:
    """A small policy, trained on the spot."""
    from swarmhold.export.seal import export_run
    from swarmhold.policies.config import TrainConfig
    from swarmhold.policies.train_cli import train_with_progress

    config = TrainConfig(
        scenario=args.scenario, robots=max(args.robots, 8), warm_start=14, iterations=6, teams=12
    )
    note(f"training {config.scenario} for teams of up to {config.robots}: a few minutes")
    train_with_progress(config, folder / "run", resume=False)
    digest, parity = export_run(folder / "run", folder / "bundle")
    note(f"exported: sha256 {digest[:16]}, parity {parity.worst:.1e}")
    return folder / "bundle"
