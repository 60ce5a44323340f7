"""`swarmhold fly`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import SIGNAL_KINDS, FaultSpec
from swarmhold.hardware.fleet.budget import cores_of
from swarmhold.hardware.fleet.compose import signalled
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.ground import confirm
from swarmhold.hardware.fleet.hosts import Part, be_the_host, part_of
from swarmhold.hardware.fleet.permission import check_permission
from swarmhold.hardware.fleet.spares import LEAST_LOST_S, Spares
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.fleet.story import parse_fault, parse_join, play
from swarmhold.hardware.report.recording import recordings_of
from swarmhold.hardware.runtime import OnnxPolicy

AFTER_S = 2.0  # other hosts end after that of the recorder, so that nobody is missed in it


@dataclass(frozen=True)
class FlyArgs:
    """Fly a bundle on N simulated robots over ROS 2, one OS process each or some in one."""

    bundle: Path | None = None
    """Bundle folder, zip archive, slot, or the name of a bundle that ships."""
    robots: int | None = None
    """Team size."""
    fleet: Path | None = None
    """Fleet file, which says what bundle, robots, key, reweight, entities and standbys say."""
    host: str | None = None
    """Host of the fleet file that this is: start what runs on it, no more."""
    wait: float = 60.0
    """Longest time (s) that the hosts of a fleet file wait for each other."""
    key: tuple[Path, ...] = ()
    """Public keys (PEM files or folders of them), one of which must have signed the bundle."""
    seconds: float = 30.0
    """Length of the flight."""
    seed: int | None = None
    """Of the world: start poses, landmarks, sensing noise; default 0, or what the file says."""
    record: Path | None = None
    """New folder for recording, events and logs; default: flights/<time>."""
    record_around: int = 0
    """Record only around events (robots lost, faults, e-stops, SIGUSR1 to the recorder): from so
    many s before each until 5 s after it; 0: the whole flight."""
    fault: tuple[str, ...] = ()
    """Faults, each kind:robot@start[+duration], e.g. crash:2@8+5 freeze:1@10 spoof:0@4."""
    join: tuple[str, ...] = ()
    """Robots that are absent at the start, each robot or robot@time of joining, e.g. 3@10 5."""
    shadow: Path | None = None
    """Bundle that looks on in every robot and is never obeyed; how far it differs is reported."""
    spares: int = 0
    """Spare robots that take the places of lost ones."""
    spare_after: float = 10.0
    """s for which a robot must have been lost before a spare takes its place."""
    domain: int | None = None
    """ROS domain; default: a free one."""
    reweight: bool = True
    """Use health weights; without, all weights are 1."""
    entities: Entities = "none"
    """Whom to attend to in a team larger than any of training: all, the nearest, or in turns."""
    supervisor: bool = True
    """Start the supervisor; without, robots rely on local evidence."""
    standbys: int = 0
    """Warm supervisors that take over when the one before them falls silent."""
    arm: bool = False
    """Arm robots that have links; without, they sense and decide, and nothing moves."""
    hardware: bool = False
    """Links may lead to real robots; with --arm this is to be confirmed by typing."""
    faults_token: Path | None = None
    """File with the operator's token, without which no fault befalls a robot that may be real."""
    hidden: tuple[str, ...] = ()
    """What simulated robots have that nobody knows of, for `swarmhold gap` to find: latency=S,
    wheel_scale=FACTOR or drag=FACTOR; of one robot e.g. latency:2=0.06."""
    processes: int | None = None
    """For all robots; default: one each, or fewer for a team that the cores do not bear."""
    json: bool = False
    """Print where everything lies as JSON."""


def main(argv: list[str]) -> int:
    """Fly, break, record; leave no process behind."""
    args = _whole(parse(FlyArgs, argv, "swarmhold fly"))
    faults = [parse_fault(text) for text in args.fault]
    joins = dict(parse_join(text) for text in args.join)
    if args.seconds <= 0:
        raise ConfigError(f"--seconds is {args.seconds:g}; it must be above 0")
    if args.wait < 0:
        raise ConfigError(f"--wait is {args.wait:g}; it must be at least 0")
    if not 0 <= args.record_around <= 600:
        raise ConfigError(f"--record-around is {args.record_around}; it must lie in 0 to 600 s")
    if args.standbys < 0 or (args.standbys and not args.supervisor):
        raise ConfigError(f"--standbys {args.standbys} needs a supervisor, and at least 0")
    folder = args.record or Path("flights") / time.strftime("%Y%m%d-%H%M%S")
    asked = any(args.hardware or fault.kind not in SIGNAL_KINDS for fault in faults)
    if args.spares < 0 or args.spare_after < LEAST_LOST_S or (args.spares and not args.supervisor):
        raise ConfigError(
            f"--spares need a supervisor, and --spare-after at least {LEAST_LOST_S:g} s: a robot "
            "that is back sooner keeps its place"
        )
    config = fleet_config(args, folder, asked)
    config = replace(
        config,
        absent=tuple(joins),
        around_s=args.record_around,
        spares=args.spares,
        processes=args.processes,
        alone=signalled(faults),
        arm=args.arm,
        hardware=args.hardware,
        operator_token=args.faults_token,
        hidden=args.hidden,
    )
    if (args.arm or args.hardware) and not config.linked:
        raise ConfigError("--arm and --hardware are for robots with links in a fleet file")
    for what, robot in (*(("fault", f.robot) for f in faults), *(("join", r) for r in joins)):
        if robot >= config.robots:
            raise ConfigError(f"{what} names robot {robot} of {config.robots}; they count from 0")
    if len(joins) == config.robots:
        raise ConfigError("all robots are absent; leave at least one out of --join")
    part = config.part
    _reach(part, faults)
    check_permission(config)
    confirm(config)
    be_the_host(part)
    with stoppable():
        fleet = Fleet(config)
        warning = OnnxPolicy(fleet.bundle).team_size_warning(config.robots)
        if warning:
            note(f"warning: {warning}")
        needed = cores_of(config.robots, len(part.robots), len(part.ranks), len(fleet.groups))
        there = os.cpu_count()
        if needed > (there or 1):
            note(f"warning: nodes need about {needed:.1f} cores, of {there}; loops will be late")
        shared = [group for group in fleet.groups if len(group) > 1]
        if shared:
            note(
                f"{sum(map(len, shared))} robots share {len(shared)} processes; whatever ends one "
                "ends all of its robots"
            )
        if config.linked and not config.arm:
            note("robots are not armed: they sense and decide, and nothing moves; see --arm")
        note(f"starting {part} on ROS domain {fleet.domain}")
        here = {robot: at for robot, at in joins.items() if part.runs(robot)}
        seconds = args.seconds + (0.0 if part.world else AFTER_S)
        try:
            with fleet:
                spares = Spares(args.spares if part.world else 0, args.spare_after)
                title = f"{'HARDWARE' if fleet.live.real else 'SIM'}: {fleet.bundle.manifest.name}"
                play(fleet, seconds, faults, title, here, spares)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"all processes ended; what was recorded: {folder}") from None
    found = {"folder": str(folder), "recording": _mcap(folder), "domain": fleet.domain}
    if args.json:
        print_json(found)
    elif not part.world:
        say(f"flown; events and logs: {folder}; the recording is on {part.lead}")
    else:
        say(f"flown; recording: {found['recording']}; next: swarmhold report {folder}")
    return 0


def _whole(args: FlyArgs) -> FlyArgs:
    """What is asked for has all that a flight needs, once.

    Raises:
        ConfigError: it has not.
    """
    if args.fleet is None:
        if args.bundle is None or args.robots is None:
            raise ConfigError("give --bundle and --robots, or --fleet with a fleet file")
        if args.host is not None:
            raise ConfigError(f"--host {args.host} is one of a fleet file; give --fleet")
        return args
    for name in ("bundle", "robots", "key", "reweight", "entities", "standbys"):
        if getattr(args, name) != getattr(FlyArgs, name):
            raise ConfigError(f"--fleet says it all; write into {args.fleet} what --{name} says")
    return args


def fleet_config(args: FlyArgs, folder: Path, faults: bool) -> FleetConfig:
    """The fleet that the options or their fleet file ask for; `faults`: it is to obey some.

    Raises:
        ConfigError: the fleet file is wrong, spans hosts, or does not allow what is asked for.
    """
    if args.fleet is None:
        assert args.bundle is not None and args.robots is not None
        return FleetConfig(
            bundle=args.bundle,
            robots=args.robots,
            folder=folder,
            seed=args.seed or 0,
            keys=args.key,
            shadow=args.shadow,
            domain=args.domain,
            reweight=args.reweight,
            entities=args.entities,
            supervisor=args.supervisor,
            standbys=args.standbys,
            allow_faults=faults,
        )
    fleet = load_fleet(args.fleet)
    if args.host is None and not fleet.on_one_host:
        raise ConfigError(
            f"{args.fleet} spreads the team over hosts ({', '.join(fleet.used_hosts)}); "
            f"on each of them: swarmhold fly --fleet {args.fleet} --host NAME"
        )
    part = part_of(fleet, args.host or fleet.world_host)
    refusing = [robot.name for robot in fleet.robots if not robot.allow_faults]
    if faults and refusing:
        raise ConfigError(f"{args.fleet} does not allow faults of {', '.join(refusing)}")
    supervisors = len(fleet.supervisors) if args.supervisor else 0
    return FleetConfig(
        bundle=fleet.bundle,
        robots=len(fleet.robots),
        folder=folder,
        seed=fleet.seed if args.seed is None else args.seed,
        keys=fleet.keys,
        shadow=fleet.shadow if args.shadow is None else args.shadow,
        domain=fleet.domain if args.domain is None else args.domain,
        supervisor=supervisors > 0,
        standbys=max(supervisors - 1, 0),
        allow_faults=faults,
        each=fleet.robots,
        host=part if args.supervisor else replace(part, ranks=()),
        wait_s=0.0 if fleet.on_one_host else args.wait,
        security=fleet.security,
        faults_token=fleet.faults_token,
    )


def _reach(part: Part, faults: Sequence[FaultSpec]) -> None:
    """Whether this host can break whom it is to break.

    Raises:
        ConfigError: another host has to.
    """
    for fault in faults:
        signal = fault.kind in SIGNAL_KINDS
        if (signal and not part.runs(fault.robot)) or (not signal and not part.world):
            where = f"robot {fault.robot}" if signal else "the world"
            raise ConfigError(
                f"{fault.kind} is done on the host of {where}, not on {part.host}; give it there"
            )


def _mcap(folder: Path) -> str | None:
    files = recordings_of(folder)
    return str(files[0]) if files else None
