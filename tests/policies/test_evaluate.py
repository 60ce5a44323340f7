"""Fault x weight-source evaluation with the real health chain in the loop."""

from __future__ import annotations

import numpy as np
import pytest

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.calibrate import calibrated
from swarmhold.policies.evaluate import evaluate, heuristic_policy, interval, run_episodes
from swarmhold.policies.health_loop import EnvWatch, HealthLoop
from swarmhold.policies.randomise import exists_for_others
from swarmhold.sim.env import SwarmEnv

E, N = 2, 6
SETTINGS = HealthSettings()


def make_env() -> SwarmEnv:
    return SwarmEnv("rendezvous", "epuck", E, N, seed=3)


@pytest.fixture(scope="module")
def table() -> dict:
    return evaluate(make_env, heuristic_policy, ("spoof", "crash"), 2, SETTINGS, seed=0)


def row(table: dict, fault: str, weights: str) -> dict:
    return next(r for r in table["rows"] if (r["fault"], r["weights"]) == (fault, weights))


def test_supervisor_restores_what_liars_take(table: dict) -> None:
    none, helped = row(table, "spoof", "none"), row(table, "spoof", "supervisor")
    assert none["error_m"] > 2.0 * table["nominal"]["error_m"]
    assert helped["error_m"] < 1.5 * table["nominal"]["error_m"]
    assert helped["restored"] > 0.6


def test_supervisor_is_close_to_the_oracle_and_has_no_false_alarm(table: dict) -> None:
    for fault in ("spoof", "crash"):
        helped, oracle = row(table, fault, "supervisor"), row(table, fault, "oracle")
        assert abs(helped["score"] - oracle["score"]) < 0.02
    assert table["nominal"]["false_alarm_ticks"] == 0.0
    assert table["nominal"]["robot_hours"] == pytest.approx(E * N * 20.0 / 3600.0)


def test_cells_are_paired(table: dict) -> None:
    env = make_env()
    plan = [[] for _ in range(E)]
    policy = heuristic_policy(env)
    first = run_episodes(env, policy, "none", plan, SETTINGS, episode=0)
    again = run_episodes(env, policy, "none", plan, SETTINGS, episode=0)
    other = run_episodes(env, policy, "none", plan, SETTINGS, episode=1)
    np.testing.assert_array_equal(first.returns, again.returns)
    assert (first.returns != other.returns).all()


def test_interval_holds_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(size=8), rng.normal(size=800)
    low, high = interval(few, rng)
    assert low <= few.mean() <= high
    assert high - low > 3.0 * np.diff(interval(many, rng))[0]


@pytest.mark.parametrize("kind", ["crash", "link_loss", "spoof", "nan", "reboot"])
def test_health_loop_masks_the_faulty_and_only_them(kind: str) -> None:
    env = make_env()
    fault = FaultSpec(kind, 1, start_s=2.0, duration_s=3.0 if kind == "reboot" else 1e9, seed=5)
    step = env.reset(faults=[[fault] for _ in range(E)], episode=0)
    loop, act = HealthLoop(SETTINGS, E, N), heuristic_policy(env)
    exists = exists_for_others(step.truth.present)
    masked_at = np.inf
    for _ in range(60):
        weights = loop.step(env.evidence(), float(step.time_s.max()))
        # Robot 1 is the first teammate of robot 0 and the second of robots 2, 3, ...
        seen = np.concatenate([weights[:, :1, 0], weights[:, 2:, 1]], axis=1)
        if step.time_s.max() < 2.0:
            assert (weights == 1.0).all(), f"false alarm at {step.time_s.max():.1f} s"
        elif (seen < 0.5).all() and masked_at == np.inf:
            masked_at = step.time_s.max()
        healthy_pairs = loop.false_alarms(weights + ~exists, step.truth.healthy)
        if kind != "reboot":  # who has rebooted is healthy again, and on probation
            assert (healthy_pairs == 0).all()
        step = env.step(act(step.observation, weights))
    assert masked_at <= 4.0, f"{kind} was masked at {masked_at} s"


def test_health_loop_takes_in_who_joins_and_drops_who_leaves() -> None:
    env, loop = make_env(), HealthLoop(SETTINGS, E, N)
    presence = np.tile((0.0, np.inf), (E, N, 1))
    presence[:, 4:] = (3.0, np.inf), (0.0, 6.0)
    step = env.reset(presence=presence)
    of_joined, of_left, rest = [], [], []
    for _ in range(100):
        weights = loop.step(env.evidence(), float(step.time_s.max()))
        of_joined.append(weights[:, :4, 3])
        of_left.append(weights[:, :4, 4])
        rest.append(weights[:, :4, :3])
        step = env.step(env.scenario.heuristic(env.spec, step.observation, weights))
    joined, left = np.array(of_joined), np.array(of_left)
    assert (joined[:30] == 0.0).all(), "never heard"
    assert (joined[35:] == 1.0).all()
    assert (left[:60] == 1.0).all() and (left[66:] < 0.5).all()
    assert (np.array(rest) == 1.0).all()


def test_who_knows_the_policy_masks_the_runaway_and_leaves_the_slow_alone() -> None:
    env = SwarmEnv("coverage", "epuck", 4, N, seed=3)
    settings = calibrated(env, heuristic_policy, episode=7)
    assert settings.normality.limit_s >= 0.5
    ends = {}
    for kind in ("runaway", "slow"):
        faults = [[FaultSpec(kind, 1, start_s=2.0, seed=5)] for _ in range(4)]
        step = env.reset(faults=faults, episode=0)
        watch, act = EnvWatch(settings, env, heuristic_policy(env)), heuristic_policy(env)
        loop = HealthLoop(settings, 4, N, watch)
        for _ in range(60):
            weights = loop.step(env.evidence(), float(step.time_s.max()))
            step = env.step(act(step.observation, weights))
        ends[kind] = loop.quarantined
    assert ends["runaway"][:, 1].mean() >= 0.75, "who runs where it should go is as good as well"
    assert not np.delete(ends["runaway"], 1, axis=1).any()
    assert not ends["slow"].any()


class Remembering:
    """Acts like the heuristic, and remembers for how many decisions each robot has been acting."""

    def __init__(self, env: SwarmEnv) -> None:
        self._act = heuristic_policy(env)
        self.reset()

    def __call__(self, seen, weights):
        self.decisions = self.decisions + np.ones(weights.shape[:2], int)
        return self._act(seen, weights)

    def reset(self, robots=None) -> None:
        self.decisions = np.where(True if robots is None else robots, 0, self.decisions)

    decisions: np.ndarray = np.zeros(())


def test_an_observer_forgets_what_the_robots_forget() -> None:
    """At the start of an episode all of it, and of a robot that was away what it knew of it."""
    env = SwarmEnv("rendezvous", "epuck", 2, N, seed=3)
    known = Remembering(env)
    away = [[FaultSpec("reboot", 1, start_s=1.0, duration_s=2.0)]] * 2
    for episode in range(2):
        step = env.reset(faults=away, episode=episode)
        loop = HealthLoop(HealthSettings(), 2, N, EnvWatch(HealthSettings(), env, known))
        for _ in range(60):
            weights = loop.step(env.evidence(), float(step.time_s.max()))
            step = env.step(heuristic_policy(env)(step.observation, weights))
        assert (np.delete(known.decisions, 1, axis=1) == 60).all()
        assert (known.decisions[:, 1] < 32).all()
