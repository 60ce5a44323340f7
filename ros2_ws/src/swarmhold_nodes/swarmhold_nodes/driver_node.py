"""Robots behind links: what `world_node` is to simulated robots, this is to all others.

It serves `/robot_i/sense`, obeys `/robot_i/cmd_vel` and hears of an emergency stop itself. One
process serves all robots of a host, since they may share a radio. Who does not answer is left out;
who falls silent in flight sends no frames until it is heard again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.node import Node
from std_msgs.msg import Bool
from swarmhold_msgs.msg import FaultCommand
from swarmhold_msgs.msg import SensorFrame as SensorFrameMessage

from swarmhold.hardware import wire
from swarmhold.hardware.drivers.links import RANGES, TWIST, Link, driver_of, read_links
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.protocol import Injected, RobotDriver
from swarmhold.hardware.errors import ConfigError, NotReadyError, SwarmholdError
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.parameters import DriverParameters
from swarmhold.hardware.safety import safety_config
from swarmhold.hardware.spec import policy_spec
from swarmhold_nodes import codec
from swarmhold_nodes.beginning import Beginning
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.fault_orders import FaultOrders
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    STREAM_QOS,
    refuse_duplicate,
    run,
    say,
)
from swarmhold_nodes.twist_driver import TwistDriver

FIRST_S = 20.0  # for which an armed robot waits for the first command of its policy
LAND_S = 12.0  # for all to land when the node ends


class DriverNode(Node):
    """Thin shell around the drivers of a host's robots."""

    farewell_s = LAND_S

    def __init__(self, context: Context) -> None:
        """Set out to connect to all robots; nothing is armed yet."""
        super().__init__(
            "drivers", context=context, enable_rosout=False, start_parameter_services=False
        )
        self._told = told = declare(self, DriverParameters)
        refuse_duplicate(self)
        self._spec, self._links = spec, links = policy_spec(told.robot), read_links(told.links)
        if max(links) >= told.team_size:
            raise ConfigError(f"links name robot {max(links)} of {told.team_size}")
        self._localisation = Localisation(*RANGES[told.robot])
        self._limits = safety_config(spec, np.inf)
        self._made = {robot: self._driver(link, robot) for robot, link in links.items()}
        self._drivers: dict[int, RobotDriver] = {}  # of robots that answer
        self._lost: set[int] = set()
        self._commanded: set[int] = set()
        until = time.monotonic() + told.wait_s
        self._beginning = Beginning(self, told.team_size, told.awaited, until)
        self._armer: threading.Thread | None = None
        self._armed_at = 0.0
        self._problem: SwarmholdError | None = None
        self._connector = threading.Thread(target=self._connect, daemon=True)
        self._ready = self._stopped = False
        self._wire(told)
        self._diagnostics = Diagnostics(self, self.get_name(), 1.0 / spec.loop_hz, self._facts)
        self.create_timer(1.0 / spec.loop_hz, self._tick)
        self._connector.start()

    def _driver(self, link: Link, robot: int) -> RobotDriver:
        told, limits, board = self._told, self._limits, self._localisation
        if link.kind == TWIST:
            return TwistDriver(self, link.address, robot, self._spec, limits, board, told.hardware)
        return driver_of(link, robot, limits, board, told.height, told.hardware)

    def _connect(self) -> None:
        """In a thread of its own, one robot after the other: links may share a radio."""
        for robot, driver in self._made.items():
            try:
                driver.connect()
            except NotReadyError as error:
                say("warning", text=f"robot {robot} is left out: {error}")
                continue
            except SwarmholdError as error:
                self._problem = error
                return
            self._drivers[robot] = driver
            say("linked", robot=robot, link=str(self._links[robot]), reality=driver.reality.value)
        if not self._drivers:
            tried = ", ".join(map(str, self._links.values()))
            self._problem = NotReadyError(f"none of the robots answers: {tried}")

    def _wire(self, told: DriverParameters) -> None:
        """Publishers and subscriptions."""
        self._pubs = {}
        for robot in range(told.team_size):
            name = f"/robot_{robot}/sense"
            if robot not in self._links:  # served by another host; it places the robot here too
                hear = partial(self._on_elsewhere, robot)
                self.create_subscription(SensorFrameMessage, name, hear, STREAM_QOS)
                continue
            self._pubs[robot] = self.create_publisher(SensorFrameMessage, name, STREAM_QOS)
            obey = partial(self._on_command, robot)
            self.create_subscription(TwistStamped, f"/robot_{robot}/cmd_vel", obey, STREAM_QOS)
        self.create_subscription(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        self._faults = FaultOrders(self, told, self._is_of_a_body, self._break)

    def _on_elsewhere(self, robot: int, msg: SensorFrameMessage) -> None:
        try:
            frame = wire.read_frame(msg)
        except SwarmholdError:
            return
        self._localisation.report(robot, frame.position, time.monotonic())

    def _on_command(self, robot: int, msg: TwistStamped) -> None:
        self._commanded.add(robot)
        if not self._told.arm or not self._ready or robot not in self._drivers:
            return
        twist = msg.twist
        second = twist.angular.z if self._spec.drives else twist.linear.y
        stamp = wire.seconds_of(msg.header.stamp)
        self._drivers[robot].command(Command(stamp, (twist.linear.x, second), Mode.ACTIVE))

    def _on_estop(self, msg: Bool) -> None:
        if msg.data:
            self._stopped = True
            self._stop_all()

    def _stop_all(self) -> None:
        for driver in list(self._drivers.values()):
            driver.stop()

    def _is_of_a_body(self, msg: FaultCommand) -> bool:
        return msg.robot in self._drivers and msg.kind in BODY_KINDS

    def _break(self, fault: FaultSpec) -> None:
        threading.Thread(target=self._inject, args=(fault,), daemon=True).start()

    def _inject(self, fault: FaultSpec) -> None:
        """In a thread of its own: the robot is asked, and may not answer."""
        try:
            found = self._drivers[fault.robot].inject(fault)
        except SwarmholdError as error:
            say("warning", text=str(error))
            return
        if found is Injected.APPLIED:
            say("fault", robot=fault.robot, kind=fault.kind, duration_s=fault.duration_s)
        else:
            say("warning", text=f"robot {fault.robot}: {fault.kind} is {found.value}")

    def _tick(self) -> None:
        now = time.monotonic()
        self._diagnostics.tick()
        if self._problem is not None:
            raise self._problem
        if self._connector.is_alive():
            return
        if not self._ready:
            self._ready = True
            if self._stopped:  # said while robots were still being connected to
                self._stop_all()
            say("ready")
        if self._beginning.waits(now):
            return
        if self._told.arm and self._armer is None:
            self._armer = threading.Thread(target=self._arm_all, daemon=True)
            self._armer.start()
        if self._armer is not None and self._armer.is_alive():
            return  # nobody senses anything before all are up, so nobody acts
        self._armed_at = self._armed_at or now
        for robot, driver in self._drivers.items():
            frame = self._read(robot, driver)
            if frame is None:
                continue
            early = robot not in self._commanded and now - self._armed_at < FIRST_S
            if self._told.arm and early and not frame.stopped:
                driver.hold()
            self._pubs[robot].publish(codec.frame_to_ros(frame))

    def _read(self, robot: int, driver: RobotDriver) -> SensorFrame | None:
        """What it senses; that it is lost, and back, is said once."""
        try:
            frame = driver.read()
        except NotReadyError as error:
            if robot not in self._lost:
                say("warning", text=str(error))
            self._lost.add(robot)
            return None
        if robot in self._lost:
            self._lost.discard(robot)
            say("warning", text=f"robot {robot} is heard again{', stopped' * frame.stopped}")
        return frame

    def _arm_all(self) -> None:
        """All at once; who does not get up is said, and stays where it is."""
        _together(partial(self._arm, robot) for robot in self._drivers)

    def _arm(self, robot: int) -> None:
        try:
            self._drivers[robot].arm()
            say("armed", robot=robot)
        except SwarmholdError as error:
            say("warning", text=str(error))

    def _facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        kinds = {driver.reality.value for driver in list(self._drivers.values())}
        return {
            "reality": " and ".join(sorted(kinds)),
            "linked": len(self._drivers),
            "lost": " ".join(map(str, sorted(self._lost))),
            **self._faults.facts(),
        }

    def close(self) -> None:
        """Land what flies, and free all links."""
        self._connector.join(LAND_S)
        _together(driver.close for driver in self._made.values())


def _together(acts: Iterable[Callable[[], None]]) -> None:
    """Do things side by side, and wait for all of them."""
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Entry point."""
    return run(DriverNode)


if __name__ == "__main__":
    sys.exit(main())
