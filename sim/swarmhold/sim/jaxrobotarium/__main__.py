"""`python -m swarmhold.sim.jaxrobotarium`: what is installed; how near it is to ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.sim.jaxrobotarium.check import cross_check
from swarmhold.sim.jaxrobotarium.install import probe
from swarmhold.sim.jaxrobotarium.policy import evaluate, navigation, to_own_landmark


@dataclass(frozen=True)
class Args:
    """Whether JaxRobotarium can be used here."""

    check: bool = False
    """Also compare its physics and its barrier with ours, and play the example of a policy."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Print what the probe finds."""
    args = parse(Args, argv, "python -m swarmhold.sim.jaxrobotarium")
    try:
        found: dict[str, dict] = {"versions": probe().versions}
    except SwarmholdError as error:
        note(f"error: {error}")
        return 2
    if args.check:
        found.update(cross_check())
        found["navigation, example policy"] = evaluate(navigation(16, 3), to_own_landmark, 16)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
