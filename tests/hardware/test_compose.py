"""Which robots share a process, and what their parameter file says."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.budget import cores_of
from swarmhold.hardware.fleet.compose import (
    default_processes,
    groups,
    signalled,
    write_parameters,
)


def test_small_teams_have_a_process_each_and_large_ones_share():
    assert groups(range(8), None, 2) == [(robot,) for robot in range(8)]
    large = groups(range(32), None, 2)
    assert len(large) < 32 and max(map(len, large)) > 1
    assert groups(range(32), 32, 2) == [(robot,) for robot in range(32)]


@given(st.integers(1, 64), st.integers(1, 16), st.data())
def test_everybody_has_one_place(robots, cores, data):
    alone = data.draw(st.sets(st.integers(0, robots - 1)))
    made = groups(range(robots), None, cores, alone)
    assert sorted(robot for group in made for robot in group) == list(range(robots))
    assert {(robot,) for robot in alone} <= set(made)
    sizes = [len(group) for group in made if group[0] not in alone or len(group) > 1]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_numbers_of_processes_that_do_not_fit_are_refused():
    assert len(groups(range(9), 4, 2, {3, 5})) == 4
    for processes in (0, 2, 10):
        with pytest.raises(ConfigError, match=f"--processes is {processes}; 9 robots, 2 of which"):
            groups(range(9), processes, 2, {3, 5})


def test_parameters_go_by_the_full_names_of_the_nodes(tmp_path):
    write_parameters(tmp_path / "p.yaml", {7: {"bundle": "/b", "robot": 7, "reweight": True}})
    found = yaml.safe_load((tmp_path / "p.yaml").read_text())
    assert found == {
        "/robot_7/policy": {"ros__parameters": {"bundle": "/b", "robot": 7, "reweight": True}}
    }


def test_robots_that_signals_break_are_named():
    faults = [FaultSpec(kind, robot) for kind, robot in (("crash", 9), ("spoof", 1), ("freeze", 4))]
    assert signalled([*faults, FaultSpec("reboot", 9)]) == (4, 9)


def test_sharing_is_planned_to_cost_less():
    assert default_processes(8, 2) == 8 and default_processes(32, 2) == 2
    alone, shared = (cores_of(32, 32, 1, processes) for processes in (32, 2))
    assert shared < 0.5 * alone
    assert cores_of(2, 2, 0, 2) == pytest.approx(2 * cores_of(2, 1, 0, 1))
