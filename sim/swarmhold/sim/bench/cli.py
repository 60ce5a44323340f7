"""`swarmhold bench sim` and `swarmhold bench ground`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.bench.flight import DRONES, bench_sim, cost_curve, plot_curve
from swarmhold.sim.bench.ground import MOST_ROBOTS, TICKS, bench_ground

Peers = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class SimArgs:
    """Hovering quadrotors, 240 Hz physics, 48 Hz control: ratios measured in turns."""

    peer: Peers = ()
    """NAME=PATH of a Python in which the peer is installed (gpd, crazyflow); may be repeated."""
    rounds: int = 5
    """Interleaved rounds; a warm-up goes before."""
    seconds: float = 1.0
    """CPU-seconds of each subject in a round."""
    curve: Path | None = None
    """Also measure the cost over team size and teams, and draw it into this file."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class GroundArgs:
    """Robotarium robots that drive to goals, thirty ticks a step: ratios measured in turns."""

    peer: Peers = ()
    """NAME=PATH of a Python with the peer installed (jaxrobotarium, rps); may be repeated."""
    robots: int = 3
    """Robots of a team."""
    rounds: int = 5
    """Interleaved rounds; a warm-up goes before."""
    seconds: float = 1.0
    """CPU-seconds of each subject in a round."""
    json: bool = False
    """One JSON object on standard output."""


def peers_of(given: tuple[str, ...], known: tuple[str, ...]) -> dict[str, Path]:
    """Interpreters by peer.

    Raises:
        ConfigError: not NAME=PATH, or a name that is not known.
    """
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in known:
            raise ConfigError(f"--peer {text}: give NAME=PATH, with one of: {', '.join(known)}")
        found[name] = Path(path).expanduser()
    return found


def check_rounds(rounds: int, seconds: float) -> None:
    """Raises: ConfigError, if there would be nothing to measure."""
    if rounds < 1 or not 0 < seconds < 600:
        raise ConfigError("need at least one round, and --seconds above 0 and below 600")


def sim(argv: list[str]) -> int:
    """Measure and print."""
    args = parse(SimArgs, argv, "swarmhold bench sim")
    check_rounds(args.rounds, args.seconds)
    peers = peers_of(args.peer, ("gpd", "crazyflow"))
    found = bench_sim(peers, args.rounds, args.seconds, note)
    if args.curve is not None:
        found["curve"] = cost_curve(min(args.seconds, 0.3), note)
        plot_curve(found["curve"], args.curve)
    if args.json:
        print_json(found)
        return 0
    say(
        f"{DRONES} quadrotors, full environment, median of {args.rounds} rounds (lowest to highest)"
    )
    table("team-steps per CPU-second", found["team_steps_per_cpu_s"], "{:>14,.0f}")
    table("ratio to gym-pybullet-drones", found["ratio_spread"], "{:>14,.1f}")
    return 0


def ground(argv: list[str]) -> int:
    """Measure and print."""
    args = parse(GroundArgs, argv, "swarmhold bench ground")
    check_rounds(args.rounds, args.seconds)
    if not 1 < args.robots <= MOST_ROBOTS:
        raise ConfigError(f"--robots {args.robots}: give 2 to {MOST_ROBOTS}; more find no room")
    peers = peers_of(args.peer, ("jaxrobotarium", "rps"))
    found = bench_ground(peers, args.robots, args.rounds, args.seconds, note)
    if args.json:
        print_json(found)
        return 0
    say(
        f"{args.robots} robots to their goals, {TICKS} ticks a step, "
        f"median of {args.rounds} rounds (lowest to highest)"
    )
    table("env-steps per CPU-second", found["env_steps_per_cpu_s"], "{:>14,.0f}")
    table("ratio", found["ratio_spread"], "{:>14,.1f}")
    return 0


def table(title: str, rows: dict[str, dict[str, Any]], form: str) -> None:
    """Print medians with their spread."""
    if not rows:
        return
    say(f"{title:<36}{'median':>14}{'lowest':>14}{'highest':>14}")
    for name, row in rows.items():
        figures = "".join(form.format(row[part]) for part in ("median", "low", "high"))
        say(f"  {name:<34}{figures}")
