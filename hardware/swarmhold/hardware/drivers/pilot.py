"""What a driver does with a flier between two words from its policy: climb, fly, come down, let go.

Pure: time and height come in as arguments. One rule stands above all: who is down stays down until
a person arms it anew, whatever commands arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.messages import Command, Mode
from swarmhold.hardware.safety import SafetyConfig

CLIMB_MPS = 0.5
DESCENT_MPS = 0.3  # at least; as fast as it takes to be down before the watchdog stops the motors
SETTLED_M = 0.1  # below its height at which a climb counts as done
SUNK, SUNK_S = 0.3, 0.5  # share of its height, and s below it, that mean a fall
LONGEST_STEP_S = 0.2


class Phase(Enum):
    """Where a flight stands."""

    GROUND = "ground"  # motors off, may be armed
    CLIMB = "climb"
    FLY = "fly"
    DOWN = "down"  # motors off, until the driver is started anew
    GONE = "gone"  # somebody else flies it


@dataclass(frozen=True, slots=True)
class Wish:
    """What to ask of the on-board controller.

    Attributes:
        velocity: (2) m/s, yaw frame.
        height: m.
        motors: whether they are to turn.
    """

    velocity: tuple[float, float]
    height: float
    motors: bool


REST = Wish((0.0, 0.0), 0.0, False)


class Pilot:
    """One flier's."""

    def __init__(self, limits: SafetyConfig, height: float) -> None:
        """On the ground.

        Args:
            limits: bounds of set-points, and how old a command may be in which stage.
            height: m, at which it flies.
        """
        self._limits, self.height = limits, height
        self._watchdog = Watchdog(limits)
        self.phase = Phase.GROUND
        self._velocity = (0.0, 0.0)
        self._goal, self._stepped_at = 0.0, -float("inf")
        self._sunk_since: float | None = None
        self._flew = False

    @property
    def stopped(self) -> bool:
        """Whether only a new start of the driver lets it move again."""
        return self._watchdog.stopped

    @property
    def grounded(self) -> bool:
        """Whether it has flown, is down, and does as no policy says until a person arms it."""
        return self.stopped or (self._flew and self.phase is Phase.GROUND)

    @property
    def airborne(self) -> bool:
        """Whether it is on its way up, or up."""
        return self.phase in (Phase.CLIMB, Phase.FLY)

    def take_off(self, height: float, now: float) -> None:
        """Climb from `height` (m); does nothing once it is stopped."""
        if not self._watchdog.stopped and not self.airborne:
            self.phase, self._goal, self._stepped_at = Phase.CLIMB, height, now
            self._sunk_since, self._flew = None, True
            self._watchdog.hear(Mode.HOLD, now)

    def command(self, command: Command, now: float) -> Command:
        """A command has come; returns what is really applied."""
        self._watchdog.hear(command.mode, now)
        mode = self._watchdog.stage(now)
        bound = np.asarray(self._limits.bound)
        wanted = np.nan_to_num(np.asarray(command.action, float), nan=0.0)
        if self.phase is not Phase.FLY:
            mode = max(mode, Mode.HOLD)
        applied = np.clip(wanted, -bound, bound) * (mode is Mode.ACTIVE)
        self._velocity = (float(applied[0]), float(applied[1]))
        return Command(command.stamp, self._velocity, mode)

    def ask(self, mode: Mode, now: float) -> None:
        """Somebody wants it to hold, to land or to stop, without a set-point."""
        self._watchdog.hear(mode, now)

    def fell(self) -> None:
        """It lies on the ground, or must be taken for it: motors off for good."""
        self._watchdog.stop()
        self.phase = Phase.DOWN

    def let_go(self) -> None:
        """Somebody else flies it now: send nothing any more."""
        self._watchdog.stop()
        self.phase = Phase.GONE

    def step(self, height: float, now: float) -> Wish:
        """What to ask for now.

        Args:
            height: m, where it is.
            now: s, monotonic.
        """
        step = min(now - self._stepped_at, LONGEST_STEP_S)
        self._stepped_at = now
        if self.phase is Phase.CLIMB:
            self._watchdog.hear(Mode.HOLD, now)
        stage = self._watchdog.stage(now)
        if stage is Mode.STOP and self.phase is not Phase.GONE:
            self.phase = Phase.DOWN if self._watchdog.stopped else Phase.GROUND
        if not self.airborne:
            return REST
        if stage is Mode.LAND:
            return self._come_down(height, step)
        if self._has_sunk(height, now):
            self.fell()
            return REST
        self._goal = min(self._goal + CLIMB_MPS * step, self.height)
        if self.phase is Phase.CLIMB and height >= self.height - SETTLED_M:
            self.phase = Phase.FLY
        acts = stage is Mode.ACTIVE and self.phase is Phase.FLY
        return Wish(self._velocity if acts else (0.0, 0.0), self._goal, True)

    def _come_down(self, height: float, step: float) -> Wish:
        longest = 0.8 * (self._limits.stop_s - self._limits.land_s)
        self._goal -= max(DESCENT_MPS, self.height / longest) * step
        if self._goal < 0.0 and height < SETTLED_M + 0.05:
            self.phase = Phase.GROUND
            return REST
        return Wish((0.0, 0.0), max(self._goal, 0.0), True)

    def _has_sunk(self, height: float, now: float) -> bool:
        """Whether it has been far below where it should be for a while."""
        if height > SUNK * self._goal or self._goal < SETTLED_M:
            self._sunk_since = None
        elif self._sunk_since is None:
            self._sunk_since = now
        allowed = SUNK_S if self.phase is Phase.FLY else 2.0
        return self._sunk_since is not None and now - self._sunk_since > allowed
