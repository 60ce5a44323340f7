"""A radio that is dead, cut off, lossy, late, out of order; and senders that lie or double."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from swarmhold.hardware.controller import addressed
from swarmhold.hardware.faults import BEHIND_S, JITTER
from swarmhold.hardware.injection.schedule import Acting, Kinds
from swarmhold.hardware.injection.spells import Spells
from swarmhold.hardware.messages import SUPERVISOR, RobotState

GHOST = 0xFFFF_FFFF  # boot id of a second sender under the same name
CONGESTED_S = 1.0  # s, correlation time of a delay
_NOWHERE = (float("nan"),) * 3


class Queue:
    """A congested channel: messages keep their order, and their delay comes and goes slowly."""

    def __init__(self) -> None:
        """Empty."""
        self._waiting: list[tuple[float, RobotState]] = []
        self._level, self._last = 0.0, -np.inf

    def through(
        self, messages: list[RobotState], delay: Acting | None, now: float
    ) -> list[RobotState]:
        """What comes out at `now` (s); without a delay everything that is still in it."""
        if delay is None:
            ready, self._waiting = [message for _, message in self._waiting], []
            return [*ready, *messages]
        keep = np.exp(-(now - self._last) / CONGESTED_S)
        self._level = keep * self._level + np.sqrt(1.0 - keep**2) * delay.draws.normal()
        self._last = now
        due = now + delay.size * float(np.exp(JITTER * self._level))
        due = max([due, *(at for at, _ in self._waiting[-1:])])
        self._waiting += [(due, message) for message in messages]
        ready = [message for at, message in self._waiting if at <= now]
        self._waiting = self._waiting[len(ready) :]
        return ready


class Bypass:
    """A channel with a longer way beside it: messages that take it are overtaken by later ones."""

    def __init__(self) -> None:
        """Empty."""
        self._behind: list[tuple[float, RobotState]] = []

    def through(
        self, messages: list[RobotState], reorder: Acting | None, now: float
    ) -> list[RobotState]:
        """What comes out at `now` (s), in this order; all that is still in it when it ends."""
        if reorder is None:
            late, self._behind = [message for _, message in self._behind], []
            return [*late, *messages]
        late = [message for at, message in self._behind if at <= now]
        self._behind = [(at, message) for at, message in self._behind if at > now]
        ready = []
        for message in messages:
            if reorder.draws.random() < reorder.size:
                self._behind.append((now + BEHIND_S, message))
            else:
                ready.append(message)
        return [*ready, *late]


class Radio:
    """What one robot's radio sends and hears."""

    def __init__(self, robot: int, team_size: int, half_width: float) -> None:
        """Args: roster index, N, and the scale of false positions (m)."""
        self._robot, self._half = robot, half_width
        others = [other for other in range(team_size) if other != robot]
        self._ends = [*others, SUPERVISOR]
        self._n = team_size
        self._out = {end: Spells() for end in self._ends}
        self._in = {end: Spells() for end in self._ends}
        self._replayed: RobotState | None = None
        self._queue, self._bypass = Queue(), Bypass()

    def hears(self, sender: int, acting: Kinds, cut: set[int], now: float) -> bool:
        """Whether a message of that robot, or of the supervisor, comes in.

        Args:
            sender: roster index, or `SUPERVISOR`.
            acting: faults of this robot.
            cut: robots on the cut side of a partition.
            now: s.
        """
        if "link_loss" in acting or ("partition" in acting and sender not in cut):
            return False
        link, drop = self._in.get(sender), acting.get("drop")  # none to who is not in the roster
        return link is None or drop is None or not link.lose(drop.size, drop.draws, now)

    def send(self, state: RobotState, acting: Kinds, cut: set[int], now: float) -> list[RobotState]:
        """What goes out at `now` instead of one state for everybody."""
        out = [] if "link_loss" in acting else list(self._versions(state, acting))
        if "partition" in acting or "drop" in acting:
            out = [
                message
                for whole in out
                for message in self._each(whole)
                if self._reaches(message.recipient, acting, cut, now)
            ]
        out = self._queue.through(out, acting.get("delay"), now)
        return self._bypass.through(out, acting.get("reorder"), now)

    def _versions(self, state: RobotState, acting: Kinds) -> Iterator[RobotState]:
        """What the robot, and whoever uses its name, says."""
        if "replay" in acting:
            said = self._replayed or state
            state = replace(
                state, position=said.position, velocity=said.velocity, yaw=said.yaw,
                yaw_rate=said.yaw_rate,
            )  # fmt: skip
        self._replayed = state
        if "clock" in acting:
            state = replace(state, stamp=state.stamp + acting["clock"].size)
        if "nan" in acting:
            state = replace(state, position=_NOWHERE)
        if "spoof" in acting:
            yield from self._lies(state, acting["spoof"])
        else:
            yield state
        if "duplicate" in acting:
            x, y, z = state.position
            yield replace(state, boot_id=GHOST, position=(-x, -y, z))

    def _lies(self, state: RobotState, found: Acting) -> Iterator[RobotState]:
        """One message per receiver, each with another constant offset; all within the arena."""
        offset = np.random.default_rng(found.fault.seed).uniform(-1, 1, (self._n, 2))
        offset *= found.size * self._half
        for receiver in range(self._n):
            if receiver != self._robot:
                false = np.array(state.position, float)
                false[:2] = np.clip(false[:2] + offset[receiver], -self._half, self._half)
                yield addressed(state, receiver, false)
        yield replace(state, recipient=SUPERVISOR)

    def _each(self, state: RobotState) -> list[RobotState]:
        """The same, one message for each end that it is for."""
        if state.recipient in self._ends:
            return [state]
        return [replace(state, recipient=end) for end in self._ends]

    def _reaches(self, end: int, acting: Kinds, cut: set[int], now: float) -> bool:
        if "partition" in acting and end not in cut:
            return False
        drop = acting.get("drop")
        return drop is None or not self._out[end].lose(drop.size, drop.draws, now)
