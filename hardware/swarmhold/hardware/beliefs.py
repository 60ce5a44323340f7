"""What one receiver remembers of the team's messages, as arrays over the roster."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.messages import Mode, RobotState, later
from swarmhold.hardware.monitor import BITS, MonitorInput
from swarmhold.hardware.sanity import Said
from swarmhold.hardware.types import REACH, Bool, Float, Int, Kinematics

STALL_S = 0.15  # s between two looks, from which on the receiver itself was held up
FORGOTTEN_S = 10.0  # s without any message, after which it no longer matters what the last one was
MOST_EXCUSED_S = 0.5  # s of somebody's silence that the receiver's own stalls may explain


class Beliefs:
    """Last message of every robot, with receipt times of the receiver's own clock."""

    def __init__(self, n: int, bundle: int = 0, heeded: Bool | None = None) -> None:
        """Nothing heard yet from anybody.

        Args:
            n: robots in the roster.
            bundle: what they should fly; 0: any.
            heeded: (N) those who are listened to, so that only their silence is one; None: all.
        """
        self._n = n
        self._heeded = np.ones(n, bool) if heeded is None else heeded
        self._heard_at = np.full(n, -np.inf)
        self._moved_at = np.full(n, -np.inf)
        self._boot_id = np.zeros(n)
        self._seq, self._control_seq = [-1] * n, [-1] * n
        self._other_boot = np.zeros(n)  # another one heard since the last look, 0 for none
        self._shown_boot = np.zeros(n)  # at the last look
        self._numbers = np.zeros((n, 9))  # one row per message, for it is written at once
        self._position, self._velocity = self._numbers[:, :3], self._numbers[:, 3:6]
        self._yaw, self._yaw_rate = self._numbers[:, 6], self._numbers[:, 7]
        self._stamp = self._numbers[:, 8]
        self._stamp[:] = np.nan
        self._alien = np.zeros(n, bool)
        self._bundle = bundle
        self._fresh = np.zeros(n, bool)
        self._working, self._stopped = np.zeros(n, bool), np.zeros(n, bool)
        self._excused = np.zeros(n)  # s of the silence in which the receiver did not listen
        self._looked_at = np.nan
        self._expected_at = np.nan  # s, since when everybody should be heard
        self._accusations = np.zeros((n, n), BITS)

    def hear(self, state: RobotState, now: float) -> None:
        """Take in one message; anything malformed is remembered as corrupt, never raised.

        One that was sent before the last one heard comes too late, or again, and is dropped.

        Args:
            state: the message.
            now: s, receiver's monotonic clock.
        """
        robot = state.robot
        if not (0 <= robot < self._n and self._heeded[robot]):
            return
        rebooted = state.boot_id != self._boot_id[robot]
        silent = now - self._heard_at[robot]
        if not (rebooted or silent > FORGOTTEN_S or later(state.seq, int(self._seq[robot]))):
            return
        if rebooted and self._fresh[robot]:
            self._other_boot[robot] = self._boot_id[robot]
        if rebooted or later(state.control_seq, int(self._control_seq[robot])):
            self._moved_at[robot] = now
            self._control_seq[robot] = state.control_seq
        self._heard_at[robot], self._boot_id[robot] = now, state.boot_id
        self._seq[robot] = state.seq
        self._excused[robot] = 0.0
        moving = (*state.position, *state.velocity, state.yaw, state.yaw_rate)
        self._numbers[robot] = (*moving, state.stamp)
        self._alien[robot] = self._bundle not in (0, state.bundle)
        self._fresh[robot], self._working[robot] = True, state.mode == Mode.ACTIVE
        self._stopped[robot] = state.mode == Mode.STOP
        if len(state.accusations) == 2 * self._n:
            self._accusations[robot] = np.frombuffer(state.accusations, "<u2")

    def expect(self, now: float) -> None:
        """From `now` (s) on a robot that was never heard is missed like one that fell silent."""
        self._expected_at = now

    def age(self, now: float) -> Float:
        """(N) s since each robot was heard; infinity if never."""
        return now - self._heard_at

    @property
    def accusations(self) -> Int:
        """(N, N) accusations last heard, observer x subject."""
        return self._accusations

    @property
    def positions(self) -> Float:
        """(N, 3) m, claimed positions as received."""
        return self._position

    @property
    def working(self) -> Bool:
        """(N) robots that said last that they act on their policy."""
        return self._working

    @property
    def stopped(self) -> Bool:
        """(N) robots that said last that they are stopped for good: they work with nobody."""
        return self._stopped

    def teammates(self, index: Int) -> Kinematics:
        """Beliefs about some robots, for the observation.

        Args:
            index: (M) roster indices.
        """
        return Kinematics(
            self._position[index],
            self._velocity[index],
            self._yaw[index],
            self._yaw_rate[index],
        )

    def evidence(self, sensed: Float, now: float) -> MonitorInput:
        """Inputs of the monitors; marks all messages as no longer fresh.

        A receiver that was held up itself heard nobody in that time, which is nobody's silence.
        Of two senders under one name, heard since the last look, each is shown in turn.

        Args:
            sensed: (N, 3) m, positions by own sensing, NaN where not seen.
            now: s, monotonic.
        """
        age = self.age(now)
        stall = now - self._looked_at
        if stall > STALL_S:
            self._excused = np.minimum(self._excused + np.minimum(stall, age), MOST_EXCUSED_S)
        self._looked_at = now
        late = np.where(np.isfinite(age), age, 0.0)[:, None]
        fresh: Bool = self._fresh.copy()
        self._fresh[:] = False
        two = (self._other_boot > 0) & (self._boot_id == self._shown_boot)
        self._shown_boot = np.where(two, self._other_boot, self._boot_id)
        self._other_boot[:] = 0.0
        said = Said(
            *(self._position.copy(), self._velocity.copy(), self._stamp.copy()),
            *(self._heard_at.copy(), self._shown_boot, fresh),
        )
        missing = np.isinf(age) & np.isfinite(self._expected_at) & self._heeded
        age = np.where(missing, now - self._expected_at, age)
        stuck = np.where(missing, 0.0, now - self._moved_at)
        return MonitorInput(
            age=age - self._excused,
            control_age=stuck - self._excused,
            claimed=self._position + self._velocity * late,
            sensed=sensed,
            corrupt=np.asarray(~(np.abs(self._numbers[:, :8]) < REACH).all(axis=-1)),
            alien=self._alien.copy(),
            said=said,
        )
