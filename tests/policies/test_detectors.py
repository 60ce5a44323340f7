"""Delays and false alarms at batch speed: what is counted, and that bad links take nobody out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson as law

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.policies.detectors import alarms, found, subtle, watched
from swarmhold.policies.detectors_cli import main, poisson
from swarmhold.sim.disturb import BURSTY, CHANNELS, CONGESTED, Disturbances
from swarmhold.sim.env import SwarmEnv

BUNDLE = Path(__file__).parents[2] / "export/swarmhold/export/bundles/coverage-epuck"
HOURS, N = 0.4, 6


@pytest.fixture(scope="module")
def policy() -> OnnxPolicy:
    return OnnxPolicy(open_bundle(BUNDLE))


def make_env(disturbances: Disturbances | None = None) -> SwarmEnv:
    return SwarmEnv("coverage", "epuck", 16, N, seed=2, disturbances=disturbances)


@pytest.mark.parametrize("channel", [BURSTY, CONGESTED])
def test_links_that_fail_in_bursts_take_nobody_out(policy: OnnxPolicy, channel: str) -> None:
    """Two observers that hear nothing for 0.3 s were enough once: 34 robots lost in an hour."""
    flown = alarms(make_env, lambda _: OnnxTeam(policy), policy.bundle.health, channel, HOURS)
    assert flown.robot_hours >= HOURS and flown.falls == 0
    assert channel in CHANNELS and flown.channel == channel


def test_who_is_found_when_and_whether_it_was_that_one(policy: OnnxPolicy) -> None:
    env = make_env()
    seen = found(env, lambda _: OnnxTeam(policy), policy.bundle.health, "crash", seed=1)
    assert np.isfinite(seen.delays_s).all() and seen.delays_s.max() < 1.0
    assert seen.first == 1.0 and seen.harmed == 0.0


def test_an_offset_of_three_sigmas_is_found(policy: OnnxPolicy) -> None:
    health = policy.bundle.health
    severity = subtle(health)
    assert severity < 0.05, "a fraction of what one sighting shows"
    args = (make_env(), lambda _: OnnxTeam(policy), health, "sensor_bias", 1, severity)
    seen = found(*args)
    assert np.isfinite(seen.delays_s).mean() > 0.9 and seen.first == 1.0


def test_what_is_watched_is_what_happens(policy: OnnxPolicy) -> None:
    env = make_env()
    plan = [[FaultSpec("crash", 2, 1.0)]] * env.n_envs
    plan[0] = []
    seen = watched(env, lambda _: OnnxTeam(policy), policy.bundle.health, plan, until_s=4.0)
    assert np.isinf(seen.out_at[0]).all() and np.isinf(np.delete(seen.out_at, 2, axis=1)).all()
    assert (seen.out_at[1:, 2] > 1.0).all() and (seen.falls[1:, 2] == 1).all()
    assert (seen.state[1:, 2] == HealthState.LOST).all()
    assert (seen.doubts[1:, 2] >= 1).all() and seen.doubts[0].sum() == 0
    assert seen.present_s[0] == pytest.approx(4.1, abs=0.11)


@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_the_interval_is_exact(count: int) -> None:
    low, high = poisson(count, 2.0)
    assert law.cdf(count, 2.0 * high) == pytest.approx(0.025)
    assert count == 0 or law.sf(count - 1, 2.0 * low) == pytest.approx(0.025)
    assert (low == 0.0) == (count == 0)


def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(BUNDLE), "--robots", "4", "--episodes", "4", "--robot-hours", "0.01"]
    given += ["--kinds", "crash", "sensor_bias"]
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["channel"] for row in told["channels"]] == list(CHANNELS)
    kinds = [(row["kind"], row["severity"] < 0.1) for row in told["kinds"]]
    assert kinds == [("crash", False), ("sensor_bias", False), ("sensor_bias", True)]
    assert told["kinds"][0]["found"] == 1.0 and 0.0 < told["kinds"][0]["delay_p95_s"] < 1.0
    assert main(given) == 0
    assert "per robot hour" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="at least 4 robots"):
        main([str(BUNDLE), "--robots", "3"])
