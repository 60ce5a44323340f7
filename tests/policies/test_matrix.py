"""The fault matrix: one test for every kind and severity, made from the registry itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swarmhold.export.faults_cli import main
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.expectations import EXPECTED, Cell
from swarmhold.hardware.faults import KINDS
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.hardware.settings import HealthSettings
from swarmhold.policies.calibrate import calibrated
from swarmhold.policies.matrix import cell_of
from swarmhold.sim.env import SwarmEnv

CELLS = [(kind, severity) for kind in KINDS for severity in EXPECTED[kind].severities]
BUNDLES = Path(__file__).parents[2] / "export/swarmhold/export/bundles"


@pytest.fixture(scope="module")
def policy() -> OnnxPolicy:
    return OnnxPolicy(open_bundle(BUNDLES / "coverage-epuck"))


@pytest.fixture(scope="module")
def health(policy: OnnxPolicy) -> HealthSettings:
    env = SwarmEnv("coverage", "epuck", 8, 6, seed=4)
    return calibrated(env, lambda _: OnnxTeam(policy))


def cell(policy: OnnxPolicy, health: HealthSettings, kind: str, severity: float) -> Cell:
    env = SwarmEnv("coverage", "epuck", 8 if EXPECTED[kind].why_not else 4, 6, seed=1)
    return cell_of(env, lambda _: OnnxTeam(policy), health, kind, severity)


def test_every_kind_has_its_place() -> None:
    assert set(EXPECTED) == set(KINDS)
    for expected in EXPECTED.values():
        assert expected.severities and bool(expected.states) != bool(expected.why_not)


@pytest.mark.parametrize(("kind", "severity"), CELLS)
def test_what_becomes_of_a_broken_robot(
    policy: OnnxPolicy, health: HealthSettings, kind: str, severity: float
) -> None:
    found = cell(policy, health, kind, severity)
    assert found.good, found


def without(health: HealthSettings, detector: str) -> HealthSettings:
    monitor, odd = health.monitor, health.normality
    off = {
        "freshness": {"monitor": replace(monitor, silent_s=np.inf, stuck_s=np.inf)},
        "cross-check": {"monitor": replace(monitor, mismatch_m=np.inf, offset_limit=0.0)},
        "garbage": {"monitor": replace(monitor, corrupt_votes=10_000)},
        "normality": {"normality": replace(odd, limit_s=0.0, stall_s=0.0)},
    }
    return replace(health, **off[detector])


@pytest.mark.parametrize(
    ("detector", "kind"),
    [("freshness", "crash"), ("cross-check", "sensor_drift"), ("garbage", "nan"),
     ("normality", "runaway"), ("normality", "motor_off")],
)  # fmt: skip
def test_a_detector_that_is_switched_off_is_missed(
    policy: OnnxPolicy, health: HealthSettings, detector: str, kind: str
) -> None:
    severity = EXPECTED[kind].severities[0]
    assert not cell(policy, without(health, detector), kind, severity).good


def test_the_verb_prints_every_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"crash": EXPECTED["crash"], "slow": EXPECTED["slow"]}
    monkeypatch.setattr("swarmhold.policies.matrix.KINDS", few)
    given = [
        "matrix",
        "--bundle",
        str(BUNDLES / "coverage-epuck"),
        "--layer",
        "sim",
        "--episodes",
        "2",
    ]
    assert main([*given, "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [(c["kind"], c["severity"], c["layer"]) for c in cells] == [
        ("crash", 1.0, "sim"), ("slow", 0.5, "sim"), ("slow", 1.0, "sim"),
    ]  # fmt: skip
    assert cells[0]["state"] == "LOST" and 0.0 < cells[0]["delay_s"] <= 1.0
    assert "not_applicable" in cells[1] and "not_applicable" not in cells[0]
    assert main(given) == 0
    assert "lost" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="known: matrix, plan, run, report"):
        main([])
