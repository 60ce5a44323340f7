"""Live robots that hide something, their recording, and what `swarmhold gap` makes of it."""

from __future__ import annotations

import bisect
import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from swarmhold.hardware.fleet.config import FleetConfig
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.fleet import Fleet
from swarmhold.hardware.hidden import parse_hidden
from swarmhold.hardware.report.motion import read_motions
from swarmhold.policies.config import TrainConfig
from swarmhold.sim.emulate.crazyflie import GENERIC, HOVER
from swarmhold.sim.emulate.emulator import Emulator, crazyflies
from swarmhold.sim.gap.cli import main

sys.path.insert(0, str(Path(__file__).parent))
from fleet import orphans, wait_for

pytestmark = [pytest.mark.system, pytest.mark.quiet]
N, SECONDS, LATE_S, SHARE = 3, 20.0, 0.010, 0.10


def figures(folder, capsys, *more):
    page, ranges = folder.parent / "gap.html", folder.parent / "ranges.yaml"
    capsys.readouterr()
    given = [str(folder), "--out", str(page), "--ranges", str(ranges), "--json", *more]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told, TrainConfig.model_validate(yaml.safe_load(ranges.read_text())).disturbances


def fly(config):
    with Fleet(config) as fleet:
        assert wait_for(lambda: time.time() > fleet.started_at + SECONDS, SECONDS + 10.0)
        fleet.check(set())
    assert not orphans(str(config.folder))


def test_what_live_e_pucks_hide_is_found(tmp_path, capsys, coverage_bundle):
    hidden = ("latency=0.08", "wheel_scale=0.85")
    folder = tmp_path / "flight"
    fly(FleetConfig(coverage_bundle, N, folder, seed=3, hidden=hidden, processes=1))
    told, trained = figures(folder, capsys)
    late = np.mean([np.mean(motion.said_late) for motion in read_motions(folder).robots])
    assert 0.08 - LATE_S < told["team"]["latency"]["value"] < 0.08 + late + LATE_S
    assert told["team"]["linear"]["value"] == pytest.approx(0.85, rel=SHARE)
    assert told["team"]["angular"]["value"] == pytest.approx(0.85, rel=SHARE)
    assert trained.latency_s[0] < 0.08 + late and trained.latency_s[1] > 0.08
    assert trained.wheel_scale[0] < 0.85 < trained.wheel_scale[1]
    assert all(robot["hears"]["heard"] > 100 for robot in told["robots"])
    loops = told["closed_loop"]
    plain, found = (np.mean(loops[k]["apart_m"]) for k in ("simulated", "simulated_as_found"))
    assert found < plain


class Listening(Emulator):
    """Notes when hover set-points come in from the client library, by robot."""

    def listen(self):
        self.came = [[] for _ in self.links]
        for robot, link in enumerate(self.links):
            link.vehicle.hear = self._noting(robot, link.vehicle.hear)

    def _noting(self, robot, hear):
        def noting(datagram, body, now):
            if len(datagram) >= 18 and datagram[0] >> 4 == GENERIC and datagram[1] == HOVER:
                self.came[robot].append((time.time(), struct.unpack("<ff", datagram[2:10])))
            return hear(datagram, body, now)

        return noting


def way_there(came, motion, began):
    """S from the frame that a set-point answers until it came in at the robot, mean."""
    told = [tuple(np.float32(row).tolist()) for row in motion.told]
    times = motion.told_t.tolist()
    delays, before = [], None
    for at, value in came:
        at -= began
        if value == before:
            continue
        before = value
        last = bisect.bisect_right(times, at) - 1
        sent = next((k for k in range(last, max(last - 6, -1), -1) if told[k] == value), None)
        if sent is not None and value != (0.0, 0.0):
            delays.append(at - times[sent])
    assert len(delays) > 50
    return float(np.mean(delays)) + motion.decides_s


def test_what_emulated_crazyflies_hide_is_found(tmp_path, capsys, root):
    hidden = parse_hidden(["latency=0.08", "drag=2.5"], N)
    bundle = root / "export/swarmhold/export/bundles/pursuit-crazyflie"
    folder = tmp_path / "flight"
    emulator = crazyflies("pursuit", N, 3, hidden=hidden)
    emulator.__class__ = Listening
    emulator.listen()
    with emulator:
        each = tuple(Options(link=link) for link in emulator.addresses)
        fly(FleetConfig(bundle, N, folder, seed=3, each=each, arm=True, processes=1))
        came = [list(one) for one in emulator.came]
    told, trained = figures(folder, capsys, "--no-closed-loop")
    recorded = read_motions(folder)
    lines = (folder / "events.jsonl").read_text().splitlines()
    began = next(e["t"] for e in map(json.loads, lines) if e["event"] == "started")
    truth = [0.08 + way_there(*pair, began) for pair in zip(came, recorded.robots, strict=True)]
    # Within 10 ms is what the flight has to tell; of one robot alone it tells less.
    assert told["team"]["latency"]["value"] == pytest.approx(np.mean(truth), abs=LATE_S)
    for one, late in zip(told["robots"], truth, strict=True):
        assert one["fit"]["latency"]["value"] == pytest.approx(late, abs=2.0 * LATE_S)
        assert one["fit"]["drag"]["value"] == pytest.approx(2.5, rel=SHARE)
    assert trained.drag_scale[0] < 2.5 < trained.drag_scale[1]
