"""A fault plan in simulation, at batch speed: the same traces that recordings give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarmhold.hardware.faults import FaultSpec
from swarmhold.hardware.memory import restart
from swarmhold.hardware.report.score import Arm
from swarmhold.hardware.report.trace import Heard, Trace
from swarmhold.hardware.settings import HealthSettings
from swarmhold.hardware.types import Float
from swarmhold.policies.calibrate import PolicyOf
from swarmhold.policies.health_loop import EnvWatch, HealthLoop, broadcast
from swarmhold.policies.randomise import exists_for_others
from swarmhold.sim.env import Evidence, Step, SwarmEnv
from swarmhold.sim.guard import Guard

ARMS = ("free", "none", "supervisor", "oracle")


def flown(
    env: SwarmEnv,
    policy_of: PolicyOf,
    settings: HealthSettings,
    faults: Sequence[FaultSpec],
    seconds: float,
    source: str,
) -> Arm:
    """Fly a plan on every layout of a batch.

    Args:
        env: environment; E layouts. It goes on for as long as the plan takes, and its robots get
            the safety filter of real ones.
        policy_of: what all robots act on, and what the supervisor knows.
        settings: thresholds.
        faults: of the plan, onsets in s.
        seconds: length.
        source: one of `ARMS`: who tells the weights. "free" flies without the faults, with those
            of the supervisor.
    """
    env.guard = Guard(env.spec, env.model, env.half_width)  # as every robot's node has it
    env.limit = round(seconds * env.spec.rate_hz)
    plan = [[] if source == "free" else list(faults) for _ in range(env.n_envs)]
    step, policy = env.reset(faults=plan, episode=0), policy_of(env)
    restart(policy)
    loop = HealthLoop(settings, env.n_envs, env.n_robots, EnvWatch(settings, env, policy_of(env)))
    exists = exists_for_others(step.truth.present)
    log = _Log(env)
    while not step.done.all():
        seen = env.evidence()
        weights = loop.step(seen, float(step.time_s.max())) * exists
        if source == "none":
            weights = exists.astype(float)
        elif source == "oracle":
            weights = step.teammate_health
        restart(policy, ~step.truth.healthy)
        action = policy(step.observation, weights)
        log.take(step, seen, loop.states, action)
        step = env.step(action)
    return Arm(source, log.traces())


class _Log:
    """Collects arrays (T, E, ...) and cuts them into traces."""

    def __init__(self, env: SwarmEnv) -> None:
        self._env = env
        self._rows: dict[str, list[Float]] = {}

    def take(self, step: Step, seen: Evidence, states: Float, action: Float) -> None:
        """One tick."""
        env, said = self._env, broadcast(seen.said)
        near = np.where(np.isfinite(seen.age), seen.age, np.inf) <= env.tick * 3.0
        others = ~np.eye(env.n_robots, dtype=bool)
        row = {
            "t": step.time_s,
            "position": env.physics.bodies.position[..., :2],
            "touched": env.physics.touched,
            "error": step.outcome.error,
            "states": states,
            "fresh": said.fresh & ~seen.deaf,
            "late": said.heard_at - said.stamp,
            "boot": said.boot_id,
            "claimed": said.position,
            "hears": (near & others).sum(axis=-1) / max(env.n_robots - 1, 1),
            "speed": np.abs(action / np.asarray(env.spec.action_bound)).max(axis=-1),
        }
        for name, value in row.items():
            self._rows.setdefault(name, []).append(np.array(value))

    def traces(self) -> tuple[Trace, ...]:
        """One for each layout."""
        table = {name: np.array(rows) for name, rows in self._rows.items()}
        return tuple(self._trace(table, index) for index in range(self._env.n_envs))

    def _trace(self, table: dict[str, Float], index: int) -> Trace:
        own = {name: rows[:, index] for name, rows in table.items()}
        return Trace(
            t=own["t"],
            position=own["position"],
            touched=own["touched"].astype(bool),
            error=own["error"],
            table_t=own["t"],
            states=own["states"],
            heard=tuple(_heard(own, robot) for robot in range(self._env.n_robots)),
            half_width=self._env.half_width,
            misses=float("nan"),
        )


def _heard(own: dict[str, Float], robot: int) -> Heard:
    came = own["fresh"][:, robot].astype(bool)
    sent = (own["t"] - own["late"][:, robot])[came]
    return Heard(
        t=own["t"][came],
        late=own["late"][came, robot],
        boot=own["boot"][came, robot],
        position=own["claimed"][came, robot, :2],
        height=own["claimed"][came, robot, 2],
        hears=own["hears"][came, robot],
        speed=own["speed"][came, robot],
        wanted=np.full((int(came.sum()), 2), np.nan),  # motion is compared with that of a twin
        decided=np.ones(int(came.sum()), bool),
        in_turn=np.diff(sent, prepend=sent[:1]) < 1.5 * own["t"][1],
    )
