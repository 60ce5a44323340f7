"""Fault plans: what is drawn, what is refused, and with which words."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.plan import KIND_OF, FaultPlan, load_plan

ROOT = Path(__file__).resolve().parents[2]
ONE = {"unit": "agent", "type": "off", "at_s": 5, "duration_s": 4}


def plan(*faults, **more):
    return {"name": "p", "robots": 4, "faults": [{**ONE, **fault} for fault in faults], **more}


def write(path, values):
    path.write_text(yaml.safe_dump(values))
    return path


def test_every_kind_can_be_asked_for_by_unit_and_type():
    assert set(KIND_OF.values()) == set(KINDS) and len(KIND_OF) == len(KINDS)


def test_draws_are_those_of_the_seed():
    faults = [{"at_s": [5 + 12 * k, 9 + 12 * k]} for k in range(4)]
    same = [FaultPlan.model_validate(plan(*faults, seed=3)).faults_drawn() for _ in range(2)]
    other = FaultPlan.model_validate(plan(*faults, seed=4)).faults_drawn()
    assert same[0] == same[1] != other
    assert {fault.robot for fault in same[0]} == {0, 1, 2, 3}, "everybody has a turn"
    for k, fault in enumerate(same[0]):
        assert 5 + 12 * k <= fault.start_s <= 9 + 12 * k and fault.duration_s == 4


@given(
    st.integers(3, 8), st.integers(0, 9), st.integers(1, 3),
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.5, 30)), min_size=1, max_size=12),
)  # fmt: skip
def test_no_plan_reaches_farther_than_it_says(robots, seed, at_once, times):
    faults = [{"at_s": at, "duration_s": length} for at, length in times]
    made = FaultPlan.model_validate(
        plan(*faults, robots=robots, seed=seed, limits={"at_once": at_once})
    )
    try:
        drawn = made.faults_drawn()
    except ConfigError:
        return
    for fault in drawn:
        acting = [other.robot for other in drawn if other.active(fault.start_s)]
        assert len(acting) == len(set(acting)) <= at_once
        assert 0 <= fault.robot < robots
    assert made.length_s == pytest.approx(max(fault.end_s for fault in drawn) + made.rest_s)


WRONG = [
    (plan({"type": "slow"}), "faults.0: agent fails as off or stuck or intermittent or wrong"),
    (plan({"duration_s": 31}), "faults.0.duration_s: Input should be less than or equal to 30"),
    (plan({"duraton_s": 3}), "unknown key 'faults.0.duraton_s'; did you mean 'duration_s'?"),
    (plan({"unit": "wing"}), "faults.0.unit"),
    (plan({"at_s": [9, 5]}), "faults.0: at_s runs from 9 back to 5"),
    (plan({"target": 4}), "faults.0.target is 4; the team has 4 robots"),
    (
        plan({}, {"at_s": 6}),
        "faults.1 begins at 6 s, when 2 robots are broken; limits.at_once is 1",
    ),
    (
        plan({"target": 1}, {"target": 1, "at_s": 7}, limits={"at_once": 2}),
        "faults.1 begins at 7 s, while robot 1 is still broken",
    ),
    (
        plan({"target": 1}, {"target": 2, "at_s": 20}, limits={"robots": 1}),
        "faults.1 breaks robot 2 of the team; limits.robots is 1",
    ),
    (plan(), "faults: Tuple should have at least 1 item"),
    (plan({}, colour="red"), "unknown key 'colour'"),
    (plan({}, abort={"contact": 1}), "unknown key 'abort.contact'; did you mean 'contacts'?"),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_what_is_wrong_is_named(tmp_path, values, said):
    file = write(tmp_path / "plan.yaml", values)
    with pytest.raises(ConfigError) as error:
        load_plan(file)
    assert str(file) in str(error.value) and said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_limit_on_robots_is_kept_by_what_is_drawn():
    faults = [{"at_s": 5 + 10 * k} for k in range(6)]
    made = FaultPlan.model_validate(plan(*faults, limits={"robots": 2}))
    assert len({fault.robot for fault in made.faults_drawn()}) == 2


def test_the_published_schema_is_that_of_the_code():
    published = json.loads((ROOT / "docs/fault-plan.schema.json").read_text())
    assert published == FaultPlan.model_json_schema()


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("*/swarmhold/*/plans/*.yaml")), ids=lambda p: p.name
)
def test_plans_that_ship_are_sound(file):
    made = load_plan(file)
    least = 10 if file.stem == "moving" else 12
    assert len(made.faults_drawn()) >= least and made.name == file.stem
