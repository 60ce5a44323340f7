"""The last line of safety, in the driver: what a robot does that nobody commands any more.

It needs nobody: a policy process that was killed or stopped, a cut link or an emergency stop that
reached the driver alone all bring the robot to rest.
"""

from __future__ import annotations

from swarmhold.hardware.messages import Mode
from swarmhold.hardware.safety import SafetyConfig, staged_mode


class Watchdog:
    """One robot's: hold, land and stop as commands stay away, and a stop that is latched."""

    def __init__(self, config: SafetyConfig) -> None:
        """Args: how old a command may be in which stage."""
        self._config = config
        self._heard_at, self._asked, self._stopped = -float("inf"), Mode.STOP, False

    @property
    def heard(self) -> bool:
        """Whether there ever was a command."""
        return self._heard_at > -float("inf")

    @property
    def stopped(self) -> bool:
        """Whether it was stopped for good."""
        return self._stopped

    def anew(self) -> Watchdog:
        """That of another body with the same limits; one that was stopped stays stopped."""
        other = Watchdog(self._config)
        other._stopped = self._stopped
        return other

    def hear(self, mode: int, now: float) -> None:
        """A command has come.

        Args:
            mode: `Mode` that it asks for; a stop stays, whatever comes after it.
            now: s, driver's monotonic clock.
        """
        self._heard_at, self._asked = now, Mode(mode)
        self._stopped |= mode == Mode.STOP

    def stop(self) -> None:
        """Stop for good; only a new start of the driver releases it."""
        self._stopped = True

    def stage(self, now: float) -> Mode:
        """What to do at `now` (s): the most urgent of what was asked for and what silence asks."""
        if self._stopped:
            return Mode.STOP
        return max(self._asked, staged_mode(self._config, now - self._heard_at))
