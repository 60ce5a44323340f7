"""The way back: weight grows with clean evidence, is gone at the next one, and relapses cost."""

import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.health import (
    HealthConfig,
    HealthInput,
    HealthState,
    health_init,
    health_step,
)
from swarmhold.hardware.monitor import BITS, Accusation
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.supervisor import supervisor_init, supervisor_step
from swarmhold.hardware.team_health import local_init, local_step

sys.path.insert(0, str(Path(__file__).parent))
from moments import heard

CONFIG = HealthConfig()
A = Accusation
TEAM, ROBOT = 5, 3
FEW = settings(max_examples=20, deadline=None)
FINE = np.full((TEAM, TEAM), int(A.HEARD | A.SEEN), BITS)
FAULTS = {"silent": A.SILENT, "liar": A.MISMATCH, "garbage": A.CORRUPT, "reboot": A.REBOOT}


def against(bits, by=(0, 1, 2)):
    """Accusations of one robot by some of the others."""
    matrix = FINE.copy()
    matrix[list(by), ROBOT] = int(bits | (A.SEEN if bits != A.SILENT else 0))
    if bits == A.SILENT:
        matrix[:, ROBOT] &= ~BITS(A.HEARD)
    return matrix


class Story:
    """One fusion, step by step, as one robot of it sees its own fate."""

    def __init__(self, tick=0.05):
        self.tick, self.now, self.state = tick, 0.0, health_init((), TEAM)
        self.weights, self.states = [], []

    def step(self, matrix):
        inputs = HealthInput(matrix, np.ones(TEAM, bool), np.zeros(TEAM, bool))
        self.now += self.tick
        self.state, out = health_step(CONFIG, self.state, inputs, self.now)
        self.weights.append(float(out.weights[ROBOT]))
        self.states.append(int(out.states[ROBOT]))
        return out

    def run(self, matrix, seconds):
        for _ in range(round(seconds / self.tick)):
            self.step(matrix)
        return self

    def until(self, state, matrix=FINE, most=200.0):
        """Go on until it is in a state; returns the seconds."""
        begin = self.now
        while not self.states or self.states[-1] != state:
            assert self.now - begin < most
            self.step(matrix)
        return self.now - begin


@pytest.mark.parametrize("tick", [0.03, 0.05, 0.1])
@pytest.mark.parametrize("fault", FAULTS)
def test_weight_grows_with_clean_evidence_and_is_whole_at_the_end_of_probation(fault, tick):
    story = Story(tick).run(against(FAULTS[fault]), 4.0)
    story.until(HealthState.PROBATION)
    begin = len(story.weights) - 1
    lasted = story.until(HealthState.HEALTHY)
    weights = story.weights[begin:]
    assert weights[0] == 0.0 and weights[-1] == 1.0
    assert (np.diff(weights) >= 0.0).all(), "never falls"
    assert lasted == pytest.approx(CONFIG.probation_s, abs=2 * tick)
    np.testing.assert_allclose(weights, np.linspace(0.0, 1.0, len(weights)), atol=2 * tick)
    assert set(story.run(FINE, 5.0).weights[begin + len(weights) :]) == {1.0}


@FEW
@given(st.sampled_from(sorted(FAULTS)), st.sampled_from(sorted(FAULTS)), st.floats(0.0, 5.5))
def test_new_evidence_takes_all_weight_at_once_whenever_it_comes(first, second, after):
    story = Story().run(against(FAULTS[first]), 4.0)
    story.until(HealthState.PROBATION)
    story.run(FINE, after)
    out = story.step(against(FAULTS[second]))
    assert out.weights[ROBOT] == 0.0
    story.run(FINE, 0.5)
    assert story.weights[-1] <= 0.5 or second == "silent", "shorter than a probation"


def test_a_convicted_liar_stays_at_nothing_longer_than_one_that_was_silent():
    at_nothing = {}
    for fault, bits in FAULTS.items():
        story = Story().run(against(bits), 5.0)
        healed = len(story.weights)
        story.until(HealthState.HEALTHY)
        at_nothing[fault] = sum(weight == 0.0 for weight in story.weights[healed:]) * story.tick
    assert max(at_nothing["silent"], at_nothing["reboot"]) <= 0.1
    assert min(at_nothing["liar"], at_nothing["garbage"]) >= CONFIG.dwell_s - 0.1


def test_one_doubter_makes_a_suspect_of_who_is_on_probation_and_no_outcast():
    story = Story().run(against(A.SILENT), 4.0)
    story.until(HealthState.PROBATION)
    alone = against(A.CORRUPT, by=(0,))
    story.run(alone, 20.0)
    assert story.states[-1] == HealthState.PROBATION
    assert story.weights[-1] == CONFIG.suspect_weight
    story.run(FINE, CONFIG.clear_s + 5.0)
    assert story.states[-1] == HealthState.HEALTHY and story.weights[-1] == 1.0
    assert max(np.diff(story.weights[-120:])) < 0.1, "not in one jump"


@pytest.mark.parametrize(("fault", "for_s"), [("liar", 0.5), ("silent", 4.0), ("reboot", 0.1)])
def test_who_relapses_again_and_again_gains_less_and_less(fault, for_s):
    """It behaves for as long as it takes to be trusted, and fails again at once."""
    story, lengths, early = Story(), [], []
    for _ in range(6):
        story.run(against(FAULTS[fault]), for_s)
        story.until(HealthState.PROBATION)
        begin = len(story.weights)
        lengths.append(story.until(HealthState.HEALTHY))
        early.append(story.weights[begin + round(0.6 * CONFIG.probation_s / story.tick)])
    grown = [min(CONFIG.probation_s * 2**k, CONFIG.probation_max_s) for k in range(6)]
    assert lengths == pytest.approx(grown, abs=0.2)
    assert early == pytest.approx([(3.0 / grown[k]) ** (k + 1) for k in range(6)], abs=0.02)


def test_a_robot_that_keeps_rebooting_on_probation_never_gets_beyond_it():
    story = Story()
    for _ in range(20):
        story.run(against(A.REBOOT), 0.1)
        story.run(FINE, 3.0)
    assert set(story.states) == {HealthState.PROBATION}
    assert max(story.weights) < 3.1 / CONFIG.probation_s


@pytest.mark.parametrize(("healthy_s", "known"), [(50.0, True), (65.0, False)])
def test_a_relapse_is_forgotten_after_as_long_as_the_longest_probation(healthy_s, known):
    story = Story().run(against(A.MISMATCH), 1.0)
    story.until(HealthState.HEALTHY)
    story.run(FINE, healthy_s)
    story.run(against(A.MISMATCH), 1.0)
    story.until(HealthState.PROBATION)
    again = story.until(HealthState.HEALTHY)
    assert again == pytest.approx(CONFIG.probation_s * (2 if known else 1), abs=0.2)


def test_robots_on_their_own_and_their_supervisor_give_it_the_same_weight():
    """A robot is silent for 4 s, and heard again: nobody needs the supervisor to see it so."""
    chain, tick, off = HealthSettings(), 0.05, (2.0, 6.0)
    n, alone = TEAM, np.asarray(np.inf)
    own = np.eye(n, dtype=bool)
    local = local_init(chain, (n,), n)
    chief, told = supervisor_init(chain, (), n), np.zeros((n, n), BITS)
    apart, seen = [], set()
    for k in range(round(16.0 / tick)):
        now = k * tick
        age = np.full(n, 0.02)
        if off[0] <= now < off[1]:
            age[ROBOT] = now - off[0] + 0.02
        quiet = heard(n, age=age, control_age=age)
        said = told.copy()
        local, out = local_step(
            chain, local, stacked(quiet, n), np.broadcast_to(said, (n, n, n)),
            np.ones((n, n)), np.full(n, alone), own, now,
        )  # fmt: skip
        told = out.accusations
        chief, verdict = supervisor_step(chain, chief, quiet, said, np.zeros(n, bool), now)
        each = np.delete(out.weights[:, ROBOT], ROBOT)
        apart.append(np.abs(each - verdict.weights[ROBOT]).max())
        seen.add(int(verdict.states[ROBOT]))
        late = 0.0 < min(abs(now - off[0]), abs(now - off[1])) < 0.5
        assert late or apart[-1] <= 2 * tick / CONFIG.probation_s + 1e-9, now
    assert {HealthState.LOST, HealthState.PROBATION, HealthState.HEALTHY} <= seen
    assert verdict.weights[ROBOT] == 1.0 and (out.weights[:, ROBOT] == 1.0).all()


def stacked(moment, n):
    """The same moment for n observers."""

    def each(value):
        return np.broadcast_to(value, (n, *value.shape)).copy()

    said = replace(
        moment.said, **{f.name: each(getattr(moment.said, f.name)) for f in fields(moment.said)}
    )
    rest = {f.name: each(getattr(moment, f.name)) for f in fields(moment) if f.name != "said"}
    return replace(moment, said=said, **rest)
