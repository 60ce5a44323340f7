"""Thresholds from flights without faults, and bundles that get them anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.policies.calibrate import LEAST_S, LEAST_SLACK, MOST_STALL_S, calibrated
from swarmhold.policies.calibrate_cli import main
from swarmhold.policies.evaluate import heuristic_policy
from swarmhold.sim.disturb import Disturbances
from swarmhold.sim.env import SwarmEnv

BUNDLE = Path(__file__).parents[2] / "export/swarmhold/export/bundles/rendezvous-epuck"


def test_what_shakes_the_loop_widens_the_thresholds() -> None:
    found = []
    for shaken in (Disturbances(), Disturbances(link_delay_s=0.2, position_noise=0.02)):
        env = SwarmEnv("coverage", "epuck", 4, 5, seed=2, disturbances=shaken)
        found.append(calibrated(env, heuristic_policy))
    calm, rough = found
    assert calm.normality.slack >= LEAST_SLACK and calm.normality.limit_s >= LEAST_S
    assert 0.0 < calm.normality.stall_s <= MOST_STALL_S
    assert rough.monitor.mismatch_m > calm.monitor.mismatch_m
    assert rough.monitor.sanity.leap_m > calm.monitor.sanity.leap_m
    assert calm.monitor.speed_mps == pytest.approx(0.1507)


def test_a_bundle_gets_other_thresholds_and_is_the_same_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    short = [str(BUNDLE), "--out", str(out), "--teams", "1", "--robots", "3"]
    assert main([*short, "--backend", "batched", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    before, after = open_bundle(BUNDLE), open_bundle(out)
    assert after.digest == told["digest"] and after.health.to_dict() == told["health"]
    assert after.health.normality.limit_s > 0.0
    for name in ("model.onnx", "golden.npz"):
        assert after.manifest.files[name] == before.manifest.files[name]
    assert after.manifest.training == before.manifest.training
    assert f"{after.health.normality.limit_s:g} s)" in (out / "model_card.md").read_text()
    with pytest.raises(ConfigError, match="at least 1 of 2"):
        main([*short[:3], "--robots", "1"])
