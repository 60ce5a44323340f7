"""Twins of a recorded flight: from where it began, with noise; as it was, or had it been otherwise.

Robots that have failed say and do in a twin what they said and did in the recording, from their
failure on; all others decide anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import RobotController, Tick
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.hidden import nothing_hidden
from swarmhold.hardware.messages import HealthTable, Mode, SensorFrame
from swarmhold.hardware.report.motion import Motions
from swarmhold.hardware.shadow import Decision
from swarmhold.hardware.team_health import LocalOutput
from swarmhold.hardware.types import Float
from swarmhold.policies.forensics.case import Case
from swarmhold.sim.gap.flight import BEGIN_S, ClosedLoop

PLACE_M, HEADING_RAD, SENSED_M = 0.002, 0.01, 0.001  # noise of twins: start, and what they sense
LATE_S = 0.06  # most latency of a robot, which live loops have and the twin's has not
LEASE_S = 1.0


@dataclass(frozen=True, slots=True)
class Twin:
    """A simulated flight of N robots.

    Attributes:
        flown: its motions; times in s since the first set-point of the recording.
        decisions: of each robot, with their times.
    """

    flown: Motions
    decisions: tuple[tuple[tuple[float, Decision], ...], ...]


def first_command(case: Case) -> float:
    """S, when the team of a recording began to act: time 0 of its twins."""
    return float(min(motion.told_t[0] for motion in case.motions.robots if len(motion.told_t)))


def check_twins(case: Case, bundle: Bundle) -> None:
    """Refuse flights that have no twin.

    Raises:
        ConfigError: the bundle is for another scenario, or a robot was not there at the start.
    """
    info = case.motions.info
    if bundle.manifest.scenario != info.get("scenario"):
        raise ConfigError(
            f"{case.motions.folder} flew {info.get('scenario')}, the bundle is for "
            f"{bundle.manifest.scenario}; without twins: --twins 0"
        )
    late = [i for i, m in enumerate(case.motions.robots) if not len(m.t) or not len(m.told_t)]
    if late:
        raise ConfigError(
            f"{case.motions.folder}: robot {late[0]} never acted, so that there is no start to "
            "fly twins from; without them: --twins 0"
        )


def twin_of(
    case: Case,
    bundle: Bundle,
    number: int,
    failed: Mapping[int, float] | None = None,
    mask: tuple[int, float] | None = None,
    reweight: bool = True,
) -> Twin:
    """Fly one.

    Args:
        case: the recording.
        bundle: that flew.
        number: of the twin; 0 has no noise.
        failed: robots that do as recorded, and from when on (s); with them go the recorded
            tables of the supervisor.
        mask: robot whose weight is 0 in everybody's eyes, and from when on (s).
        reweight: False makes all weights 1.
    """
    loop = _Again(case, bundle, number, failed or {}, mask, reweight)
    flown = loop.fly(case.ended - first_command(case))
    return Twin(flown, tuple(tuple(one) for one in loop.decisions))


class _Masking(RobotController):
    """A robot that gives another one no weight, whatever it and the supervisor hold of it.

    Not by a table, whose authority ends where it condemns too many.
    """

    masked: int | None = None

    def _weights(self, local: LocalOutput) -> Float:
        weights = super()._weights(local)
        if self.masked is not None:
            weights = weights.copy()
            weights[self.masked] = 0.0
        return weights


class _Again(ClosedLoop):
    """The closed loop, with scripts for those that have failed."""

    controller = _Masking

    def __init__(
        self,
        case: Case,
        bundle: Bundle,
        number: int,
        failed: Mapping[int, float],
        mask: tuple[int, float] | None,
        reweight: bool,
    ) -> None:
        draw = np.random.default_rng([number, 41])
        scale = 0.0 if number == 0 else 1.0
        self._shift = first_command(case)
        place, yaw = _start(case, self._shift)
        place = place + scale * draw.normal(0.0, PLACE_M, place.shape)
        yaw = yaw + scale * draw.normal(0.0, HEADING_RAD, yaw.shape)
        seed = int(case.motions.info["seed"])
        hidden = nothing_hidden(case.n)
        hidden.latency[:] = scale * draw.uniform(0.0, LATE_S, case.n)
        super().__init__(bundle, case.n, seed, hidden, (place, yaw), reweight)
        self._draw, self._noise, self._case = draw, scale * SENSED_M, case
        self._failed, self._mask, self._reweight = failed, mask, reweight
        self._turn, self._acts = 0, False
        self.decisions: list[list[tuple[float, Decision]]] = [[] for _ in range(case.n)]

    def tick(self, elapsed: float) -> None:
        """Tables first, if there are any; robots begin to act from rest, as live ones do."""
        now = self._shift + elapsed
        if elapsed >= -1e-9 and not self._acts:
            self._acts = True
            for controller in self.team:
                controller.on_activate()
        table = self._table(now) if self._failed and self._reweight else None
        for controller in self.team:
            if table is not None:
                controller.on_table(table, BEGIN_S + elapsed)
            if self._mask is not None and now >= self._mask[1]:
                assert isinstance(controller, _Masking)
                controller.masked = self._mask[0]
        self.counted[[r for r, since in self._failed.items() if now >= since]] = False
        super().tick(elapsed)

    def _table(self, now: float) -> HealthTable | None:
        """What the supervisor said last in the recording."""
        told = [table for t, table in self._case.tables if t <= now]
        if not told:
            return None
        self._turn += 1
        return replace(told[-1], term=1, seq=self._turn, issuer="twin", lease_s=LEASE_S)

    def sensed(self, robot: int, frame: SensorFrame) -> SensorFrame:
        """With a little noise on its own place."""
        if not self._noise:
            return frame
        x, y, z = frame.position
        dx, dy = self._draw.normal(0.0, self._noise, 2).tolist()
        return replace(frame, position=(x + dx, y + dy, z))

    def answer(self, robot: int, tick: Tick, elapsed: float) -> None:
        """By itself, or as recorded."""
        now = self._shift + elapsed
        if now >= self._failed.get(robot, np.inf):
            self._as_recorded(robot, now, elapsed)
            return
        made, own = self.team[robot].decision, self.decisions[robot]
        if made is not None and (not own or own[-1][1] is not made) and elapsed >= 0.0:
            own.append((elapsed, made))
        super().answer(robot, tick, elapsed)

    def _as_recorded(self, robot: int, now: float, elapsed: float) -> None:
        period = 1.0 / self._bundle.spec.loop_hz
        self.sent += [state for t, state in self._case.said[robot] if now - period < t <= now]
        motion = self._case.motions.robots[robot]
        last = int(np.searchsorted(motion.told_t, now, side="right")) - 1
        if last >= 0 and now - motion.told_t[last] <= 2.0 * period:
            self.obey(robot, np.nan_to_num(motion.told[last]), int(Mode.ACTIVE), elapsed)


def _start(case: Case, at: float) -> tuple[Float, Float]:
    """Places (N, 2), m, and headings (N), rad, at a time."""
    robots = case.motions.robots
    first = [min(int(np.searchsorted(m.t, at)), len(m.t) - 1) for m in robots]
    place = np.array([m.position[k, :2] for m, k in zip(robots, first, strict=True)])
    return place, np.array([m.yaw[k] for m, k in zip(robots, first, strict=True)])
