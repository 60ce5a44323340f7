"""Everything that makes a simulated world less than perfect, faults aside: one typed config.

All of it is off by default and costs nothing then. Every random number is keyed by episode, step
and purpose (`swarmhold.sim.noise`), so the same episode meets the same weather in any backend.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from swarmhold.hardware.faults import BAD_S, GOOD_S, JITTER
from swarmhold.hardware.types import Bool, Float, Kinematics
from swarmhold.sim.blocks import MOTOR_ROWS, Blocks, Row, blend_of
from swarmhold.sim.faults import MOTORS, Effects
from swarmhold.sim.noise import Keys, mix, normal, uniform
from swarmhold.sim.robots import QuadModel

# Purposes of random numbers.
WIND, GUST, FACTORS, MEASURE, OVERRUN, RANGES = 11, 12, 13, 14, 15, 16
EMPTY = 0.4  # share of the motors' gain that is left with an empty battery
RESERVE = 0.2  # charge below which the gain falls


# Bounds of what each robot has of its own, drawn from a range.
RANGED = {"latency_s": (0.0, 2.0), "wheel_scale": (0.2, 3.0), "drag_scale": (0.0, 10.0)}


class Disturbances(BaseModel):
    """Wind, sensors, radio, battery and domain randomisation; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wind: float = Field(0.0, ge=0)
    """Mean wind, m/s, from a direction that the episode draws; quadrotors only."""
    gust: float = Field(0.0, ge=0)
    """Standard deviation of the gusts around it, m/s per axis."""
    gust_s: float = Field(1.0, gt=0)
    """Correlation time of the gusts, s (first-order Gauss-Markov, as Dryden's at low height)."""
    position_noise: float = Field(0.0, ge=0)
    """Standard deviation of the own position, m."""
    velocity_noise: float = Field(0.0, ge=0)
    """Standard deviation of the own velocity, m/s."""
    yaw_noise: float = Field(0.0, ge=0)
    """Standard deviation of the own heading, rad."""
    sensor_delay_s: float = Field(0.0, ge=0, le=2)
    """Age of the own state, s, rounded to decisions."""
    action_delay_s: float = Field(0.0, ge=0, le=2)
    """Time from decision to motors, s, rounded to decisions."""
    link_delay_s: float = Field(0.0, ge=0, le=2)
    """Mean latency of a message, s, on top of the one decision that it always takes."""
    link_jitter: float = Field(JITTER, ge=0, le=2)
    """Spread of the logarithm of the latency."""
    link_drop: float = Field(0.0, ge=0, le=1)
    """Share of messages lost while a link is bad (Gilbert, 1960; Elliott, 1963)."""
    link_bad_s: float = Field(BAD_S, gt=0)
    """Mean length of a bad spell, s."""
    link_good_s: float = Field(GOOD_S, gt=0)
    """Mean length of a good spell, s."""
    battery_s: float = Field(0.0, ge=0)
    """Endurance at full effort, s; 0: the battery never empties."""
    mass: float = Field(0.0, ge=0, lt=1)
    """Each robot's mass differs by up to this share; so do the next four."""
    inertia: float = Field(0.0, ge=0, lt=1)
    """Moments of inertia."""
    drag: float = Field(0.0, ge=0, lt=1)
    """Rotor drag."""
    motor_lag: float = Field(0.0, ge=0, lt=1)
    """Time constant of the rotors."""
    motor_gain: float = Field(0.0, ge=0, lt=1)
    """Gain of each single motor."""
    latency_s: tuple[float, float] = (0.0, 0.0)
    """Least and largest time from decision to motors, s, on top of `action_delay_s`: each robot has
    one of its own, which need not be a whole number of decisions."""
    wheel_scale: tuple[float, float] = (1.0, 1.0)
    """Least and largest factor on the speed of a ground robot's wheels, one for both."""
    drag_scale: tuple[float, float] = (1.0, 1.0)
    """Least and largest factor on a quadrotor's drag, on top of `drag`."""

    @field_validator("latency_s", "wheel_scale", "drag_scale")
    @classmethod
    def _in_order(cls, ends: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        low, high = RANGED[str(info.field_name)]
        if not low <= ends[0] <= ends[1] <= high:
            raise ValueError(f"must be two numbers in rising order within {low:g} to {high:g}")
        return ends

    @property
    def measured(self) -> bool:
        """Whether a robot's own state differs from the truth."""
        sizes = (self.position_noise, self.velocity_noise, self.yaw_noise, self.sensor_delay_s)
        return any(size > 0 for size in sizes)


_ENDS = {name: Disturbances.model_fields[name].default for name in RANGED}

# Radio channels to hold detectors against: losses in bursts of 0.3 s, and a queue that makes late.
CLEAN, BURSTY, CONGESTED = "clean", "bursty, 2 % lost", "congested, 10 % lost, 0.1 s late"
CHANNELS: dict[str, Disturbances] = {
    CLEAN: Disturbances(),
    BURSTY: Disturbances(link_drop=1.0, link_bad_s=0.3, link_good_s=14.7),
    CONGESTED: Disturbances(link_drop=1.0, link_bad_s=0.3, link_good_s=2.7, link_delay_s=0.1),
}


class Actuation:
    """Motors, air and batteries of E teams, between a decision and the physics."""

    def __init__(self, config: Disturbances, blocks: Blocks, tick: float) -> None:
        """Args: the config, the bodies, and the time between decisions (s)."""
        self._config, self._blocks, self._tick = config, blocks, tick
        shape = (blocks.n_envs, blocks.n_robots)
        self.charge = np.ones(shape)
        self.wind = np.zeros((blocks.n_envs, 3))
        self._mean = np.zeros((blocks.n_envs, 3))
        self._spread = np.ones((*shape, MOTORS))
        self._latency = np.full(shape, float(round(config.action_delay_s / tick)))  # decisions
        self._held = np.zeros((*shape, MOTORS))
        self._plain = True  # the blocks hold unit gains
        drives = not isinstance(blocks.model, QuadModel)
        self._even = config.motor_gain == 0 and (config.wheel_scale == (1, 1) or not drives)
        self._pending: list[Float] = []  # set-points on their way to the motors, the newest last

    def reset(self, keys: Keys, chosen: Bool) -> None:
        """Draw an episode's bodies and weather.

        Args:
            keys: (E) of the episodes.
            chosen: (E) teams that start anew.
        """
        config, blocks = self._config, self._blocks
        self.renew(np.broadcast_to(chosen[:, None], self.charge.shape))
        bearing = uniform(mix(keys, WIND), (1,), -np.pi, np.pi)[:, 0]
        mean = config.wind * np.stack([np.cos(bearing), np.sin(bearing), 0 * bearing], axis=-1)
        self._mean = np.where(chosen[:, None], mean, self._mean)
        self.wind = np.where(chosen[:, None], self._mean, self.wind)
        draws = uniform(mix(keys, FACTORS), (blocks.n_robots, 4 + MOTORS), -1.0, 1.0)
        use = chosen[:, None, None]
        self._spread = np.where(use, 1.0 + config.motor_gain * draws[..., 4:], self._spread)
        drag = np.ones(self.charge.shape)
        if any(getattr(config, name) != _ENDS[name] for name in RANGED):
            drag = self._draw_own(keys, chosen)
        if max(config.mass, config.inertia, config.drag, config.motor_lag) > 0 or (drag != 1).any():
            self._set_factors(draws, drag, use)

    def _draw_own(self, keys: Keys, chosen: Bool) -> Float:
        """Each robot's latency and wheels; returns (E, N) factors on the drag."""
        config, blocks = self._config, self._blocks
        own = uniform(mix(keys, RANGES), (blocks.n_robots, len(RANGED)))
        ends = np.array([getattr(config, name) for name in RANGED])
        late, wheels, drag = np.moveaxis(ends[:, 0] + (ends[:, 1] - ends[:, 0]) * own, -1, 0)
        late = round(config.action_delay_s / self._tick) + late / self._tick
        self._latency = np.where(chosen[:, None], late, self._latency)
        if not isinstance(blocks.model, QuadModel):
            scaled = self._spread * wheels[..., None]
            self._spread = np.where(chosen[:, None, None], scaled, self._spread)
        return drag

    def _set_factors(self, draws: Float, drag: Float, use: Bool) -> None:
        config, blocks = self._config, self._blocks
        size = np.array([config.mass, config.inertia, config.drag])
        factors = 1.0 + size * draws[..., :3]
        factors[..., 2] *= drag
        blocks.put(Row.MASS, np.where(use, factors, blocks.get(Row.MASS, 3)))
        if isinstance(blocks.model, QuadModel):
            lag = blocks.model.motor_lag * (1.0 + config.motor_lag * draws[..., 3])
            blocks.put(Row.BLEND, np.where(use[..., 0], blend_of(lag), blocks.get(Row.BLEND)))

    def renew(self, robots: Bool) -> None:
        """Fresh batteries, and nothing on its way, for robots (E, N) that have just come."""
        self.charge[robots], self._held[robots] = 1.0, 0.0
        for setpoint in self._pending:
            setpoint[robots] = 0.0

    def delayed(self, setpoint: Float) -> Float:
        """(E, N, Da) what reaches the motors when this set-point is sent.

        Within a decision in which one set-point follows another, that is their mean over time.
        """
        config = self._config
        most = math.ceil(
            round(config.action_delay_s / self._tick) + config.latency_s[1] / self._tick
        )
        if not most:
            return setpoint
        if not self._pending:
            self._pending = [np.zeros_like(setpoint) for _ in range(most)]
        asked = np.stack([setpoint, *self._pending[::-1]])
        self._pending = [*self._pending[1:], setpoint.copy()]
        whole = np.floor(self._latency).astype(int)
        share = (self._latency - whole)[..., None]
        team, robot = np.indices(whole.shape)
        newer, older = asked[whole, team, robot], asked[np.minimum(whole + 1, most), team, robot]
        return np.asarray((1.0 - share) * newer + share * older)

    def apply(self, effects: Effects, effort: Float, keys: Keys) -> None:
        """Write gains, stuck motors and wind for the next decision.

        Args:
            effects: faults that act.
            effort: (E, N) in [0, 1], of the last decision; drains the battery.
            keys: (E) of episode and step.
        """
        config, blocks = self._config, self._blocks
        gain: Float | float = self._spread
        plain = self._even and effects.gain is None and effects.stuck is None
        if effects.gain is not None:
            gain = gain * effects.gain
        if config.battery_s > 0:
            self.charge -= self._tick * (0.3 + 0.7 * effort) / config.battery_s
            self.charge = np.maximum(self.charge, 0.0)
            left = np.minimum(self.charge / RESERVE, 1.0)
            gain, plain = gain * (EMPTY + (1 - EMPTY) * left)[..., None], False
        if not plain or not self._plain:
            self._write_motors(np.asarray(gain), effects.stuck)
            self._plain = plain
        if config.gust > 0 or config.wind > 0:
            keep = np.exp(-self._tick / config.gust_s)
            kick = config.gust * np.sqrt(1 - keep**2) * normal(mix(keys, GUST), (3,))
            self.wind = self._mean + keep * (self.wind - self._mean) + kick
            robots = (blocks.n_envs, blocks.n_robots, 3)
            blocks.put(Row.WIND, np.broadcast_to(self.wind[:, None], robots))

    def _write_motors(self, gain: Float, stuck: Bool | None) -> None:
        """A stuck motor ignores its command and keeps the last thrust or wheel speed."""
        blocks = self._blocks
        bias = np.zeros_like(gain)
        if stuck is not None:
            now = blocks.get(MOTOR_ROWS[isinstance(blocks.model, QuadModel)], MOTORS)
            self._held = np.where(stuck & (self._held == 0.0), now, np.where(stuck, self._held, 0))
            gain, bias = np.where(stuck, 0.0, gain), self._held
        blocks.put(Row.GAIN, gain)
        blocks.put(Row.BIAS, bias)


class OwnState:
    """What robots measure of themselves: late, noisy, off, stuck, or not at all."""

    def __init__(self, config: Disturbances, tick: float) -> None:
        """Args: the config and the time between decisions (s)."""
        self._config = config
        self._late = round(config.sensor_delay_s / tick)
        self._past: list[Kinematics] = []
        self._kept: Kinematics | None = None

    def reset(self, now: Kinematics, chosen: Bool) -> None:
        """Forget the past of the chosen (E) teams."""
        past = self._past or [now] * self._late
        self._past = [blend(now, old, chosen) for old in past]
        self._kept = now if self._kept is None else blend(now, self._kept, chosen)

    def measure(
        self, now: Kinematics, effects: Effects, keys: Keys, keep: bool = True
    ) -> Kinematics:
        """(E, N) own states.

        Args:
            now: truth; arrays of its own.
            effects: faults that act.
            keys: (E) of episode and step.
            keep: remember it, as a step does; a reset of some teams does not.
        """
        config, out = self._config, now
        if self._late and keep:
            self._past = [*self._past, now][-self._late - 1 :]
            out = self._past[0]
        faulty = [effects.bias.any(), effects.noise.any(), effects.frozen.any()]
        if not (config.measured or any(faulty) or effects.blind.any()):
            self._kept = now if keep else self._kept
            return now
        position, velocity, yaw = out.position.copy(), out.velocity.copy(), out.yaw.copy()
        shape = yaw.shape[1:]
        spread = np.hypot(config.position_noise, effects.noise)[..., None]
        noise = normal(mix(keys, MEASURE), (*shape, 7))
        position += spread * noise[..., :3]
        position[..., :2] += effects.bias
        velocity += config.velocity_noise * noise[..., 3:6]
        yaw += config.yaw_noise * noise[..., 6]
        measured = Kinematics(position, velocity, yaw, out.yaw_rate.copy())
        if self._kept is not None:
            measured = blend(self._kept, measured, effects.frozen)
        self._kept = measured if keep else self._kept
        if effects.blind.any():
            nan = np.full_like(position, np.nan)
            gone = Kinematics(nan, nan, nan[..., 0], nan[..., 0])
            return blend(gone, measured, effects.blind)
        return measured


def blend(new: Kinematics, old: Kinematics, chosen: Bool) -> Kinematics:
    """`new` where chosen (E) or (E, N), else `old`."""
    pick = chosen if chosen.ndim == new.yaw.ndim else chosen[:, None]
    return Kinematics(
        np.where(pick[..., None], new.position, old.position),
        np.where(pick[..., None], new.velocity, old.velocity),
        np.where(pick, new.yaw, old.yaw),
        np.where(pick, new.yaw_rate, old.yaw_rate),
    )
