"""`swarmhold faults plan`, `run` and `report`: one fault plan, in whichever world."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from swarmhold.export.capabilities import beyond, shipped
from swarmhold.export.plan_links import emulated, on_hardware
from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.cli.config import for_json, note, parse, print_json, say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.drivers.links import TWIST, parse_link
from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.files import replace_file
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.plan_flight import SOURCES, fly_plan
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.network.air import Air
from swarmhold.hardware.network.hosts import need_hosts
from swarmhold.hardware.plan import FaultPlan, load_plan
from swarmhold.hardware.report.plan_page import render
from swarmhold.hardware.report.plan_record import recorded
from swarmhold.hardware.report.score import Arm, Row, figures, plain, story
from swarmhold.hardware.report.trace import Trace
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.policies.detectors_cli import poisson
from swarmhold.policies.learning.commit import commit
from swarmhold.policies.plan_flights import ARMS, flown
from swarmhold.sim.env import SwarmEnv

PLANS = files("swarmhold.export").joinpath("plans")
World = Literal["sim", "ros", "emulated", "hardware"]
CheckedWorld = Literal["sim", "ros", "crazyflie", "mavlink", "twist", "hardware"]


@dataclass(frozen=True)
class PlanArgs:
    """Check a fault plan, and show what it comes to."""

    plan: Annotated[Path | None, tyro.conf.Positional] = None
    """Plan (YAML), or the name of one that ships."""
    check: bool = False
    """Say nothing but what is wrong."""
    world: CheckedWorld | None = None
    """Also say what of it this world cannot do: sim, ros, the kind of link, or hardware."""
    schema: bool = False
    """Print the JSON schema of plans instead."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class RunArgs:
    """Fly a fault plan, and score it."""

    plan: Annotated[Path, tyro.conf.Positional]
    """Plan (YAML), or the name of one that ships."""
    world: World = "sim"
    """sim: simulated episodes at batch speed; ros: live ROS 2 nodes in real time; emulated: the
    same behind drivers, with robots that are simulated; hardware: with those of a fleet file."""
    bundle: Path | None = None
    """Bundle that flies; default: one that ships. hardware: that of the fleet file."""
    link: Literal["crazyflie", "mavlink", "twist"] = "crazyflie"
    """emulated: what the robots answer as."""
    network: Literal["loopback", "namespaces"] = "loopback"
    """ros: where nodes meet; namespaces: each robot has a host of its own, and what is done to
    links is done to the cable between them, below DDS (needs root)."""
    fleet: Path | None = None
    """hardware: fleet file of robots with links, which allows faults."""
    faults_token: Path | None = None
    """hardware: file with the operator's token."""
    arms: tuple[str, ...] = ()
    """Who tells the weights: free (nothing is broken), none, supervisor, oracle (sim only);
    default: all that the world knows."""
    layouts: int = 8
    """sim: start positions that the plan is flown from."""
    out: Path | None = None
    """New folder for flights and report; default: flights/plan-<time>."""
    json: bool = False
    """One JSON object on standard output."""


@dataclass(frozen=True)
class ReportArgs:
    """Write the page of a plan that was flown; of several worlds, side by side."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that `faults run` wrote, of one plan."""
    out: Path | None = None
    """Page; default: report.html in the first folder."""
    json: bool = False
    """One JSON object on standard output."""


def plan(argv: list[str]) -> int:
    """`faults plan`."""
    args = parse(PlanArgs, argv, "swarmhold faults plan")
    if args.schema:
        say(json.dumps(FaultPlan.model_json_schema(), indent=2))
        return 0
    if args.plan is None:
        raise ConfigError("give a plan: swarmhold faults plan PLAN.yaml")
    found = load_plan(located(args.plan))
    faults = found.faults_drawn()
    lacking = beyond(shipped(), args.world, faults) if args.world else []
    if args.json:
        rows = [_plain(fault) for fault in faults]
        told = {"name": found.name, "length_s": found.length_s, "faults": rows}
        print_json({**told, "unsupported": lacking})
    elif lacking:
        raise ConfigError(
            f"{args.plan}: {args.world} cannot do {len(lacking)} of its faults: "
            f"{'; '.join(lacking)}; leave them out, or fly it elsewhere"
        )
    elif args.check:
        say(f"{args.plan}: {len(faults)} faults in {found.length_s:.0f} s, nothing is wrong")
    else:
        _show(found, faults)
    return 0


def located(plan: Path) -> Path:
    """The file, or that of a plan that ships under this name.

    Raises:
        ConfigError: there is neither.
    """
    ours = {file.name.removesuffix(".yaml"): file for file in PLANS.iterdir()}
    if plan.exists():
        return plan
    if str(plan) not in ours:
        cure = hint(plan, sorted(ours), otherwise="plans that ship")
        raise ConfigError(f"{plan} does not exist; {cure}")
    return Path(str(ours[str(plan)]))


def _plain(fault: FaultSpec) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in FaultSpec.__slots__}


def _show(found: FaultPlan, faults: Sequence[FaultSpec]) -> None:
    table = Table(title=f"{found.name}: {found.length_s:.0f} s, {found.robots} robots")
    for name in ("from", "to", "robot", "kind", "severity"):
        table.add_column(name, justify="right")
    for fault in faults:
        times = f"{fault.start_s:.1f} s", f"{fault.end_s:.1f} s"
        table.add_row(*times, str(fault.robot), fault.kind, f"{fault.severity:g}")
    print_tables(table)


def run(argv: list[str]) -> int:
    """`faults run`: 0 if it was flown to its end, 1 if it was aborted."""
    args = parse(RunArgs, argv, "swarmhold faults run")
    found, config = load_plan(located(args.plan)), None
    if args.world == "hardware":
        config = on_hardware(args.fleet, found.robots, args.faults_token)
    elif args.fleet is not None:
        raise ConfigError("--fleet goes with --world hardware")
    if args.network == "namespaces":
        if args.world != "ros":
            raise ConfigError("--network namespaces goes with --world ros")
        need_hosts()
    bundle = open_bundle(config.bundle if config else _bundle(args))
    known = ARMS if args.world == "sim" else SOURCES
    arms = tuple(dict.fromkeys(args.arms or known))
    wrong = [arm for arm in arms if arm not in known]
    if wrong or "supervisor" not in arms or args.layouts < 1:
        raise ConfigError(
            f"--arms {' '.join(arms)}: {args.world} knows {', '.join(known)}, and supervisor must "
            "be among them; --layouts is at least 1"
        )
    folder = args.out or Path("flights") / time.strftime("plan-%Y%m%d-%H%M%S")
    if folder.exists():
        raise ConfigError(f"{folder} exists already; choose a new folder with --out")
    folder.mkdir(parents=True)
    with stoppable():
        if args.world == "sim":
            scored = _in_sim(args, found, bundle, arms)
        else:
            config = config or FleetConfig(_bundle(args), found.robots, folder, seed=found.seed)
            scored = _in_ros(args, found, config, arms, folder)
    told = {
        "plan": found.model_dump(mode="json"),
        "world": args.world,
        "link": _link(args, config),
        "network": args.network if args.world == "ros" else "",
        "bundle": bundle.manifest.name,
        "digest": bundle.digest,
        "commit": commit(),
        "scenario": bundle.manifest.scenario,
        "robot": bundle.manifest.robot,
        **scored,
    }
    _write(folder / "report.json", json.dumps(told, allow_nan=False, indent=1) + "\n")
    _write(folder / "report.html", render([told]))
    if args.json:
        print_json({**told, "report": str(folder / "report.html")})
    else:
        _say(told)
        say(f"report: {folder / 'report.html'}")
    return 1 if told["aborted"] else 0


def _link(args: RunArgs, config: FleetConfig | None) -> str:
    """How robots are reached; "" where they are simulated without a link."""
    if args.world == "emulated":
        return args.link
    each = config.each if args.world == "hardware" and config is not None else ()
    return " ".join(sorted({parse_link(one.link).kind for one in each}))


def _bundle(args: RunArgs) -> Path:
    flies = args.world == "emulated" and args.link != TWIST
    return args.bundle or Path("rendezvous-crazyflie" if flies else "coverage-epuck")


def _in_sim(args: RunArgs, found: FaultPlan, bundle: Bundle, arms: Sequence[str]) -> dict[str, Any]:
    manifest, policy = bundle.manifest, OnnxPolicy(bundle)
    faults, seconds = found.faults_drawn(), found.length_s
    made = []
    for source in arms:
        note(f"{args.layouts} simulated flights of {seconds:.0f} s, weights: {source}")
        env = SwarmEnv(
            manifest.scenario, manifest.robot, args.layouts, found.robots, seed=found.seed,
            contacts=True,
        )  # fmt: skip
        made.append(flown(env, lambda _: OnnxTeam(policy), bundle.health, faults, seconds, source))
        env.close()
    free = next((arm.flights for arm in made if arm.source == "free"), (None,) * args.layouts)
    helped = next(arm.flights for arm in made if arm.source == "supervisor")
    rows = [story(t, faults, {}, other, True) for t, other in zip(helped, free, strict=True)]
    return _scored(made, rows, "")


def _in_ros(
    args: RunArgs, found: FaultPlan, config: FleetConfig, arms: Sequence[str], folder: Path
) -> dict[str, Any]:
    made, kept = [], {}
    for source in arms:
        own = replace(config, folder=folder / source)
        title = f"{found.name}, weights: {source}"
        note(f"flight of {found.length_s:.0f} s, weights: {source}")
        if args.world == "emulated":
            with emulated(own, args.link) as linked:
                fly_plan(linked, found, source, title)
        elif args.network == "namespaces":
            with Air(found.robots, found.seed) as air:
                fly_plan(replace(own, air=air), found, source, title)
        else:
            fly_plan(own, found, source, title)
        kept[source] = recorded(own.folder, () if source == "free" else found.faults_drawn())
        made.append(Arm(source, (kept[source].trace,)))
    helped = kept["supervisor"]
    free = kept["free"].trace if "free" in kept else None
    rows = story(helped.trace, helped.faults, helped.answers, free, False)
    ended = {source: each.aborted for source, each in kept.items() if each.aborted}
    aborted = "; ".join(f"{source}: {reason}" for source, reason in ended.items())
    return _scored(made, [rows], aborted)


def _scored(made: Sequence[Arm], rows: Sequence[Sequence[Row]], aborted: str) -> dict[str, Any]:
    helped = next(arm for arm in made if arm.source == "supervisor")
    return {
        "aborted": aborted,
        "figures": for_json(figures(made, rows, poisson)),
        "rows": [for_json(plain(own)) for own in rows],
        "lanes": _lanes(helped.flights[0]),
    }


def _lanes(trace: Trace) -> dict[str, Any]:
    """What the supervisor said of each robot in the first flight: changes alone."""
    lanes = []
    for robot in range(trace.n):
        states = trace.states[:, robot]
        turns = [0, *(int(k) + 1 for k in (states[1:] != states[:-1]).nonzero()[0])]
        lanes.append([[round(float(trace.table_t[k]), 2), int(states[k])] for k in turns])
    return {"end_s": round(float(trace.t[-1]), 2), "robots": lanes}


def _say(told: dict[str, Any]) -> None:
    found = told["figures"]
    delay, arms = found["detection_delay_s"], found["arms"]
    if told["aborted"]:
        say(f"ABORTED: {told['aborted']}")
    status = ", ".join(f"{count} {word}" for word, count in found["status"].items())
    say(f"{found['faults']} faults: {status}")
    seconds = "no delay" if delay["p50"] is None else f"after {delay['p50']:.2f} s (p50)"
    say(f"{found['to_be_found']} were to be found, {found['missed']} missed; found {seconds}")
    rate = found["false_alarms_per_robot_hour"]
    if rate[0] is not None:
        say(f"false alarms: {rate[0]:.2f} [{rate[1]:.2f}, {rate[2]:.2f}] per robot-hour")
    for source, arm in arms.items():
        if arm["retained"] is not None and source != "free":
            say(f"task retained, weights from {source}: {arm['retained']:.0%}")


def report(argv: list[str]) -> int:
    """`faults report`."""
    args = parse(ReportArgs, argv, "swarmhold faults report")
    if not args.runs:
        raise ConfigError("give folders that `swarmhold faults run` wrote")
    told = [read_report(folder) for folder in args.runs]
    out = args.out or args.runs[0] / ("report.html" if len(told) == 1 else "comparison.html")
    _write(out, render(told))
    if args.json:
        print_json({"report": str(out), "runs": [one["figures"] for one in told]})
    else:
        say(f"report: {out}")
    return 0


def _write(path: Path, text: str) -> None:
    replace_file(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_report(folder: Path) -> dict[str, Any]:
    """What `faults run` wrote.

    Raises:
        ConfigError: it cannot be read, or is damaged.
    """
    path = folder / "report.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        _ = told["figures"]["arms"], told["rows"], told["lanes"]["robots"], told["plan"]["name"]
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); give a run's folder"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged; fly the plan again") from error
    return dict(told)
