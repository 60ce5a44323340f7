"""`swarmhold bench detectors`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.table import Table
from scipy.stats import chi2

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.cli.config import note, parse, print_json
from swarmhold.hardware.cli.tables import print_tables
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.expectations import EXPECTED
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.types import Float
from swarmhold.policies.detectors import LEAST_TEAM, Alarms, Found, alarms, found, subtle
from swarmhold.sim.disturb import CHANNELS, Disturbances
from swarmhold.sim.env import SwarmEnv

FOUND = tuple(kind for kind, expected in EXPECTED.items() if expected.states)


@dataclass(frozen=True)
class DetectorsArgs:
    """Delays, misses and false alarms of a bundle's thresholds, in simulated episodes."""

    bundle: Annotated[Path, tyro.conf.Positional]
    """Bundle whose policy flies and whose thresholds count."""
    robots: int = 8
    """Largest team; faults are tried in teams of 4 to this, false alarms in this."""
    robot_hours: float = 30.0
    """Fault-free flight on each channel."""
    episodes: int = 64
    """With one broken robot, of each kind; and teams side by side."""
    kinds: tuple[str, ...] = FOUND
    """Of faults that are tried; default: all that the chain is to find."""
    seed: int = 0
    """Of everything."""
    json: bool = False
    """One JSON object on standard output."""


def main(argv: list[str]) -> int:
    """Fly without and with faults, and count."""
    args = parse(DetectorsArgs, argv, "swarmhold bench detectors")
    if args.robots < LEAST_TEAM or args.episodes < 1 or args.robot_hours <= 0:
        raise ConfigError(f"give at least {LEAST_TEAM} robots, 1 episode, and robot hours above 0")
    unknown = [kind for kind in args.kinds if kind not in FOUND]
    if unknown:
        raise ConfigError(f"--kinds {unknown[0]}: choose some of {', '.join(FOUND)}")
    bundle = open_bundle(args.bundle)
    policy, manifest = OnnxPolicy(bundle), bundle.manifest

    def make_env(disturbances: Disturbances) -> SwarmEnv:
        given = (manifest.scenario, manifest.robot, args.episodes, args.robots)
        return SwarmEnv(*given, seed=args.seed, disturbances=disturbances)

    def policy_of(_: SwarmEnv) -> OnnxTeam:
        return OnnxTeam(policy)

    quiet = []
    for channel in CHANNELS:
        note(f"nothing broken, channel {channel}: {args.robot_hours:g} robot hours")
        quiet.append(alarms(make_env, policy_of, bundle.health, channel, args.robot_hours))
    broken, env = [], make_env(Disturbances())
    for kind in args.kinds:
        note(f"{kind}: {args.episodes} episodes")
        broken.append(found(env, policy_of, bundle.health, kind, args.seed))
        if kind == "sensor_bias":  # as small as is to be found at all
            small = subtle(bundle.health)
            broken.append(found(env, policy_of, bundle.health, kind, args.seed, small))
    env.close()
    if args.json:
        rows = [_of_kind(row) for row in broken]
        print_json({"channels": [_of_channel(row) for row in quiet], "kinds": rows})
    else:
        _show(quiet, broken)
    return 0


def poisson(count: int, hours: float) -> list[float]:
    """Exact 95 % interval of a rate per hour (Garwood, Biometrika 28, 1936)."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return [float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)]


def _of_channel(row: Alarms) -> dict[str, Any]:
    hours = row.robot_hours
    return {
        "channel": row.channel,
        "robot_hours": hours,
        "taken_out": row.falls,
        "taken_out_per_robot_hour": [row.falls / hours, *poisson(row.falls, hours)],
        "doubted": row.doubts,
        "doubted_per_robot_hour": [row.doubts / hours, *poisson(row.doubts, hours)],
    }


def _of_kind(row: Found) -> dict[str, Any]:
    there = np.isfinite(row.delays_s)
    return {
        "kind": row.kind,
        "severity": row.severity,
        "episodes": len(row.delays_s),
        "found": float(there.mean()),
        "delay_p50_s": _quantile(row.delays_s, 50),
        "delay_p95_s": _quantile(row.delays_s, 95),
        "right_one_first": row.first,
        "healthy_taken_out_per_episode": row.harmed,
    }


def _quantile(delays: Float, percent: float) -> float | None:
    """Of all episodes; None where that many were not found."""
    value = float(np.percentile(delays, percent, method="higher"))
    return value if np.isfinite(value) else None


def _show(quiet: list[Alarms], broken: list[Found]) -> None:
    rates = Table(
        title="nothing broken: events per robot hour, 95 % interval", title_justify="left"
    )
    for name in ("channel", "robot hours", "taken out", "doubted by a teammate"):
        rates.add_column(name)
    for channel in map(_of_channel, quiet):
        events = (channel["taken_out_per_robot_hour"], channel["doubted_per_robot_hour"])
        rates.add_row(channel["channel"], f"{channel['robot_hours']:.1f}", *map(_rate, events))
    kinds = Table(title="one robot broken", title_justify="left")
    for name in (
        "kind",
        "severity",
        "found",
        "p50",
        "p95",
        "the right one first",
        "healthy ones out",
    ):
        kinds.add_column(name)
    for kind in map(_of_kind, broken):
        late = (kind["delay_p50_s"], kind["delay_p95_s"])
        kinds.add_row(
            kind["kind"], f"{kind['severity']:.2g}", f"{kind['found']:.0%}",
            *("not found" if value is None else f"{value:.2f} s" for value in late),
            f"{kind['right_one_first']:.0%}", f"{kind['healthy_taken_out_per_episode']:.2f}",
        )  # fmt: skip
    print_tables(rates, kinds)


def _rate(values: list[float]) -> str:
    rate, low, high = values
    return f"{rate:.2f} [{low:.2f}, {high:.2f}]"
