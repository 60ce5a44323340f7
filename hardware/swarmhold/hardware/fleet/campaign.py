"""`swarmhold bench detection` and `bench soak`: the live fleet, broken often or not at all."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import check_stop, stoppable
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.measures import (
    detections,
    false_alarms,
    loop_figures,
    quantiles,
)

DOWN_S = 2.0  # how long a robot stays dead or stopped
PAUSE_S = 7.5  # then it is back and trusted again before the next one fails
LOOK_S = 0.2  # between two looks whether all nodes are there


@dataclass(frozen=True)
class CampaignArgs:
    """Kill and stop robots of a live fleet, or leave it alone, and measure."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle to fly."""
    robots: int = 8
    """Team size."""
    events: int = 40
    """detection: SIGKILLs and SIGSTOPs, alternating."""
    robot_hours: float = 2.0
    """soak: fault-free robot time."""
    out: Path | None = None
    """New folder for the recordings; default: flights/<bench>-<time>."""
    seed: int = 0
    """Which robots fail, and the world."""
    json: bool = False
    """One JSON object on standard output."""


def main(kind: str, argv: list[str]) -> int:
    """Run one campaign.

    Args:
        kind: "detection" or "soak".
        argv: arguments after it.
    """
    args = parse(CampaignArgs, argv, f"swarmhold bench {kind}")
    folder = args.out or Path("flights") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"
    with stoppable():
        out = detection(args, folder) if kind == "detection" else soak(args, folder)
    if args.json:
        print_json(out)
    else:
        for name, value in out.items():
            say(f"{name}: {value}")
    return 0


def detection(args: CampaignArgs, folder: Path) -> dict[str, Any]:
    """Delays from signal to every healthy robot's weight below one half."""
    config = FleetConfig(args.bundle, args.robots, folder, seed=args.seed, processes=args.robots)
    rng = random.Random(args.seed)
    order: list[int] = []
    with Fleet(config) as fleet:
        time.sleep(3.0)
        for event in range(args.events):
            check_stop()
            # Everybody has its turn, so that nobody is still on probation when it fails.
            order = order or rng.sample(range(args.robots), args.robots)
            robot = order.pop()
            kill = event % 2 == 0
            note(f"event {event + 1} of {args.events}: {'kill' if kill else 'stop'} {robot}")
            _ = fleet.kill(robot) if kill else fleet.freeze(robot)
            time.sleep(DOWN_S)
            _ = fleet.respawn(robot) if kill else fleet.thaw(robot)
            time.sleep(PAUSE_S + rng.random())
    flight = read_flight(folder)
    found = detections(flight)
    alarms, hours = false_alarms(flight)
    by_kind = {
        kind: quantiles(np.array([d.delay_s for d in found if d.kind == kind]), (50, 95, 100))
        for kind in ("crash", "freeze")
    }
    delays = np.array([d.delay_s for d in found])
    return {
        "events": args.events,
        "detection_delay_s": {**quantiles(delays, (50, 95, 100)), "n": len(delays)},
        "by_kind": by_kind,
        "missed": int(np.isinf(delays).sum()),
        "false_alarms": alarms,
        "false_alarm_robot_hours": hours,
        **loop_figures([flight]),
        "folder": str(folder),
    }


def leave_alone(fleet: Fleet, seconds: float) -> None:
    """Let a fleet fly for so long; raises `NotReadyError` if a node ends."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        check_stop()
        fleet.check(set())
        time.sleep(LOOK_S)


def soak(args: CampaignArgs, folder: Path) -> dict[str, Any]:
    """False alarms of a fleet that nobody touches, in real time."""
    seconds = 3600.0 * args.robot_hours / args.robots
    config = FleetConfig(args.bundle, args.robots, folder, seed=args.seed)
    with Fleet(config) as fleet:
        note(f"soak: {args.robots} robots for {seconds:.0f} s")
        leave_alone(fleet, seconds)
    flight = read_flight(folder)
    alarms, hours = false_alarms(flight)
    return {
        "false_alarms": alarms,
        "robot_hours": hours,
        # With no event in H hours the rate lies below 3 / H at 95 % (rule of three).
        "rate_below_per_robot_hour": (3.0 / hours) if not alarms and hours else None,
        **loop_figures([flight]),
        "folder": str(folder),
    }
