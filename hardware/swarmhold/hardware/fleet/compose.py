"""Which robots share a process: as many processes as the machine bears, the rest composed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import SIGNAL_KINDS, FaultSpec

LARGEST = 64  # processes of one host, world and all included
ALONE_PER_CORE = 4  # robots that keep their rate with a process each
GROUPS_PER_CORE = 1  # more only cost more datagrams and smaller batches


def default_processes(robots: int, cores: int) -> int:
    """One per robot where the cores bear that, else few; for so many robots of this host."""
    few = robots <= ALONE_PER_CORE * cores
    return robots if few else min(robots, max(GROUPS_PER_CORE * cores, 1))


def groups(
    robots: Sequence[int], processes: int | None, cores: int, alone: Collection[int] = ()
) -> list[tuple[int, ...]]:
    """Robots by process, in roster order.

    Args:
        robots: of this host, roster indices.
        processes: how many; None: see `default_processes`.
        cores: of this host.
        alone: robots that get a process of their own in any case, which are counted in.

    Raises:
        ConfigError: so many processes are too many for the robots, or too few for those alone.
    """
    alone, n = {robot for robot in alone if robot in robots}, len(robots)
    if processes is None:
        processes = min(n, default_processes(n, cores) + len(alone))
    shared = [robot for robot in robots if robot not in alone]
    rest = processes - len(alone)
    least = len(alone) + (1 if shared else 0)
    if not least <= processes <= n:
        why = f", {len(alone)} of which need one of their own" if alone else ""
        raise ConfigError(
            f"--processes is {processes}; {n} robots{why} run in {least} to {n} processes"
        )
    size = math.ceil(len(shared) / rest) if shared else 1
    larger = len(shared) - (size - 1) * rest  # of the groups have that size, the others one less
    made: list[tuple[int, ...]] = [(robot,) for robot in alone]
    at = 0
    for index in range(rest if shared else 0):
        end = at + (size if index < larger else size - 1)
        made.append(tuple(shared[at:end]))
        at = end
    return sorted(made)


def signalled(faults: Iterable[FaultSpec]) -> tuple[int, ...]:
    """Robots that are to be broken by signals to their process, which must be theirs alone."""
    return tuple(sorted({fault.robot for fault in faults if fault.kind in SIGNAL_KINDS}))


def check_processes(processes: int, robots: int, others: int) -> None:
    """Check that this host bears so many processes of robots beside the others.

    Raises:
        ConfigError: it does not.
    """
    most = LARGEST - others
    if processes > most:
        raise ConfigError(
            f"{processes} processes for {robots} robots; this host runs at most {most}, so let "
            "some share one with --processes"
        )


def write_parameters(path: Path, parameters: Mapping[int, Mapping[str, Any]]) -> None:
    """A ROS parameter file with what each robot's node is told, under its full name.

    Args:
        path: the file.
        parameters: by roster index.
    """
    nodes = {
        f"/robot_{robot}/policy": {"ros__parameters": dict(values)}
        for robot, values in parameters.items()
    }
    path.write_text(yaml.safe_dump(nodes, sort_keys=False))
