"""`swarmhold doctor`: what this machine can do, and what is missing, with the cure."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from swarmhold.hardware.cli.config import parse, print_json, say
from swarmhold.hardware.errors import SwarmholdError
from swarmhold.hardware.fleet.budget import budget_of
from swarmhold.hardware.fleet.domain import choose_domain
from swarmhold.hardware.fleet.file import load_fleet
from swarmhold.hardware.injection.gate import can_inject
from swarmhold.hardware.security.middleware import can_secure

EXTRAS = {
    "sim": ("pybullet", "scipy"),
    "train": ("torch", "safetensors", "tensorboard"),
    "export": ("onnx",),
    "ros": ("rclpy", "geometry_msgs"),
    "record": ("rosbags",),
    "sign": ("cryptography",),
    "crazyflie": ("cflib",),
    "mavlink": ("mavsdk",),
    "emulate": ("pymavlink",),
    "console": ("fastapi", "uvicorn"),
}
LEAST_DISK = 2 * 2**30  # bytes
LEAST_CORES = 2
ROS_PATHS = ("LD_LIBRARY_PATH", "PYTHONPATH", "AMENT_PREFIX_PATH")


@dataclass(frozen=True)
class DoctorArgs:
    """Look at this machine; exit 2 if something cannot work."""

    fleet: Path | None = None
    """Fleet file, to look at what it asks for instead: messages, bytes on the air, cores."""
    json: bool = False
    """One JSON list on standard output."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        level: "ok", "warn" (something optional is missing) or "fail" (nothing can work).
        what: what was found.
        cure: what to do about it; empty if nothing.
    """

    level: str
    what: str
    cure: str = ""


def main(argv: list[str]) -> int:
    """Look at this machine.

    Args:
        argv: arguments after the verb.

    Returns:
        0, or 2 if something fails.
    """
    args = parse(DoctorArgs, argv, "swarmhold doctor")
    if args.fleet is not None:
        return _plan(args.fleet, args.json)
    findings = list(examine())
    if args.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.level:<5} {finding.what}{': ' if finding.cure else ''}{finding.cure}")
    return 2 if any(finding.level == "fail" for finding in findings) else 0


def _plan(file: Path, as_json: bool) -> int:
    """What a fleet file asks for; 2 if it is more than there is."""
    budget = budget_of(load_fleet(file))
    beyond = budget.beyond()
    if as_json:
        print_json({**asdict(budget), "beyond": beyond})
        return 2 if beyond else 0
    for flow in budget.flows:
        say(
            f"{flow.topic:<17}{flow.hz:g} Hz, {flow.bytes} bytes, {flow.copies} copies between "
            f"hosts: {flow.bytes_per_s / 1e3:.1f} kB/s"
        )
    say(f"on the air       {budget.air / 1e3:.1f} of {budget.air_room / 1e3:.0f} kB/s")
    for host, (needed, room) in budget.cores.items():
        say(f"{host:<17}{needed:.2f} of {room:.1f} cores")
    for line in beyond:
        say(f"fail  {line}")
    return 2 if beyond else 0


def examine() -> Iterator[Finding]:
    """Everything there is to look at, from the machine up to the network."""
    yield python(sys.version_info[:2])
    yield cores(len(os.sched_getaffinity(0)))
    yield disk(shutil.disk_usage(Path.cwd()).free)
    yield compilers(shutil.which, Path(sysconfig.get_paths()["include"]))
    for extra, modules in EXTRAS.items():
        yield installed(extra, modules)
    yield injection(can_inject())
    yield messages(importlib.util.find_spec("swarmhold_msgs") is not None)
    yield ros_mixture(os.environ, wheel_present())
    yield dds_security(can_secure())
    yield log_folder(os.environ)
    yield loopback()
    yield domains()


def python(running: tuple[int, ...]) -> Finding:
    """Whether the interpreter is one that the project runs on."""
    what = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    good = (3, 10) <= running <= (3, 12)
    return Finding("ok", what) if good else Finding("fail", what, "use Python 3.10 to 3.12")


def cores(count: int) -> Finding:
    """Whether live robots have room to keep their rate."""
    if count < LEAST_CORES:
        return Finding("warn", f"{count} core", "eight live robots need two")
    return Finding("ok", f"{count} cores")


def disk(free: int) -> Finding:
    """Whether recordings have room; bytes free in the working folder."""
    what = f"{free / 2**30:.1f} GiB of disk free here"
    if free < LEAST_DISK:
        return Finding("warn", what, "recordings may fill it; free some, or work elsewhere")
    return Finding("ok", what)


def compilers(which: Callable[[str], str | None], include: Path) -> Finding:
    """What building the ROS messages needs."""
    missing = [tool for tool in ("gcc", "g++") if which(tool) is None]
    if not (include / "Python.h").is_file():
        missing.append("Python.h")
    if missing:
        cure = "to build the ROS messages: apt install g++ python3-dev"
        return Finding("warn", f"{', '.join(missing)} missing", cure)
    return Finding("ok", "compilers and Python headers")


def injection(able: bool) -> Finding:
    """Whether nodes of this installation can break robots."""
    if able:
        return Finding("ok", "built with fault injection: for simulation and field tests")
    return Finding("ok", "built without fault injection: no node can break a robot on purpose")


def installed(extra: str, modules: tuple[str, ...]) -> Finding:
    """Whether the modules of an extra can be found; loads none."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        cure = f"pip install 'swarmhold[{extra}]'"
        return Finding("warn", f"extra {extra}: {', '.join(missing)} missing", cure)
    return Finding("ok", f"extra {extra}")


def messages(built: bool) -> Finding:
    """Whether the project's ROS messages are there."""
    if not built:
        cure = "run make setup, or colcon build in ros2_ws"
        return Finding("warn", "swarmhold_msgs is not built", cure)
    return Finding("ok", "swarmhold_msgs is built")


def wheel_present() -> bool:
    """Whether this environment itself holds rclpy, as the wheels do."""
    spec = importlib.util.find_spec("rclpy")
    return bool(spec and spec.origin and Path(spec.origin).is_relative_to(sys.prefix))


def ros_mixture(env: Mapping[str, str], wheel: bool) -> Finding:
    """Whether two ROS installations would meet in one process.

    Args:
        env: environment variables.
        wheel: whether the environment holds the rclpy wheel.
    """
    sourced = [name for name in ROS_PATHS if "/opt/ros/" in env.get(name, "")]
    if sourced and wheel:
        what = f"a sourced ROS ({', '.join(sourced)}) and the rclpy wheel in one environment"
        return Finding("fail", what, "use a shell without the ROS setup file")
    kind = "a sourced ROS installation" if sourced else "wheels" if wheel else "no ROS"
    return Finding("ok", f"one ROS at most: {kind}")


def dds_security(can: bool | None) -> Finding:
    """Whether a fleet file with a keystore can fly here."""
    if can is None:
        return Finding("warn", "no Fast DDS found", "pip install 'swarmhold[ros]'")
    if not can:
        return Finding(
            "warn",
            "Fast DDS without DDS security",
            "to fly with a keystore (swarmhold keystore) use an official ROS 2 installation",
        )
    return Finding("ok", "Fast DDS with DDS security")


def log_folder(env: Mapping[str, str]) -> Finding:
    """Whether rclpy finds a folder for its logs; without one it does not start."""
    if not (env.get("HOME") or env.get("ROS_LOG_DIR")):
        return Finding("fail", "neither HOME nor ROS_LOG_DIR is set", "set one; rclpy logs there")
    folder = Path(env.get("ROS_LOG_DIR") or env["HOME"])
    if folder.is_dir() and not os.access(folder, os.W_OK):
        return Finding(
            "warn", f"{folder} cannot be written", "set ROS_LOG_DIR to a folder of yours"
        )
    return Finding("ok", f"ROS logs under {folder}")


def loopback() -> Finding:
    """Whether datagrams can be sent on this host, as robots on one machine do."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.sendto(b"", probe.getsockname())
    except OSError as error:
        what = f"the loopback interface does not work ({error.strerror})"
        return Finding("fail", what, "bring it up: ip link set lo up")
    return Finding("ok", "loopback network")


def domains() -> Finding:
    """Whether a ROS domain is free, its ports included."""
    try:
        domain = choose_domain(None)
        domain.free()
        return Finding("ok", f"ROS domain {domain.number} and others are free")
    except SwarmholdError as error:
        return Finding("warn", str(error))
