"""The package as colcon sees it: what it installs is there, and launch files describe a launch."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = sorted(ROOT.glob("launch/*.launch.py"))


@pytest.mark.parametrize("file", LAUNCH, ids=lambda file: file.name)
def test_launch_files_describe_a_launch(file):
    tree = ast.parse(file.read_text())
    assert "generate_launch_description" in {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    assert "ros2 launch swarmhold_bringup " + file.name in ast.get_docstring(tree)


def test_setup_installs_all_that_is_there():
    text = (ROOT / "setup.py").read_text()
    for file in [*LAUNCH, *ROOT.glob("config/*.yaml")]:
        assert f'"{file.relative_to(ROOT)}"' in text


def test_parameter_files_are_for_all_nodes():
    for file in ROOT.glob("config/*.yaml"):
        assert set(yaml.safe_load(file.read_text())["/**"]["ros__parameters"])
