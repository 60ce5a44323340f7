"""Robots that speak ROS: geometry_msgs/Twist or TwistStamped out, nav_msgs/Odometry in.

Such a robot has a namespace of its own, with `cmd_vel` and `odom` in it. Its odometry must be in
the frame that the team shares, as motion capture or a map's localisation gives it; dead reckoning
from where each robot stood is none. Everything happens in the executor of the node that it is part
of, but for who waits.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Bool

from swarmhold.hardware.drivers.flier import FIRST_S, HEARD_S, KEEP_ALIVE_S, within
from swarmhold.hardware.drivers.links import read_namespace
from swarmhold.hardware.drivers.localisation import Localisation
from swarmhold.hardware.drivers.protocol import Injected, Reality
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.messages import Command, Mode, SensorFrame
from swarmhold.hardware.safety import SafetyConfig
from swarmhold.hardware.spec import PolicySpec
from swarmhold_nodes import codec
from swarmhold_nodes.runtime import LATCHED_QOS, STREAM_QOS


class TwistDriver:
    """Link to one robot; see `RobotDriver`."""

    def __init__(
        self,
        node: Node,
        address: str,
        robot: int,
        spec: PolicySpec,
        limits: SafetyConfig,
        localisation: Localisation,
        hardware: bool,
    ) -> None:
        """Speak and listen; nothing moves yet.

        Args:
            node: that it becomes part of.
            address: the robot's namespace, with `#stamped` if it wants stamped twists.
            robot: roster index.
            spec: contract of its class.
            limits: of its class.
            localisation: of the team.
            hardware: whether it may be a real robot.
        """
        self._name, self._stamped = read_namespace(address)
        self._node, self._robot, self._spec, self._limits = node, robot, spec, limits
        self._localisation, self._hardware = localisation, hardware
        self._watchdog, self._setpoint = Watchdog(limits), np.zeros(spec.action_size)
        self._open = self._armed = self._emulated = False
        self._odometry: Odometry | None = None
        self._heard_at = -math.inf
        kind = TwistStamped if self._stamped else Twist
        # Reliable, or robots that ask for that would not hear it; one deep, or it would be late.
        self._pub = node.create_publisher(kind, f"{self._name}/cmd_vel", QoSProfile(depth=1))
        self._parts = [
            node.create_subscription(Odometry, f"{self._name}/odom", self._on_odom, STREAM_QOS),
            node.create_subscription(
                Bool, f"{self._name}/emulated", self._on_emulated, LATCHED_QOS
            ),
        ]
        self._timer = node.create_timer(KEEP_ALIVE_S, self._keep)

    def _on_odom(self, msg: Odometry) -> None:
        pose = msg.pose.pose
        numbers = (pose.position.x, pose.position.y, pose.orientation.z, pose.orientation.w)
        if np.isfinite(numbers).all():
            self._odometry, self._heard_at = msg, time.monotonic()

    def _on_emulated(self, msg: Bool) -> None:
        self._emulated = msg.data

    @property
    def reality(self) -> Reality:
        """Simulated only if it says so itself, on its topic `emulated`."""
        return Reality.SIM if self._emulated else Reality.HARDWARE

    def connect(self) -> None:
        """Wait for its odometry; see `RobotDriver`."""
        if not within(FIRST_S, lambda: self._odometry is not None):
            raise NotReadyError(f"no odometry on {self._name}/odom; is the robot up?")
        within(1.0, lambda: self._emulated)
        if self.reality is Reality.HARDWARE and not self._hardware:
            raise ConfigError(f"{self._name} is a real robot; say that it may be: --hardware")
        self._open = True

    def arm(self) -> None:
        """Let set-points through from now on."""
        self._check()
        if self._watchdog.stopped:
            raise NotReadyError(f"robot {self._robot} was stopped; start its driver anew")
        self._watchdog.hear(Mode.HOLD, time.monotonic())
        self._armed = True

    def read(self) -> SensorFrame:
        """Its odometry, and what the team's localisation knows of the others."""
        self._check()
        now = time.monotonic()
        if self._odometry is None or not (age := now - self._heard_at) <= HEARD_S:
            raise NotReadyError(f"robot {self._robot} ({self._name}) was not heard for {age:.1f} s")
        place, turn = self._odometry.pose.pose.position, self._odometry.pose.pose.orientation
        twist = self._odometry.twist.twist
        yaw = math.atan2(
            2.0 * (turn.w * turn.z + turn.x * turn.y), 1.0 - 2.0 * (turn.y**2 + turn.z**2)
        )
        cos, sin = math.cos(yaw), math.sin(yaw)  # twists are in the robot's own frame (REP 105)
        forward, left = twist.linear.x, twist.linear.y
        position = (place.x, place.y, place.z)
        self._localisation.report(self._robot, position, now)
        around = self._localisation.around(self._robot, position, yaw, now)
        return SensorFrame(
            stamp=time.time() - age,
            position=position,
            velocity=(cos * forward - sin * left, sin * forward + cos * left, twist.linear.z),
            yaw=yaw,
            yaw_rate=twist.angular.z,
            battery=1.0,
            sighted=around.sighted,
            sightings=around.sightings,
            bodies=around.bodies,
            stopped=self._watchdog.stopped,
        )

    def command(self, command: Command) -> Command:
        """Pass on a set-point within the bounds of the contract."""
        self._check()
        now = time.monotonic()
        self._watchdog.hear(command.mode, now)
        mode = self._watchdog.stage(now)
        if not self._armed:
            mode = max(mode, Mode.HOLD)
        bound = np.asarray(self._limits.bound)
        wanted = np.nan_to_num(np.asarray(command.action, float), nan=0.0)
        self._setpoint = np.clip(wanted, -bound, bound) * (mode is Mode.ACTIVE)
        return Command(command.stamp, tuple(float(value) for value in self._setpoint), mode)

    def hold(self) -> None:
        """At rest, until there is a command."""
        self._check()
        self._watchdog.hear(Mode.HOLD, time.monotonic())

    def land(self) -> None:
        """There is no height to lose: the same as hold."""
        self.hold()

    def stop(self) -> None:
        """At rest for good."""
        self._watchdog.stop()
        self._send(np.zeros_like(self._setpoint))

    def inject(self, fault: FaultSpec) -> Injected:
        """A twist says nothing of motors."""
        return Injected.UNSUPPORTED

    def close(self) -> None:
        """At rest, and off the graph; safe to call twice."""
        if self._timer is None:
            return
        self._send(np.zeros_like(self._setpoint))
        self._open = False
        self._node.destroy_timer(self._timer)
        self._timer = None
        for part in self._parts:
            self._node.destroy_subscription(part)
        self._node.destroy_publisher(self._pub)

    def _keep(self) -> None:
        """Set-points at a fixed rate, once it was armed; without, it is not spoken to at all."""
        if not (self._open and self._armed):
            return
        acts = self._watchdog.stage(time.monotonic()) is Mode.ACTIVE
        self._send(self._setpoint if acts else np.zeros_like(self._setpoint))

    def _send(self, setpoint: np.ndarray) -> None:
        out: Any = TwistStamped() if self._stamped else Twist()
        twist = out.twist if self._stamped else out
        if self._stamped:
            out.header.stamp, out.header.frame_id = codec.stamp_of(time.time()), "base_link"
        twist.linear.x = float(setpoint[0])
        if self._spec.drives:
            twist.angular.z = float(setpoint[1])
        else:
            twist.linear.y = float(setpoint[1])
        self._pub.publish(out)

    def _check(self) -> None:
        if not self._open:
            raise NotReadyError(f"robot {self._robot} is not connected; call connect() first")
