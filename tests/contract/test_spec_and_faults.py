"""Contract digests and fault specifications."""

from dataclasses import replace

import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.spec import ROBOTS, policy_spec


def test_digest_changes_with_every_part_of_the_contract():
    spec = policy_spec("epuck")
    field, action = spec.team_fields[0], spec.action_fields[0]
    others = [
        policy_spec("crazyflie"),
        replace(spec, rate_hz=20.0),
        replace(spec, team_fields=(replace(field, scale=3.0), *spec.team_fields[1:])),
        replace(spec, action_fields=(replace(action, bound=0.2), *spec.action_fields[1:])),
        replace(spec, obstacle_fields=spec.obstacle_fields[::-1]),
    ]
    digests = {spec.digest(), *(other.digest() for other in others)}
    assert len(digests) == 6
    assert spec.digest() == policy_spec("epuck").digest()


def test_unknown_robot_is_named_with_the_choices():
    with pytest.raises(ConfigError, match="'turtle'; choose one of: crazyflie, epuck, gritsbot"):
        policy_spec("turtle")
    assert set(ROBOTS) == {"epuck", "crazyflie", "gritsbot"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_acts_from_onset_to_end(kind):
    fault = FaultSpec(kind, robot=1, start_s=2.0, duration_s=3.0)
    acting = [fault.active(now) for now in (1.9, 2.0, 4.9, 5.0)]
    assert acting == [False, True, True, False]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(kind="explode", robot=0), "unknown fault kind 'explode'; choose one of: crash"),
        (dict(kind="crash", robot=-1), "roster index"),
        (dict(kind="crash", robot=0, start_s=-1.0), "start must be at least 0"),
        (dict(kind="crash", robot=0, start_s=float("nan")), "start must be at least 0"),
        (dict(kind="crash", robot=0, duration_s=0.0), "duration above 0"),
        (dict(kind="slow", robot=0, severity=1.5), r"severity is 1.5; it must lie in \[0, 1\]"),
    ],
)
def test_bad_faults_are_refused_with_cause_and_cure(bad, message):
    with pytest.raises(ConfigError, match=message):
        FaultSpec(**bad)
