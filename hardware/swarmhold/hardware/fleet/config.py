"""What a live fleet is started with, and what it shows of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.hosts import Part
from swarmhold.hardware.network.air import Air
from swarmhold.hardware.shipped import located


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
        around_s: record only around events, from so many s before each; 0: the whole flight.
        allow_faults: whether nodes obey fault commands.
        absent: robots that are not started; they may join later.
        shadow: bundle that looks on in every robot, and is never obeyed.
        spares: bodies in the world beyond the roster, which can take a lost robot's place.
        each: what every robot has of its own, in roster order; none: what is said above.
        host: what this host runs of it; None: everything.
        wait_s: s that hosts wait for each other.
        security: SROS 2 keystore, without which no process joins; None: everybody may.
        processes: for the policy nodes, robots that share one are composed; None: as many as this
            machine bears, see `fleet.compose`.
        alone: robots with a process of their own, which alone can be killed, stopped and started.
        arm: whether robots with links are armed; without, they sense and decide, and nothing moves.
        hardware: whether links may lead to real robots.
        faults_token: file with the token that fault commands must be signed with; None: one is made
            for the flight where robots are simulated.
        operator_token: file with the token that they are signed with; None: the same.
        hidden: what simulated robots have that nobody knows of, see `parse_hidden`.
        air: hosts that its processes are spread over, each robot on its own; None: all are here.
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
    around_s: int = 0
    allow_faults: bool = False
    absent: tuple[int, ...] = ()
    shadow: Path | None = None
    spares: int = 0
    each: tuple[Options, ...] = ()
    host: Part | None = None
    wait_s: float = 0.0
    security: Path | None = None
    processes: int | None = None
    alone: tuple[int, ...] = ()
    arm: bool = False
    hardware: bool = False
    faults_token: Path | None = None
    operator_token: Path | None = None
    hidden: tuple[str, ...] = ()
    air: Air | None = None

    @property
    def linked(self) -> bool:
        """Whether drivers stand for the robots, and no simulated world."""
        return any(options.link for options in self.each)

    @property
    def part(self) -> Part:
        """What is started here."""
        ranks = range(1 + self.standbys) if self.supervisor else ()
        return self.host or Part(tuple(range(self.robots)), tuple(ranks))

    @property
    def apart(self) -> bool:
        """Whether every robot has a process of its own: for enclave or host, or to be replaced."""
        return self.security is not None or self.spares > 0 or self.air is not None

    def about(self) -> dict[str, Any]:
        """What the flight's events begin with."""
        return {
            "bundle": str(self.bundle),
            "robots": self.robots,
            "seed": self.seed,
            "reweight": self.reweight,
            "entities": self.entities,
            "supervisor": self.supervisor,
            "standbys": self.standbys,
            "absent": self.absent,
            "host": self.part.host,
            "entrance": None if self.air is None else self.air.entrance,
            "spares": self.spares,
            "hidden": self.hidden,
            "linked": self.linked,
            "shadow": None if self.shadow is None else str(self.shadow),
        }

    def parameters_of(self, robot: int) -> dict[str, Any]:
        """What a robot's policy node is told beside what to fly."""
        own = self.options_of(robot).model_dump(exclude={"host", "link", "name", "type"})
        shadow = {} if self.shadow is None else {"shadow": str(located(self.shadow).resolve())}
        token = {"faults_token": str(self.faults_token)} if own["allow_faults"] else {}
        return {"robot": robot, "team_size": self.robots, **own, **token, **shadow}

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
        real: whether any robot is hardware.
    """

    table: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    real: bool = False
