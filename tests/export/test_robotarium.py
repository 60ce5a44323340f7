"""Submission folders: what is in them, and that they run with numpy and the testbed's package."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swarmhold.export.robotarium.interpreter import Graph
from swarmhold.export.robotarium.write import main, table_of
from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.shipped import located, shipped

STAND_IN = '''
"""Poses and barrier of the testbed, by our engine of it."""
import numpy as np
from swarmhold.sim.ground.engine import Robotarium as Engine

class Robotarium:
    def __init__(self, number_of_robots, show_figure, sim_in_real_time, initial_conditions):
        self.engine = Engine(1, number_of_robots, True, (1.6, 1.0))
        there = np.ones((1, number_of_robots), bool)
        self.engine.reset(initial_conditions.T[None], there, np.ones(1, bool))
        self.asked, self.touched = False, False

    def get_poses(self):
        assert not self.asked, "poses are read once a tick"
        self.asked = True
        return self.engine.poses[0].T.copy()

    def set_velocities(self, ids, velocities):
        self.wished = velocities.T[None].copy()

    def step(self):
        assert self.asked, "poses are read in every tick"
        self.asked = False
        self.engine.drive(self.wished, 1)
        self.touched |= bool(self.engine.collided.any() | self.engine.outside.any())

    def call_at_scripts_end(self):
        assert not self.touched
'''
BARRIER = "def create_uni_barrier_certificate():\n    return lambda wished, poses: wished\n"


def written(tmp_path, robots=4, seed=2):
    out = tmp_path / "submission"
    told = ["navigation-gritsbot", "--robots", str(robots), "--seed", str(seed), "--out", str(out)]
    assert main([*told, "--json"]) == 0
    return out


def test_a_folder_is_flat_and_imports_numpy_the_testbed_and_itself(tmp_path, capsys):
    out = written(tmp_path)
    found = json.loads(capsys.readouterr().out)
    assert found["worst_gap"] < 1e-5 and "main.py" in found["files"]
    assert all(file.is_file() for file in out.iterdir())
    own = {file.stem for file in out.glob("*.py")}
    for file in out.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.partition(".")[0]
                assert root in own | {"numpy", "rps"} | set(sys.stdlib_module_names), name


def run(out, path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=out, env=env, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"ticks"')]
    return json.loads(lines[-1])


@pytest.mark.parametrize("seed", [0, 2])
def test_four_robots_reach_their_goals_without_contact(tmp_path, seed):
    package = tmp_path / "stand-in/rps"
    (package / "utilities").mkdir(parents=True)
    for file in ("__init__.py", "utilities/__init__.py"):
        (package / file).write_text("")
    (package / "robotarium.py").write_text(STAND_IN)
    (package / "utilities/barrier_certificates.py").write_text(BARRIER)
    found = run(written(tmp_path, seed=seed), [str(package.parent), *sys.path])
    assert max(found["error_m"]) < 0.1 and found["ticks"] < 1500


@pytest.mark.skipif(
    importlib.util.find_spec("rps") is None,
    reason="the Robotarium's simulator is not installed; it comes from its repository only",
)
def test_four_robots_reach_their_goals_in_the_simulator_of_the_testbed(tmp_path):
    assert max(run(written(tmp_path), [])["error_m"]) < 0.1


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_graph_comes_out_the_same_on_numpy(name):
    bundle = open_bundle(Path(name))
    graph = Graph(table_of(located(Path(name)) / "model.onnx"))
    rng = np.random.default_rng(0)
    shapes = {item.name: item.shape for item in bundle.session.get_inputs()}
    for mates, things in ((1, 1), (5, 9)):
        sizes = {"B": 7, "M": mates, "O": things}
        feeds = {}
        for part, shape in shapes.items():
            full = [
                size if isinstance(size, int) else sizes[str(size)[0].upper()] for size in shape
            ]
            low = 0.0 if part in ("health", "obstacle_mask") else -1.0
            feeds[part] = rng.uniform(low, 1.0, full).astype(np.float32)
        feeds["self"][0, 0] = np.nan
        feeds["health"][1] = 0.0
        for ours, theirs in zip(graph(feeds), bundle.session.run(None, feeds), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_what_cannot_be_submitted_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="is for epuck in rendezvous"):
        main(["rendezvous-epuck", "--out", str(tmp_path / "a")])
    with pytest.raises(ConfigError, match="exists already"):
        main(["navigation-gritsbot", "--out", str(tmp_path)])
