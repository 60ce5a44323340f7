"""What a dataset does with swapped labels, lies, other hands on the wheel, and garbage."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.dataset.cli import main
from swarmhold.sim.dataset.layout import Behaviour

sys.path.insert(0, str(Path(__file__).parent))
from recorded_flights import BUNDLES, Row, built, flight, recorded


def test_garbage_on_the_wire_gets_nowhere(tmp_path: Path) -> None:
    nan, far = (np.nan,) * 3, (1e38, np.inf, 0.0)
    worse: dict[str, dict[str, Any]] = {
        "sense": {"position": nan, "sighted": (200,), "sightings": (far,)},
        "state": {"position": far, "yaw": 1e30, "control_seq": 2**32 - 1},
        "status": {"mode": 200, "weights": (np.nan, 7.0, -1.0), "states": (99, 99, 99)},
        "health": {"states": (99, 255, 7)},
    }

    def bend(row: Row) -> list[Row]:
        kind, late = row[0].rpartition("/")[2], row[1] > 3.0
        if not late or ("robot" in row[0] and "robot_1" not in row[0]):
            return [row]
        if kind == "cmd_vel":
            return [row, (*row[:2], np.array([np.nan, np.inf]))]
        return [row, (row[0], row[1], replace(row[2], **worse[kind]))] if kind in worse else [row]

    data = built(tmp_path, recorded(tmp_path, bend))
    arrays = data.arrays()  # which are checked to be finite
    assert len(arrays["t_ns"]) > 25
    assert main(["card", str(data.folder)]) == 0


def test_after_a_stop_nothing_is_learned(tmp_path: Path) -> None:
    def bend(row: Row) -> list[Row]:
        stop = ("/swarm/estop", row[1], True)
        return [row, stop] if row[0] == "/swarm/health" and row[1] == 4.0 else [row]

    folder = recorded(tmp_path, bend)
    data = built(tmp_path, folder)
    assert data.manifest.quality.estop == 20 and data.manifest.quality.ticks == 40
    kept = built(tmp_path / "kept", folder, more=("--keep", "estop"))
    behaviour = kept.arrays()["behaviour"]
    assert (behaviour[40:] == Behaviour.ESTOP).all() and not behaviour[:40].any()


SWAP = {"0": "1", "1": "0"}


@pytest.mark.parametrize("name", ["coverage-epuck", "pursuit-crazyflie"])
@pytest.mark.parametrize("kind", ["cmd_vel", "sense"])
def test_swapped_labels_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    """Of commands, or as if a localisation took one robot for the other from 2 s on."""

    def bend(row: Row) -> list[Row]:
        robot = row[0].removeprefix("/robot_")[0]
        late = kind == "cmd_vel" or row[1] >= 2.0
        other = SWAP.get(robot, robot) if row[0].endswith(kind) and late else robot
        return [(row[0].replace(f"/robot_{robot}", f"/robot_{other}"), *row[1:])]

    folder = flight(name).record(tmp_path / "flight", BUNDLES / name, bend, truth=False)
    with pytest.raises(
        ConfigError, match=r"labels are swapped \(what robot 0 was told moved robot 1"
    ):
        built(tmp_path, folder)


def test_what_somebody_else_commands_is_left_out(tmp_path: Path) -> None:
    folder = recorded(tmp_path, teleop=1)
    data = built(tmp_path, folder)
    assert data.manifest.quality.teleop == pytest.approx(30, abs=4)
    assert (data.arrays()["behaviour"] == Behaviour.POLICY).all()
    kept = built(tmp_path / "kept", folder, more=("--keep", "teleop")).arrays()
    assert (kept["behaviour"][35:, 1] == Behaviour.TELEOP).all()
    assert not kept["behaviour"][:, [0, 2]].any() and not kept["fault"].any()


@pytest.mark.parametrize("what", ["lies", "stuck"])
def test_who_lies_or_does_not_obey_is_marked_and_counts_for_nothing(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = built(tmp_path, recorded(tmp_path, **{what: 1}))
    assert "marked as faulty" in capsys.readouterr().err
    arrays, quality = data.arrays(), data.manifest.quality
    assert quality.lying == (pytest.approx(30, abs=5) if what == "lies" else 0)
    bad = arrays["fault"] == 3
    assert bad[40:, 1].all() and not bad[:, [0, 2]].any() and not bad[:20, 1].any()
    others = built(tmp_path / "others", recorded(tmp_path / "others"))
    assert not others.arrays()["fault"].any()


def test_a_robot_that_is_known_to_be_broken_keeps_its_ticks(tmp_path: Path) -> None:
    told = (("adversary", 1, 3.0),)
    folder = flight(teleop=1).record(tmp_path / "flight", BUNDLES / "coverage-epuck", faults=told)
    data = built(tmp_path, folder)
    arrays = data.arrays()
    assert (data.manifest.quality.teleop, data.manifest.quality.ticks) == (0, 60)
    assert data.manifest.faults[arrays["injected"][50, 1]] == "adversary"
    assert (arrays["behaviour"][35:, 1] == Behaviour.TELEOP).all()
