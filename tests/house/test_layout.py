"""The house rules that no linter holds."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import tomllib

PARTS = ("hardware", "sim", "policies", "export")
OPTIONAL = ("swarmhold.hardware.console.web",)  # loaded when the verb that needs it is run
HEAVY = ("torch", "pybullet", "jax", "onnx", "rclpy", "fastapi", "scipy", "numba", "gymnasium")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)


def hardware_modules(root):
    folder = root / "hardware"
    for file in sorted((folder / "swarmhold/hardware").rglob("*.py")):
        name = ".".join(file.relative_to(folder).with_suffix("").parts)
        if name not in OPTIONAL:
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("part", PARTS)
def test_namespace_has_no_init_and_every_part_is_typed(root, part):
    assert not (root / part / "swarmhold/__init__.py").exists()
    assert (root / part / "swarmhold" / part / "py.typed").exists()
    assert (root / part / "swarmhold" / part / "__init__.py").exists()


def test_all_parts_come_from_this_checkout(root):
    for part in PARTS:
        file = importlib.import_module(f"swarmhold.{part}").__file__
        assert file == str(root / part / "swarmhold" / part / "__init__.py")


def test_importing_hardware_loads_nothing_heavy():
    out = python(f"import sys, swarmhold.hardware; print([m for m in {HEAVY} if m in sys.modules])")
    assert out.stdout.strip() == "[]", out.stderr


def test_every_hardware_module_imports_without_anything_heavy(root):
    names = list(hardware_modules(root))
    assert "swarmhold.hardware.cli.main" in names and len(names) > 25
    out = python(
        "import sys, importlib\n"
        f"for name in {HEAVY}: sys.modules[name] = None\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "print('fine')"
    )
    assert out.stdout.strip() == "fine", out.stderr


def test_listing_the_verbs_loads_nothing_heavy():
    code = "import sys; from swarmhold.hardware.cli.main import main; main(['--help']);"
    code += f"sys.exit(str([m for m in (*{HEAVY}, 'tyro', 'onnxruntime') if m in sys.modules]))"
    assert python(code).stderr.strip() == "[]"


def test_files_stay_readable(root):
    for part in (*PARTS, "ros2_ws/src", "tools"):
        for file in (root / part).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 400, file


def test_the_text_of_the_project_speaks_of_the_project_alone(root):
    banned = ("/work/", "/root/", "index-url", "pypi.org", "files.pythonhosted")
    files = [*root.glob("*.md"), *root.glob("docs/**/*.md"), root / "pyproject.toml"]
    files += [f for part in (*PARTS, "ros2_ws/src", "tools") for f in (root / part).rglob("*.py")]
    for file in files:
        text = file.read_text()
        assert not [word for word in banned if word in text], file


def test_every_verb_points_to_something_that_exists(root):
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    verbs = {verb.name: verb.value for verb in entry_points(group="swarmhold.verbs")}
    assert verbs == declared["swarmhold.verbs"], "reinstall: make setup"
    for value in verbs.values():
        module, name = value.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_verb_has_a_summary_and_every_summary_a_verb():
    from swarmhold.hardware.cli.main import SUMMARY

    assert set(SUMMARY) == {verb.name for verb in entry_points(group="swarmhold.verbs")}


def test_every_extra_that_an_error_names_is_declared(root):
    from swarmhold.hardware.cli.doctor import EXTRAS
    from swarmhold.hardware.cli.main import EXTRA_OF

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = {*EXTRA_OF.values(), *EXTRAS}
    assert named <= set(project["optional-dependencies"])


def test_an_import_against_the_layers_is_caught(root, tmp_path):
    """The import contracts really look at this tree: a planted breach must fail them."""
    for part in (*PARTS, "ros2_ws/src/swarmhold_nodes"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).symlink_to(root / part)
    (tmp_path / "hardware").unlink()
    (tmp_path / "hardware/swarmhold/hardware").mkdir(parents=True)
    for entry in (root / "hardware/swarmhold/hardware").iterdir():
        (tmp_path / "hardware/swarmhold/hardware" / entry.name).symlink_to(entry)
    health = tmp_path / "hardware/swarmhold/hardware/health.py"
    text = health.read_text()
    health.unlink()
    health.write_text(f"{text}\nimport torch\nfrom swarmhold.hardware import faults\n")
    roots = [*PARTS, "ros2_ws/src/swarmhold_nodes"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tmp_path / part) for part in roots)}
    linter = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    config = ["--config", str(root / "pyproject.toml"), "--no-cache"]
    out = subprocess.run(
        [*linter, *config], capture_output=True, text=True, timeout=200, env=env, cwd=tmp_path
    )
    assert out.returncode != 0
    assert "The field side imports nothing heavy BROKEN" in out.stdout, out.stdout + out.stderr
    assert "Detectors never see the injector BROKEN" in out.stdout
    assert "Layers: export over policies over sim over hardware KEPT" in out.stdout
