"""Faults as a stage of the simulation pipeline: from `FaultSpec` to effects, vectorised.

Scenario code never sees a fault; detectors never see this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import KINDS, FaultSpec
from swarmhold.hardware.types import Bool, Float

Plan = Sequence[Sequence[FaultSpec]]  # one list of faults per environment

_CODE = {kind: index + 1 for index, kind in enumerate(KINDS)}
_SILENT = ("crash", "freeze", "reboot", "link_loss")
_STOPPED = ("crash", "freeze", "reboot")
HONEST = ("slow",)  # still works for the team, so it stays in everybody's attention


@dataclass(frozen=True, slots=True)
class Effects:
    """What acts now, arrays (E, N).

    Attributes:
        silent: sends nothing and hears nothing.
        stopped: does not act; brakes or hover hold.
        runaway: drives off.
        gain: actuator effectiveness in [0, 1].
        spoof: (E, N) share of the half width by which a claimed pose is off; 0 for none.
        corrupt: sends values that are not finite.
        faulty: any fault that takes the robot out of the team's work.
        boot_id: counts boots, from 1.
    """

    silent: Bool
    stopped: Bool
    runaway: Bool
    gain: Float
    spoof: Float
    corrupt: Bool
    faulty: Bool
    boot_id: Float


class FaultStage:
    """Schedules of E environments; one robot may have several faults, one after the other."""

    def __init__(self, n_envs: int, n_robots: int) -> None:
        """No faults yet."""
        self._shape = (n_envs, n_robots)
        self.load([[] for _ in range(n_envs)])

    def load(self, plan: Plan) -> None:
        """Replace the schedules.

        Args:
            plan: faults per environment.

        Raises:
            ConfigError: a fault names a robot that the team does not have.
        """
        n_envs, n_robots = self._shape
        if len(plan) != n_envs:
            raise ConfigError(f"the fault plan covers {len(plan)} environments of {n_envs}")
        slots = max((len(faults) for faults in plan), default=0)
        self._code = np.zeros((n_envs, slots), int)
        self._robot = np.zeros((n_envs, slots), int)
        self._start = np.full((n_envs, slots), np.inf)
        self._end = np.full((n_envs, slots), np.inf)
        self._severity = np.zeros((n_envs, slots))
        for env, faults in enumerate(plan):
            for slot, fault in enumerate(faults):
                if fault.robot >= n_robots:
                    raise ConfigError(
                        f"fault {fault.kind!r} names robot {fault.robot}, "
                        f"the team has robots 0 to {n_robots - 1}"
                    )
                self._code[env, slot], self._robot[env, slot] = _CODE[fault.kind], fault.robot
                self._start[env, slot], self._end[env, slot] = fault.start_s, fault.end_s
                self._severity[env, slot] = fault.severity

    def effects(self, now: float) -> Effects:
        """What acts at `now`, s after the start of the episode."""
        active = (self._start <= now) & (now < self._end)

        def on(*kinds: str) -> Bool:
            chosen = active & np.isin(self._code, [_CODE[kind] for kind in kinds])
            return self._scatter(chosen, chosen).astype(bool)

        slow = active & (self._code == _CODE["slow"])
        spoof = active & (self._code == _CODE["spoof"])
        reboots = (self._code == _CODE["reboot"]) & (self._end <= now)
        return Effects(
            silent=on(*_SILENT),
            stopped=on(*_STOPPED),
            runaway=on("runaway"),
            gain=1.0 - 0.8 * self._scatter(slow, self._severity),
            spoof=self._scatter(spoof, self._severity),
            corrupt=on("nan"),
            faulty=on(*(kind for kind in KINDS if kind not in HONEST)),
            boot_id=1.0 + self._scatter(reboots, reboots.astype(float)),
        )

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
