"""One team in PyBullet, posing as hardware: what the world node steps in real time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swarmhold.hardware.drivers.protocol import Injected
from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.faults import BODY_KINDS, FaultSpec
from swarmhold.hardware.messages import SensorFrame, Task
from swarmhold.hardware.observe import to_body
from swarmhold.hardware.spec import policy_spec
from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.disturb import Actuation, Disturbances
from swarmhold.sim.faults import FaultStage
from swarmhold.sim.noise import mix
from swarmhold.sim.physics import make_physics
from swarmhold.sim.robots import model_of
from swarmhold.sim.scenarios.base import Scenario, TeamView
from swarmhold.sim.scenarios.registry import scenario_of
from swarmhold.sim.sensing import sightings_of


class World:
    """N robots of one scenario at 240 Hz, contacts on."""

    def __init__(
        self, scenario: str, robot: str, n_robots: int, seed: int = 0, backend: str = "pybullet"
    ) -> None:
        """Build the world and place the robots.

        Args:
            scenario: name of the task.
            robot: robot class.
            n_robots: N.
            seed: fixes start poses, landmarks and sensing noise.
            backend: physics; "pybullet" is the reference.
        """
        self.scenario, self.robot, self.n_robots = scenario_of(scenario), robot, n_robots
        self.half_width = self.scenario.half_width(robot)
        self._model = model_of(robot)
        self._bound = np.asarray(policy_spec(robot).action_bound)
        self._physics = make_physics(backend, self._model, 1, n_robots, self.half_width, True)
        self._seed, self._looks, self._time = seed, 0, 0.0
        self._faults = FaultStage(1, n_robots)
        self._motors = Actuation(Disturbances(), self._physics.blocks, 1.0)
        layout = self.scenario.layout(np.random.default_rng([seed, 0, 0]), n_robots, robot)
        moves = type(self.scenario).advance is not Scenario.advance
        if moves or layout.owners is not None or len(layout.posts):
            raise ConfigError(
                f"{scenario} changes its landmarks, gives robots goals of their own or puts posts "
                "in their way, which a live task message cannot say yet; fly rendezvous or coverage"
            )
        self._layout = layout
        present = np.ones((1, n_robots), bool)
        self._physics.reset(layout.position[None], layout.yaw[None], present)

    @property
    def task(self) -> Task:
        """What the team is told."""
        marks = zip(self._layout.landmarks, self._layout.values, strict=True)
        return Task(
            tuple((float(p[0]), float(p[1]), float(value)) for p, value in marks),
            (0.0, 0.0, 0.0),
            self.half_width,
        )

    @property
    def position(self) -> Float:
        """(N, 3) m, true positions."""
        return self._physics.bodies.position[0]

    @property
    def yaw(self) -> Float:
        """(N) rad, true headings."""
        return self._physics.bodies.yaw()[0]

    @property
    def touched(self) -> Bool:
        """(N) in contact during the last advance."""
        return self._physics.touched[0]

    def advance(self, seconds: float, setpoint: Float, idle: Bool) -> None:
        """Move on.

        Args:
            seconds: a multiple of 1/240 s.
            setpoint: (N, Da) physical units.
            idle: (N) robots without a current command; they hold.
        """
        goal = np.clip(np.nan_to_num(setpoint), -self._bound, self._bound)
        effects = self._faults.effects(np.array([self._time]))
        self._motors.apply(effects, np.zeros((1, self.n_robots)), mix(np.array([self._seed])))
        self._time += seconds
        self._physics.advance(goal[None], idle[None], seconds)

    def inject(self, fault: FaultSpec) -> Injected:
        """Break motors from now on; `start_s` counts from here. All else is not the body's.

        Raises:
            ConfigError: there is no such robot.
        """
        if fault.kind not in BODY_KINDS:
            return Injected.UNSUPPORTED
        later = replace(fault, start_s=self._time + fault.start_s)
        self._faults.load([[*self._faults.plan[0], later]])
        return Injected.APPLIED

    def frames(self, stamp: float) -> list[SensorFrame]:
        """What every robot senses now.

        Args:
            stamp: s, put into the frames.
        """
        bodies = self._physics.bodies
        place, yaw = bodies.position[0], bodies.yaw()[0]
        present = np.ones(self.n_robots, bool)
        self._looks += 1
        key = mix(self._seed, 99, self._looks)
        seen = sightings_of(key, place, present, ~present, self._model)
        relative = to_body(seen - place[:, None], yaw[:, None])
        offset = place[None, :] - place[:, None]
        near = np.linalg.norm(offset, axis=-1) < self._model.near_range
        np.fill_diagonal(near, False)
        around = to_body(offset, yaw[:, None])
        out = []
        for robot in range(self.n_robots):
            sighted = np.flatnonzero(np.isfinite(relative[robot, :, 0]))
            out.append(
                SensorFrame(
                    stamp=stamp,
                    position=_triple(place[robot]),
                    velocity=_triple(bodies.velocity[0, robot]),
                    yaw=float(yaw[robot]),
                    yaw_rate=float(bodies.spin[0, robot, 2]),
                    battery=1.0,
                    sighted=tuple(int(other) for other in sighted),
                    sightings=tuple(_triple(relative[robot, other]) for other in sighted),
                    bodies=tuple(_triple(p) for p in around[robot, near[robot]]),
                )
            )
        return out

    def task_error(self, healthy: Bool) -> float:
        """m, the scenario's error over the healthy robots (N)."""
        layout, n = self._layout, len(self._layout.values)
        view = TeamView(
            position=self.position[None, :, :2],
            effort=np.zeros((1, self.n_robots)),
            healthy=healthy[None],
            landmarks=layout.landmarks[None],
            values=layout.values[None],
            landmark_mask=np.ones((1, n), bool),
            half_width=self.half_width,
        )
        return float(self.scenario.outcome(self.robot, view).error[0])

    def close(self) -> None:
        """Free the physics server."""
        self._physics.close()


def _triple(values: Float) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
