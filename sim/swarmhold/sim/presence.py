"""Who is there when: robots that join a running episode, and robots that leave it.

A robot that is not there is no broken one: it is parked away from everything, neither sends nor
senses, and counts for nothing, like those beyond the size of a smaller team.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Bool, Float

ROUND_OFF = 1e-9  # s


class PresenceStage:
    """Times at which the robots of E teams of up to N come and go.

    Attributes:
        members: (E, N) robots of the teams, there or not.
        changes: whether anybody comes or goes during an episode.
    """

    def __init__(self, n_envs: int, n_robots: int) -> None:
        """Everybody is there, always."""
        self.members = np.ones((n_envs, n_robots), bool)
        self.changes = False
        self._join = np.full((n_envs, n_robots), -np.inf)
        self._leave = np.full((n_envs, n_robots), np.inf)

    def load(self, plan: ArrayLike | None, sizes: Float, chosen: Bool) -> None:
        """Replace what some environments have.

        Args:
            plan: (E, N, 2) s after the start at which each robot joins and leaves; up to 0 and
                infinity for one that is there all the time. None: all robots of the teams are.
            sizes: (E) robots of the teams; what the plan says of others is ignored.
            chosen: (E) environments to replace it in.

        Raises:
            ConfigError: the plan has another shape, or a robot leaves before it has joined.
        """
        shape = self.members.shape
        times = np.broadcast_to([-np.inf, np.inf], (*shape, 2)) if plan is None else plan
        times = np.asarray(times, float)
        if times.shape != (*shape, 2):
            raise ConfigError(
                f"the plan of presence has shape {times.shape}; {(*shape, 2)} is needed: "
                "teams, robots, and when each joins and leaves, s"
            )
        members = np.arange(shape[1]) < sizes[:, None]
        wrong = ~(times[..., 0] < times[..., 1]) & members & chosen[:, None]
        if wrong.any():
            env, robot = (int(index[0]) for index in np.nonzero(wrong))
            join, leave = times[env, robot]
            raise ConfigError(
                f"robot {robot} of team {env} joins at {join:g} s and leaves at {leave:g} s; "
                "it has to join before it leaves"
            )
        use = chosen[:, None]
        self.members = np.where(use, members, self.members)
        self._join = np.where(use, times[..., 0], self._join)
        self._leave = np.where(use, times[..., 1], self._leave)
        rest = (self._join <= 0.0) & np.isposinf(self._leave)
        self.changes = bool((self.members & ~rest).any())

    def now(self, time_s: Float) -> Bool:
        """(E, N) robots that are there, (E) s after the start."""
        now = time_s[:, None] + ROUND_OFF
        return self.members & (self._join <= now) & (now < self._leave)
