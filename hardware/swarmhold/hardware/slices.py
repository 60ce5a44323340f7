"""A team's joint policy, cut into one graph per robot, and who must be heard by whom.

Each graph takes `own_obs (B, Do)`, `remote_obs (B, R)` (what is heard of each source, in the order
of `subscribe`), `remote_valid (B, S)` (one bit per source) and gives `action (B, Da)`; an input of
width 0 is padded to 1. What is not valid is zero: that is the fallback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from swarmhold.hardware.errors import BundleError, SpecMismatchError
from swarmhold.hardware.spec import PolicySpec

SLICE_NAMES = (("own_obs", "remote_obs", "remote_valid"), ("action",))
SLICE_REQUIRED = ("parity.json", "model_card.md")


class Source(BaseModel):
    """Whom a robot must hear."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    robot: int = Field(ge=0)
    """Roster index."""
    topic: Literal["state"] = "state"
    """Below the robot's namespace."""
    indices: tuple[int, ...]
    """Components of the teammate token that are used; none: only whether it is heard."""
    max_age_ms: float = Field(gt=0)
    """Older messages are not valid."""


class Slice(BaseModel):
    """One robot's part of the joint policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    robot: int = Field(ge=0)
    """Roster index."""
    file: str
    """Its graph, a file of the bundle."""
    golden: str
    """Its golden vectors, a file of the bundle."""
    subscribe: tuple[Source, ...]
    """Whom it must hear, in roster order."""
    publish: tuple[int, ...]
    """Components of the teammate token that anybody uses of it; none: nobody needs it."""
    fallback: Literal["zero+invalid"] = "zero+invalid"
    """What stands for a message that is missing."""
    slice_hash: str
    """sha256 of the graph."""

    @property
    def hears(self) -> tuple[int, ...]:
        """Roster indices of its sources."""
        return tuple(source.robot for source in self.subscribe)


class SlicePlan(BaseModel):
    """All slices of a joint policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    joint_hash: str
    """sha256 of the joint network's weights."""
    own: tuple[int, ...]
    """Components of the self token that robots know of themselves."""
    slices: tuple[Slice, ...] = Field(min_length=2)
    """In roster order."""

    @property
    def edges(self) -> list[tuple[int, int]]:
        """(receiver, sender) of every flow of states that the policy needs."""
        return [(part.robot, sender) for part in self.slices for sender in part.hears]

    def dependants(self, robot: int) -> list[int]:
        """Who must hear a robot."""
        return [receiver for receiver, sender in self.edges if sender == robot]

    @property
    def groups(self) -> list[set[int]]:
        """Robots between which there is a way of flows, in whatever direction."""
        found: list[set[int]] = [{part.robot} for part in self.slices]
        for pair in self.edges:
            joined = set().union(*(group for group in found if group & set(pair)))
            found = [group for group in found if not group & joined] + [joined]
        return found

    @property
    def files(self) -> tuple[str, ...]:
        """Files that it needs of the bundle."""
        return tuple(name for part in self.slices for name in (part.file, part.golden))


@dataclass(frozen=True, slots=True)
class Widths:
    """Of a slice's inputs, as they are in the graph."""

    own: int
    remote: int
    sources: int


def widths_of(plan: SlicePlan, robot: int) -> Widths:
    """What the manifest says of a slice's inputs."""
    heard = [len(source.indices) for source in plan.slices[robot].subscribe]
    return Widths(max(len(plan.own), 1), max(sum(heard), 1), max(len(heard), 1))


def check_plan(plan: SlicePlan, spec: PolicySpec, path: Path) -> None:
    """Whether a plan makes sense for a robot class.

    Raises:
        BundleError: it does not; the message names the slice.
    """
    n = len(plan.slices)
    if any(not 0 <= index < spec.self_size for index in plan.own):
        raise BundleError(f"{path}: slices use values that no self token has; export again")
    for robot, part in enumerate(plan.slices):
        hears = part.hears
        if part.robot != robot or list(hears) != sorted({*hears} - {robot}):
            raise BundleError(f"{path}: slice {robot} is out of order; export again")
        indices = [index for source in part.subscribe for index in source.indices]
        if any(sender >= n for sender in hears) or any(
            not 0 <= index < spec.team_size for index in indices
        ):
            raise BundleError(f"{path}: slice {robot} hears what there is not; export again")


def load_slices(
    plan: SlicePlan,
    spec: PolicySpec,
    contents: Mapping[str, bytes],
    load: Callable[[bytes, Path], Any],
    path: Path,
) -> tuple[Any, ...]:
    """Sessions of all slices, in roster order.

    Args:
        plan: of the manifest.
        spec: contract of its robots.
        contents: files of the bundle.
        load: makes a session of a graph.
        path: of the bundle, for messages.

    Raises:
        BundleError: the plan makes no sense, or a graph is not the one of the manifest.
    """
    check_plan(plan, spec, path)
    sessions = []
    for robot, part in enumerate(plan.slices):
        if hashlib.sha256(contents[part.file]).hexdigest() != part.slice_hash:
            raise BundleError(f"{path}: {part.file} is not slice {robot}; export again")
        session = load(contents[part.file], path)
        widths = widths_of(plan, robot)
        wanted = dict(zip(SLICE_NAMES[0], (widths.own, widths.remote, widths.sources), strict=True))
        inputs = {item.name: item.shape[-1] for item in session.get_inputs()}
        if inputs != wanted:
            raise SpecMismatchError(
                f"{path}: {part.file} has inputs {inputs}, the manifest says {wanted}"
            )
        sessions.append(session)
    return tuple(sessions)
