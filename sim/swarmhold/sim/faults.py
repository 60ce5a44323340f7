"""Faults as a stage of the simulation pipeline: from `FaultSpec` to effects, vectorised.

Scenario code never sees a fault; detectors never see this module. A kind that no plan uses costs
nothing: its effect is one shared array of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import FULL, KINDS, SAG_S, FaultSpec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.noise import mix, uniform

Plan = Sequence[Sequence[FaultSpec]]  # one list of faults per environment

_CODE = {kind: index + 1 for index, kind in enumerate(KINDS)}
_SILENT = ("crash", "freeze", "reboot", "link_loss")
_STOPPED = ("crash", "freeze", "reboot")
# These still work for the team, so they stay in everybody's attention.
HONEST = (
    *("slow", "battery", "overrun", "sensor_noise"),
    *("delay", "drop", "reorder", "partition", "clock"),
)
MOTORS = 4  # a differential drive uses the first two
SCHEDULES = ("fixed", "uniform", "incremental")
JITTER = 0.1  # of the episode, by which onsets of "incremental" scatter


@dataclass(frozen=True, slots=True)
class Effects:
    """What acts now, arrays (E, N) unless said otherwise.

    Attributes:
        silent: sends nothing and hears nothing.
        stopped: does not act; brakes or hover hold.
        runaway: drives off.
        adversary: drives at the nearest teammate.
        overrun: probability that a decision comes too late.
        gain: (E, N, MOTORS) actuator effectiveness in [0, 1]; None where no motor is touched.
        stuck: (E, N, MOTORS) motors that hold what they did; None where there is none.
        bias: (E, N, 2) m, error of the own position.
        noise: m, standard deviation of the own position.
        frozen: own state repeats.
        blind: own state is not finite.
        spoof: share of the half width by which a claimed pose is off; 0 for none.
        replay: sends the state of the onset.
        corrupt: sends values that are not finite.
        cut: on the one side of a partition; those off it are on the other.
        delay: s, mean of the latency.
        drop: probability that a message in a burst is lost.
        reorder: probability that a message is kept back until later ones have overtaken it.
        clock: s, by which stamps are off.
        duplicate: another sender uses its name.
        faulty: any fault that takes the robot out of the team's work.
        boot_id: counts boots, from 1.
    """

    silent: Bool
    stopped: Bool
    runaway: Bool
    adversary: Bool
    overrun: Float
    gain: Float | None
    stuck: Bool | None
    bias: Float
    noise: Float
    frozen: Bool
    blind: Bool
    spoof: Float
    replay: Bool
    corrupt: Bool
    cut: Bool
    delay: Float
    drop: Float
    reorder: Float
    clock: Float
    duplicate: Bool
    faulty: Bool
    boot_id: Float


class FaultStage:
    """Schedules of E environments; one robot may have several faults, one after the other.

    Attributes:
        plan: faults per environment.
        kinds: those that the plan uses.
        hijacked: (E, N) robots that somebody else drives: they do as they are told, but work for
            nobody, so they count as faulty.
    """

    def __init__(self, n_envs: int, n_robots: int) -> None:
        """No faults yet."""
        self._shape = (n_envs, n_robots)
        self._none, self._nought = np.zeros(self._shape, bool), np.zeros(self._shape)
        self.hijacked = self._none
        self.plan: list[list[FaultSpec]] = [[] for _ in range(n_envs)]
        self.load(self.plan)

    def load(self, plan: Plan, mask: Bool | None = None) -> None:
        """Replace the schedules.

        Args:
            plan: faults per environment.
            mask: (E) environments to replace them in; None: all.

        Raises:
            ConfigError: a fault names a robot that the team does not have.
        """
        n_envs, n_robots = self._shape
        if len(plan) != n_envs:
            raise ConfigError(f"the fault plan covers {len(plan)} environments of {n_envs}")
        chosen = np.ones(n_envs, bool) if mask is None else mask
        self.plan = [
            list(new if use else old) for new, old, use in zip(plan, self.plan, chosen, strict=True)
        ]
        slots = max((len(faults) for faults in self.plan), default=0)
        self._code, self._robot = np.zeros((n_envs, slots), int), np.zeros((n_envs, slots), int)
        self._start, self._end = np.full((2, n_envs, slots), np.inf)
        self._severity, self._seed = np.zeros((n_envs, slots)), np.zeros((n_envs, slots), np.uint64)
        for env, faults in enumerate(self.plan):
            for slot, fault in enumerate(faults):
                if fault.robot >= n_robots:
                    raise ConfigError(
                        f"fault {fault.kind!r} names robot {fault.robot}, "
                        f"the team has robots 0 to {n_robots - 1}"
                    )
                self._code[env, slot], self._robot[env, slot] = _CODE[fault.kind], fault.robot
                self._start[env, slot], self._end[env, slot] = fault.start_s, fault.end_s
                self._severity[env, slot], self._seed[env, slot] = fault.severity, fault.seed
        self.kinds = {fault.kind for faults in self.plan for fault in faults}

    def effects(self, now: Float) -> Effects:
        """What acts at `now` (E), s after the start of each episode."""
        now = np.broadcast_to(np.asarray(now, float), self._shape[:1])[:, None]
        self._now = now
        self._active = (self._start <= now) & (now < self._end)
        boots = self._reboots() if "reboot" in self.kinds else 0.0
        return Effects(
            silent=self._on(*_SILENT),
            stopped=self._on(*_STOPPED),
            runaway=self._on("runaway"),
            adversary=self._on("adversary"),
            overrun=FULL["overrun"] * self._of("overrun"),
            gain=self._gain(),
            stuck=self._motor("motor_stuck") if "motor_stuck" in self.kinds else None,
            bias=self._bias(),
            noise=FULL["sensor_noise"] * self._of("sensor_noise"),
            frozen=self._on("sensor_freeze"),
            blind=self._on("sensor_nan"),
            spoof=self._of("spoof"),
            replay=self._on("replay"),
            corrupt=self._on("nan"),
            cut=self._on("partition"),
            delay=FULL["delay"] * self._of("delay"),
            drop=self._of("drop"),
            reorder=FULL["reorder"] * self._of("reorder"),
            clock=FULL["clock"] * self._of("clock"),
            duplicate=self._on("duplicate"),
            faulty=self._on(*(kind for kind in KINDS if kind not in HONEST)) | self.hijacked,
            boot_id=1.0 + boots + self._nought,
        )

    def _reboots(self) -> Float:
        """(E, N) how often each robot has come back under another boot id."""
        env, slot = np.nonzero((self._code == _CODE["reboot"]) & (self._end <= self._now))
        out = np.zeros(self._shape)
        np.add.at(out, (env, self._robot[env, slot]), 1.0)
        return out

    def _chosen(self, *kinds: str) -> Bool:
        return self._active & np.isin(self._code, [_CODE[kind] for kind in kinds])

    def _on(self, *kinds: str) -> Bool:
        if self.kinds.isdisjoint(kinds):
            return self._none
        chosen = self._chosen(*kinds)
        return self._scatter(chosen, chosen.astype(float)) > 0

    def _of(self, kind: str) -> Float:
        """Severity of a kind where it acts."""
        if kind not in self.kinds:
            return self._nought
        return self._scatter(self._chosen(kind), self._severity)

    def _gain(self) -> Float | None:
        if self.kinds.isdisjoint(("slow", "motor_off", "battery")):
            return None
        gain = np.repeat((1.0 - FULL["slow"] * self._of("slow"))[..., None], MOTORS, axis=-1)
        if "battery" in self.kinds:
            since = np.clip((self._now - self._start) / SAG_S, 0.0, 1.0)
            sag = self._scatter(self._chosen("battery"), self._severity * since)
            gain *= (1.0 - FULL["battery"] * sag)[..., None]
        if "motor_off" in self.kinds:
            gain *= 1.0 - self._motor("motor_off") * self._of("motor_off")[..., None]
        return gain

    def _motor(self, kind: str) -> Bool:
        """(E, N, MOTORS) the motor that a fault's seed picks; the first two for any drive."""
        out = np.zeros((*self._shape, MOTORS), bool)
        env, slot = np.nonzero(self._chosen(kind))
        out[env, self._robot[env, slot], (self._seed[env, slot] % 2).astype(int)] = True
        return out

    def _bias(self) -> Float:
        """Constant and growing errors of the own position, each in a direction of its own."""
        out = np.zeros((*self._shape, 2))
        for kind in ("sensor_bias", "sensor_drift"):
            if kind not in self.kinds:
                continue
            env, slot = np.nonzero(self._chosen(kind))
            length = FULL[kind] * self._severity[env, slot]
            if kind == "sensor_drift":
                length = length * (self._now[env, 0] - self._start[env, slot])
            angle = uniform(mix(self._seed[env, slot], 3), (), -np.pi, np.pi)
            out[env, self._robot[env, slot]] += length[:, None] * np.stack(
                [np.cos(angle), np.sin(angle)], axis=-1
            )
        return out

    def _scatter(self, chosen: Bool, value: Float) -> Float:
        """(E, N) largest value of the chosen slots of each robot."""
        out = np.zeros(self._shape)
        env, slot = np.nonzero(chosen)
        np.maximum.at(out, (env, self._robot[env, slot]), value[env, slot])
        return out


def random_faults(
    rng: np.random.Generator,
    team_sizes: Sequence[int],
    kinds: Sequence[str],
    count: tuple[int, int] = (1, 1),
    share: float = 1.0,
    start_s: tuple[float, float] = (0.0, 10.0),
    duration_s: tuple[float, float] | None = None,
) -> list[list[FaultSpec]]:
    """Draw a fault plan; the same generator state gives the same plan.

    Args:
        rng: source of randomness.
        team_sizes: robots of each environment.
        kinds: kinds to draw from, uniformly.
        count: least and most faulty robots per environment (distinct robots).
        share: share of environments with faults at all.
        start_s: range of onsets, s.
        duration_s: range of durations, s; None: "reboot" 3 to 6 s, all else until the end.

    Returns:
        One list of faults per environment.
    """
    plan = []
    for size in team_sizes:
        faults: list[FaultSpec] = []
        if rng.random() < share:
            number = min(int(rng.integers(count[0], count[1] + 1)), max(size - 1, 0))
            for robot in rng.choice(size, number, replace=False):
                kind = str(rng.choice(list(kinds)))
                span = duration_s or ((3.0, 6.0) if kind == "reboot" else None)
                faults.append(
                    FaultSpec(
                        kind,
                        int(robot),
                        start_s=float(rng.uniform(*start_s)),
                        duration_s=float(rng.uniform(*span)) if span else float("inf"),
                        severity=float(rng.uniform(0.5, 1.0)),
                        seed=int(rng.integers(2**31)),
                    )
                )
        plan.append(faults)
    return plan


def scheduled_faults(
    rng: np.random.Generator,
    schedule: str,
    progress: float,
    team_sizes: Sequence[int],
    kinds: Sequence[str],
    window_s: tuple[float, float],
    episode_s: float,
    count: tuple[int, int] = (1, 1),
) -> list[list[FaultSpec]]:
    """Draw a fault plan whose onsets follow a schedule of AACFT's training (arXiv 2412.00534).

    "fixed": in the middle of the window. "uniform": anywhere in it. "incremental": none in the
    first quarter of the training; in the second around a time that goes from the end of the
    episode down to 0, give or take 10 % of the episode; "uniform" from then on. Which robots
    break is drawn uniformly in all of them, and every environment has its faults.

    Args:
        rng: source of randomness.
        schedule: one of `SCHEDULES`.
        progress: share of the training that is done, in [0, 1].
        team_sizes: robots of each environment.
        kinds: kinds to draw from, uniformly.
        window_s: range of onsets, s.
        episode_s: length of an episode, s.
        count: least and most faulty robots per environment (distinct robots).

    Returns:
        One list of faults per environment.

    Raises:
        ConfigError: the schedule is unknown, or progress or the window is out of range.
    """
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ConfigError(f"unknown fault schedule {schedule!r}; choose one of: {known}")
    if not 0.0 <= progress <= 1.0:
        raise ConfigError(f"progress is {progress}; it must lie in [0, 1]")
    first, last = window_s
    if not 0.0 <= first <= last <= episode_s:
        raise ConfigError(
            f"fault window is {first} s to {last} s; it must lie within the episode, "
            f"0 to {episode_s} s"
        )
    share = 1.0
    if schedule == "fixed":
        first = last = 0.5 * (first + last)
    elif schedule == "incremental" and progress < 0.5:
        share, middle = float(progress >= 0.25), 2.0 - 4.0 * progress
        first, last = np.clip([middle - JITTER, middle + JITTER], 0.0, 1.0) * episode_s
    return random_faults(rng, team_sizes, kinds, count, share, (first, last))
