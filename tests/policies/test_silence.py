"""Silence alone, without worlds: teams of any size, on good and bad channels, at batch speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from swarmhold.hardware import channel as of_channel
from swarmhold.hardware import health as of_health
from swarmhold.hardware.expectations import OUT
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.sanity import Said
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Bool, Float, Kinematics
from swarmhold.policies.health_loop import HealthLoop
from swarmhold.sim.disturb import BURSTY, CHANNELS, CLEAN, CONGESTED
from swarmhold.sim.faults import Effects, FaultStage
from swarmhold.sim.noise import mix
from swarmhold.sim.radio import Radio
from swarmhold.sim.step import Evidence

TICK, TEAMS = 0.1, 24
PROMPT_S = 0.5  # in which a crash is to be found where two observe
OBSERVED_S = 1.0  # in which anything is, at the latest, on top of what a channel is waited for


@dataclass(frozen=True)
class Heard:
    """Robot hours, healthy robots taken out, and s from each team's crash to its discovery."""

    robot_hours: float
    falls: int
    delays_s: Float


def evidence(radio: Radio, now: Float, effects: Effects) -> Evidence:
    """What robots that stand still, and see nothing, notice of each other."""
    age, said = radio.age(now), radio.heard
    return Evidence(
        age=age,
        claimed=said.position,
        sensed=np.full((*age.shape, 3), np.nan),
        corrupt=np.zeros(age.shape, bool),
        deaf=effects.silent,
        said=Said(
            *(said.position, said.velocity, radio.sent_at),
            *(radio.heard_at, radio.boot_id, radio.fresh),
        ),
    )


def fly(channel: str, robots: int, seconds: float, crash: bool = False, seed: int = 0) -> Heard:
    """Teams on a channel of `CHANNELS`; robot 0 crashes at a random time, or nobody does."""
    shape, everybody = (TEAMS, robots), np.ones(TEAMS, bool)
    onset = np.random.default_rng(seed).uniform(1.0, seconds - 3.0, TEAMS)
    stage = FaultStage(*shape)
    stage.load([[FaultSpec("crash", 0, float(at))] if crash else [] for at in onset])
    keys = mix(np.arange(TEAMS, dtype=np.uint64) + np.uint64(TEAMS * (seed + 1)), robots)
    radio, loop = Radio(CHANNELS[channel], *shape, 1.0, TICK), HealthLoop(HealthSettings(), *shape)
    own = Kinematics(*np.zeros((2, *shape, 3)), *np.zeros((2, *shape)))
    radio.reset(keys, own, everybody)
    before = stage.effects(np.zeros(TEAMS))
    radio.greet(np.zeros(TEAMS), own, np.ones(shape, bool), before, everybody)
    found, falls, out = np.full(TEAMS, np.inf), 0, np.zeros(shape, bool)
    for step in range(round(seconds / TICK)):
        now = np.full(TEAMS, step * TICK)
        if step:
            there = np.ones(shape, bool)
            radio.deliver(now - TICK, own, there, before, mix(keys, step))
        before = stage.effects(now)
        loop.step(evidence(radio, now, before), step * TICK)
        new, out = _newly(loop, out)
        found = np.where(new[:, 0] & (now >= onset), np.minimum(found, now), found)
        falls += int(new[:, 1:].sum() + (0 if crash else new[:, 0].sum()))
    return Heard(TEAMS * robots * seconds / 3600.0, falls, found - onset)


def _newly(loop: HealthLoop, out: Bool) -> tuple[Bool, Bool]:
    now = np.isin(loop.states, OUT)
    return now & ~out, now


@pytest.mark.parametrize("robots", [2, 3, 4, 8])
def test_crashes_are_found_at_once_on_a_good_channel(robots: int) -> None:
    seen = fly(CLEAN, robots, 8.0, crash=True)
    assert np.percentile(seen.delays_s, 95) <= PROMPT_S + 1e-9 and seen.falls == 0


@pytest.mark.parametrize("robots", [2, 3, 4, 5])
def test_a_bad_channel_takes_nobody_out_of_teams_of_any_size(robots: int) -> None:
    """Once a team of four lost 34 robots in an hour; who knows a channel for seconds may err."""
    for channel in (BURSTY, CONGESTED):
        seen = fly(channel, robots, 40.0)
        assert seen.robot_hours > 0.5 and seen.falls <= 1


def test_who_dies_on_a_bad_channel_is_found_all_the_same() -> None:
    for robots in (2, 4, 8):
        seen = fly(CONGESTED, robots, 12.0, crash=True)
        assert seen.delays_s.max() < of_channel.MOST_S + OBSERVED_S


@pytest.mark.parametrize(("robots", "falls"), [(2, 12), (3, 4)])
def test_without_patience_small_teams_fall_apart(
    robots: int, falls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests above rest on."""
    monkeypatch.setattr(of_channel, "MOST_S", 0.0)
    assert fly(CONGESTED, robots, 40.0).falls > falls


def test_without_the_word_of_one_who_hears_it_a_team_of_four_falls_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_channel, "MOST_S", 0.0)
    monkeypatch.setattr(of_health, "hearing", lambda heard, _, many: (heard < many, heard >= many))
    assert fly(CONGESTED, 4, 40.0).falls > 15
