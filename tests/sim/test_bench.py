"""Benches measure what they say, in turns, and name what is missing."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.export.bench import main
from swarmhold.hardware.errors import ConfigError
from swarmhold.sim.bench import ground, peer
from swarmhold.sim.bench.flight import SUBJECTS, compared, cost_curve
from swarmhold.sim.bench.measure import interleave, machine, ratio, repeat
from swarmhold.sim.bench.peer import Peer

HERE = Path(sys.executable)


def test_rounds_interleave_and_ratios_stay_within_a_round():
    order = []

    def run(name, rate):
        def measured():
            order.append(name)
            return rate * len(order), 1.0

        return measured

    rates = interleave({"a": run("a", 1.0), "b": run("b", 1.0)}, 3, order.append)
    assert order[:2] == ["a", "b"] and len(rates["a"]) == len(rates["b"]) == 3
    assert ratio({"a": [2.0, 9.0, 8.0], "b": [1.0, 3.0, 1.0]}, "a", "b") == {
        "median": 3.0,
        "low": 2.0,
        "high": 8.0,
    }
    steps, spent = repeat(lambda: sum(range(1000)), 5, 0.01)()
    assert steps % 5 == 0 and spent >= 0.01
    assert machine()["numpy"]


def test_the_object_for_programs_has_every_ratio():
    rates = {name: [2.0, 4.0] for name in (*SUBJECTS, "reset_one", "reset_batch", "batch_physics")}
    found = compared({**rates, "gpd": [1.0, 1.0], "gpd_reset": [0.5, 0.5]})["ratios"]
    assert set(SUBJECTS) <= set(found) and found["pybullet_python"] == 3.0
    assert found["reset"] == 6.0 and "batch_env_over_crazyflow_step" not in found


def test_sim_without_peers_says_so(capsys):
    assert main(["sim", "--rounds", "1", "--seconds", "0.02", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out.splitlines()[-1])
    assert found["team_steps_per_cpu_s"]["batch_env"]["median"] > 0
    assert found["team_steps_per_cpu_s"].keys() >= SUBJECTS.keys()
    assert "gpd: left out" in printed.err and "crazyflow: left out" in printed.err


def test_ground_without_peers_says_so(capsys):
    assert main(["ground", "--rounds", "1", "--seconds", "0.01", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out.splitlines()[-1])
    assert found["env_steps_per_cpu_s"].keys() == ground.SUBJECTS.keys() and not found["ratios"]
    assert "jaxrobotarium: left out" in printed.err and "rps: left out" in printed.err
    assert main(["ground", "--rounds", "1", "--seconds", "0.001", "--robots", "6"]) == 0
    assert "6 robots to their goals" in capsys.readouterr().out


def test_ground_ratios_compare_like_with_like():
    rates = {name: [6.0] for name in ground.SUBJECTS}
    rates |= {name: [2.0 + number] for number, name in enumerate(ground.PEERS)}
    found = ground.compared(rates)["ratios"]
    assert found["ground_over_jaxrobotarium"] == 3.0 and found["ground_over_rps"] == 1.0
    assert found["ground_held_over_jaxrobotarium_held"] == 2.0
    assert found["open_over_jaxrobotarium"] == 1.5
    assert found["open_held_over_jaxrobotarium_held"] == 1.2
    assert "ground_held_over_jaxrobotarium" not in found


@pytest.mark.parametrize("each_tick", [True, False])
def test_robots_of_the_ground_bench_reach_their_goals(each_tick):
    course = ground.Course(32, 3, True, each_tick)
    start = course.sim.poses.copy()
    for _ in range(ground.STEPS - 1):
        course.step()
    assert course.success.mean() > 0.8 and (course.reward <= 0.0).all()
    assert np.array_equal(course.seen[..., :3], course.sim.poses)
    assert np.allclose(np.linalg.norm(course.seen[..., 3:], axis=-1), -course.reward)
    course.step()
    assert np.linalg.norm(course.sim.poses - start, axis=-1).mean() > 0.5, "a new layout"
    apart = course.sim.poses[:, 0, :2] - course.sim.poses[:, 1, :2]
    assert np.linalg.norm(apart, axis=-1).min() > 0.49


@pytest.mark.parametrize("name", ["jaxrobotarium", "rps"])
def test_ground_peers_run(name):
    python = os.environ.get(f"SWARMHOLD_PEER_{name.upper()}")
    if python is None:
        pytest.skip(f"SWARMHOLD_PEER_{name.upper()} names no Python in which {name} is installed")
    with Peer(name, Path(python), seconds=0.01, robots=2) as other:
        steps, spent = other.round()
        assert steps > 0 and spent >= 0.01 and other.notes == []


def test_a_peer_runs_in_its_own_interpreter(tmp_path, monkeypatch):
    (tmp_path / "run_toy.py").write_text(
        "from _protocol import options, serve\n"
        "given = options(seconds=1.0)\n"
        "print('noise')\n"
        "serve(lambda: sum(range(100)), 3, given['seconds'], 'numpy', notes=['so so'])\n"
    )
    (tmp_path / "run_broken.py").write_text("import no_such_module\n")
    (tmp_path / "run_dies.py").write_text(
        "import _protocol, os\n_protocol.serve(lambda: None, 1, 0.01)\n".replace(
            "0.01)", '0.01) if 0 else (print(\'{"swarmhold": 1, "versions": {}}\', flush=True))'
        )
    )
    (tmp_path / "_protocol.py").write_text((peer.SCRIPTS / "_protocol.py").read_text())
    monkeypatch.setattr(peer, "SCRIPTS", tmp_path)
    with Peer("toy", HERE, seconds=0.02) as toy:
        steps, spent = toy.round()
        assert steps % 3 == 0 and spent >= 0.02 and toy.versions["numpy"][0].isdigit()
        assert toy.notes == ["so so"]
    with pytest.raises(ConfigError, match="No module named 'no_such_module'"):
        Peer("broken", HERE)
    with Peer("dies", HERE) as dead, pytest.raises(ConfigError, match="does not run"):
        dead.round()


def test_wrong_arguments_are_one_line():
    for argv, message in (
        (["sim", "--peer", "gpd"], "NAME=PATH"),
        (["sim", "--peer", "xyz=/bin/python"], "with one of: gpd, crazyflow"),
        (["sim", "--peer", "gpd=/nowhere/python", "--seconds", "0.01"], "no Python interpreter"),
        (["sim", "--rounds", "0"], "at least one round"),
        (["simulator"], "choose one of: sim"),
        (["ground", "--peer", "gpd=/bin/python"], "with one of: jaxrobotarium, rps"),
        (["ground", "--robots", "8"], "give 2 to 7"),
        (["ground", "--seconds", "0"], "above 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            main(argv)


def test_the_cost_curve_covers_two_to_fifty(monkeypatch):
    monkeypatch.setattr("swarmhold.sim.bench.flight.TEAMS", (1, 16))
    rows = cost_curve(0.001, lambda _: None)
    assert [row["robots"] for row in rows[::2]] == [2, 4, 8, 16, 32, 50]
    assert all(row["team_steps_per_cpu_s"] > 0 and row["mebibytes"] > 0 for row in rows)
