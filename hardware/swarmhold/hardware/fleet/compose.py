"""Which robots share a process: as many processes as the machine bears, the rest composed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from swarmhold.hardware.errors import ConfigError

ALONE_PER_CORE = 4  # robots that keep their rate with a process each
GROUPS_PER_CORE = 1  # more only cost more datagrams and smaller batches


def groups(
    robots: Sequence[int], processes: int | None, cores: int, alone: Collection[int] = ()
) -> list[tuple[int, ...]]:
    """Robots by process, in roster order.

    Args:
        robots: of this host, roster indices.
        processes: how many; None: one per robot in a team that the cores bear like that, else
            `GROUPS_PER_CORE` for each core.
        cores: of this host.
        alone: robots that get a process of their own in any case, which are counted in.

    Raises:
        ConfigError: so many processes are too many for the robots, or too few for those alone.
    """
    alone, n = {robot for robot in alone if robot in robots}, len(robots)
    if processes is None:
        few = n <= ALONE_PER_CORE * cores
        processes = n if few else min(n, GROUPS_PER_CORE * cores + len(alone))
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
