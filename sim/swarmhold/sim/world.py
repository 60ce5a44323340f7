"""One team in PyBullet, posing as hardware: what the world node steps in real time.

GRITSBots are the Robotarium's: they move as its own simulator has it, behind its barrier. Beside
the robots of the roster there may be spare bodies, which stand at the fence until they take over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.hidden import Hidden, nothing_hidden
from swarmhold.hardware.messages import SensorFrame, Task
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.surroundings import sideways
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.blocks import Row
from swarmhold.sim.disturb import Actuation, Disturbances
from swarmhold.sim.faults import MOTORS, Effects, FaultStage
from swarmhold.sim.field import Field
from swarmhold.sim.ground.unicycle import TICK
from swarmhold.sim.late import Late
from swarmhold.sim.noise import mix
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import GRITSBOT, PHYSICS_HZ, DriveModel, QuadModel, model_of
from swarmhold.sim.sensing import sightings_of

if TYPE_CHECKING:
    from swarmhold.sim.bullet_physics import BulletPhysics


class World:
    """N robots of one scenario at 240 Hz, contacts on."""

    def __init__(
        self,
        scenario: str,
        robot: str,
        n_robots: int,
        seed: int = 0,
        spares: int = 0,
        landed: bool = False,
        hidden: Hidden | None = None,
        start: tuple[Float, Float] | None = None,
    ) -> None:
        """Build the world and place the robots.

        Args:
            scenario: name of the task.
            robot: robot class.
            n_robots: N.
            seed: fixes start poses, landmarks and sensing noise.
            spares: bodies beyond those of the roster.
            landed: quadrotors stand on the ground, without power, instead of hovering; see `power`
                and `hover_at`.
            hidden: what the robots of the roster have that nobody knows of; None: nothing.
            start: positions (N, 2), m, and headings (N), rad, instead of the scenario's.

        Raises:
            ConfigError: the scenario is not for that robot class.
        """
        self._field = Field(scenario, robot, n_robots, seed)
        self.robot, self.n_robots = robot, n_robots
        self.half_width = self._field.half_width
        self._model = model_of(robot)
        self._bound = np.asarray(policy_spec(robot).action_bound)
        own = self._model is GRITSBOT
        self.tick = TICK if own else 1.0 / PHYSICS_HZ
        backend = "batched" if own else "pybullet"
        self._bodies = n_robots + spares
        self._body_of = np.arange(n_robots)  # by roster index
        # Bodies touch, whatever the scenario trains with.
        self._physics = make_physics(backend, self._model, 1, self._bodies, self.half_width, True)
        self._seed, self._looks, self._time = seed, 0, 0.0
        self._faults = FaultStage(1, self._bodies)
        self._motors = Actuation(Disturbances(), self._physics.blocks, 1.0)
        places = self._field.places
        position, yaw = (places.position[0], places.yaw[0]) if start is None else start
        taken = np.concatenate([position, places.posts[0, :, :2]])
        spots = _at_the_fence(taken, spares, self.half_width - 2.0 * self._model.radius)
        self._physics.reset(
            np.concatenate([position, spots])[None],
            np.concatenate([yaw, np.zeros(spares)])[None],
            np.ones((1, self._bodies), bool),
            None,
            places.posts,
        )
        self._hide(nothing_hidden(n_robots) if hidden is None else hidden)
        self._powered = np.ones(self._bodies, bool)
        if isinstance(self._model, QuadModel):
            self._bullet.roughen()
            if landed:
                self._powered[:] = False
                self._bullet.lower(self._model.radius)

    def _hide(self, hidden: Hidden) -> None:
        """Let the robots of the roster be other than their models."""
        drives = isinstance(self._model, DriveModel)
        self._wheels = np.ones(self._bodies)
        self._wheels[: self.n_robots] = hidden.wheel_scale if drives else 1.0
        self._late = Late(hidden.latency, self.tick) if hidden.latency.any() else None
        if not drives and (hidden.drag != 1.0).any():
            spare = np.ones(self._bodies - self.n_robots)
            self._physics.blocks.put(Row.DRAG, np.concatenate([hidden.drag, spare])[None])

    @property
    def task(self) -> Task:
        """What the team is told now."""
        return self._field.task

    @property
    def position(self) -> Float:
        """(N, 3) m, true positions."""
        return self._physics.bodies.position[0, self._body_of]

    @property
    def yaw(self) -> Float:
        """(N) rad, true headings."""
        return self._physics.bodies.yaw()[0, self._body_of]

    @property
    def touched(self) -> Bool:
        """(N) in contact during the last advance."""
        return self._physics.touched[0, self._body_of]

    @property
    def beyond(self) -> float:
        """M by which the farthest robot is outside the fence; below 0: nobody is."""
        return float(np.abs(self.position[:, :2]).max()) - self.half_width

    def take_over(self, robot: int) -> bool:
        """Let the next spare body be this robot from now on; False if there is none left.

        The body that was this robot stays where it is, held, and is nobody.
        """
        following = max(int(self._body_of.max()), self.n_robots - 1) + 1
        if following >= self._bodies:
            return False
        self._body_of[robot] = following
        return True

    def power(self, robot: int, on: bool) -> None:
        """Switch the motors of a robot on or off; without them a quadrotor falls."""
        self._powered[self._body_of[robot]] = on

    def hover_at(self, robot: int, height: float) -> None:
        """Let the on-board controller of a quadrotor hold another height from now on, m."""
        self._bullet.hover_at(int(self._body_of[robot]), height)

    @property
    def _bullet(self) -> BulletPhysics:
        """The physics of quadrotors."""
        from swarmhold.sim.bullet_physics import BulletPhysics

        assert isinstance(self._physics, BulletPhysics)
        return self._physics

    def pose(self, robot: int) -> tuple[Float, Float, Float, Float]:
        """Of a robot: position (3) m, velocity (3) m/s, attitude (4) x, y, z, w, spin (3) rad/s.

        World ENU, the truth.
        """
        bodies, body = self._physics.bodies, self._body_of[robot]
        parts = (bodies.position, bodies.velocity, bodies.attitude, bodies.spin)
        position, velocity, attitude, spin = (part[0, body] for part in parts)
        return position, velocity, attitude, spin

    def advance(self, seconds: float, setpoint: Float, idle: Bool) -> None:
        """Move on.

        Args:
            seconds: a multiple of `tick`.
            setpoint: (N, Da) physical units.
            idle: (N) robots without a current command; they hold.
        """
        effects = self._as_they_are(self._faults.effects(np.array([self._time])))
        self._motors.apply(effects, np.zeros((1, self._bodies)), mix(np.array([self._seed])))
        goal = np.clip(np.nan_to_num(setpoint), -self._bound, self._bound)
        touched = np.zeros((1, self._bodies), bool)
        for lasts, obeyed, holds in self._obeyed(seconds, goal, idle):
            self._move(lasts, obeyed, holds)
            touched |= self._physics.touched
        self._physics.touched[:] = touched
        self._time += seconds
        self._field.advance(self.position, self.yaw, self.touched, ~idle, seconds)

    def _obeyed(
        self, seconds: float, goal: Float, idle: Bool
    ) -> Iterable[tuple[float, Float, Bool]]:
        """What motors obey for how long (s), of what is asked for from now on."""
        if self._late is None:
            return [(seconds, goal, idle)]
        return self._late.pieces(self._time, seconds, goal, idle)

    def _move(self, seconds: float, goal: Float, idle: Bool) -> None:
        """Motors obey set-points (N, Da); bodies that are nobody are held."""
        setpoint, held = np.zeros((self._bodies, len(self._bound))), np.ones(self._bodies, bool)
        setpoint[self._body_of], held[self._body_of] = goal, idle
        self._physics.advance(setpoint[None], held[None], seconds)

    def _as_they_are(self, effects: Effects) -> Effects:
        """With wheels of their own, and no gain left in the motors that are switched off."""
        if self._powered.all() and (self._wheels == 1.0).all():
            return effects
        gain = np.ones((1, self._bodies, MOTORS)) if effects.gain is None else effects.gain
        return replace(effects, gain=gain * (self._powered * self._wheels)[:, None])

    def inject(self, fault: FaultSpec) -> Injected:
        """Break motors from now on; `start_s` counts from here. All else is not the body's.

        Raises:
            ConfigError: there is no such robot.
        """
        if fault.kind not in BODY_KINDS:
            return Injected.UNSUPPORTED
        if not 0 <= fault.robot < self.n_robots:
            raise ConfigError(f"fault names robot {fault.robot} of {self.n_robots}")
        body = int(self._body_of[fault.robot])
        later = replace(fault, robot=body, start_s=self._time + fault.start_s)
        self._faults.load([[*self._faults.plan[0], later]])
        return Injected.APPLIED

    def mend(self, robot: int, kind: str) -> None:
        """End all faults of a kind that a robot's body has."""
        body = int(self._body_of[robot])
        left = [f for f in self._faults.plan[0] if (f.robot, f.kind) != (body, kind)]
        self._faults.load([left])

    def frames(self, stamp: float) -> list[SensorFrame]:
        """What every robot senses now.

        Args:
            stamp: s, put into the frames.
        """
        bodies = self._physics.bodies
        place, yaw = bodies.position[0], bodies.yaw()[0]
        present = np.ones(self._bodies, bool)
        self._looks += 1
        key = mix(self._seed, 99, self._looks)
        seen = sightings_of(key, place, present, ~present, self._model)
        relative = to_body(seen - place[:, None], yaw[:, None])
        offset = place[None, :] - place[:, None]
        near = sideways(offset) < self._model.near_range
        np.fill_diagonal(near, False)
        around = to_body(offset, yaw[:, None])
        out = []
        for body in self._body_of:
            sight = relative[body, self._body_of]  # who is nobody is not told apart
            sighted = np.flatnonzero(np.isfinite(sight[:, 0]))
            out.append(
                SensorFrame(
                    stamp=stamp,
                    position=_triple(place[body]),
                    velocity=_triple(bodies.velocity[0, body]),
                    yaw=float(yaw[body]),
                    yaw_rate=float(bodies.spin[0, body, 2]),
                    battery=1.0,
                    sighted=tuple(sighted.tolist()),
                    sightings=tuple(map(tuple, sight[sighted].tolist())),
                    bodies=tuple(map(tuple, around[body, near[body]].tolist())),
                )
            )
        return out

    def task_error(self, healthy: Bool) -> float:
        """m, the scenario's error over the healthy robots (N)."""
        return self._field.error(self.position, self.yaw, self.touched, healthy)

    def solved(self, healthy: Bool) -> bool:
        """Whether the task counts as done over the healthy robots (N)."""
        return self._field.solved(self.position, self.yaw, self.touched, healthy)

    def close(self) -> None:
        """Free the physics server."""
        self._physics.close()


def _at_the_fence(taken: Float, count: int, reach: float) -> Float:
    """(count, 2) m, places along the fence that are far from all that is taken (K, 2)."""
    along = np.linspace(-reach, reach, 25)
    sides = [np.stack(pair, axis=-1) for edge in (-reach, reach)
             for pair in ((along, np.full(25, edge)), (np.full(25, edge), along))]  # fmt: skip
    choice, spots = np.concatenate(sides), np.zeros((0, 2))
    for _ in range(count):
        there = np.concatenate([taken, spots])
        room = np.linalg.norm(choice[:, None] - there[None], axis=-1).min(axis=1)
        spots = np.concatenate([spots, choice[[room.argmax()]]])
    return spots


def _triple(values: Float) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
