"""Setting up the checkout: what it notices, what it leaves alone."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CMAKE = 'set_target_properties(x PROPERTIES\n  INTERFACE_INCLUDE_DIRECTORIES "{}"\n)\n'


@pytest.fixture
def checkout(root, tmp_path):
    """What set-up reads of a checkout, without an environment."""
    (tmp_path / "tools").mkdir()
    shutil.copy(root / "tools/setup.py", tmp_path / "tools")
    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "ros2_ws/src/swarmhold_msgs", tmp_path / "ros2_ws/src/swarmhold_msgs")
    return tmp_path


def module(checkout):
    spec = importlib.util.spec_from_file_location("house_setup", checkout / "tools/setup.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def run(checkout, **env):
    command = [sys.executable, str(checkout / "tools/setup.py")]
    whole = {**os.environ, **env}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=whole)


def test_nothing_is_done_when_nothing_has_changed(checkout):
    tool = checkout / ".venv/bin/swarmhold"
    tool.parent.mkdir(parents=True)
    tool.touch()
    setup = module(checkout)
    setup.write_stamp(setup.fingerprints())
    before = sorted(checkout.rglob("*"))
    out = run(checkout)
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")
    assert sorted(checkout.rglob("*")) == before


def test_each_stage_depends_on_what_it_is_made_from(checkout):
    setup = module(checkout)
    first = setup.fingerprints()
    message = next((checkout / "ros2_ws/src/swarmhold_msgs/msg").glob("*.msg"))
    message.write_text(message.read_text() + "\nuint8 one_more\n")
    second = setup.fingerprints()
    assert {key for key in first if first[key] != second[key]} == {"interfaces"}
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace("[tool.ruff]", "[tool.ruff]\nfix = false", 1))
    assert setup.fingerprints() == second, "a linter's option needs no new installation"
    project.write_text(project.read_text().replace('"rich>=13', '"rich>=14'))
    third = setup.fingerprints()
    assert {key for key in third if third[key] != second[key]} == {"packages", "interfaces"}


def test_a_damaged_stamp_counts_as_none(checkout):
    setup = module(checkout)
    setup.STAMP.parent.mkdir()
    for text in ("", "[]", "{", "null"):
        setup.STAMP.write_text(text)
        assert setup.read_stamp() == {}


def test_a_missing_compiler_is_one_line(checkout, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    out = run(checkout, PATH=str(empty))
    assert out.returncode == 2
    assert out.stderr == "setup: gcc is missing; apt install g++\n"
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_one_line(root):
    out = subprocess.run(
        ["make", "-s", "setup", "PYTHON=python0.0"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
    )
    assert out.returncode == 2
    assert out.stderr.startswith("setup: python0.0 is missing; install Python 3.11")


def test_cmake_exports_point_to_this_machine(checkout):
    setup = module(checkout)
    built = "/opt/build/include/python3.11;/opt/build/numpy/_core/include;/keep/me"
    file = checkout / "share/m/cmake/m__rosidl_generator_pyExport.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(CMAKE.format(built))
    for _ in range(2):  # once more changes nothing
        setup.patch_cmake_exports(checkout / "share", ("/here/python", "/here/numpy"))
        assert file.read_text() == CMAKE.format("/here/python;/here/numpy;/keep/me")


def test_another_ros_does_not_leak_into_the_build(checkout, monkeypatch):
    setup = module(checkout)
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/ros/jazzy/lib")
    assert not [value for value in setup.clean_environment().values() if "/opt/ros/" in value]


def test_the_stamp_of_this_environment_names_its_stages(root):
    stamp = root / ".venv/.swarmhold-setup.json"
    if Path(sys.prefix) != root / ".venv" or not stamp.is_file():
        pytest.skip("not an environment made by make setup")
    assert set(json.loads(stamp.read_text())) == {"base", "packages", "interfaces"}
