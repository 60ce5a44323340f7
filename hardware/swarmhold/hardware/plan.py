"""The fault plan: what is broken when, in simulation, in the ROS 2 graph and on robots alike.

A plan is a YAML file; docs/faults.md has an example, `swarmhold faults plan --schema` its JSON
schema. What is drawn (onsets, targets) is drawn from the plan's seed, so that every world gets
the same list of faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from swarmhold.hardware.cli.config import mapping_of, read_mapping
from swarmhold.hardware.errors import ConfigError, hint
from swarmhold.hardware.faults import FIELD_S, KINDS, FaultSpec, FaultType, FaultUnit
from swarmhold.hardware.messages import MOST_ROBOTS

SETTLES_S = 20.0  # s after a fault in which a robot is spared the next one, if another can have it
KIND_OF = {(unit, how): kind for kind, (unit, how) in KINDS.items()}
_STRICT = ConfigDict(extra="forbid", frozen=True)
_Time = Annotated[float, Field(ge=0.0, le=3600.0)]


class Event(BaseModel):
    """One fault of one robot."""

    model_config = _STRICT

    unit: FaultUnit
    """What fails."""
    type: FaultType
    """How it fails."""
    target: Annotated[int, Field(ge=0, lt=MOST_ROBOTS)] | Literal["any"] = "any"
    """Roster index, or any: one of those that were broken the fewest times."""
    at_s: _Time | tuple[_Time, _Time]
    """Onset, s after the team has begun to act; of two, any time between them."""
    duration_s: Annotated[float, Field(gt=0.0, le=FIELD_S)]
    """S until it is over."""
    severity: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the largest effect."""

    @field_validator("type", mode="before")
    @classmethod
    def _unquoted(cls, value: Any) -> Any:
        """YAML takes a bare off for false."""
        return FaultType.OFF if value is False else value

    @model_validator(mode="after")
    def _makes_sense(self) -> Event:
        if (self.unit, self.type) not in KIND_OF:
            known = [how.value for unit, how in KIND_OF if unit is self.unit]
            raise ValueError(f"{self.unit.value} fails as {' or '.join(known)}")
        if isinstance(self.at_s, tuple) and self.at_s[0] > self.at_s[1]:
            raise ValueError(f"at_s runs from {self.at_s[0]:g} back to {self.at_s[1]:g}")
        return self

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""
        return KIND_OF[self.unit, self.type]


class Limits(BaseModel):
    """How far a plan may reach: its blast radius."""

    model_config = _STRICT

    at_once: Annotated[int, Field(ge=1)] = 1
    """Most robots that are broken at the same time."""
    robots: Annotated[int, Field(ge=1)] | None = None
    """Most robots that are broken in all; None: as many as there are."""


class Abort(BaseModel):
    """When no further fault is injected, those that act are ended, and the team is stopped."""

    model_config = _STRICT

    contacts: Annotated[int, Field(ge=1)] | None = 1
    """So many robots that touched something; None: however many."""
    outside_m: Annotated[float, Field(ge=0.0)] | None = 0.1
    """M by which a robot is beyond the fence; None: however far."""
    out: Annotated[int, Field(ge=1)] | None = None
    """So many robots taken out of the team at once; None: however many."""


class FaultPlan(BaseModel):
    """A checked plan."""

    model_config = _STRICT

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    """Of reports and folders."""
    robots: Annotated[int, Field(ge=3, le=MOST_ROBOTS)]
    """Team size."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of all that is drawn."""
    rest_s: Annotated[float, Field(ge=1.0, le=120.0)] = 10.0
    """S for which the team flies on after the last fault is over."""
    limits: Limits = Limits()
    """Blast radius."""
    abort: Abort = Abort()
    """Abort criteria."""
    faults: Annotated[tuple[Event, ...], Field(min_length=1, max_length=200)]
    """What is broken."""

    def faults_drawn(self) -> tuple[FaultSpec, ...]:
        """All faults, by onset, with everything drawn that the plan leaves open.

        Raises:
            ConfigError: they reach farther than the plan's own limits.
        """
        rng = np.random.default_rng([self.seed, 29])
        timed = [(_onset(event, rng), index) for index, event in enumerate(self.faults)]
        drawn: list[FaultSpec] = []
        for start, index in sorted(timed):
            event = self.faults[index]
            robot = event.target if event.target != "any" else self._pick(drawn, start, rng)
            seed = int(rng.integers(2**31))
            drawn.append(
                FaultSpec(event.kind, robot, start, event.duration_s, event.severity, seed)
            )
            self._check(drawn, index)
        return tuple(drawn)

    @property
    def length_s(self) -> float:
        """S that the plan takes."""
        return max(fault.end_s for fault in self.faults_drawn()) + self.rest_s

    def _pick(self, drawn: Sequence[FaultSpec], now: float, rng: np.random.Generator) -> int:
        """Somebody whole, of those that were broken the fewest times, and not just now."""
        times = np.bincount([fault.robot for fault in drawn], minlength=self.robots).astype(float)
        times[[fault.robot for fault in drawn if now < fault.end_s + SETTLES_S]] += 0.5
        times[[fault.robot for fault in drawn if fault.active(now)]] = np.inf
        most = self.limits.robots
        if most is not None and len({fault.robot for fault in drawn}) >= most:
            times[[robot for robot in range(self.robots) if times[robot] == 0]] = np.inf
        return int(rng.choice(np.flatnonzero(times == times.min())))

    def _check(self, drawn: Sequence[FaultSpec], index: int) -> None:
        fault, where = drawn[-1], f"faults.{index}"
        if fault.robot >= self.robots:
            raise ConfigError(f"{where}.target is {fault.robot}; the team has {self.robots} robots")
        now = {other.robot for other in drawn if other.active(fault.start_s)}
        if len(now) > self.limits.at_once:
            raise ConfigError(
                f"{where} begins at {fault.start_s:g} s, when {len(now)} robots are broken; "
                f"limits.at_once is {self.limits.at_once}: move it, or raise the limit"
            )
        same = [other for other in drawn[:-1] if other.robot == fault.robot]
        if any(other.active(fault.start_s) for other in same):
            raise ConfigError(
                f"{where} begins at {fault.start_s:g} s, while robot {fault.robot} is still "
                "broken; one fault of a robot at a time"
            )
        reached = {other.robot for other in drawn}
        if self.limits.robots is not None and len(reached) > self.limits.robots:
            raise ConfigError(
                f"{where} breaks robot {len(reached)} of the team; limits.robots is "
                f"{self.limits.robots}: name one that was broken before, or raise the limit"
            )


def _onset(event: Event, rng: np.random.Generator) -> float:
    if isinstance(event.at_s, tuple):
        return round(float(rng.uniform(*event.at_s)), 2)
    return event.at_s


def load_plan(path: Path) -> FaultPlan:
    """Read a plan, and check all of it.

    Raises:
        ConfigError: something in it is wrong; the message names the key.
    """
    return _checked(read_mapping(path), str(path))


def parse_plan(text: str, where: str = "plan") -> FaultPlan:
    """The same of a text that stood somewhere."""
    return _checked(mapping_of(text, where), where)


def _checked(values: dict[Any, Any], where: str) -> FaultPlan:
    try:
        plan = FaultPlan.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first(error)}") from error
    try:
        plan.faults_drawn()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return plan


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, with its place and what would be right."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {"faults": Event, "limits": Limits, "abort": Abort}
        inner = len(found["loc"]) > 1
        kind = models.get(str(found["loc"][0]), FaultPlan) if inner else FaultPlan
        return f"unknown key {place!r}; {hint(str(found['loc'][-1]), list(kind.model_fields))}"
    return f"{place}: {found['msg'].removeprefix('Value error, ')}"
