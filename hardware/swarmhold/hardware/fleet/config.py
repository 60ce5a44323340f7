"""What a fleet is to be: bundle, roster, options, and what this host runs of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmhold.hardware.entity_budget import Entities
from swarmhold.hardware.fleet.file import Options
from swarmhold.hardware.fleet.hosts import Part


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

    @property
    def part(self) -> Part:
        """What is started here."""
        ranks = range(1 + self.standbys) if self.supervisor else ()
        return self.host or Part(tuple(range(self.robots)), tuple(ranks))

    def options_of(self, robot: int) -> Options:
        """What a robot has."""
        if self.each:
            return self.each[robot]
        return Options(
            reweight=self.reweight, entities=self.entities, allow_faults=self.allow_faults
        )
