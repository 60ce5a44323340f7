"""Which nodes a fleet file asks for, with what parameters: what launch files start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmhold.hardware.bundle import Manifest
from swarmhold.hardware.drivers.links import parse_link, write_links
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.fleet.file import FleetFile
from swarmhold.hardware.shipped import located

WAIT_S = 60.0  # that hosts wait for each other


@dataclass(frozen=True, slots=True)
class Planned:
    """One node.

    Attributes:
        executable: of the package `swarmhold_nodes`.
        host: where it runs, a key of the file's hosts.
        parameters: by name.
        namespace: "" for none.
        name: of the node; None: its own.
        enclave: full name of the node, under which the keystore knows it.
    """

    executable: str
    host: str
    parameters: dict[str, Any]
    enclave: str
    namespace: str = ""
    name: str | None = None


def plan(
    fleet: FleetFile,
    manifest: Manifest,
    faults: bool = False,
    record: str = "",
    arm: bool = False,
    hardware: bool = False,
    operator_token: Path | None = None,
) -> list[Planned]:
    """All nodes of a fleet.

    Args:
        fleet: checked file.
        manifest: of its bundle; it says what world to simulate.
        faults: whether robots that allow it are to be broken.
        record: folder to record to; "": no recording.
        arm: whether robots with links are armed.
        hardware: whether links may lead to real robots.
        operator_token: file with the token that fault commands are signed with; None: the same that
            robots know, where none of them may be real.

    Raises:
        ConfigError: faults are allowed, and there is no token for that.
    """
    n = len(fleet.robots)
    keys = {"keys": os.pathsep.join(str(key.resolve()) for key in fleet.keys)} if fleet.keys else {}
    common = {"bundle": str(located(fleet.bundle).resolve()), **keys, "team_size": n}
    ground, token = fleet.world_host, {}
    if faults or any(robot.allow_faults for robot in fleet.robots):
        token = {"faults_token": _token(fleet)}
    out = [
        Planned(
            "policy_node", robot.host,
            {
                **common, "robot": index, "reweight": robot.reweight, "entities": robot.entities,
                "allow_faults": robot.allow_faults, **(token if robot.allow_faults else {}),
            },
            f"/robot_{index}/policy", f"robot_{index}",
        )
        for index, robot in enumerate(fleet.robots)
    ]  # fmt: skip
    for rank, host in enumerate(fleet.supervisors):
        name = f"supervisor_{rank}" if rank else "supervisor"
        out.append(
            Planned(
                "supervisor_node", host, {**common, "rank": rank}, f"/{name}",
                name=name if rank else None,
            )
        )  # fmt: skip
    told = {"allow_faults": faults, **(token if faults else {})}
    out += _ground(fleet, manifest, told, {"arm": arm, "hardware": hardware})
    if faults:
        if hardware and operator_token is None:
            raise ConfigError("faults of real robots need the operator's token: faults_token:=FILE")
        signs = token if operator_token is None else {"faults_token": str(operator_token.resolve())}
        out.append(Planned("fault_node", ground, signs, "/faults"))
    if record:
        told = {"folder": record, "team_size": n}
        out.append(Planned("recorder", ground, told, "/recorder"))
    return out


def _token(fleet: FleetFile) -> str:
    if fleet.faults_token is None:
        raise ConfigError(
            "robots that allow faults need faults_token in the fleet file; make one: "
            "swarmhold faults token FILE"
        )
    return str(fleet.faults_token.resolve())


def _ground(
    fleet: FleetFile, manifest: Manifest, faults: dict[str, Any], told: dict[str, bool]
) -> list[Planned]:
    """Who stands for the robots: the simulated world, or drivers and the field they are on."""
    n = len(fleet.robots)
    team = {"robot": manifest.robot, "team_size": n}
    task = {"scenario": manifest.scenario, **team, "seed": fleet.seed, "awaited": n}
    if not fleet.robots[0].link:
        wait = {"wait_s": 0.0 if fleet.on_one_host else WAIT_S}
        return [Planned("world_node", fleet.world_host, {**task, **faults, **wait}, "/world")]
    out = [Planned("field_node", fleet.world_host, task, "/world")]
    for host in fleet.used_hosts:
        links = {i: parse_link(r.link) for i, r in enumerate(fleet.robots) if r.host == host}
        if links:
            here = {**team, **faults, **told, "links": write_links(links)}
            here |= {"awaited": n, "wait_s": WAIT_S}
            name = f"drivers_{min(links)}"
            out.append(Planned("driver_node", host, here, f"/{name}", name=name))
    return out
