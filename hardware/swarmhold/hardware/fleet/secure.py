"""What processes of a fleet need in order to join with DDS security."""

from __future__ import annotations

from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.security.access import Access, team_access
from swarmhold.hardware.security.middleware import secured

NODES = {"fault_node": "faults"}  # whose node is not named like its process


def security_of(config: FleetConfig) -> dict[str, str]:
    """Environment of all processes; empty for a fleet without security.

    Raises:
        MissingExtraError: the middleware cannot do it.
        NotReadyError: the keystore lacks what a process of this host needs.
    """
    return secured(config.security, _here(config)) if config.security else {}


def enclave_of(node: str, name: str, namespace: str) -> str:
    """The enclave of a process: the full name of its node."""
    return f"{namespace}/{node if namespace else NODES.get(name, name)}"


def _here(config: FleetConfig) -> dict[str, Access]:
    """What processes of this host may do, by enclave; the operator's is not one of them."""
    part = config.part
    faults = [config.options_of(robot).allow_faults for robot in range(config.robots)]
    access = team_access(faults, 1 + config.standbys if config.supervisor else 0)
    names = [f"/robot_{robot}/policy" for robot in part.robots]
    names += [f"/supervisor_{rank}" if rank else "/supervisor" for rank in part.ranks]
    names += ["/world", "/recorder"] if part.world else []
    names += ["/faults"] if config.allow_faults else []
    return {name: access[name] for name in names}
