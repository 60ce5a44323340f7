"""What the doctor finds, and that every finding names its cure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarmhold.hardware.cli import doctor

SWARMHOLD = str(Path(sys.executable).with_name("swarmhold"))


def examine(**changed):
    env = {**os.environ, **{key: value for key, value in changed.items() if value is not None}}
    for key in [key for key, value in changed.items() if value is None]:
        env.pop(key, None)
    return subprocess.run(
        [SWARMHOLD, "doctor", "--json"], capture_output=True, text=True, timeout=60, env=env
    )


def test_this_environment_is_whole():
    out = examine()
    assert out.returncode == 0, out.stderr
    bad = [finding for finding in json.loads(out.stdout) if finding["level"] != "ok"]
    # How many cores and how much disk this machine has is not the project's to promise, nor what
    # Fast DDS was built with.
    others = ("core", "disk", "DDS security")
    assert [f for f in bad if not any(word in f["what"] for word in others)] == []


def test_without_a_place_for_logs_it_fails():
    out = examine(HOME=None, ROS_LOG_DIR=None)
    assert out.returncode == 2
    failed = [finding for finding in json.loads(out.stdout) if finding["level"] == "fail"]
    assert [finding["what"] for finding in failed] == ["neither HOME nor ROS_LOG_DIR is set"]


def test_a_sourced_ros_beside_the_wheels_fails():
    out = examine(AMENT_PREFIX_PATH="/opt/ros/jazzy")
    assert out.returncode == 2 and "use a shell without the ROS setup file" in out.stdout


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (doctor.python((3, 9)), "fail"),
        (doctor.python((3, 13)), "fail"),
        (doctor.python((3, 12)), "ok"),
        (doctor.cores(1), "warn"),
        (doctor.cores(2), "ok"),
        (doctor.disk(2**20), "warn"),
        (doctor.compilers(lambda _: None, Path("/nowhere")), "warn"),
        (doctor.installed("x", ("no_such_module_at_all",)), "warn"),
        (doctor.installed("x", ("json",)), "ok"),
        (doctor.messages(False), "warn"),
        (doctor.ros_mixture({"PYTHONPATH": "/opt/ros/jazzy/lib"}, True), "fail"),
        (doctor.ros_mixture({"PYTHONPATH": "/opt/ros/jazzy/lib"}, False), "ok"),
        (doctor.log_folder({"HOME": "/"}), "ok"),
    ],
)
def test_findings(finding, level):
    assert finding.level == level
    assert bool(finding.cure) == (level != "ok")
