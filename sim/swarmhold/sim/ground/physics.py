"""The Robotarium's ground swarm as a physics backend of the environment."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.blocks import Row
from swarmhold.sim.dynamics import upright, wheel_commands
from swarmhold.sim.ground.engine import TICK, Robotarium
from swarmhold.sim.physics import Physics
from swarmhold.sim.robots import Model

ARENA = (1.6, 1.0)  # m, half widths


class GroundPhysics(Physics):
    """Unicycles at ticks of 33 ms behind the barrier filter, as the testbed runs them.

    Whatever ails a motor (gain and bias of its wheel) acts before the filter, which is what the
    testbed's server does with the commands that it receives. Nothing is pushed apart: robots
    nearer than the collision diameter, or past the edge of the arena, are flagged as touching.
    """

    def __init__(
        self, model: Model, n_envs: int, n_robots: int, barrier: bool, compiled: bool | None = None
    ) -> None:
        """Build the arena.

        Args:
            model: robot class.
            n_envs: E.
            n_robots: N.
            barrier: filter the commands; without, robots may collide.
            compiled: see `Blocks`.
        """
        self.engine = Robotarium(n_envs, n_robots, barrier, ARENA, compiled)
        self.relaxed = np.zeros(n_envs, np.int64)
        super().__init__(model, n_envs, n_robots, ARENA[0], contacts=False, compiled=compiled)
        self.arena = ARENA

    def _after_reset(self, chosen: Bool) -> None:
        place, attitude = self.blocks.get(Row.POSITION, 2), self.blocks.get(Row.ATTITUDE, 4)
        yaw = 2.0 * np.arctan2(attitude[..., 2], attitude[..., 3])
        poses = np.concatenate([place, yaw[..., None]], axis=-1)
        self.engine.reset(poses, self._present, chosen)
        self.relaxed[chosen] = 0

    def attend(self, position: Float, yaw: Float, present: Bool) -> None:
        """See `Physics.attend`; the others keep their poses to the bit."""
        stay = present == self._present
        poses, relaxed = self.engine.poses.copy(), self.relaxed.copy()
        super().attend(position, yaw, present)
        self.engine.poses[stay], self.relaxed[:] = poses[stay], relaxed

    def advance(self, setpoint: Float, anchored: Bool, seconds: float) -> None:
        """See `Physics.advance`; a whole number of ticks."""
        model, engine = self._model, self.engine
        goal = np.nan_to_num(np.where(anchored[..., None], 0.0, setpoint))
        wheels = np.stack(wheel_commands(model, goal), axis=-1) * model.wheel_speed  # type: ignore[union-attr]
        wheels = wheels * self.blocks.get(Row.GAIN, 2) + self.blocks.get(Row.BIAS, 2)
        wheels[anchored] = 0.0
        turn = (wheels[..., 1] - wheels[..., 0]) / model.axle  # type: ignore[union-attr]
        before = engine.poses.copy()
        engine.drive(np.stack([wheels.mean(axis=-1), turn], axis=-1), round(seconds / TICK))
        self.touched[:] = engine.collided | engine.outside
        self.relaxed += engine.relaxed
        self._store(before, seconds)
        self._refresh()

    def _store(self, before: Float, seconds: float) -> None:
        poses = self.engine.poses
        turned = np.remainder(poses[..., 2] - before[..., 2] + np.pi, 2 * np.pi) - np.pi
        state = np.zeros((*poses.shape[:2], 13))
        state[..., :2], state[..., 2] = poses[..., :2], self._model.height
        state[..., 3:7] = upright(poses[..., 2])
        state[..., 7:9] = (poses[..., :2] - before[..., :2]) / seconds
        state[..., 12] = turned / seconds
        self.blocks.put(0, state)

    def restore(self, saved: dict[str, Float]) -> None:
        """Go back to a snapshot."""
        super().restore(saved)
        self.engine.poses[:] = saved["poses"]
        self.relaxed[:] = saved["relaxed"]

    def snapshot(self) -> dict[str, Float]:
        """All that is needed to go on from here, bit-equal."""
        kept = super().snapshot()
        return {**kept, "poses": self.engine.poses.copy(), "relaxed": self.relaxed.copy()}
