"""Set up the checkout: a virtual environment with everything, and the ROS interfaces in it.

Run by `make setup`, on the standard library alone. A stamp in the environment says what it was
made from, so that nothing is done when nothing has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / ".swarmhold-setup.json"
WORKSPACE = ROOT / "ros2_ws"
INTERFACES = WORKSPACE / "src/swarmhold_msgs"
EXTRAS = (
    "train,export,adapters,plot,ray,ros,ros-build,record,sign,crazyflie,mavlink,emulate,console,dev"
)
# A checkout is for simulation, where robots are broken; a robot's own installation is not.
FAULTS = os.environ.get("SWARMHOLD_FAULTS", "1")
TORCH = "torch==2.13.0"  # first and pinned: a newer one would bring gigabytes of CUDA along
LEAST_DISK = 5 * 2**30  # bytes; the environment takes about 3 GiB
ROS_WHEELS = platform.system() == "Linux" and platform.machine() == "x86_64"
FOREIGN = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "PYTHONPATH")


class SetupError(Exception):
    """Set-up cannot go on; the message is one line with the cure."""


def main() -> int:
    """Set up what is missing; returns an exit code."""
    try:
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second make waits instead of mixing in
            set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: stopped; the next make goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up() -> None:
    """Do the stages whose inputs have changed.

    Raises:
        SetupError: the machine lacks something, or a stage failed.
    """
    if sys.version_info[:2] != (3, 11):
        have = platform.python_version()
        raise SetupError(f"Python 3.11 is needed, this is {have}; run make PYTHON=python3.11")
    wanted, done = fingerprints(), read_stamp()
    if done == wanted and (VENV / "bin/swarmhold").is_file():
        return
    check_machine()
    if done.get("base") != wanted["base"]:
        done = {}
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], "create .venv")
        write_stamp({"base": wanted["base"]})
    if done.get("packages") != wanted["packages"]:
        install_packages()
    if ROS_WHEELS and INTERFACES.is_dir():
        patch_cmake_exports(VENV / "share", include_directories())
        build_interfaces()
    write_stamp(wanted)


def fingerprints() -> dict[str, str]:
    """What each stage is made from: interpreter and place, requirements, message files."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packaging = {key: project[key] for key in ("build-system", "project")}
    packaging["hatch"] = project["tool"]["hatch"]
    told = [json.dumps(packaging, sort_keys=True).encode(), FAULTS.encode()]
    packages = digest([*told, Path(__file__).read_bytes()])
    sources = sorted(file for file in INTERFACES.rglob("*") if file.is_file())
    named = (str(file.relative_to(ROOT)).encode() + file.read_bytes() for file in sources)
    return {
        "base": digest([sys.version.encode(), sys.base_prefix.encode(), str(ROOT).encode()]),
        "packages": packages,
        "interfaces": digest([packages.encode(), *named]),
    }


def digest(parts: Iterable[bytes]) -> str:
    """Hash of a sequence of byte strings."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def read_stamp() -> dict[str, str]:
    """Stages that are done; none if the stamp is missing or damaged."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stages: Mapping[str, str]) -> None:
    """Replace the stamp in one step, so that an interrupted run leaves the old one."""
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(stages))
    fresh.replace(STAMP)


def check_machine() -> None:
    """Look for what pip cannot install.

    Raises:
        SetupError: with what is missing and how to get it.
    """
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("Python's venv module is missing; apt install python3.11-venv")
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        raise SetupError("the Python headers are missing; apt install python3.11-dev")
    for tool in ("gcc", "g++"):
        if shutil.which(tool) is None:
            raise SetupError(f"{tool} is missing; apt install g++")
    free = shutil.disk_usage(ROOT).free
    if free < LEAST_DISK and not (VENV / "bin/swarmhold").exists():
        raise SetupError(f"only {free / 2**30:.1f} GiB of disk free here; 5 GiB are needed")
    if not ROS_WHEELS:
        note("no ROS 2 wheels for this platform: everything but live flights will work")


def install_packages() -> None:
    """Install the project, editable, with the extras that the demo and the tests need."""
    pip = [str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    run([*pip, TORCH], f"install {TORCH}")
    extras = EXTRAS if ROS_WHEELS else EXTRAS.replace("ros-build,", "").replace("ros,", "")
    env = {**clean_environment(), "SWARMHOLD_FAULTS": FAULTS}
    run([*pip, "--editable", f"{ROOT}[{extras}]"], f"install swarmhold[{extras}]", env=env)


def include_directories() -> tuple[str, str]:
    """Header directories of the environment's Python and of its numpy."""
    code = "import numpy, sysconfig; print(sysconfig.get_config_var('INCLUDEPY'))"
    python = [str(VENV / "bin/python"), "-c", f"{code}; print(numpy.get_include())"]
    out = subprocess.run(
        python, capture_output=True, text=True, check=True, env=clean_environment()
    )
    headers, numpy_headers = out.stdout.splitlines()
    return headers, numpy_headers


def patch_cmake_exports(share: Path, directories: tuple[str, str]) -> None:
    """Let the message wheels' CMake files point to this machine's headers.

    They name the include directories of the machine that built the wheels, and CMake refuses
    directories that do not exist.

    Args:
        share: folder that holds the exported CMake files.
        directories: headers of Python and of numpy.
    """
    python_include, numpy_include = directories

    def redirect(found: re.Match[str]) -> str:
        places = []
        for place in found[2].split(";"):
            if "/numpy/" in place:
                place = numpy_include
            elif re.search(r"/include/python3\.\d+$", place):
                place = python_include
            places.append(place)
        return f'{found[1]}"{";".join(places)}"'

    for file in share.rglob("*rosidl_generator_pyExport.cmake"):
        text = file.read_text()
        patched = re.sub(r'(INTERFACE_INCLUDE_DIRECTORIES\s+)"([^"]*)"', redirect, text)
        if patched != text:
            file.write_text(patched)


def build_interfaces() -> None:
    """Build `swarmhold_msgs` into the virtual environment with colcon.

    Raises:
        SetupError: colcon failed; its output has been shown.
    """
    env = clean_environment()
    env["PATH"] = f"{VENV / 'bin'}:{env['PATH']}"
    env["AMENT_PREFIX_PATH"] = str(VENV)
    shutil.rmtree(WORKSPACE / "build/swarmhold_msgs", ignore_errors=True)
    command = [str(VENV / "bin/colcon"), "--log-base", "log", "build"]
    command += ["--packages-select", "swarmhold_msgs", "--merge-install"]
    command += ["--install-base", str(VENV), "--cmake-args", "-DBUILD_TESTING=OFF"]
    command += [f"-DPython3_EXECUTABLE={VENV / 'bin/python'}"]
    run(command, "build swarmhold_msgs", cwd=WORKSPACE, env=env, quiet=True)


def clean_environment() -> dict[str, str]:
    """The environment without another ROS installation's paths."""
    env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    env.pop("LD_LIBRARY_PATH", None)
    return env


def run(
    command: list[str],
    name: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run one stage and say how long it took.

    Args:
        command: program and arguments.
        name: of the stage, for people.
        cwd: folder to run in.
        env: whole environment; a clean one by default.
        quiet: show the output only if it fails.

    Raises:
        SetupError: the command failed.
    """
    note(f"{name} ...")
    began = time.monotonic()
    pipe = subprocess.PIPE if quiet else None
    out = subprocess.run(
        command, cwd=cwd, env=env or clean_environment(), stdout=pipe, stderr=pipe, text=True
    )
    if out.returncode:
        if quiet:
            sys.stderr.write(out.stdout + out.stderr)
        raise SetupError(f"could not {name} (exit {out.returncode}; see above); mend it, run again")
    note(f"{name}: {time.monotonic() - began:.0f} s")


def note(line: str) -> None:
    """One line of progress."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
