"""One recorded flight as the arrays of a dataset, before anything is judged or left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.health import HealthState
from swarmhold.hardware.messages import Mode, Task
from swarmhold.hardware.runtime import OnnxPolicy
from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.sim.dataset import moves
from swarmhold.sim.dataset.layout import Behaviour, Slices, width
from swarmhold.sim.dataset.listen import Decision, Log
from swarmhold.sim.dataset.policy import answers, rows_of
from swarmhold.sim.dataset.score import Score
from swarmhold.sim.dataset.ticks import GAP, GONE_S, Ticks, join

COUNTS = (HealthState.HEALTHY, HealthState.SUSPECT)  # who counts in a reward
BEHAVIOUR: dict[int, Behaviour] = {
    Mode.ACTIVE: Behaviour.POLICY,
    Mode.HOLD: Behaviour.FAILSAFE,
    Mode.LAND: Behaviour.FAILSAFE,
    Mode.STOP: Behaviour.ESTOP,
}


@dataclass(slots=True)
class Flown:
    """T ticks of a team, from when it began to act.

    Attributes:
        log: what was heard.
        ticks: of the team.
        arrays: see `FIELDS`; without `reward`, `truncated` and `episode_id`.
        lasts: (T) s of each tick.
        limited: (T, N) whether the safety filter changed the set-point.
    """

    log: Log
    ticks: Ticks
    arrays: dict[str, np.ndarray]
    lasts: Float
    limited: Bool

    @property
    def n(self) -> int:
        """Team size."""
        return int(self.log.info["robots"])

    @property
    def ends(self) -> Float:
        """(T) s."""
        return self.ticks.t + self.lasts


def flown(
    log: Log, policy: OnnxPolicy, slices: Slices, obstacles: int, faults: tuple[str, ...]
) -> Flown:
    """Arrays of a flight.

    Args:
        log: of the flight.
        policy: the bundle that flew.
        slices: layout of the observations.
        obstacles: entries of their surroundings.
        faults: names of what can be broken on purpose, index 0: nothing.

    Raises:
        ConfigError: nothing of it was recorded while the team acted.
    """
    n, period = int(log.info["robots"]), 1.0 / log.spec.rate_hz
    kept = [[one for one in own if one.t >= log.began] for own in log.decisions]
    times = tuple(np.array([one.t for one in own]) for own in kept)
    ticks = join(times, period)
    if len(ticks.t) < 2:
        raise ConfigError(f"{log.folder} was recorded for no time in which its robots acted")
    gaps = np.append(np.diff(ticks.t), period)
    lasts = np.where(gaps > GAP * period, period, gaps)
    arrays, own, limited = _decided(log, policy, kept, ticks, slices, obstacles)
    since = ticks.t - log.began
    arrays["alive"] = ticks.index >= 0
    arrays["attn_mask"] = (arrays["health"] > 0.0).astype(np.uint8)
    arrays["fault"] = moves.states_at(log, ticks.t, own).astype(np.uint8)
    arrays["injected"] = moves.broken_at(log.faults, since, n, faults).astype(np.uint8)
    arrays["t_ns"] = np.round(ticks.t * 1e9).astype(np.int64)
    arrays["terminal"] = np.zeros((len(since), n), bool)
    _apply(log, ticks, arrays, lasts)
    _age(ticks, kept, arrays, log.began)
    return Flown(log, ticks, arrays, lasts, limited)


def _decided(
    log: Log,
    policy: OnnxPolicy,
    kept: list[list[Decision]],
    ticks: Ticks,
    slices: Slices,
    obstacles: int,
) -> tuple[dict[str, np.ndarray], Int, Bool]:
    """What comes of the decisions: arrays, health by each robot's own lights, filtered or not."""
    shape = ticks.index.shape
    n = shape[1]
    obs = np.zeros((*shape, width(slices)), np.float32)
    action = np.zeros((*shape, log.spec.action_size), np.float32)
    health = np.zeros((*shape, n), np.float32)
    behaviour = np.full(shape, Behaviour.FAILSAFE, np.uint8)
    states, limited = np.full((*shape, n), -1), np.zeros(shape, bool)
    for robot, own in enumerate(kept):
        here = ticks.index[:, robot] >= 0
        which = ticks.index[here, robot]
        if not len(which):
            continue
        rows = rows_of(own, obstacles)
        said, weights = answers(policy, own, robot, rows, slices, log.info["entities"])
        modes = np.array([BEHAVIOUR.get(one.mode, Behaviour.UNKNOWN) for one in own], np.uint8)
        obs[here, robot], action[here, robot] = rows[which], said[which]
        health[here, robot], behaviour[here, robot] = weights[which], modes[which]
        states[here, robot] = np.array([one.states for one in own])[which]
        limited[here, robot] = np.array([one.limited for one in own])[which]
    behaviour[ticks.t >= log.estop_t] = Behaviour.ESTOP
    arrays = {"obs": obs, "act_policy": action, "health": health, "behaviour": behaviour}
    return arrays, states, limited


def _apply(log: Log, ticks: Ticks, arrays: dict[str, np.ndarray], lasts: Float) -> None:
    """What robots were told over each tick, and by whom where their policy does not decide.

    Who decides and is told nothing is stale: the recorder has missed it.
    """
    bound = np.asarray(log.spec.action_bound)
    applied = np.zeros((*ticks.index.shape, len(bound)), np.float32)
    for robot, commands in enumerate(log.commands):
        mean, told = moves.told_between(commands, ticks.t, ticks.t + lasts)
        applied[:, robot] = np.clip(mean / bound, -1.0, 1.0)
        silent = ~arrays["alive"][:, robot] & ~ticks.stale[:, robot]
        long = _for_long(silent, ticks.t)
        arrays["behaviour"][told & long, robot] = Behaviour.TELEOP
        ticks.stale[:, robot] |= arrays["alive"][:, robot] & ~told
    arrays["act_applied"] = applied


def _for_long(silent: Bool, t: Float) -> Bool:
    """Where it has been so for longer than any tick can last."""
    since = np.maximum.accumulate(np.where(silent, t[0], t))
    return silent & (t - since > GONE_S)


def _age(
    ticks: Ticks, kept: list[list[Decision]], arrays: dict[str, np.ndarray], began: float
) -> None:
    """S since the frames that robots answered last; since the beginning for who never did."""
    age = np.zeros(ticks.index.shape, np.float32)
    for robot, own in enumerate(kept):
        times = np.array([one.t for one in own])
        sensed = np.array([began, *(one.sensed_t for one in own)])
        age[:, robot] = ticks.t - sensed[np.searchsorted(times, ticks.t, side="right")]
    arrays["tick_age"] = np.maximum(age, 0.0)


def rewarded(flight: Flown, score: Score) -> None:
    """Add `reward` and `state`: the scenario follows the flight, tick by tick."""
    log, arrays, t, ends = flight.log, flight.arrays, flight.ticks.t, flight.ends
    after, touched = moves.poses_at(log, ends), moves.touched_within(log, t, ends)
    counts = arrays["alive"] & np.isin(arrays["fault"], COUNTS)
    tasks: list[Task] = moves.tasks_at(log, ends)
    reward, marks = np.zeros(len(t)), np.zeros((len(t), score.slots, 4))
    for k in range(len(t)):
        marks[k] = score.marks()
        reward[k] = score.step(
            after[k], touched[k], counts[k], arrays["act_applied"][k], tasks[k], flight.lasts[k]
        )
    shape = arrays["alive"].shape
    arrays["reward"] = np.broadcast_to(reward[:, None], shape).astype(np.float32)
    pose, twist = moves.poses_at(log, t), moves.twists_at(log, t)
    yaw = pose[..., 3:]
    robots = np.concatenate([pose[..., :3], np.cos(yaw), np.sin(yaw), twist], axis=-1)
    rows = [part.reshape(len(t), -1) for part in (robots, marks)]
    arrays["state"] = np.concatenate(rows, axis=-1).astype(np.float32)
