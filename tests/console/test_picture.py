"""What an operator is shown, from what the team says."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.picture import SILENT_S, TeamPicture
from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import Mode, PolicyStatus

sys.path.insert(0, str(Path(__file__).parent))
from team import Puppet, state, status, table

LOST, HEALTHY = int(HealthState.LOST), int(HealthState.HEALTHY)


def spoken(n=4, now=10.0):
    team = TeamPicture(n)
    for robot in range(n):
        team.on_state(robot, state(robot), now)
        team.on_status(robot, status(robot, n), now)
    return team


def words(team, now):
    return [card["state"] for card in team.picture(now)["robots"]]


def test_a_robot_ages_and_never_vanishes():
    team = spoken()
    for now, word in ((10.0, "HEALTHY"), (10.0 + SILENT_S + 0.01, "LOST"), (1e6, "LOST")):
        picture = team.picture(now)
        assert [card["state"] for card in picture["robots"]] == [word] * 4
        assert picture["robots"][2]["age"] == pytest.approx(now - 10.0, abs=0.01)
    assert TeamPicture(3).picture(0.0)["robots"][1]["state"] == "ABSENT"


def test_the_supervisor_is_believed_while_its_lease_lasts():
    team = spoken()
    team.on_table(table([0, LOST, 0, 0]), 10.0)
    assert words(team, 10.1) == ["HEALTHY", "LOST", "HEALTHY", "HEALTHY"]
    team.on_state(1, state(1), 11.4)
    assert team.picture(11.5)["robots"][1] | {"judge": 0} == team.picture(11.5)["robots"][1] | {
        "judge": 0
    }
    assert words(team, 11.5)[1] == "HEALTHY", "an old table says nothing"


def test_robots_judge_where_no_supervisor_does():
    team = spoken()
    for robot in range(4):
        said = PolicyStatus(
            *(robot, 0.0, (1.0,) * 4, (0.25,) * 4, (0, 0, LOST, 0), 0, 0, 0.05, 0.0, 0, 0)
        )
        team.on_status(robot, said, 10.0)
    card = team.picture(10.1)["robots"][2]
    assert (card["state"], card["judge"]) == ("LOST", "peers")


def test_a_stopped_robot_that_falls_silent_is_lost():
    team = spoken()
    team.on_table(table([int(HealthState.ESTOPPED)] * 4), 10.0)
    assert words(team, 10.2) == ["ESTOPPED"] * 4
    team.on_table(table([int(HealthState.ESTOPPED)] * 4, seq=2), 10.9)
    assert words(team, 11.0) == ["LOST"] * 4


def test_only_a_world_that_speaks_makes_it_a_simulation():
    team = spoken()
    assert team.picture(10.0)["mode"] == "HARDWARE"
    team.on_reality("world", "SIM", 10.0)
    assert team.picture(11.0)["mode"] == "SIM"
    assert team.picture(16.0)["mode"] == "HARDWARE", "in doubt it is real"
    for word in ("HARDWARE", "HARDWARE and SIM", ""):
        team.on_reality("drivers", word, 16.0)
        team.on_reality("world", "SIM", 17.0)
        assert team.picture(17.0)["mode"] == "HARDWARE", word
    team.on_reality("drivers", "SIM", 17.0)
    assert team.picture(17.1)["mode"] == "SIM"
    team.on_reality("other drivers", "HARDWARE", 17.0)
    team.on_reality("world", "SIM", 90.0)
    assert team.picture(90.0)["mode"] == "HARDWARE", "who fell silent may still be there"
    for k in range(1000):
        team.on_reality(f"forged {k}", "SIM", 90.0)
    assert team.picture(90.0)["mode"] == "HARDWARE"


def test_masked_robots_and_old_rows():
    team = spoken()
    for robot in range(3):
        team.on_status(robot, status(robot, 4, (1.0, 1.0, 1.0, 0.0)), 12.0)
    picture = team.picture(12.1)
    assert picture["weights"] == [[1.0, 1.0, 1.0, 0.0]] * 3 + [None]
    assert picture["attention"][3] is None and picture["robots"][3]["trust"] == 0.0


def test_what_happens_is_told_once_and_in_order():
    team = spoken()
    team.picture(10.0)
    team.on_fault("crash", 1, 1e6, 10.1)
    team.on_table(table([0, LOST, 0, 0], reasons=(0, 1, 0, 0)), 10.3)
    for robot in (0, 2, 3):
        team.on_status(robot, status(robot, 4, (1.0, 0.0, 1.0, 1.0)), 10.3)
    team.picture(10.3)
    team.picture(10.4)
    team.on_fault("crash", 1, 0.0, 11.0)
    team.on_state(1, state(1, boot=2), 11.1)
    team.on_state(1, state(1, boot=2, mode=Mode.STOP), 11.2)
    team.on_estop(11.3)
    team.on_estop(11.4)
    told = [(e.kind, e.value) for e in team.news()]
    assert told == [
        ("fault", "crash"), ("team", "supervisor"), ("state", "LOST"), ("weight", "out"),
        ("fault", "crash"), ("boot", "boot"), ("mode", "STOP"), ("estop", "stop"),
    ]  # fmt: skip
    assert team.news() == []


def test_an_order_that_a_robot_refuses_is_no_fault():
    team = spoken()
    for speaker, count in (("robot_1", 3), ("robot_2", 0), ("world", 0)):
        team.on_refusals(speaker, count, 9.0)
    team.on_fault("spoof", 1, 5.0, 10.0)
    team.on_fault("motor_off", 1, 5.0, 10.1)
    assert team.picture(10.2)["robots"][1]["faults"] == ["spoof", "motor_off"]
    team.on_refusals("robot_2", 1, 10.3)
    team.on_refusals("robot_1", 4, 10.8)
    assert team.picture(10.9)["robots"][1]["faults"] == ["motor_off"], "that is the world's to do"
    team.on_refusals("world", 1, 11.0)
    assert team.picture(11.1)["robots"][1]["faults"] == []
    told = [(e.kind, e.value, e.robot) for e in team.news() if e.kind == "refused"]
    assert told == [("refused", "spoof", 1), ("refused", "motor_off", 1)]


def test_a_refusal_long_after_an_order_is_of_another():
    team = spoken()
    team.on_refusals("robot_1", 0, 9.0)
    team.on_fault("spoof", 1, 9.0, 10.0)
    team.on_refusals("robot_1", 1, 15.0)
    assert team.picture(15.1)["robots"][1]["faults"] == ["spoof"]


def test_a_table_of_an_earlier_term_changes_nothing():
    team = spoken()
    team.on_table(table([0, 0, 0, 0], term=5), 10.0)
    team.on_table(table([LOST] * 4, term=4, seq=9), 10.1)
    assert words(team, 10.2) == ["HEALTHY"] * 4


def test_nobody_can_make_a_team_larger_than_it_is():
    team = spoken()
    for forged in (
        lambda: team.on_state(4, state(4), 10.0),
        lambda: team.on_status(0, status(0, 5), 10.0),
        lambda: team.on_table(table([0] * 64), 10.0),
        lambda: team.on_fault("crash", 200, 1.0, 10.0),
        lambda: TeamPicture().on_state(64, state(64), 10.0),
    ):
        with pytest.raises(MessageError):
            forged()
    assert team.robots == 4


odd = st.floats() | st.sampled_from([float("nan"), float("inf"), 1e300])


@given(
    place=st.tuples(odd, odd, odd),
    battery=odd,
    mode=st.integers(0, 255),
    states=st.integers(0, 255),
)
def test_whatever_is_said_can_be_sent_as_json(place, battery, mode, states):
    from dataclasses import replace

    team = spoken(2)
    said = replace(state(0), position=place, velocity=place, battery=battery, mode=mode)
    team.on_state(0, said, 10.0)
    team.on_table(table([states] * 2), 10.0)
    json.dumps(team.picture(10.1), allow_nan=False)


def test_the_hub_keeps_what_was_and_finds_it_again():
    puppet, hub = Puppet(), Hub(kept_s=5.0)
    puppet.start(hub)
    for _ in range(100):
        puppet.says(range(4))
    first, last = hub.span
    assert last - first == pytest.approx(5.0, abs=0.2)
    seen = json.loads(hub.at(first + 2.03))
    assert first + 1.9 < seen["t"] <= first + 2.03
    assert json.loads(hub.at(0.0))["t"] == first and json.loads(hub.at(1e12))["t"] == last
    t, text = hub.following(seen["t"])
    assert t > seen["t"] and json.loads(text)["t"] == t
    assert hub.following(last) is None
    recent = hub.recent(last, 1.0)
    assert len(recent["t"]) == len(recent["places"]) == len(recent["loops"]["period_ms"]) == 10


def test_a_clock_that_is_set_back_does_not_spoil_the_order():
    puppet, hub = Puppet(), Hub()
    puppet.start(hub)
    puppet.now -= 50.0
    puppet.says(range(4))
    first, last = hub.span
    assert first == last
