"""`swarmhold emulate`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.stop import check_stop, stoppable
from swarmhold.hardware.fleet.story import parse_fault
from swarmhold.sim.emulate.emulator import Emulator, crazyflies

SCANNED = 19850  # first of the ten ports that clients of cflib scan
SAY_S = 5.0


@dataclass(frozen=True)
class EmulateArgs:
    """Let N simulated robots answer like real ones, on this machine, until Ctrl-C."""

    crazyflies: int = 0
    """Crazyflies: CRTP over UDP, one port each."""
    scenario: str = "rendezvous"
    """Scenario at whose places they stand."""
    seed: int = 0
    """Of the places."""
    port: int = SCANNED
    """First UDP port; cflib scans 19850 to 19859. 0: free ones."""
    fault: tuple[str, ...] = ()
    """Faults of the hardware, each kind:robot@start[+duration], s after the first motors turn:
    motor_off, motor_stuck, battery, or link_loss (silence of the robot's socket)."""
    fleet: Path | None = None
    """Write a fleet file of these robots here, to fly them with."""
    bundle: Path = Path("rendezvous-crazyflie")
    """That the fleet file is to fly."""
    seconds: float | None = None
    """End after so long; default: at Ctrl-C."""
    json: bool = False
    """Print the addresses as one JSON object."""


def main(argv: list[str]) -> int:
    """Emulate; leave no socket and no thread behind."""
    args = parse(EmulateArgs, argv, "swarmhold emulate")
    if args.crazyflies < 1:
        raise ConfigError("say how many robots, e.g. --crazyflies 6")
    faults = [parse_fault(text) for text in args.fault]
    ports = [args.port + robot if args.port else 0 for robot in range(args.crazyflies)]
    emulator = crazyflies(args.scenario, args.crazyflies, args.seed, faults, ports)
    with stoppable():
        try:
            _show(args, emulator.addresses)
            emulator.serve(_beat(args.seconds))
        except KeyboardInterrupt:
            note("ended")
        finally:
            emulator.close()
    return 0


def _show(args: EmulateArgs, addresses: list[str]) -> None:
    """Where the robots are, and a fleet file of them if one is asked for."""
    if args.fleet is not None:
        robots = [{"name": f"robot_{i}", "link": link} for i, link in enumerate(addresses)]
        told = {"bundle": str(args.bundle), "seed": args.seed, "robots": robots}
        args.fleet.write_text(yaml.safe_dump(told, sort_keys=False))
    if args.json:
        print_json({"scenario": args.scenario, "seed": args.seed, "links": addresses})
        return
    say(f"SIM: {len(addresses)} robots of {args.scenario}, seed {args.seed}; Ctrl-C ends")
    for robot, address in enumerate(addresses):
        say(f"robot {robot}: {address}")
    if args.fleet is not None:
        say(f"fly them: swarmhold fly --fleet {args.fleet} --arm")


def _beat(seconds: float | None) -> Callable[[Emulator], None]:
    """Between ticks: whether to end, and a line on how the team stands now and then."""
    began = said = time.monotonic()

    def beat(emulator: Emulator) -> None:
        nonlocal said
        check_stop()
        now = time.monotonic()
        if seconds is not None and now - began > seconds:
            emulator.end()
        if now - said > SAY_S and emulator.flying.any():
            said = now
            error = emulator.world.task_error(emulator.flying)
            note(f"{emulator.flying.sum()} fly; task error {error:.2f} m")

    return beat
