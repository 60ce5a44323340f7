"""The radio of a team as cables: each robot on a host of its own, broken below DDS.

World and base have hosts too. The world poses as the robots' hardware, so its cables stay whole:
what breaks is the radio between robots and with the base, never a robot from its own wheels.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import permutations

from swarmhold.hardware.faults import FULL, FaultSpec
from swarmhold.hardware.network.cable import Trouble
from swarmhold.hardware.network.hosts import Hosts, Way

CABLE_KINDS = ("link_loss", "partition", "delay", "drop", "reorder")
ARENA, BASE = "arena", "base"  # of the world; of supervisors, recorder and whoever else listens


class Air:
    """Context manager around such hosts for a team."""

    def __init__(self, robots: int, seed: int = 0) -> None:
        """Args: team size; seed of what gets lost and is late."""
        self._robots = [f"robot_{robot}" for robot in range(robots)]
        self.hosts = Hosts(ARENA, BASE, *self._robots, seed=seed)
        self._acting: list[tuple[FaultSpec, float]] = []
        self._set: dict[Way, Trouble] = {}

    def __enter__(self) -> Air:
        """Lay the cables.

        Raises:
            NotReadyError: this machine cannot have such hosts.
        """
        self.hosts.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.hosts.__exit__()

    def home(self, process: str) -> str:
        """The host that a process of a fleet runs on, by the name of the process."""
        robot = re.fullmatch(r"(?:robot|lost)_(\d+)", process)
        if robot is not None:
            return self._robots[int(robot.group(1))]
        return ARENA if process == "world" else BASE

    @property
    def entrance(self) -> dict[str, str]:
        """Where others join the team: `path` and `name` of the base's network namespace."""
        path, name = self.hosts.space(BASE)
        return {"path": path, "name": name}

    def takes(self, fault: FaultSpec, now: float) -> bool:
        """Whether a fault is one of cables, which then begins at `now` (s)."""
        if fault.kind not in CABLE_KINDS:
            return False
        self._acting.append((fault, now + fault.duration_s))
        self._lay()
        return True

    def look(self, now: float) -> None:
        """End what is over at `now` (s); at infinity all of it.

        Raises:
            NotReadyError: there is no cable any more.
        """
        self.hosts.check()
        left = [(fault, until) for fault, until in self._acting if now < until]
        if len(left) < len(self._acting):
            self._acting = left
            self._lay()

    def _lay(self) -> None:
        """Give ways the troubles that are new to them."""
        found = troubles([fault for fault, _ in self._acting], self._robots)
        self.hosts.set({way: what for way, what in found.items() if self._set.get(way) != what})
        self._set = found


def troubles(faults: Collection[FaultSpec], robots: Collection[str]) -> dict[Way, Trouble]:
    """What faults make of every way between robots, and with the base.

    As in the nodes themselves: a cut is one both ways, bursts are lost both ways, and late or out
    of order is what a robot sends.

    Args:
        faults: of `CABLE_KINDS` that act.
        robots: their hosts, in roster order.
    """
    sizes: dict[str, dict[str, float]] = {host: {} for host in (BASE, *robots)}
    for fault, host in ((fault, list(robots)[fault.robot]) for fault in faults):
        sizes[host][fault.kind] = fault.severity * FULL.get(fault.kind, 1.0)
    return {(a, b): _trouble(sizes[a], sizes[b]) for a, b in permutations(sizes, 2)}


def _trouble(sender: dict[str, float], receiver: dict[str, float]) -> Trouble:
    apart = ("partition" in sender) != ("partition" in receiver)
    return Trouble(
        cut=apart or "link_loss" in sender or "link_loss" in receiver,
        delay_s=sender.get("delay", 0.0),
        bursts=max(sender.get("drop", 0.0), receiver.get("drop", 0.0)),
        reorder=sender.get("reorder", 0.0),
    )
