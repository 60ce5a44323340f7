"""Who stands for the robots: the simulated world, or drivers and the field that they are on."""

from __future__ import annotations

import sys
import time
from typing import Any

from swarmhold.hardware.bundle import Manifest
from swarmhold.hardware.drivers.links import KINDS, TWIST, parse_link, write_links
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.environment import ALONE, EVERYWHERE, Network
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.process import Child, end_all
from swarmhold.hardware.hidden import parse_hidden

LAND_S = 14.0  # for drivers to land and to free their links
DRIVERS = "drivers"
Started = tuple[str, dict[str, Any], str]  # module or its short name, parameters, name


def needs(config: FleetConfig) -> None:
    """What must be installed, and what a team behind links cannot have.

    Raises:
        MissingExtraError: a library is missing.
        ConfigError: it asks for what only simulated robots can do.
    """
    if config.part.world:
        need("pybullet", "sim")
    parse_hidden(config.hidden, config.robots)
    if not config.linked:
        return
    if config.hidden:
        raise ConfigError("--hidden is for simulated robots; of emulated ones tell it to emulate")
    for robot in config.part.robots:
        need(*KINDS[parse_link(config.each[robot].link).kind])
    if config.spares:
        raise ConfigError("spares of robots with links are started by hand; leave --spares out")
    if config.security is not None:
        raise ConfigError("robots with links have no enclaves yet; leave security out of the file")


def speaks_ros(config: FleetConfig) -> bool:
    """Whether robots themselves are on the graph: on the same domain, and found where they are."""
    return any(each.link and parse_link(each.link).kind == TWIST for each in config.each)


def network(config: FleetConfig) -> Network:
    """How this host's nodes find others."""
    alone = config.part.network == ALONE
    return EVERYWHERE if alone and speaks_ros(config) else config.part.network


def nodes(config: FleetConfig, manifest: Manifest) -> list[Started]:
    """Nodes of this host that stand for robots."""
    team = {"robot": manifest.robot, "team_size": config.robots}
    awaited = config.robots - len(config.absent)
    task = {"scenario": manifest.scenario, **team, "seed": config.seed, "awaited": awaited}
    faults: dict[str, Any] = {"allow_faults": config.allow_faults, "wait_s": config.wait_s}
    if config.allow_faults:
        faults["faults_token"] = str(config.faults_token)
    if not config.linked:
        world = {**task, **faults, "spares": config.spares, "hidden": " ".join(config.hidden)}
        return [("world", world, "world")] if config.part.world else []
    out: list[Started] = [("field_node", task, "world")] if config.part.world else []
    links = {robot: parse_link(config.each[robot].link) for robot in config.part.robots}
    if links:
        told = {**team, **faults, "links": write_links(links), "awaited": awaited}
        told |= {"arm": config.arm, "hardware": config.hardware}
        told["wait_s"] = max(config.wait_s, 30.0)  # nobody is armed before the nodes are there
        out.append(("driver_node", told, f"{DRIVERS}_{min(links)}"))
    return out


def end(children: dict[str, Child]) -> None:
    """End all processes; drivers bring their robots down before anything else ends."""
    drivers = [children.pop(name) for name in list(children) if name.startswith(DRIVERS)]
    for child in drivers:
        child.ask_to_end()
    deadline = time.monotonic() + LAND_S
    for child in drivers:
        child.end(deadline)
    others = list(children.values())
    children.clear()
    end_all(others)


def confirm(config: FleetConfig) -> None:
    """Ask whoever sits at the terminal before real robots may be armed.

    Raises:
        ConfigError: nobody does, or the answer is another one.
    """
    if not (config.hardware and config.arm):
        return
    word = f"arm {len(config.part.robots)}"
    if not sys.stdin.isatty():
        raise ConfigError("--hardware with --arm is confirmed by typing; run it in a terminal")
    print(f"HARDWARE: real robots will move. Stand clear, and type '{word}': ", end="", flush=True)
    if sys.stdin.readline().strip() != word:
        raise ConfigError("not confirmed; nothing was armed")
