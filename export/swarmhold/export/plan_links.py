"""Robots behind links for a fault plan: emulated ones, or those of a fleet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from swarmhold.hardware.bundle import Manifest, open_bundle
from swarmhold.hardware.drivers.links import TWIST
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.domain import choose_domain
from swarmhold.hardware.fleet.environment import ALONE, environment
from swarmhold.hardware.fleet.file import Options, load_fleet
from swarmhold.hardware.fleet.ground import confirm
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.permission import check_permission
from swarmhold.hardware.fleet.process import Child, end_all, node_command
from swarmhold.hardware.spec import policy_spec
from swarmhold.sim.emulate.emulator import crazyflies, mavlink_vehicles

START_S = 30.0  # for the bases to stand


@contextmanager
def emulated(config: FleetConfig, kind: str) -> Iterator[FleetConfig]:
    """The same fleet behind links to emulated robots, which are there for as long as this.

    Args:
        config: of simulated robots.
        kind: crazyflie, mavlink or twist.

    Raises:
        ConfigError: the bundle's robots are not of that kind.
    """
    manifest = open_bundle(config.bundle).manifest
    drives = policy_spec(manifest.robot).drives
    if drives != (kind == TWIST):
        can = "twist" if drives else "crazyflie or mavlink"
        raise ConfigError(f"{manifest.name} is for {manifest.robot} robots: --link {can}")
    if kind == TWIST:
        with _bases(config, manifest) as (domain, links):
            yield _linked(replace(config, domain=domain), links)
        return
    emulate = {"crazyflie": crazyflies, "mavlink": mavlink_vehicles}[kind]
    with emulate(manifest.scenario, config.robots, config.seed) as robots:
        yield _linked(config, robots.addresses)


def _linked(config: FleetConfig, links: Sequence[str]) -> FleetConfig:
    each = tuple(Options(link=link, allow_faults=True) for link in links)
    return replace(config, each=each, arm=True)


@contextmanager
def _bases(config: FleetConfig, manifest: Manifest) -> Iterator[tuple[int, list[str]]]:
    """Simulated bases that speak ROS: their domain, and how they are reached.

    Raises:
        NotReadyError: they do not start.
    """
    need("rclpy", "ros")
    found = choose_domain(config.domain)
    found.free()  # the fleet is to be on it as well
    folder = config.folder / "bases"
    folder.mkdir(parents=True)
    team = {"team_size": config.robots, "robot": manifest.robot, "seed": config.seed}
    told = {"scenario": manifest.scenario, **team}
    node = node_command("bases_node", told, "bases_node", "", None)
    env = environment(folder, found.number, ALONE)
    bases = Child("bases", node, env, folder / "bases.log", lambda *_: None)
    try:
        if not bases.ready.wait(START_S) or not bases.running:
            raise NotReadyError(f"no bases to drive: {bases.last_words()}")
        yield found.number, [f"{TWIST}:/base_{base}" for base in range(config.robots)]
    finally:
        end_all([bases])


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
