"""`swarmhold bench many`: live teams of growing size, and what one more robot costs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.table import Table

from swarmhold.hardware.cli.config import note, parse, print_json, say
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.campaign import leave_alone
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.fleet.stop import stoppable
from swarmhold.hardware.report.flight import Flight, read_flight
from swarmhold.hardware.report.measures import false_alarms, quantiles
from swarmhold.hardware.report.recording import events_of, messages_of

SETTLE_S = 3.0  # after the start, before anything is counted
COLUMNS = {
    "robots": "robots", "processes": "processes", "delivered": "delivered", "rate_hz": "rate Hz",
    "loop_p50_s": "period p50 s", "loop_p99_s": "p99 s",
    "policy_cores_per_robot": "cores per policy node", "policy_ms_per_tick": "ms per tick",
    "world_cores": "world", "supervisor_cores": "supervisor", "recorder_cores": "recorder",
    "all_cores": "all", "false_alarms": "false alarms",
}  # fmt: skip


@dataclass(frozen=True)
class ManyArgs:
    """Fly teams of growing size and measure what they cost, and whether messages arrive."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle to fly."""
    robots: tuple[int, ...] = (8, 16, 32)
    """Team sizes."""
    processes: int | None = None
    """For all policy nodes; default: as `swarmhold fly` chooses."""
    each: bool = False
    """Fly every team a second time, with one process per robot, to compare."""
    seconds: float = 20.0
    """That are counted, of each flight."""
    out: Path | None = None
    """New folder for the recordings; default: flights/many-<time>."""
    seed: int = 0
    """Of the worlds."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Fly all teams and show a row for each."""
    args = parse(ManyArgs, argv, "swarmhold bench many")
    if args.seconds <= 0 or not args.robots:
        raise ConfigError("give at least one team size with --robots, and --seconds above 0")
    folder = args.out or Path("flights") / f"many-{time.strftime('%Y%m%d-%H%M%S')}"
    rows = []
    with stoppable():
        for robots in args.robots:
            for processes in (args.processes, *([robots] if args.each else [])):
                where = folder / f"{robots}-{processes or 'chosen'}"
                config = FleetConfig(
                    args.bundle, robots, where, seed=args.seed, processes=processes
                )
                rows.append(fly(config, args.seconds))
    out = {
        "cores": os.cpu_count(),
        "rows": rows,
        "cores_per_added_robot": slope([row for row in rows if not row["one_each"]]),
        "folder": str(folder),
    }
    if args.json:
        print_json(out)
    else:
        _show(out)
    return 0


def fly(config: FleetConfig, seconds: float) -> dict[str, Any]:
    """One flight that nobody disturbs.

    Args:
        config: what to fly.
        seconds: that are counted.

    Returns:
        A row of figures.
    """
    with Fleet(config) as fleet:
        processes = len(fleet.groups)
        note(f"{config.robots} robots in {processes} processes for {seconds:g} s")
        leave_alone(fleet, SETTLE_S)
        pids = {name: child.pid for name, child in fleet.children.items()}
        began, before = time.time(), used(pids)
        leave_alone(fleet, seconds)
        after, ended = used(pids), time.time()
    cores = {name: (after[name] - before[name]) / (ended - began) for name in pids}
    policies = sum(value for name, value in cores.items() if name.startswith(("robot_", "group_")))
    flight = read_flight(config.folder)
    loop = _loop(flight, began, ended)
    return {
        "robots": config.robots,
        "processes": processes,
        "one_each": processes == config.robots,
        "delivered": delivered(config.folder, began, ended),
        **loop,
        "policy_cores_per_robot": policies / config.robots,
        "policy_ms_per_tick": 1e3 * policies / (config.robots * loop["rate_hz"]),
        "policy_cores": policies,
        "world_cores": cores["world"],
        "supervisor_cores": cores.get("supervisor", 0.0),
        "recorder_cores": cores.get("recorder", 0.0),
        "all_cores": sum(cores.values()),
        "false_alarms": false_alarms(flight)[0],
    }


def _loop(flight: Flight, began: float, ended: float) -> dict[str, Any]:
    """Rate and period of the robots' loops between two times (s, wall clock)."""
    start = next(line["t"] for line in events_of(flight.folder) if line["event"] == "started")
    since, until = began - start, ended - start
    periods = [log.period[(log.t >= since) & (log.t < until)] for log in flight.robots]
    quantile = quantiles(np.concatenate(periods), (50, 99))
    return {
        "rate_hz": sum(map(len, periods)) / (flight.n * (until - since)),
        "loop_p50_s": quantile["p50"],
        "loop_p99_s": quantile["p99"],
    }


def used(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor time that each process has used so far, s, all its threads (proc(5))."""
    tick, out = os.sysconf("SC_CLK_TCK"), {}
    for name, pid in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        out[name] = (int(fields[11]) + int(fields[12])) / tick
    return out


def delivered(folder: Path, began: float, ended: float) -> float | None:
    """Share of the states sent that came in, over all senders and receivers.

    Counted by the receivers themselves, by the numbers of the messages, and said in their
    diagnostics; the recorder is a receiver of its own and may lose others than they do.

    Args:
        folder: of the flight.
        began: s, wall clock; only what came in since then counts.
        ended: s.
    """
    first: dict[str, tuple[int, int]] = {}
    last: dict[str, tuple[int, int]] = {}
    for topic, _, message in messages_of(folder):
        if topic != "/diagnostics" or not began <= message.header.stamp.sec <= ended:
            continue
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if "states_heard" in values:
                counts = int(values["states_heard"]), int(values["states_missed"])
                first.setdefault(status.hardware_id, counts)
                last[status.hardware_id] = counts
    heard, missed = (
        sum(last[name][which] - first[name][which] for name in last) for which in (0, 1)
    )
    return heard / (heard + missed) if heard + missed else None


def slope(rows: list[dict[str, Any]]) -> float | None:
    """Cores that one more robot costs all nodes together, by least squares; None for one size."""
    sizes = [row["robots"] for row in rows]
    if len(set(sizes)) < 2:
        return None
    return float(np.polyfit(sizes, [row["all_cores"] for row in rows], 1)[0])


def _show(out: dict[str, Any]) -> None:
    table = Table(title=f"live teams on {out['cores']} cores", title_justify="left")
    for title in COLUMNS.values():
        table.add_column(title)
    for row in out["rows"]:
        values = [row[name] for name in COLUMNS]
        table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values))
    print_tables(table)
    if out["cores_per_added_robot"] is not None:
        say(f"one more robot costs {out['cores_per_added_robot']:.3f} cores")
    say(f"recordings: {out['folder']}")
