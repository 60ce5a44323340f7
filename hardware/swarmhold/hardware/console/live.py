"""A live team, by a node in a process of its own; and two ways to stop it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from swarmhold.hardware.console.hub import Hub
from swarmhold.hardware.console.source import NOT_GIVEN, StopStatus, as_fault
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FIELD_S, KINDS, SIGNAL_KINDS, FaultSpec
from swarmhold.hardware.fleet.estop import Confirmations, Place, operator_node
from swarmhold.hardware.fleet.needs import need
from swarmhold.hardware.fleet.process import Child, end_all
from swarmhold.hardware.injection.gate import need_build
from swarmhold.hardware.operator_token import read_token
from swarmhold.hardware.report.recording import as_event

Take = Callable[[str, dict[str, Any]], None]
LOOK_S = 0.1
AGAIN_S = 1.0  # before a node that ended is started anew
HEARD_S = 0.3  # until whoever listens has heard an order by its topic
HUNG_S = 3.0  # without a picture, after which the node that listens is taken for hung


class Kept:
    """A node that is started anew whenever it ends."""

    def __init__(
        self,
        node: str,
        place: Place,
        folder: Path,
        take: Take,
        told: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; arguments as of `operator_node`."""
        self._make = partial(operator_node, node, place, folder, take, told)
        self.child: Child = self._make()
        self.starts, self._ended_at = 1, 0.0

    def look(self, now: float) -> None:
        """Start it anew where it is time (s, monotonic)."""
        if self.child.running:
            self._ended_at = 0.0
        elif not self._ended_at:
            self._ended_at = now
        elif now - self._ended_at >= AGAIN_S:
            self._ended_at = 0.0
            self.child.end(now)
            self.child, self.starts = self._make(), self.starts + 1


class Signals:
    """What the launcher of a flight did to processes, which no topic tells of."""

    def __init__(self, folder: Path) -> None:
        """Args: of the flight."""
        self._file, self._read = folder / "events.jsonl", 0

    def new(self) -> list[dict[str, Any]]:
        """Faults since the last look, as the listening node takes them."""
        if not self._file.exists() or self._file.stat().st_size <= self._read:
            return []
        with self._file.open("rb") as file:
            file.seek(self._read)
            lines = [line for line in file if line.endswith(b"\n")]
        self._read += sum(map(len, lines))
        found = (as_event(line.decode(errors="replace")) for line in lines)
        out = []
        for event in found:
            if event is not None and event["event"] == "fault":
                kind, lasts = as_fault(event)
                if kind in SIGNAL_KINDS:
                    out.append({"fault": kind, "robot": event["robot"], "lasts_s": lasts})
        return out


class LiveTeam:
    """Looks at a team that others started, and outlives every node it has."""

    def __init__(
        self,
        place: Place,
        title: str,
        about: Mapping[str, Any] | None = None,
        faults_token: Path | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            place: where the robots are.
            title: for people.
            about: what else is known of the team.
            faults_token: file with the operator's token, where it may be broken from here.

        Raises:
            MissingExtraError: ROS is not installed.
            ConfigError: the token is not one, or this installation was not built for it.
        """
        for module, extra in (("rclpy", "ros"), ("swarmhold_msgs", None)):
            need(module, extra)
        self._place = place
        self.about = {**(about or {}), "title": title, "replay": False, "domain": place.domain}
        able = [kind for kind in KINDS if kind not in SIGNAL_KINDS]
        self.kinds: Sequence[str] = able if faults_token is not None else ()
        self._orders = {}
        if faults_token is not None:
            need_build()
            read_token(faults_token)
            self._orders = {"faults_token": str(faults_token.resolve())}
        self._temporary = TemporaryDirectory(prefix="swarmhold-console-")
        self._folder = Path(self._temporary.name)
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._kept: dict[str, Kept] = {}
        self._found = Confirmations(place.robots)
        self._given_at: float | None = None
        self._heard_at = 0.0
        self._known: dict[tuple[str, int | None], str] = {}
        self._hub: Hub | None = None
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self, hub: Hub) -> None:
        """Start the node that listens."""
        self._hub = hub
        self._keep("console_node", self._take)
        if self.kinds:  # from the start on, so that robots have found it when it speaks
            self._keep("fault_node", self._on_order, self._orders)
        self._thread.start()

    def _keep(self, node: str, take: Take, told: Mapping[str, str] | None = None) -> Kept:
        with self._lock:
            if node not in self._kept:
                folder = self._folder / node
                folder.mkdir()
                self._kept[node] = Kept(node, self._place, folder, take, told)
            return self._kept[node]

    def _take(self, _: str, values: dict[str, Any]) -> None:
        assert self._hub is not None
        if values["event"] == "picture":
            self._heard_at = time.monotonic()
            self._hub.show(values["picture"])
        elif values["event"] == "happened":
            self._note(values["entry"])

    def _on_order(self, _: str, values: dict[str, Any]) -> None:
        """The node that injects found nobody who would obey; who listens marks the order so."""
        if "refused" in values:
            time.sleep(HEARD_S)
            told = {"refused": values["refused"], "robot": values["robot"]}
            self._kept["console_node"].child.tell(told)

    def _note(self, entry: dict[str, Any]) -> None:
        """An entry, unless a node that was started anew says what is known already."""
        assert self._hub is not None
        if entry["kind"] in ("state", "weight", "team", "estop"):
            what = entry["kind"], entry["robot"]
            if self._known.get(what) == entry["value"] and self._kept["console_node"].starts > 1:
                return
            self._known[what] = entry["value"]
        self._hub.happened(entry)

    def _look(self) -> None:
        signals = Signals(Path(self.about["flight"])) if "flight" in self.about else None
        while not self._ends.wait(LOOK_S):
            with self._lock:
                now = time.monotonic()
                for kept in self._kept.values():
                    kept.look(now)
                listening = self._kept["console_node"].child
            if self._heard_at and now - self._heard_at > HUNG_S and listening.running:
                self._heard_at = 0.0
                listening.signal(signal.SIGKILL)
            if signals is not None and listening.ready.is_set():
                for told in signals.new():
                    listening.tell(told)

    def stop_all(self) -> None:
        """By the node that listens, at once; and by one of its own, in case that one is dead."""
        with self._lock:
            first, listening = self._given_at is None, self._kept.get("console_node")
            self._given_at = time.monotonic() if self._given_at is None else self._given_at
        if listening is not None:
            with contextlib.suppress(OSError, ValueError):
                listening.child.tell({"estop": True})
        if first:
            self._keep("estop_node", self._found.take)

    def stopped(self) -> StopStatus:
        """By policies and drivers, as the stopping node hears them."""
        with self._lock:
            if self._given_at is None:
                return dict(NOT_GIVEN)
            seconds, stopping = time.monotonic() - self._given_at, self._kept.get("estop_node")
        robots = self._found.robots
        note = ""
        if stopping is None or not stopping.child.ready.is_set():
            note = "starting the node that says stop"
        elif not robots:
            note = "no robot is found; check domain and network, and stop them by hand"
        if stopping is not None and stopping.starts > 1:
            note = f"the node that says stop ended and was started {stopping.starts} times"
        return {
            "given": True,
            "seconds": round(seconds, 2),
            "robots": {robot: asdict(heard) for robot, heard in robots.items()},
            "confirmed": [robot for robot, heard in robots.items() if heard.confirmed],
            "note": note,
        }

    def inject(self, fault: FaultSpec) -> None:
        """By a fault node of its own; robots that do not allow faults ignore it."""
        if fault.kind not in self.kinds:
            raise ConfigError(
                f"{fault.kind} cannot be injected from here; crash, freeze and reboot are signals "
                "that the launcher gives (swarmhold fly --fault)"
            )
        kept = self._keep("fault_node", self._on_order, self._orders)
        if not kept.child.ready.wait(10.0):
            raise ConfigError("the node that injects did not start; see doctor")
        kept.child.tell(asdict(replace(fault, duration_s=min(fault.duration_s, FIELD_S))))

    def close(self) -> None:
        """End the nodes; what is stopped stays stopped."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        with self._lock:
            end_all([kept.child for kept in self._kept.values()])
        self._temporary.cleanup()
