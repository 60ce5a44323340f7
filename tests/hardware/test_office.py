"""Several supervisors: one speaks, another takes over, and nobody stays with an old one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmhold.hardware.messages import HealthTable
from swarmhold.hardware.office import (
    FORGOTTEN_S,
    OfficeConfig,
    hear,
    office_init,
    office_step,
    supersedes,
)

TICK = 0.05


def table(term, seq, issuer):
    return HealthTable(0.0, term, seq, issuer, 1.0, (1.0,), (0,), (0,))


class Supervisors:
    """Some supervisors on one clock; each hears the others unless it is cut off or dead."""

    def __init__(self, count):
        self.configs = [OfficeConfig(f"supervisor_{rank}", rank) for rank in range(count)]
        self.states = [office_init(0.0) for _ in self.configs]
        self.dead, self.cut, self.now = set(), set(), 0.0
        self.seq, self.fell = 0, False
        self.held, self.held_at = None, 0.0

    def run(self, seconds):
        """Returns how many spoke at each tick, and follows the tables as a robot would."""
        spoke = []
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            said = []
            for index, config in enumerate(self.configs):
                if index in self.dead:
                    continue
                self.states[index] = office_step(config, self.states[index], self.now)
                if self.states[index].speaks:
                    self.seq += 1
                    said.append((index, table(self.states[index].term, self.seq, config.issuer)))
            for index, config in enumerate(self.configs):
                for sender, message in said:
                    apart = (index in self.cut) != (sender in self.cut)
                    if index not in self.dead and not apart:
                        self.states[index] = hear(config, self.states[index], message, self.now)
            for sender, message in said:
                silent = self.now - self.held_at
                if sender not in self.cut and supersedes(message, self.held, silent):
                    self.fell |= self.held is not None and message.term < self.held.term
                    assert not (self.fell and silent <= FORGOTTEN_S)
                    self.held, self.held_at, self.fell = message, self.now, False
            spoke.append(len(said))
        return np.array(spoke)


def test_the_first_in_line_speaks_and_the_others_stand_by():
    team = Supervisors(3)
    assert team.run(10.0)[40:].tolist() == [1] * 160
    assert team.held.issuer == "supervisor_0" and team.held.term == 1


def test_a_standby_takes_over_within_five_seconds_and_the_old_one_stands_by():
    team = Supervisors(2)
    team.run(3.0)
    team.dead = {0}
    team.run(5.0)
    assert team.held.issuer == "supervisor_1" and team.held.term == 2
    team.dead = set()  # it was only stopped, and still believes that it speaks
    assert (team.run(3.0) == 1).all()
    assert team.held.issuer == "supervisor_1" and not team.states[0].speaks


def test_a_speaker_that_nobody_missed_speaks_again_soon():
    team = Supervisors(2)
    team.run(3.0)
    team.dead = {0}
    team.run(5.0)
    team.dead = {0, 1}  # the second one speaks, and is stopped for two seconds
    team.run(2.0)
    team.dead = {0}
    assert team.run(2.0)[30:].all()
    assert team.held.issuer == "supervisor_1" and team.held.term == 3


def test_a_standby_that_was_stopped_itself_takes_nothing_over():
    team = Supervisors(2)
    team.run(3.0)
    team.dead = {1}
    team.run(9.0)
    team.dead = set()
    assert (team.run(3.0) == 1).all()
    assert team.held.issuer == "supervisor_0" and team.held.term == 1


def test_after_a_restart_nobody_takes_back_what_another_does():
    team = Supervisors(2)
    team.run(3.0)
    team.dead = {0}
    team.run(5.0)
    team.dead, team.states[0] = set(), office_init(team.now)
    team.run(5.0)
    assert team.held.issuer == "supervisor_1" and not team.states[0].speaks


def test_after_a_partition_one_speaks():
    team = Supervisors(3)
    team.run(3.0)
    team.cut = {0}
    team.run(6.0)
    assert sum(state.speaks for state in team.states) == 2, "one on either side"
    assert team.held.issuer == "supervisor_1", "robots are on the other side"
    team.cut = set()
    assert (team.run(3.0)[2:] == 1).all()
    assert team.held.issuer == "supervisor_1" and team.held.term == 2


def test_of_two_in_one_term_the_first_name_speaks():
    team = Supervisors(2)
    team.configs = [replace(config, rank=0) for config in team.configs]
    assert (team.run(5.0)[30:] == 1).all()
    assert team.held.issuer == "supervisor_0"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("dlrc"), st.floats(0.1, 6.0))))
def test_whatever_happens_one_speaks_soon_after_all_are_well(story):
    """Dead, alive, restarted, cut off, in any order; the term that robots follow never falls
    but after a long silence."""
    team = Supervisors(3)
    for who, what, seconds in story:
        if what == "d":
            team.dead.add(who)
        elif what == "l":
            team.dead.discard(who)
        elif what == "r":
            team.states[who] = office_init(team.now)
        else:
            team.cut ^= {who}
        team.run(seconds)
    team.dead, team.cut = set(), set()
    assert (team.run(FORGOTTEN_S + 5.0)[120:] == 1).all()
    speaker = next(c.issuer for c, s in zip(team.configs, team.states, strict=True) if s.speaks)
    assert team.held.issuer == speaker


@pytest.mark.parametrize(
    ("new", "wins"),
    [((2, 1, "b"), True), ((1, 9, "a"), True), ((1, 6, "b"), True), ((1, 5, "b"), False),
     ((0, 9, "b"), False), ((1, 9, "c"), False)],
)  # fmt: skip
def test_replays_and_old_terms_are_dropped(new, wins):
    assert supersedes(table(*new), table(1, 5, "b"), 1.0) is wins
    assert supersedes(table(*new), table(1, 5, "b"), 11.0)
    assert supersedes(table(*new), None, np.inf)
