"""`python -m swarmhold.sim.jaxrobotarium`: what is installed; how near it is to ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.sim.jaxrobotarium.check import cross_check
from swarmhold.sim.jaxrobotarium.install import probe
from swarmhold.sim.jaxrobotarium.policy import bundle_policy, evaluate, navigation, to_own_landmark


@dataclass(frozen=True)
class Args:
    """Whether JaxRobotarium can be used here."""

    check: bool = False
    """Also compare its physics and its barrier with ours."""
    play: str | None = None
    """Also play a bundle for gritsbot robots, or the word example, in its scenario Navigation."""
    robots: int = 3
    """Team size to play with."""
    episodes: int = 64
    """Episodes to play."""
    seed: int = 0
    """Of the layouts to play in."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Print what the probe finds."""
    args = parse(Args, argv, "python -m swarmhold.sim.jaxrobotarium")
    try:
        found = _found(args)
    except SwarmholdError as error:
        note(f"error: {error}")
        return 2
    if args.json:
        print_json(found)
        return 0
    for name, rows in found.items():
        line = ", ".join(
            f"{key} {value if isinstance(value, str) else format(value, '.3g')}"
            for key, value in rows.items()
        )
        say(f"{name}: {line}")
    return 0


def _found(args: Args) -> dict[str, dict]:
    """What there is to print, by title."""
    found: dict[str, dict] = {"versions": probe().versions}
    if args.check:
        found.update(cross_check())
    if args.play is not None:
        policy = to_own_landmark if args.play == "example" else bundle_policy(Path(args.play))
        teams = max(min(args.episodes, 64), 1)
        env = navigation(teams, args.robots, args.seed)
        found[f"{args.play} in navigation"] = evaluate(env, policy, args.episodes)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
