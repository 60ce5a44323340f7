"""A live fleet: world, supervisor, recorder and one policy node per robot, as OS processes."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmhold.hardware.bundle import open_bundle
from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.errors import ConfigError, MissingExtraError, NotReadyError
from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.fleet.compose import groups, write_parameters
from swarmhold.hardware.fleet.domain import choose_domain
from swarmhold.hardware.fleet.environment import environment
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.process import TERM_S, Child, end_all
from swarmhold.hardware.fleet.stop import check_stop
from swarmhold.hardware.messages import check_team
from swarmhold.hardware.shipped import located
from swarmhold.hardware.signing import load_public

START_S = 60.0  # for all nodes to be ready and the quorum to act
LONGEST_S = 1e6  # a fault without an end, on the wire
LARGEST = 64  # processes of one host, world and all included
OnLine = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """What to start.

    Attributes:
        bundle: bundle folder or archive.
        keys: public keys, one of which must have signed it; none: it need not be signed.
        robots: team size.
        folder: run folder; logs, events and the recording go there.
        seed: of the world.
        domain: ROS domain; None: a free one.
        reweight: False makes all weights 1.
        entities: whom robots attend to in teams larger than any of training; see `EntityBudget`.
        supervisor: whether to start the supervisor.
        standbys: warm supervisors that take over when the one before them falls silent.
        record: whether to record.
        allow_faults: whether nodes obey fault commands.
        absent: robots that are not started; they may join later.
        each: what every robot has of its own, in roster order; none: what is said above.
        processes: for the policy nodes, robots that share one are composed; None: as many as this
            machine bears, see `fleet.compose`.
        alone: robots with a process of their own, which alone can be killed, stopped and started.
    """

    bundle: Path
    robots: int
    folder: Path
    seed: int = 0
    keys: tuple[Path, ...] = ()
    domain: int | None = None
    reweight: bool = True
    entities: Entities = "none"
    supervisor: bool = True
    standbys: int = 0
    record: bool = True
    allow_faults: bool = False
    absent: tuple[int, ...] = ()
    each: tuple[Options, ...] = ()
    processes: int | None = None
    alone: tuple[int, ...] = ()

    def options_of(self, robot: int) -> Options:
        """What a robot has."""
        if self.each:
            return self.each[robot]
        return Options(
            reweight=self.reweight, entities=self.entities, allow_faults=self.allow_faults
        )


@dataclass(slots=True)
class Live:
    """Last status lines, for display.

    Attributes:
        table: last line of the supervisor.
        world: last line of the world.
        warnings: lines worth showing.
    """

    table: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


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
        _need("rclpy", "ros")
        _need("swarmhold_msgs", None)
        _need("pybullet", "sim")
        if config.record:
            _need("rosbags", "record")
        if config.each and len(config.each) != config.robots:
            raise ConfigError(f"options of {len(config.each)} robots for {config.robots}")
        self.config = config
        own = {*config.alone, *config.absent}
        self.groups = groups(config.robots, config.processes, os.cpu_count() or 1, own)
        most = LARGEST - 3 - config.standbys
        if len(self.groups) > most:
            raise ConfigError(
                f"{len(self.groups)} processes for {config.robots} robots; this host runs at most "
                f"{most}, so let some share one with --processes"
            )
        self.bundle = open_bundle(config.bundle, load_public(config.keys))
        if (config.folder / "events.jsonl").exists():
            raise ConfigError(f"{config.folder} holds a flight already; choose a new folder")
        config.folder.mkdir(parents=True, exist_ok=True)
        self.domain = choose_domain(config.domain)
        self.live = Live()
        self.children: dict[str, Child] = {}
        self.started_at = 0.0
        self._world_started = threading.Event()
        self._closing = False
        self._events = (config.folder / "events.jsonl").open("a")
        self._env = environment(config.folder, self.domain)

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
        self.log("flight", **self._about())
        if config.record:
            self._spawn(
                "recorder",
                {"folder": str((config.folder / "mcap").resolve()), "team_size": config.robots},
            )
        if config.supervisor:
            for rank in range(1 + config.standbys):
                self.start_supervisor(rank)
        if config.allow_faults:
            self._spawn("fault_node", {})
        shared = [group for group in self.groups if len(group) > 1]
        for group in self.groups:
            if group in shared:
                self._spawn_group(f"group_{shared.index(group)}", group)
            elif group[0] not in config.absent:
                self._spawn_robot(group[0])
        self._spawn(
            "world",
            {
                "scenario": manifest.scenario,
                "robot": manifest.robot,
                "team_size": config.robots,
                "seed": config.seed,
                "allow_faults": config.allow_faults,
            },
        )
        self._await_quorum()
        self.started_at = time.time()
        self.log("started")
        for robot in config.absent:
            self.log("fault", t=self.started_at, kind="absent", robot=robot)

    def _about(self) -> dict[str, Any]:
        config, manifest = self.config, self.bundle.manifest
        return {
            "bundle": str(config.bundle),
            "digest": self.bundle.digest,
            "name": manifest.name,
            "scenario": manifest.scenario,
            "robot": manifest.robot,
            "robots": config.robots,
            "seed": config.seed,
            "domain": self.domain,
            "reweight": config.reweight,
            "entities": config.entities,
            "supervisor": config.supervisor,
            "standbys": config.standbys,
            "absent": config.absent,
            "groups": self.groups,
        }

    def _spawn(
        self, node: str, parameters: dict[str, Any], name: str | None = None, namespace: str = ""
    ) -> Child:
        name = name or node
        module = {
            "policy": "policy_node",
            "supervisor": "supervisor_node",
            "world": "world_node",
        }.get(node, node)
        command = [sys.executable, "-m", f"swarmhold_nodes.{module}", "--ros-args"]
        if namespace:
            command += ["-r", f"__ns:={namespace}"]
        elif name != node:
            command += ["-r", f"__node:={name}"]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["-p", f"{key}:={text}"]
        return self._start_child(name, command)

    def _start_child(self, name: str, command: list[str]) -> Child:
        log = self.config.folder / "logs" / f"{name}.log"
        child = Child(name, command, self._env, log, self._on_line)
        self.children[name] = child
        check_stop()
        return child

    def _spawn_robot(self, robot: int) -> Child:
        return self._spawn("policy", self._parameters(robot), f"robot_{robot}", f"/robot_{robot}")

    def _spawn_group(self, name: str, robots: Sequence[int]) -> Child:
        """Several robots in one process, which finds their parameters in a file."""
        file = (self.config.folder / f"{name}.yaml").resolve()
        write_parameters(file, {robot: self._parameters(robot) for robot in robots})
        command = [sys.executable, "-m", "swarmhold_nodes.policy_group", "--robots"]
        command += [*map(str, robots), "--ros-args", "--params-file", str(file)]
        return self._start_child(name, command)

    def _parameters(self, robot: int) -> dict[str, Any]:
        own = self.config.options_of(robot).model_dump(exclude={"host", "name", "type"})
        return {**self._what_to_fly(), "robot": robot, "team_size": self.config.robots, **own}

    def _what_to_fly(self) -> dict[str, str]:
        keys = [str(path.resolve()) for path in self.config.keys]
        given = {"keys": os.pathsep.join(keys)} if keys else {}
        return {"bundle": str(located(Path(self.config.bundle)).resolve()), **given}

    def start_supervisor(self, rank: int = 0) -> None:
        """Start a supervisor, or a standby, which takes over when those before it fall silent."""
        self._spawn(
            "supervisor",
            {**self._what_to_fly(), "team_size": self.config.robots, "rank": rank},
            f"supervisor_{rank}" if rank else None,
        )

    def _await_quorum(self) -> None:
        """Wait until every robot acts; name those that do not.

        Raises:
            NotReadyError: a node failed, or was not ready in time.
        """
        deadline = time.monotonic() + START_S
        while not self._world_started.wait(0.05):
            check_stop()
            for child in self.children.values():
                if not child.running:
                    raise NotReadyError(f"{child.name} ended at start: {child.last_words()}")
            if time.monotonic() > deadline:
                late = [c.name for c in self.children.values() if not c.ready.is_set()]
                who = ", ".join(late) if late else "some robot sends no commands"
                raise NotReadyError(
                    f"no quorum after {START_S:.0f} s ({who}); see {self.config.folder}/logs"
                )

    def _on_line(self, name: str, values: dict[str, Any]) -> None:
        event = values["event"]
        if self._closing:
            return  # what nodes say of each other's leaving is no news
        if event == "table":
            self.live.table = values
        elif event == "world":
            self.live.world = values
        elif event == "speaks":
            self.log("speaks", source=name, term=values["term"])
        elif event == "started":
            self._world_started.set()
        elif event == "fault":  # the robot itself says when it began to misbehave
            self.log("fault", **{k: v for k, v in values.items() if k != "event"})
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
        """SIGCONT a policy node; returns the time, s."""
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
        """Start a policy node that was killed, or was absent so far; returns the time, s."""
        old = self.children.get(f"robot_{robot}")
        if old is not None:
            old.end(time.monotonic() + TERM_S)
        self.log("fault", kind="respawn", robot=robot)
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
        if fault.kind in ("crash", "reboot"):
            return self.kill(fault.robot)
        if fault.kind == "freeze":
            return self.freeze(fault.robot)
        if not self.config.allow_faults:
            raise ConfigError("fault injection is off; start the fleet with faults allowed")
        duration = min(fault.duration_s, LONGEST_S)
        self.children["fault_node"].tell(
            {
                "kind": fault.kind,
                "robot": fault.robot,
                "severity": fault.severity,
                "seed": fault.seed,
                "duration_s": duration,
            }
        )
        return time.time()

    @property
    def held_up(self) -> bool:
        """Whether nodes complained of time that they missed: more has stopped than was broken."""
        return any("stalled" in text or "no sensor frame" in text for text in self.live.warnings)

    def check(self, expected_dead: set[int]) -> None:
        """Notice nodes that ended without having been broken on purpose.

        Raises:
            NotReadyError: one did.
        """
        for name, child in self.children.items():
            if child.running:
                continue
            robot = int(name.split("_")[1]) if name.startswith("robot_") else None
            if robot is None and name.startswith("supervisor"):
                continue
            if robot not in expected_dead:
                raise NotReadyError(f"{name} ended in flight: {child.last_words()}")

    def close(self) -> None:
        """End everything; safe to call twice."""
        self.log("ended")
        self._closing = True
        children = list(self.children.values())
        self.children.clear()
        end_all(children)
        self._events.close()


def _need(module: str, extra: str | None) -> None:
    if importlib.util.find_spec(module) is None:
        cure = f"pip install 'swarmhold[{extra}]'" if extra else "run make setup in a checkout"
        raise MissingExtraError(f"{module} is not installed; {cure}")
