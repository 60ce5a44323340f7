"""A second bundle looks on in a live team, and a slot's new bundle flies after a restart."""

import json
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from swarmhold.hardware.bundle import open_bundle, seal_bundle
from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.promotion import go_back, promote
from swarmhold.hardware.report.cli import main as report
from swarmhold.hardware.report.flight import read_flight
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.watched import watched

sys.path.insert(0, str(Path(__file__).parent))
from fleet import states, wait_for

pytestmark = pytest.mark.system
HEARD_S = 1.0  # in which a recorder hears a robot that has just begun
FLY = "import sys; from swarmhold.hardware.fleet.cli import main; sys.exit(main(sys.argv[1:]))"


def fly(folder, *args):
    return subprocess.run(
        [sys.executable, "-c", FLY, *map(str, args), "--record", str(folder)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_shadow_is_reported_and_costs_no_deadline(tmp_path, rendezvous_bundle, coverage_bundle):
    given = ("--bundle", rendezvous_bundle, "--robots", 3, "--seconds", 10)
    done = fly(tmp_path / "f", *given, "--shadow", coverage_bundle)
    assert done.returncode == 0, done.stderr
    flight = read_flight(tmp_path / "f")
    found = watched([tmp_path / "f"], open_bundle(coverage_bundle), flight.info["digest"])
    assert 4.0 < found.seconds < 60.0 and found.p95 > 0.05 and "are needed" in found.refusal
    assert {told["robot"] for told in flight.shadows} == {0, 1, 2}
    for told in flight.shadows:
        assert told["decisions"] > 40 and 0.05 < told["mean"] <= told["most"] <= 2.0
        assert told["inference_s"] < 0.01 and told["problem"] == ""
    found = []
    for topic, _, message in messages_of(tmp_path / "f"):
        if topic == "/diagnostics":
            pairs = {pair.key: pair.value for pair in message.status[0].values}
            found += [float(pairs["shadow_mean"])] if "shadow_mean" in pairs else []
    assert len(found) > 10 and max(found) > 0.05
    page = tmp_path / "page.html"
    assert report([str(tmp_path / "f"), "--out", str(page)]) == 0
    assert "of the bound in the mean" in page.read_text()


def test_a_shadow_of_another_robot_class_never_starts(tmp_path, rendezvous_bundle):
    given = ("--bundle", rendezvous_bundle, "--robots", 2, "--shadow", "coverage-crazyflie")
    done = fly(tmp_path / "f", *given)
    assert done.returncode != 0 and "SpecMismatchError" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "only a bundle of the same robot class can be its shadow" in last


def digests(folder):
    """Bundles that robots said they flew, in order, by robot."""
    out = {}
    for topic, _, message in messages_of(folder):
        if topic.endswith("/state"):
            out.setdefault(message.robot, []).append(message.bundle)
    return {robot: [key for key, _ in groupby(said)] for robot, said in out.items()}


def next_version(bundle, folder):
    """The same bundle, sealed again under a higher version."""
    values = json.loads((bundle / "manifest.json").read_text())
    files = {name: (bundle / name).read_bytes() for name in values["files"]}
    for key in ("schema_version", "spec", "spec_digest", "files"):
        values.pop(key)
    seal_bundle(folder, {**values, "version": values["version"] + 1}, files)
    return folder


def test_a_promoted_bundle_flies_after_the_next_restart(tmp_path, rendezvous_bundle):
    """And the way back likewise; until then everybody flies on with what it opened."""
    slot, newer = tmp_path / "slot", next_version(rendezvous_bundle, tmp_path / "newer")
    first = promote(rendezvous_bundle, slot).short_digest
    second = open_bundle(newer).short_digest
    with Fleet(FleetConfig(slot, 3, tmp_path / "f")) as fleet:
        promote(newer, slot)
        fleet.kill(1)
        fleet.respawn(1)
        flies_other = HealthState.QUARANTINED.name  # the team does not trust another bundle
        assert wait_for(lambda: states(fleet)[1:2] == [flies_other])
        time.sleep(HEARD_S)
        go_back(slot)
        fleet.kill(1)
        fleet.respawn(1)
        assert wait_for(lambda: states(fleet)[1:2] == [HealthState.PROBATION.name])
        time.sleep(HEARD_S)
    said = digests(tmp_path / "f")
    assert said[0] == said[2] == [first]
    assert said[1] == [first, second, first]
