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
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.sim.emulate.emulator import Emulator, crazyflies, mavlink_vehicles

SCANNED = 19850  # first of the ten ports that clients of cflib scan
GROUND = 14540  # where programs on a companion computer listen for PX4
SAY_S = 5.0


@dataclass(frozen=True)
class EmulateArgs:
    """Let N simulated robots answer like real ones, on this machine, until Ctrl-C."""

    crazyflies: int = 0
    """Crazyflies: CRTP over UDP, one port each."""
    mavlink: int = 0
    """Or MAVLink vehicles, in the manner of PX4, which all speak to one port of this machine."""
    scenario: str = "rendezvous"
    """Scenario at whose places they stand."""
    seed: int = 0
    """Of the places."""
    port: int | None = None
    """Of Crazyflies the first, 19850 by default (cflib scans ten); 0: free ones. Of MAVLink
    vehicles that of the ground station, 14540 by default."""
    fault: tuple[str, ...] = ()
    """Faults of the hardware, each kind:robot@start[+duration], s after the first motors turn:
    motor_off, motor_stuck, battery, or link_loss (silence of the robot's socket)."""
    hidden: tuple[str, ...] = ()
    """What they have that nobody knows of, for `swarmhold gap` to find: latency=S or drag=FACTOR;
    of one robot e.g. drag:2=1.5."""
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
    emulator = _emulator(args)
    with stoppable():
        try:
            _show(args, emulator.addresses)
            emulator.serve(_beat(args.seconds))
        except KeyboardInterrupt:
            note("ended")
        finally:
            emulator.close()
    return 0


def _emulator(args: EmulateArgs) -> Emulator:
    """The robots that are asked for.

    Raises:
        ConfigError: none are, or of both kinds.
    """
    if min(args.crazyflies, args.mavlink) < 0 or (args.crazyflies > 0) == (args.mavlink > 0):
        raise ConfigError("say how many robots of which kind, e.g. --crazyflies 6, or --mavlink 6")
    faults = [parse_fault(text) for text in args.fault]
    hidden = parse_hidden(args.hidden, args.mavlink or args.crazyflies)
    if args.mavlink:
        ground = GROUND if args.port is None else args.port
        if not 0 < ground < 65536:
            raise ConfigError(f"--port is {ground}; name the ground station's UDP port")
        return mavlink_vehicles(args.scenario, args.mavlink, args.seed, faults, ground, hidden)
    first = SCANNED if args.port is None else args.port
    ports = [first + robot if first else 0 for robot in range(args.crazyflies)]
    return crazyflies(args.scenario, args.crazyflies, args.seed, faults, ports, hidden)


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
    """Between ticks: whether to end, and a line now and then."""
    began = said = time.monotonic()

    def beat(emulator: Emulator) -> None:
        nonlocal said
        check_stop()
        now = time.monotonic()
        if seconds is not None and now - began > seconds:
            emulator.end()
        if now - said > SAY_S:
            said = now
            note(f"{emulator.flying.sum()} of {len(emulator.links)} have their motors on")

    return beat
