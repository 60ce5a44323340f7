"""What every driver has to keep to, shipped or one's own; run it before a robot flies by it.

It arms the robot, moves it by about a metre and stops it: on a real one, with room around it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from swarmhold.hardware.drivers.protocol import Injected, Reality, RobotDriver
from swarmhold.hardware.errors import NotReadyError, SwarmholdError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, Mode
from swarmhold.hardware.spec import PolicySpec
from swarmhold.hardware.types import Float

TICK_S = 0.05  # between commands
REST = 0.15  # share of the largest speed below which a robot counts as at rest
LEAVE_S = 4.0  # for threads and sockets to end


def check(
    make: Callable[[], RobotDriver],
    spec: PolicySpec,
    wait: Callable[[float], None] = time.sleep,
    arms: bool = True,
) -> list[str]:
    """Hold a driver to the contract.

    Args:
        make: a driver of the same robot, each time; nothing else may use the robot.
        spec: contract of its class.
        wait: lets seconds pass; another one than `time.sleep` where the robot's time is not ours.
        arms: whether there is something to arm; False for what may always move.

    Returns:
        What is wrong, one line each; empty if nothing is.
    """
    before, wrong = _resources(), []
    for part in (_unconnected, _moves, _falls_silent, _stops, _comes_again):
        driver = make()
        try:
            wrong += list(part(driver, spec, wait, arms))
        except SwarmholdError as error:
            wrong.append(f"{part.__name__.strip('_')}: {error}")
        finally:
            driver.close()
            driver.close()
    deadline = time.monotonic() + LEAVE_S
    while _resources() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    left = tuple(now - then for now, then in zip(_resources(), before, strict=True))
    if max(left) > 0:
        wrong.append(f"after close() {left[0]} threads and {left[1]} sockets are left")
    return wrong


def _resources() -> tuple[int, int]:
    """Threads and sockets of this process."""
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sockets += os.readlink(entry).startswith("socket:")
        except OSError:  # that of the listing itself
            continue
    return threading.active_count(), sockets


Wait = Callable[[float], None]


def _unconnected(driver: RobotDriver, spec: PolicySpec, wait: Wait, arms: bool) -> Iterator[str]:
    """Nothing works before `connect`, and all says so in one way."""
    for act in (driver.read, driver.hold, driver.arm, lambda: driver.command(_ahead(spec))):
        try:
            act()
        except NotReadyError:
            continue
        yield "works without connect()"


def _moves(driver: RobotDriver, spec: PolicySpec, wait: Wait, arms: bool) -> Iterator[str]:
    """It says what it is, senses, moves only when armed, and never beyond its bounds."""
    driver.connect()
    frame = driver.read()
    if not isinstance(driver.reality, Reality):
        yield "reality is neither SIM nor HARDWARE"
    if not np.isfinite([*frame.position, *frame.velocity, frame.yaw, frame.yaw_rate]).all():
        yield "a frame holds values that are not finite"
    if not 0.0 <= frame.battery <= 1.0 or frame.stopped:
        yield f"a fresh robot has battery {frame.battery} and stopped = {frame.stopped}"
    if arms:
        start = _place(driver)
        _drive(driver, spec, wait, 0.5)
        if np.linalg.norm(_place(driver) - start) > 0.15 * _ahead(spec).action[0]:
            yield "moves without arm()"
    driver.arm()
    start = _place(driver)
    _drive(driver, spec, wait, 1.0)
    went = float(np.linalg.norm(_place(driver) - start))
    if went < 0.2 * _ahead(spec).action[0]:
        yield f"went {went:.3f} m in 1 s at {_ahead(spec).action[0]:.3f} m/s"
    bound = np.asarray(spec.action_bound)
    huge = driver.command(Command(0.0, tuple(10.0 * bound), Mode.ACTIVE))
    if (np.abs(huge.action) > bound + 1e-9).any():
        yield f"applies {huge.action}, beyond its bounds"
    gap = driver.command(Command(0.0, (float("nan"), 0.0), Mode.ACTIVE))
    if not np.isfinite(gap.action).all():
        yield "passes on what is not finite"
    if driver.inject(FaultSpec("spoof", 0, duration_s=1.0)) is not Injected.UNSUPPORTED:
        yield "claims to inject a fault that is not the robot's"


def _falls_silent(driver: RobotDriver, spec: PolicySpec, wait: Wait, arms: bool) -> Iterator[str]:
    """Without commands it comes to rest on its own, and goes on with new ones."""
    driver.connect()
    driver.arm()
    _drive(driver, spec, wait, 0.5)
    wait(1.3)
    speed = float(np.linalg.norm(driver.read().velocity[:2]))
    if speed > REST * spec.action_bound[0]:
        yield f"still makes {speed:.3f} m/s, 1.3 s after the last command"
    if _drive(driver, spec, wait, 0.3).mode is not Mode.ACTIVE:
        yield "a silence that is over is not forgiven"


def _stops(driver: RobotDriver, spec: PolicySpec, wait: Wait, arms: bool) -> Iterator[str]:
    """A stop stays, whatever comes after it."""
    driver.connect()
    driver.arm()
    driver.stop()
    answer = _drive(driver, spec, wait, 0.5)
    if answer.mode is not Mode.STOP or any(answer.action):
        yield f"after stop() a command is applied: {answer}"
    if not driver.read().stopped:
        yield "frames do not say that it is stopped"
    start = _place(driver)
    _drive(driver, spec, wait, 0.5)
    if np.linalg.norm(_place(driver)[:2] - start[:2]) > 0.1:
        yield "moves after stop()"


def _comes_again(driver: RobotDriver, spec: PolicySpec, wait: Wait, arms: bool) -> Iterator[str]:
    """A new driver of a stopped robot finds it, does not move it, and nothing is left open."""
    driver.connect()
    wait(0.2)
    driver.read()
    driver.close()
    try:
        driver.read()
    except NotReadyError:
        return
    yield "reads after close()"


def _ahead(spec: PolicySpec) -> Command:
    """Forward, at a third of the largest speed."""
    return Command(0.0, (spec.action_bound[0] / 3.0, 0.0), Mode.ACTIVE)


def _drive(driver: RobotDriver, spec: PolicySpec, wait: Wait, seconds: float) -> Command:
    """Ahead for a while; returns what was applied last."""
    applied = _ahead(spec)
    for _ in range(max(round(seconds / TICK_S), 1)):
        applied = driver.command(_ahead(spec))
        wait(TICK_S)
    return applied


def _place(driver: RobotDriver) -> Float:
    return np.asarray(driver.read().position, float)
