"""Fault plans in simulation: paired flights, and the verbs that fly and report them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from swarmhold.export.faults_cli import main
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.report.probes import effect
from swarmhold.hardware.report.score import Arm
from swarmhold.hardware.runtime import OnnxPolicy, OnnxTeam
from swarmhold.policies.plan_flights import flown
from swarmhold.sim.env import SwarmEnv

BUNDLE = Path(__file__).parents[2] / "export/swarmhold/export/bundles/coverage-epuck"
FAULTS = (FaultSpec("crash", 1, 2.0, 4.0), FaultSpec("spoof", 2, 10.0, 4.0, seed=3))
PLAN = {
    "name": "short", "robots": 4, "rest_s": 4, "abort": {"contacts": None},
    "faults": [
        {"unit": "agent", "type": "off", "target": 1, "at_s": 2, "duration_s": 4},
        {"unit": "link", "type": "slow", "target": 2, "at_s": 10, "duration_s": 4},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def arms() -> dict[str, Arm]:
    bundle = open_bundle(BUNDLE)
    policy = OnnxPolicy(bundle)
    out = {}
    for source in ("free", "none", "supervisor"):
        env = SwarmEnv("coverage", "epuck", 2, 4, seed=1, contacts=True)
        out[source] = flown(env, lambda _: OnnxTeam(policy), bundle.health, FAULTS, 16.0, source)
        env.close()
    return out


def test_flights_are_equal_until_something_breaks(arms: dict[str, Arm]) -> None:
    for free, none, helped in zip(*(arm.flights for arm in arms.values()), strict=True):
        early = free.t < FAULTS[0].start_s
        assert free.t[-1] > 15.0 and early.sum() >= 20
        for other in (none, helped):
            np.testing.assert_array_equal(free.position[early], other.position[early])
        assert np.abs(free.position - none.position).max() > 0.02
    first, second = arms["free"].flights
    assert not np.array_equal(first.position, second.position), "each has a layout of its own"


def test_what_was_injected_had_an_effect(arms: dict[str, Arm]) -> None:
    for free, helped in zip(arms["free"].flights, arms["supervisor"].flights, strict=True):
        for fault in FAULTS:
            assert effect(helped, fault, free) == "applied"
            assert effect(free, fault, free) == "no effect"


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "short.yaml"
    file.write_text(yaml.safe_dump(PLAN))
    assert main(["plan", str(file), "--check"]) == 0
    assert "2 faults in 18 s" in capsys.readouterr().out
    given = ["run", str(file), "--bundle", str(BUNDLE), "--layouts", "2", "--json"]
    assert main([*given, "--out", str(tmp_path / "a")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["status"] == {"applied": 4} and told["figures"]["to_be_found"] == 2
    assert told["figures"]["missed"] == 0 and set(told["figures"]["arms"]) == {
        *("free", "none", "supervisor", "oracle"),
    }
    assert [row["kind"] for row in told["rows"][0]] == ["crash", "delay"]
    assert main([*given, "--out", str(tmp_path / "b"), "--arms", "supervisor"]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    page = (tmp_path / "a/comparison.html").read_text()
    assert "2 of 2 faults had the same fate" in page
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["agrees"] for row in rows] == [True, True]
    assert rows[0]["worlds"]["sim (2)"]["found"] == 2, "in both flights of the second run"
    with pytest.raises(ConfigError, match="exists already"):
        main([*given, "--out", str(tmp_path / "a")])
    with pytest.raises(ConfigError, match="supervisor must be among them"):
        main([*given, "--out", str(tmp_path / "c"), "--arms", "none"])
    (tmp_path / "a/report.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        main(["report", str(tmp_path / "a")])
    with pytest.raises(ConfigError, match=r"did you mean 'twelve'\?"):
        main(["run", "twelv"])
    with pytest.raises(ConfigError, match="did you mean 'plan'"):
        main(["plans"])
