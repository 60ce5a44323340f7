"""Robots behind links for a fault plan: emulated ones, or those of a fleet file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import Options, load_fleet
from swarmhold.hardware.fleet.ground import confirm
from swarmhold.hardware.fleet.permission import check_permission
from swarmhold.sim.emulate.emulator import crazyflies, mavlink_vehicles


@contextmanager
def emulated(config: FleetConfig, kind: str) -> Iterator[FleetConfig]:
    """The same fleet behind links to emulated robots, which are there for as long as this.

    Args:
        config: of simulated robots.
        kind: crazyflie or mavlink.
    """
    scenario = open_bundle(config.bundle).manifest.scenario
    emulate = {"crazyflie": crazyflies, "mavlink": mavlink_vehicles}[kind]
    with emulate(scenario, config.robots, config.seed) as robots:
        each = tuple(Options(link=link, allow_faults=True) for link in robots.addresses)
        yield replace(config, each=each, arm=True)


def on_hardware(file: Path | None, robots: int, token: Path | None) -> FleetConfig:
    """The fleet of a file, once whoever sits there has said that real robots may move.

    Args:
        file: fleet file.
        robots: team size of the plan.
        token: file with the operator's token.

    Raises:
        ConfigError: it is not given, its robots are others than the plan's, something is
            lacking that faults of real robots need, or nobody has confirmed.
    """
    if file is None:
        raise ConfigError("--world hardware needs --fleet FILE with the robots' links")
    fleet = load_fleet(file)
    if len(fleet.robots) != robots:
        raise ConfigError(f"{file} has {len(fleet.robots)} robots, the plan is for {robots}")
    unlinked = [robot.name for robot in fleet.robots if not robot.link]
    if unlinked:
        raise ConfigError(f"{file}: {', '.join(unlinked)} have no link; simulated: --world ros")
    config = FleetConfig(
        fleet.bundle, robots, Path(), fleet.seed, fleet.keys, fleet.domain,
        standbys=len(fleet.supervisors) - 1, each=fleet.robots, arm=True, hardware=True,
        allow_faults=True, faults_token=fleet.faults_token, operator_token=token,
    )  # fmt: skip
    check_permission(config)
    confirm(config)
    return config
