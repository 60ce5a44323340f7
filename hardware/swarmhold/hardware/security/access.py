"""Who publishes, hears and serves what, process by process; nothing else is allowed to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEALTH, TASK, ESTOP = "/swarm/health", "/swarm/task", "/swarm/estop"
FAULTS, TRUTH, DIAGNOSTICS = "/swarm/faults", "/swarm/truth", "/diagnostics"
OPERATOR = "/operator"  # enclave of people's tools, among them the emergency stop
ALWAYS = "/parameter_events"  # every ROS node publishes there
LIFECYCLE = (
    *("change_state", "get_state", "get_available_states"),
    *("get_available_transitions", "get_transition_graph"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """ROS names of one process.

    Attributes:
        publishes: topics.
        hears: topics.
        serves: services.
    """

    publishes: tuple[str, ...]
    hears: tuple[str, ...]
    serves: tuple[str, ...]


def team_access(faults: Sequence[bool], supervisors: int) -> dict[str, Access]:
    """Access by enclave, which is the full name of the process's node.

    Args:
        faults: of every robot, in roster order, whether it obeys fault commands.
        supervisors: how many, standbys included.
    """
    n, any_faults = len(faults), any(faults)
    out = {f"/robot_{i}/policy": policy_access(i, n, obeys) for i, obeys in enumerate(faults)}
    for rank in range(supervisors):
        name = f"/supervisor_{rank}" if rank else "/supervisor"
        heard = (*_of_all(n, "state"), HEALTH, TASK, ESTOP)
        out[name] = _node(name, (HEALTH, DIAGNOSTICS), heard)
    faulty = (FAULTS,) if any_faults else ()
    told = (*_of_all(n, "sense"), TASK, TRUTH, DIAGNOSTICS)
    out["/world"] = _node("/world", told, (*_of_all(n, "cmd_vel"), ESTOP, *faulty))
    everything = [
        *(HEALTH, TASK, ESTOP, FAULTS, TRUTH, DIAGNOSTICS),
        *(name for kind in ("state", "status", "sense", "cmd_vel") for name in _of_all(n, kind)),
    ]
    out["/recorder"] = _node("/recorder", (), everything)
    if any_faults:
        out["/faults"] = _node("/faults", (FAULTS,), ())
    looked_at = (name for kind in ("state", "status", "sense") for name in _of_all(n, kind))
    watched = (*looked_at, HEALTH, TASK, ESTOP, FAULTS, DIAGNOSTICS)
    out[OPERATOR] = _node(OPERATOR, (ESTOP,), watched)
    return out


def policy_access(robot: int, n: int, faults: bool) -> Access:
    """Of one robot: it publishes under its own name alone, but for `/diagnostics`."""
    own, name = f"/robot_{robot}", f"/robot_{robot}/policy"
    publishes = [f"{own}/{kind}" for kind in ("state", "status", "cmd_vel")]
    # Its own state too: it leaves if somebody else speaks in its name.
    hears = [*_of_all(n, "state"), f"{own}/sense", HEALTH, TASK, ESTOP]
    node = _node(
        name,
        [*publishes, f"{name}/transition_event", DIAGNOSTICS],
        [*hears, FAULTS] if faults else hears,
    )
    return Access(
        node.publishes, node.hears, (*node.serves, *(f"{name}/{kind}" for kind in LIFECYCLE))
    )


def _of_all(n: int, kind: str) -> tuple[str, ...]:
    return tuple(f"/robot_{robot}/{kind}" for robot in range(n))


def _node(name: str, publishes: Sequence[str], hears: Sequence[str]) -> Access:
    return Access((*publishes, ALWAYS), tuple(hears), (f"{name}/get_type_description",))
