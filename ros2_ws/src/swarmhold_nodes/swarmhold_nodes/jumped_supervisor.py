"""A supervisor in a process whose wall clock jumps; for drills only."""

from __future__ import annotations

import sys
import time

from rclpy.context import Context

from swarmhold.hardware.drills import JUMP_S
from swarmhold.hardware.injection.gate import need_build
from swarmhold.hardware.parameters import JumpedParameters
from swarmhold_nodes.runtime import run, say
from swarmhold_nodes.supervisor_node import SupervisorNode


class JumpedSupervisor(SupervisorNode):
    """The same in all but the time of day."""

    PARAMETERS = JumpedParameters

    def __init__(self, context: Context) -> None:
        """Its clock is right until `jump_after_s` have passed."""
        need_build()
        super().__init__(context)
        after, honest = self.told.jump_after_s, time.time
        jumps_at = time.monotonic() + after
        time.time = lambda: honest() + JUMP_S * (time.monotonic() >= jumps_at)
        self._timer = self.create_timer(after, self._say_so)

    def _say_so(self) -> None:
        say("jumped")
        self._timer.cancel()


def main() -> int:
    """Entry point."""
    return run(JumpedSupervisor)


if __name__ == "__main__":
    sys.exit(main())
