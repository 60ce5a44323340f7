"""One robot: senses, listens, decides, commands, and says so.

One OS process per robot, or several together: `policy_group`.

Started on its own it configures and activates itself; with `--ros-args -p autostart:=false` it
waits for a lifecycle manager.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import asdict

from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Bool
from swarmhold_msgs.msg import (
    FaultCommand,
    PolicyStatus,
    SensorFrame,
    Task,
)
from swarmhold_msgs.msg import RobotState as RobotStateMessage

from swarmhold.hardware import wire
from swarmhold.hardware.controller import ControllerConfig, RobotController, Tick
from swarmhold.hardware.errors import ConfigError, NotReadyError, SwarmholdError
from swarmhold.hardware.estop import stopped_state
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.injection.injector import Injector
from swarmhold.hardware.messages import Command, HealthTable, Mode, RobotState
from swarmhold.hardware.messages import PolicyStatus as PolicyReport
from swarmhold.hardware.messages import SensorFrame as Frame
from swarmhold.hardware.parameters import PolicyParameters
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.safety import SafetyConfig, safety_config, staged_mode
from swarmhold.hardware.shadow import Shadow, check_shadow
from swarmhold.hardware.sliced import policy_of
from swarmhold.hardware.team_health import WeightSource
from swarmhold_nodes import codec
from swarmhold_nodes.company import Company
from swarmhold_nodes.diagnostics import Diagnostics
from swarmhold_nodes.fault_orders import FaultOrders
from swarmhold_nodes.parameters import declare
from swarmhold_nodes.reception import Reception
from swarmhold_nodes.runtime import (
    LATCHED_QOS,
    STATE_QOS,
    STREAM_QOS,
    run,
    say,
)

QUORUM_S = 5.0  # a robot waits this long for its team before it moves
TWIN_S = 4.0  # who has come, or come back, leaves for so long if another has its identity
APART_S = 1.0  # without frames, or without a teammate's message: it was away
WATCH_S = 0.1  # period of the watchdog
SHADOW_S = 1.0  # between two lines about a shadow


class PolicyNode(LifecycleNode):
    """Thin shell around `RobotController`."""

    def __init__(
        self, context: Context, namespace: str | None = None, company: Company | None = None
    ) -> None:
        """Declare parameters; everything else waits for configuration.

        Args:
            context: of the process.
            namespace: of the robot; None: as the process was told.
            company: what it shares with other robots of the process; None: it is alone.
        """
        super().__init__(
            "policy",
            namespace=namespace,
            context=context,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._told = declare(self, PolicyParameters)
        self._robot, self._n = self._told.robot, self._told.team_size
        self._reception = Reception(self)
        self._company = company or Company()
        self._controller: RobotController | None = None
        self._injector: Injector | None = None
        self._policy: OnnxPolicy | None = None
        self._shadow: Shadow | None = None
        self._active = False
        self._frame_at = float("inf")  # nothing is missed before the first frame
        self._safety: SafetyConfig | None = None
        self._stage, self._stopped = Mode.ACTIVE, False
        self._said: RobotState | None = None
        self._quorum, self._first_at, self._acts = False, 0.0, False
        self._heard_at = self._joined_at = time.monotonic()
        self._boot_id = random.SystemRandom().randrange(1, 2**32)
        self._status: PolicyReport | None = None
        if self._told.autostart:
            self._start()

    def _start(self) -> None:
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            raise ConfigError(self._problem)
        self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the bundle and make all endpoints."""
        self._problem = ""
        try:
            opened = self._company.opened(self._told.bundle, self._told.keys)
            self._policy = policy_of(opened, self._robot, self._n)
            self._shadow = self._shadow_of(self._policy)
            self._entities = self._policy.entity_budget(self._told.entities).mode
            self._orders = FaultOrders(self, self._told, self._is_of_mine, self._break)
        except SwarmholdError as error:
            self._problem = str(error)
            self.get_logger().error(self._problem)
            return TransitionCallbackReturn.FAILURE
        warning = self._policy.team_size_warning(self._n)
        if warning and self._robot == 0:
            say("warning", text=warning)
        self._state_pub = self.create_publisher(RobotStateMessage, "state", STATE_QOS)
        self._status_pub = self.create_publisher(PolicyStatus, "status", STREAM_QOS)
        self._command_pub = self.create_publisher(TwistStamped, "cmd_vel", STREAM_QOS)
        hear = self._reception.hear
        hear(Task, "/swarm/task", self._on_task, LATCHED_QOS)
        hear(Bool, "/swarm/estop", self._on_estop, LATCHED_QOS)
        hear(SensorFrame, "sense", self._on_sense, STREAM_QOS)
        self._ears = self._company.ears(self, self._n)
        heeds = range(self._n) if self._policy.heeds is None else self._policy.heeds
        self._ears.join(self, {*heeds, self._robot})  # itself, to notice another one of its name
        self.create_timer(WATCH_S, self._watch)
        if self._shadow is not None:
            self.create_timer(SHADOW_S, self._say_shadow)
        period = 1.0 / self._policy.bundle.spec.loop_hz
        self._diagnostics = Diagnostics(self, f"robot_{self._robot}", period, self._facts)
        return TransitionCallbackReturn.SUCCESS

    def _shadow_of(self, policy: OnnxPolicy) -> Shadow | None:
        """Whoever is to look on; raises `BundleError` if it must not, or cannot."""
        if not self._told.shadow:
            return None
        other = self._company.opened(self._told.shadow, self._told.keys)
        check_shadow(policy.bundle, other.bundle, self._told.shadow)
        return Shadow(policy_of(other, self._robot, self._n))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to act on sensor frames."""
        self._active = True
        if self._controller is not None:
            self._controller.on_activate()
        say("ready", robot=self._robot)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold, and act no more."""
        self._active = False
        self._send(Command(0.0, (0.0, 0.0), Mode.HOLD), time.time())
        return super().on_deactivate(state)

    def _on_task(self, msg: Task) -> None:
        assert self._policy is not None
        task = wire.read_task(msg)
        if self._controller is not None:
            self._controller.on_task(task)
            return
        config = ControllerConfig(
            robot=self._robot,
            team_size=self._n,
            loop_hz=self._policy.bundle.spec.loop_hz,
            boot_id=self._boot_id,
            reweight=self._told.reweight,
            entities=self._entities,
        )
        self._controller = RobotController(self._policy, task, config)
        if self._stopped:
            self._controller.on_estop()
        spec = self._policy.bundle.spec
        self._safety = safety_config(spec, task.half_width)
        self._injector = Injector(spec, self._robot, self._n, task.half_width)

    def on_state(self, sender: int, state: RobotState, now: float) -> None:
        """A state came in on the topic of the robot `sender` at `now` (s, monotonic)."""
        if sender == self._robot:
            self._on_own_state(state, now)
        elif self._controller is not None and self._hears(sender, now):
            if now - self._heard_at > APART_S:
                self._joined_at = now
            self._heard_at = now
            self._controller.on_state(state, now)

    def _hears(self, sender: int | None, now: float) -> bool:
        return self._injector is None or self._injector.hears(sender, now)

    def _on_own_state(self, state: RobotState, now: float) -> None:
        """Somebody else speaks as this robot: whoever came second leaves, or has been away.

        A spare may have been given the place of one that was lost, and that now comes back. The
        graph's names would not do: a killed node's name lingers, its messages do not.
        """
        apart = self._n > 1 and now - self._heard_at > APART_S
        came = now - self._joined_at <= TWIN_S or apart
        if state.boot_id != self._boot_id and came:
            raise NotReadyError(
                f"a node for robot {self._robot} runs already on this ROS domain; "
                "stop it or choose another domain"
            )

    def on_table(self, table: HealthTable, now: float) -> None:
        """A health table came in at `now` (s, monotonic)."""
        if self._controller is not None and self._hears(None, now):
            self._controller.on_table(table, now)

    def _on_estop(self, msg: Bool) -> None:
        if msg.data:
            self._stop()

    def _stop(self) -> None:
        """Stop for good: at once, and whether or not there is anything to control yet."""
        if self._stopped:
            return
        self._stopped = True
        if self._controller is not None:
            self._controller.on_estop()
        self._send(Command(0.0, (0.0, 0.0), Mode.STOP), time.time())
        say("estop", robot=self._robot)

    def _is_of_mine(self, msg: FaultCommand) -> bool:
        """Of others' faults only a partition is of interest, and broken bodies of none."""
        mine = msg.robot == self._robot and msg.kind not in BODY_KINDS
        return self._injector is not None and (mine or msg.kind == "partition")

    def _break(self, fault: FaultSpec) -> None:
        if self._injector is not None and self._injector.add(fault, time.monotonic()):
            say("fault", robot=self._robot, kind=fault.kind, duration_s=fault.duration_s)

    def _on_sense(self, msg: SensorFrame) -> None:
        if not self._active or self._controller is None or self._injector is None:
            return
        now = time.monotonic()
        if now - self._frame_at > APART_S:
            self._joined_at = now
        self._frame_at = now
        frame = wire.read_frame(msg)
        if frame.stopped:  # whoever was started again after a stop has not heard of it
            self._stop()
        self._acts = self._has_quorum(now)
        self._company.sensed(self, frame)

    @property
    def controller(self) -> RobotController:
        """Of a robot that acts."""
        assert self._controller is not None
        return self._controller

    def senses(self, frame: Frame, now: float) -> Frame:
        """What of a frame the robot believes to sense at `now` (s, monotonic)."""
        assert self._injector is not None
        return self._injector.sense(frame, now)

    def act(self, frame: Frame, tick: Tick, now: float) -> None:
        """Send what was decided on a frame; the state message leaves from here."""
        assert self._controller is not None and self._injector is not None
        if not self._active:
            return
        tick, states = self._injector.apply(tick, frame, now)
        if self._acts:
            bent = self._injector.acts(now)
            command = self._controller.guarded(frame, tick.command) if bent else tick.command
            self._send(command, time.time())
        for state in states:
            self._state_pub.publish(codec.state_to_ros(state))
        status = codec.status_to_ros(tick.status)
        status.header.stamp = codec.stamp_of(time.time())
        self._status_pub.publish(status)
        self._status, self._said = tick.status, tick.state
        self._diagnostics.tick()
        if self._shadow is not None:  # after all that is urgent
            problem = self._shadow.look(self._controller.decision, tick.command.mode == Mode.ACTIVE)
            if problem:
                say("warning", text=f"robot {self._robot}: shadow switched off, {problem}")

    def _say_shadow(self) -> None:
        assert self._shadow is not None
        say("shadow", robot=self._robot, **asdict(self._shadow.found))

    def _facts(self) -> dict[str, object]:
        """For `/diagnostics`."""
        status, dropped = self._status, self._reception.dropped + self._ears.dropped
        if status is None:
            return {"stage": self._stage.name, "dropped": dropped, **self._orders.facts()}
        looks_on = {} if self._shadow is None else asdict(self._shadow.found)
        return {
            **{f"shadow_{name}": value for name, value in looks_on.items()},
            "stage": self._stage.name,
            "dropped": dropped,
            **self._orders.facts(),
            "mode": Mode(status.mode).name,
            "missed": status.missed,
            "limited": status.limited,
            "weights_from": WeightSource(status.source).name,
            "teammates_in": sum(weight > 0.0 for weight in status.weights) - 1,
            "states_heard": self._ears.delivery.heard,
            "states_missed": self._ears.delivery.missed,
        }

    def _has_quorum(self, now: float) -> bool:
        """No motion before the whole team was heard, or the wait for it is over."""
        assert self._controller is not None
        if not self._quorum:
            self._first_at = self._first_at or now
            complete = self._controller.team_complete(now)
            self._quorum = complete or now - self._first_at > QUORUM_S
            if self._quorum:
                self._controller.on_activate()
            if self._quorum and not complete:
                say("warning", text=f"robot {self._robot} starts without having heard everybody")
            if self._quorum:
                say("acts", robot=self._robot)
        return self._quorum

    def _watch(self) -> None:
        """Without sensor frames the robot holds, then lands, then stops; each is said once."""
        if self._stopped and not 0.0 <= time.monotonic() - self._frame_at <= 2.0 * WATCH_S:
            self._confirm_stop()
        if not self._active or self._safety is None:
            return
        age = time.monotonic() - self._frame_at
        stage = staged_mode(self._safety, age)
        if stage == self._stage:
            return
        self._stage = stage
        if stage is not Mode.ACTIVE:
            self._send(Command(0.0, (0.0, 0.0), stage), time.time())
            text = f"robot {self._robot}: no sensor frame for {age:.1f} s, {stage.name.lower()}"
            say("warning", text=text)

    def _confirm_stop(self) -> None:
        """Without sensor frames there is no tick that would say so."""
        assert self._policy is not None
        own = self._robot, self._boot_id, self._policy.bundle.short_digest
        self._said = stopped_state(self._said, *own)
        self._state_pub.publish(codec.state_to_ros(self._said))

    def _send(self, command: Command, wall: float) -> None:
        """Set-point as a twist: forward and turn, or planar velocity."""
        assert self._policy is not None
        out = TwistStamped()
        out.header.stamp = codec.stamp_of(wall)
        out.header.frame_id = "base_link"
        out.twist.linear.x = float(command.action[0])
        if self._policy.bundle.spec.drives:
            out.twist.angular.z = float(command.action[1])
        else:
            out.twist.linear.y = float(command.action[1])
        self._command_pub.publish(out)


def main() -> int:
    """Entry point."""
    return run(PolicyNode)


if __name__ == "__main__":
    sys.exit(main())
