"""A team's own code over its bodies on one clock: what live nodes run, without the middleware."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from swarmhold.hardware.bundle import Bundle
from swarmhold.hardware.controller import ControllerConfig, RobotController
from swarmhold.hardware.drivers.watchdog import Watchdog
from swarmhold.hardware.messages import Mode
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.safety import safety_config
from swarmhold.sim.world import World


class Lockstep:
    """Controllers, drivers' watchdogs and bodies of N robots; what they tell each other is yours.

    Attributes:
        robots: (N) controllers.
        world: their bodies.
        goal: (N, Da) set-points that were commanded last.
        period: s, of a turn of all loops.
    """

    def __init__(
        self,
        bundle: Bundle,
        policy: OnnxPolicy,
        world: World,
        reweight: bool = True,
        controller: type[RobotController] = RobotController,
    ) -> None:
        """Place a team's code.

        Args:
            bundle: what flies.
            policy: the same, opened.
            world: the bodies.
            reweight: whether robots heed health at all.
            controller: what each robot runs.
        """
        spec, n = bundle.spec, world.n_robots
        self.world, self.period, self._owed = world, 1.0 / spec.loop_hz, 0.0
        self._task = world.task
        config = [ControllerConfig(i, n, spec.loop_hz, i + 1, reweight) for i in range(n)]
        self.robots = [controller(policy, self._task, own) for own in config]
        limits = safety_config(spec, world.half_width)
        self._watchdogs = [Watchdog(limits) for _ in range(n)]
        self.goal = np.zeros((n, spec.action_size))

    def command(self, robot: int, action: ArrayLike, mode: int, now: float) -> None:
        """What a robot's driver is told, at `now` (s)."""
        self.goal[robot] = action
        self._watchdogs[robot].hear(mode, now)

    def advance(self, now: float) -> bool:
        """Move the bodies by a period, in whole physics steps; what is over is owed.

        Returns:
            Whether the task became another one, which robots have been told.
        """
        idle = np.array([dog.stage(now) is not Mode.ACTIVE for dog in self._watchdogs])
        self._owed += self.period
        whole = int(self._owed / self.world.tick + 1e-6) * self.world.tick
        self._owed -= whole
        self.world.advance(whole, self.goal, idle)
        news = self.world.task != self._task
        if news:
            self._task = self.world.task
            for robot in self.robots:
                robot.on_task(self._task)
        return news
