"""What faults of links make of the cables between hosts."""

from __future__ import annotations

import os
from collections.abc import Collection

import pytest

from swarmhold.export.faults_cli import main
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FULL, FaultSpec
from swarmhold.hardware.network.air import ARENA, BASE, CABLE_KINDS, Air, troubles
from swarmhold.hardware.network.cable import Trouble
from swarmhold.hardware.network.hosts import Way

ROBOTS = ("robot_0", "robot_1", "robot_2", "robot_3")


def broken(*faults: FaultSpec) -> dict[Way, Trouble]:
    return {way: what for way, what in troubles(faults, ROBOTS).items() if what != Trouble()}


def ways(hosts: Collection[str], others: Collection[str], both: bool = True) -> set[Way]:
    there = {(a, b) for a in hosts for b in others if a != b}
    return there | {(b, a) for a, b in there} if both else there


def test_every_way_but_those_of_the_world_can_be_broken() -> None:
    whole = troubles([], ROBOTS)
    assert set(whole.values()) == {Trouble()} and len(whole) == 5 * 4
    assert not any(ARENA in way for way in whole)


@pytest.mark.parametrize("kind", CABLE_KINDS)
def test_a_fault_breaks_the_ways_of_its_robot_alone(kind: str) -> None:
    found = broken(FaultSpec(kind, 1, severity=0.5))
    sends = kind in ("delay", "reorder")
    assert set(found) == ways(["robot_1"], [BASE, *ROBOTS], both=not sends)
    assert len(set(found.values())) == 1


def test_sizes_are_those_of_the_nodes() -> None:
    def of(kind: str) -> Trouble:
        return next(iter(broken(FaultSpec(kind, 1, severity=0.5)).values()))

    assert of("delay") == Trouble(delay_s=0.5 * FULL["delay"])
    assert of("reorder").reorder == 0.5 * FULL["reorder"] and of("drop").bursts == 0.5
    assert of("link_loss") == of("partition") == Trouble(cut=True)


def test_who_is_cut_off_together_hears_each_other() -> None:
    found = broken(FaultSpec("partition", 1), FaultSpec("partition", 3))
    assert set(found) == ways(["robot_1", "robot_3"], [BASE, "robot_0", "robot_2"])


def test_of_two_ends_that_lose_the_worse_counts() -> None:
    found = broken(FaultSpec("drop", 0, severity=0.2), FaultSpec("drop", 1, severity=0.9))
    shares = [found[way].bursts for way in (("robot_0", "robot_1"), ("robot_0", BASE))]
    assert shares == [0.9, 0.2]


def test_processes_have_their_homes() -> None:
    air = Air(3)
    names = ("robot_2", "lost_1", "world", "supervisor_1", "recorder", "fault_node", "operator")
    homes = [air.home(name) for name in names]
    assert homes == ["robot_2", "robot_1", ARENA, BASE, BASE, BASE, BASE]
    assert len(set(air.hosts.addresses.values())) == 5


def test_who_cannot_have_hosts_is_told_before_anything_starts(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["run", "twelve", "--network", "namespaces", "--out", str(tmp_path)]
    with pytest.raises(ConfigError, match="--network namespaces goes with --world ros"):
        main(given)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotReadyError, match="need root"):
        main([*given, "--world", "ros"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotReadyError, match="need ip: apt install iproute2"):
        main([*given, "--world", "ros"])
