"""What is scored of a flight, whichever world it was flown in.

The same arrays are made of a simulated episode, of a recording of live nodes, and of one of
robots; probes and figures know nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import MessageError
from swarmhold.hardware.messages import WORD
from swarmhold.hardware.monitor import Accusation
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.report.flight import Flight
from swarmhold.hardware.report.recording import messages_of
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.hardware.wire import read_state


@dataclass(frozen=True, slots=True)
class Heard:
    """What came in from one robot, K messages.

    Attributes:
        t: (K) s, receipt.
        late: (K) s from its stamp to receipt, on the two clocks as they are.
        boot: (K) boot ids.
        position: (K, 2) m, where it claims to be; NaN where it says what cannot be.
        height: (K) m, how high.
        hears: (K) share of its teammates that it says it hears.
        speed: (K) share of the largest set-point that it drives itself with; NaN where unknown.
        wanted: (K, 2) m/s, world, how it tells itself to move; NaN where unknown.
        decided: (K) whether it had decided anew.
        in_turn: (K) whether it is the next one after that which came before.
    """

    t: Float
    late: Float
    boot: Float
    position: Float
    height: Float
    hears: Float
    speed: Float
    wanted: Float
    decided: Bool
    in_turn: Bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One flight of N robots; times in s since the team began to act.

    Attributes:
        t: (T) s, of the truth.
        position: (T, N, 2) m.
        touched: (T, N) in contact.
        error: (T) m, of the task, over the robots that act.
        table_t: (S) s, of the supervisor's verdicts.
        states: (S, N) `HealthState`.
        heard: of each robot.
        half_width: m, of the fence.
        misses: share of control ticks that were missed; NaN where there is no clock to miss.
    """

    t: Float
    position: Float
    touched: Bool
    error: Float
    table_t: Float
    states: Int
    heard: tuple[Heard, ...]
    half_width: float
    misses: float

    @property
    def n(self) -> int:
        """Team size."""
        return len(self.heard)


def trace_of(flight: Flight, started: float) -> Trace:
    """The trace of a recorded flight.

    Args:
        flight: as it was read.
        started: s, wall clock, from which its times count.
    """
    return Trace(
        t=flight.t,
        position=flight.position,
        touched=flight.touched,
        error=flight.error,
        table_t=flight.table_t,
        states=flight.table_states,
        heard=_heard(flight, started),
        half_width=flight.half_width,
        misses=_misses(flight),
    )


def _heard(flight: Flight, started: float) -> tuple[Heard, ...]:
    """From state messages and set-points."""
    n = flight.n
    spec = policy_spec(str(flight.info["robot"]))
    bound, drives = np.asarray(spec.action_bound), spec.drives
    rows: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
    sent: list[list[tuple[float, ...]]] = [[] for _ in range(n)]
    for topic, received, message in messages_of(flight.folder):
        name, _, kind = topic.rpartition("/")
        if not name.startswith("/robot_") or not name[7:].isdigit() or int(name[7:]) >= n:
            continue
        robot = int(name[7:])
        if kind == "state":
            row = _state_row(message, robot, n, received, started)
            rows[robot].extend(row)
        elif kind == "cmd_vel":
            twist = message.twist
            second = twist.angular.z if drives else twist.linear.y
            share = np.abs([twist.linear.x, second]) / bound
            ahead, aside = twist.linear.x, 0.0 if drives else twist.linear.y
            sent[robot].append((received - started, float(share.max()), ahead, aside))
    return tuple(
        _as_heard(rows[robot], sent[robot], flight.robots[robot].t, flight.robots[robot].inference)
        for robot in range(n)
    )


def _state_row(
    message: object, robot: int, n: int, received: float, started: float
) -> list[tuple[float, ...]]:
    try:
        state = read_state(message, robot)
    except MessageError:
        return []  # nobody took it for his
    bits = np.frombuffer(state.accusations, "<u2")
    hears = np.nan
    if len(bits) == n and n > 1:
        hears = float(((np.delete(bits, robot) & Accusation.HEARD) != 0).mean())
    late = received - state.stamp
    place = *state.position, hears, state.yaw
    return [(received - started, late, state.boot_id, *place, state.seq)]


def _as_heard(
    rows: list[tuple[float, ...]], sent: list[tuple[float, ...]], at: Float, inference: Float
) -> Heard:
    table = np.array(rows, float).reshape(-1, 9)
    t, yaw = table[:, 0], table[:, 7]
    orders = np.array(sent, float).reshape(-1, 4)
    ahead, aside = (last_at(orders[:, 0], orders[:, k], t) for k in (2, 3))
    wanted = to_body(np.stack([ahead, aside, np.zeros(len(t))], axis=-1), -yaw)  # and back again
    return Heard(
        t=t,
        late=table[:, 1],
        boot=table[:, 2],
        position=table[:, 3:5],
        height=table[:, 5],
        hears=table[:, 6],
        speed=last_at(orders[:, 0], orders[:, 1], t),
        wanted=wanted[:, :2],
        decided=last_at(at, np.asarray(inference > 0.0, float), t) > 0.0,
        in_turn=in_turn(table[:, 2], table[:, 8]),
    )


def in_turn(boots: Float, numbers: Float) -> Bool:
    """(K) whether a message has the number that follows the last one of its boot, or the same."""
    last: dict[float, int] = {}
    out = np.ones(len(boots), bool)
    for k, (boot, number) in enumerate(zip(boots, numbers.astype(int), strict=True)):
        out[k] = (number - last.get(boot, number)) % WORD <= 1
        last[boot] = number
    return out


def last_at(times: Float, values: Float, t: Float) -> Float:
    """(K) the last of the values (L) up to each of the times t (K); NaN before the first."""
    if not len(times):
        return np.full(len(t), np.nan)
    index = np.searchsorted(times, t, side="right") - 1
    found: Float = np.where(index >= 0, values[np.maximum(index, 0)], np.nan)
    return found


def _misses(flight: Flight) -> float:
    """Share of the ticks of all robots that were missed, boots apart."""
    missed = ticks = 0.0
    for log in flight.robots:
        missed += float(np.maximum(np.diff(log.missed, prepend=log.missed[:1]), 0.0).sum())
        ticks += len(log.t)
    return missed / max(ticks + missed, 1.0)
