"""A live fleet: world, supervisor, recorder and one policy node per robot, as OS processes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swarmhold.hardware.bundle import Bundle, open_bundle
from swarmhold.hardware.drivers.protocol import Reality
from swarmhold.hardware.errors import ConfigError, NotReadyError
from swarmhold.hardware.faults import SIGNAL_KINDS, FaultSpec
from swarmhold.hardware.fleet import ground
from swarmhold.hardware.fleet.compose import check_processes, groups, write_parameters
from swarmhold.hardware.fleet.config import FleetConfig, Live
from swarmhold.hardware.fleet.domain import choose_domain
from swarmhold.hardware.fleet.environment import environment
from swarmhold.hardware.fleet.estop import Confirmations
from swarmhold.hardware.fleet.hosts import at_home
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.permission import check_permission, forget_token, with_tokens
from swarmhold.hardware.fleet.process import TERM_S, Child, group_command, node_command
from swarmhold.hardware.fleet.secure import enclave_of, security_of
from swarmhold.hardware.fleet.stop import check_stop
from swarmhold.hardware.messages import check_team
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.shadow import check_shadow
from swarmhold.hardware.shipped import located
from swarmhold.hardware.signing import load_public
from swarmhold.hardware.sliced import policy_of

START_S = 60.0  # for all nodes to be ready and the quorum to act
STOP_S = 5.0  # for which confirmations of an emergency stop are waited for
BRAKES_S = 1.0  # then, for the recording to show that all are at rest
OnLine = Callable[[str, dict[str, Any]], None]


class Fleet:
    """Context manager around the processes; leaving it leaves no process behind."""

    def __init__(self, config: FleetConfig) -> None:
        """Check everything that can be checked before anything is started.

        Raises:
            ConfigError: team size or folder are wrong.
            BundleError: the bundle must not fly.
            MissingExtraError: ROS or the simulator are not installed.
            NotReadyError: the ROS domain is in use.
        """
        check_team(config.robots)
        need("rclpy", "ros")
        need("swarmhold_msgs", None)
        self.part = config.part
        if self.part.world and config.record:
            need("rosbags", "record")
        if config.each and len(config.each) != config.robots:
            raise ConfigError(f"options of {len(config.each)} robots for {config.robots}")
        ground.needs(config)
        check_permission(config)
        security = security_of(config)
        alone = self.part.robots if config.apart else (*config.alone, *config.absent)
        self.groups = groups(self.part.robots, config.processes, os.cpu_count() or 1, alone)
        check_processes(len(self.groups), config.robots, 3 + config.standbys)
        keys = load_public(config.keys)
        self.bundle = open_bundle(config.bundle, keys)
        policy_of(OnnxPolicy(self.bundle), 0, config.robots)  # one that is cut fits one team size
        self._shadow: Bundle | None = None
        if config.shadow is not None:
            self._shadow = open_bundle(config.shadow, keys)
            check_shadow(self.bundle, self._shadow, config.shadow)
        if (config.folder / "events.jsonl").exists():
            raise ConfigError(f"{config.folder} holds a flight already; choose a new folder")
        config.folder.mkdir(parents=True, exist_ok=True)
        self.config = config = with_tokens(config)
        self._domain = choose_domain(config.domain, ground.speaks_ros(config))
        self.domain = self._domain.number
        self.live = Live()
        self.children: dict[str, Child] = {}
        self.started_at = 0.0
        self._world_started = threading.Event()
        self._acting: set[int] = set()
        self._closing = False
        self._events = (config.folder / "events.jsonl").open("a")
        self._env = {**environment(config.folder, self.domain, ground.network(config)), **security}

    def __enter__(self) -> Fleet:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        config, manifest = self.config, self.bundle.manifest
        (config.folder / "logs").mkdir(exist_ok=True)
        self.log(
            "flight",
            **config.about(),
            digest=self.bundle.digest,
            shadow_digest=None if self._shadow is None else self._shadow.digest,
            name=manifest.name,
            scenario=manifest.scenario,
            robot=manifest.robot,
            domain=self.domain,
            groups=self.groups,
        )
        if config.record and self.part.world:
            where = config.folder / ("around" if config.around_s else "mcap")
            told = {"team_size": config.robots, "around_s": config.around_s}
            self._spawn("recorder", {"folder": str(where.resolve()), **told})
        for rank in self.part.ranks:
            self.start_supervisor(rank)
        if config.allow_faults:
            self._spawn("fault_node", {"faults_token": str(config.operator_token)})
        shared = [group for group in self.groups if len(group) > 1]
        for group in self.groups:
            if group in shared:
                self._spawn_group(f"group_{shared.index(group)}", group)
            elif group[0] not in config.absent:
                self._spawn_robot(group[0])
        for node, parameters, name in ground.nodes(config, manifest):
            self._spawn(node, parameters, name)
        self._await_quorum()
        self.started_at = time.time()
        self.log("started")
        for robot in config.absent:
            self.log("fault", t=self.started_at, kind="absent", robot=robot)

    def _spawn(
        self,
        node: str,
        parameters: dict[str, Any],
        name: str | None = None,
        namespace: str = "",
        hear: OnLine | None = None,
    ) -> Child:
        name = name or node
        safe = self.config.security is not None
        enclave = enclave_of(node, name, namespace) if safe else None
        command = node_command(node, parameters, name, namespace, enclave)
        return self._start_child(name, command, hear)

    def _start_child(self, name: str, command: list[str], hear: OnLine | None = None) -> Child:
        log = self.config.folder / "logs" / f"{name}.log"
        env, air = self._env, self.config.air
        if air is not None:
            command, env = at_home(air, self.config.folder, self.domain, name, command, env)
        child = Child(name, command, env, log, hear or self._on_line)
        self.children[name] = child
        check_stop()
        return child

    def _spawn_robot(self, robot: int, name: str | None = None) -> Child:
        namespace = f"/robot_{robot}"
        return self._spawn("policy", self._parameters(robot), name or f"robot_{robot}", namespace)

    def _spawn_group(self, name: str, robots: Sequence[int]) -> Child:
        """Several robots in one process, which finds their parameters in a file."""
        file = (self.config.folder / f"{name}.yaml").resolve()
        write_parameters(file, {robot: self._parameters(robot) for robot in robots})
        return self._start_child(name, group_command(robots, file))

    def _parameters(self, robot: int) -> dict[str, Any]:
        """Of a robot's policy node."""
        return {**self.what_to_fly(), **self.config.parameters_of(robot)}

    def what_to_fly(self) -> dict[str, str]:
        """Parameters of every node that opens the bundle."""
        keys = [str(path.resolve()) for path in self.config.keys]
        given = {"keys": os.pathsep.join(keys)} if keys else {}
        return {"bundle": str(located(Path(self.config.bundle)).resolve()), **given}

    def start_supervisor(self, rank: int = 0) -> None:
        """Start a supervisor, or a standby, which takes over when those before it fall silent."""
        name = f"supervisor_{rank}" if rank else "supervisor"
        self._bury(name)
        self._spawn(
            "supervisor",
            {**self.what_to_fly(), "team_size": self.config.robots, "rank": rank},
            name,
        )

    def start(self, node: str, parameters: dict[str, Any], name: str) -> Child:
        """Start one more node, under a name of its own.

        Args:
            node: module of `swarmhold_nodes`, or the short name of one.
            parameters: of the node.
            name: of the process, and of the node.
        """
        return self._spawn(node, parameters, name)

    def _bury(self, name: str) -> None:
        """Wait for the end of a process in whose place another one is to start."""
        old = self.children.get(name)
        if old is not None:
            old.end(time.monotonic() + TERM_S)

    def _await_quorum(self) -> None:
        """Wait until every robot acts; name those that do not.

        Raises:
            NotReadyError: a node failed, or was not ready in time.
        """
        deadline = time.monotonic() + (patience := START_S + self.config.wait_s)
        while not self._acts():
            time.sleep(0.05)
            check_stop()
            for child in self.children.values():
                if not child.running:
                    raise NotReadyError(f"{child.name} ended at start: {child.last_words()}")
            if time.monotonic() > deadline:
                late = [c.name for c in self.children.values() if not c.ready.is_set()]
                who = ", ".join(late) or self.part.idle
                raise NotReadyError(
                    f"no quorum after {patience:.0f} s ({who}); see {self.config.folder}/logs"
                )

    def _acts(self) -> bool:
        """Whether the flight has begun, as far as this host can tell."""
        if self.part.world:
            return self._world_started.is_set()
        acts = self._acting >= set(self.part.present(self.config.absent))
        return acts and all(child.ready.is_set() for child in self.children.values())

    def _on_line(self, name: str, values: dict[str, Any]) -> None:
        event = values["event"]
        if self._closing:
            return  # what nodes say of each other's leaving is no news
        if event in ("linked", "shadow", "fault"):  # robots say themselves when they misbehave
            self.log(**values)
        if event == "table":
            self.live.table = values
        elif event == "world":
            self.live.world = values
        elif event == "linked":
            self.live.real |= values["reality"] == Reality.HARDWARE.value
        elif event == "speaks":
            self.log("speaks", source=name, term=values["term"])
        elif event == "started":
            self._world_started.set()
        elif event == "acts":
            self._acting.add(values["robot"])
        elif event == "kept":
            self.log("kept", folder=values["folder"], what=values["what"])
        elif event == "estop":
            self.log("estop", source=name)
        elif event == "warning":
            self.live.warnings.append(f"{name}: {values['text']}")
            self.log("warning", source=name, text=values["text"])

    def log(self, event: str, **values: Any) -> None:
        """Append to the ground truth of the flight, with wall-clock time."""
        if not self._events.closed:
            stamp = values.pop("t", time.time())
            self._events.write(json.dumps({"event": event, "t": stamp, **values}) + "\n")
            self._events.flush()

    def kill(self, robot: int) -> float:
        """SIGKILL a policy node; returns the time, s."""
        return self._signal(robot, signal.SIGKILL, "crash")

    def freeze(self, robot: int) -> float:
        """SIGSTOP a policy node; returns the time, s."""
        return self._signal(robot, signal.SIGSTOP, "freeze")

    def thaw(self, robot: int) -> float:
        """SIGCONT a policy node; returns the time, s. If a spare is in its place: the lost one."""
        lost = self.children.get(f"lost_{robot}")
        if lost is not None:
            return lost.signal(signal.SIGCONT)
        return self._signal(robot, signal.SIGCONT, "thaw")

    def _signal(self, robot: int, number: signal.Signals, kind: str) -> float:
        """Send it to the robot's process.

        Raises:
            ConfigError: other robots live in it, and would go along.
        """
        if (robot,) not in self.groups:
            raise ConfigError(
                f"robot {robot} shares its process with others, so it cannot {kind} alone; name it "
                f"in FleetConfig.alone, or fly with --processes {self.config.robots}"
            )
        sent = self.children[f"robot_{robot}"].signal(number)
        self.log("fault", t=sent, kind=kind, robot=robot)
        return sent

    def respawn(self, robot: int) -> float:
        """Start a policy node that was killed, or was absent so far; returns the time, s.

        If a spare is in its place, it is the lost one that is started, and that finds its place
        taken.
        """
        if f"lost_{robot}" in self.children:
            self._bury(f"lost_{robot}")
            self._spawn_robot(robot, f"lost_{robot}")
            return time.time()
        self._bury(f"robot_{robot}")
        self.log("fault", kind="respawn", robot=robot)
        self._spawn_robot(robot)
        return time.time()

    def take_over(self, robot: int) -> float:
        """Put a spare body in a lost robot's place, with a policy node of its own.

        Nothing is done to the lost one: it may be out of reach, and finds its place taken if it
        ever comes back.

        Returns:
            The time, s.
        """
        self.children["world"].tell({"take_over": robot})
        old = self.children.pop(f"robot_{robot}", None)
        if old is not None:
            self._bury(f"lost_{robot}")
            self.children[f"lost_{robot}"] = old
        self.log("fault", kind="respawn", robot=robot)
        self.log("spare", robot=robot)
        self._spawn_robot(robot)
        return time.time()

    def kill_supervisor(self) -> float:
        """SIGKILL the supervisor; returns the time, s."""
        sent = self.children["supervisor"].signal(signal.SIGKILL)
        self.log("fault", t=sent, kind="supervisor_crash", robot=-1)
        return sent

    def inject(self, fault: FaultSpec) -> float:
        """Break a robot on purpose; returns the time, s.

        Raises:
            ConfigError: the fleet was started without `allow_faults`, or the robot is not in it.
        """
        if not 0 <= fault.robot < self.config.robots:
            raise ConfigError(f"fault names robot {fault.robot} of {self.config.robots}")
        signal_to_process = fault.kind in SIGNAL_KINDS
        if not self.config.allow_faults and (self.config.hardware or not signal_to_process):
            raise ConfigError("fault injection is off; start the fleet with faults allowed")
        if signal_to_process:
            return self.freeze(fault.robot) if fault.kind == "freeze" else self.kill(fault.robot)
        if self.config.air is not None and self.config.air.takes(fault, time.monotonic()):
            self.log("fault", kind=fault.kind, robot=fault.robot, duration_s=fault.duration_s)
            return time.time()
        self.children["fault_node"].tell(asdict(fault))
        return time.time()

    def stop_team(self) -> None:
        """Emergency stop, until everybody has confirmed it or a few seconds are over."""
        if self.config.air is not None:
            self.config.air.look(float("inf"))
        found = Confirmations(self.config.robots)
        told = {"team_size": self.config.robots}
        self._spawn("estop_node", told, "operator", hear=found.take)
        until = time.monotonic() + STOP_S
        while not found.everybody and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(BRAKES_S)

    @property
    def held_up(self) -> bool:
        """Whether nodes complained of time that they missed: more has stopped than was broken."""
        return any("stalled" in text or "no sensor frame" in text for text in self.live.warnings)

    def check(self, expected_dead: set[int]) -> None:
        """Notice nodes that ended without having been broken on purpose, and end what is over.

        Raises:
            NotReadyError: one did.
        """
        if self.config.air is not None:
            self.config.air.look(time.monotonic())
        for name, child in self.children.items():
            if child.running:
                continue
            robot = int(name.split("_")[1]) if name.startswith("robot_") else None
            if robot is None and name.startswith(("supervisor", "lost")):
                continue
            if robot not in expected_dead:
                raise NotReadyError(f"{name} ended in flight: {child.last_words()}")

    def close(self) -> None:
        """End everything; safe to call twice."""
        self.log("ended")
        self._closing = True
        ground.end(self.children)
        forget_token(self.config.folder)
        self._domain.free()
        self._events.close()
