"""PyBullet as a physics backend: for everybody, or for those who touch something."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.types import Bool, Float
from swarmhold.sim.blocks import STATE, Row
from swarmhold.sim.bullet import BulletServer, bullet_server
from swarmhold.sim.bullet_step import BulletStepper
from swarmhold.sim.mixed import ContactTeams
from swarmhold.sim.physics import Physics
from swarmhold.sim.quad import QuadConstants
from swarmhold.sim.robots import Model


class BulletPhysics(Physics):
    """The reference: PyBullet moves the bodies, under forces of the same laws."""

    def __init__(
        self,
        model: Model,
        n_envs: int,
        n_robots: int,
        half_width: float,
        contacts: bool,
        native: bool = False,
        gui: bool = False,
    ) -> None:
        """See `Physics`.

        Args:
            model: robot class.
            n_envs: E.
            n_robots: N.
            half_width: m.
            contacts: whether bodies touch.
            native: through C functions where proven.
            gui: open a window.
        """
        self.server = bullet_server(
            native, model, n_envs, n_robots, half_width, contacts, gravity=False, gui=gui
        )
        # For a team or two, compiling would take longer than all it saves.
        compiled = None if self.server.native else False
        super().__init__(model, n_envs, n_robots, half_width, contacts, compiled)
        self._stepper = BulletStepper(self.server, self.blocks, open_loop=False)

    def _after_reset(self, chosen: Bool) -> None:
        if self._contacts:
            for env in np.flatnonzero(chosen):
                posts = self._posts[env]
                self.server.place_obstacles(int(env), posts[posts[:, 2] > 0])
        self._stepper.push(chosen)

    def lower(self, height: float) -> None:
        """Put quadrotors down, motors at rest.

        Args:
            height: m, of their centres.
        """
        state = self.blocks.get(0, STATE)
        state[..., 2], state[..., Row.MOTOR :] = height, 0.0
        self.blocks.put(0, state)
        self._stepper.push()
        self._refresh()

    def roughen(self) -> None:
        """Give floor and quadrotors friction, which the twin lacks; servers must not be native."""
        self.server.roughen()

    def hover_at(self, body: int, height: float) -> None:
        """Let one quadrotor of a team hold another height, m; for servers that are not native."""
        constants = self.blocks.constants
        assert isinstance(constants, QuadConstants)
        heights = np.broadcast_to(constants.height, self.blocks.n_robots).copy()
        heights[body] = height
        # The numpy laws work on whole rows, so a constant may be one.
        self.blocks.constants = constants._replace(height=heights)

    def _move(self, steps: int) -> None:
        self._stepper.advance(steps)

    def _resolve(self, anchored: Bool) -> None:
        if self._contacts:
            self.touched = self.server.touching().reshape(self._present.shape)
            return
        place = self.bodies.position[..., :2]
        hit = self._walls(place)
        if hit is not None:
            self.bodies.velocity[..., :2][hit] = 0.0
            self.blocks.put(Row.POSITION, place)
            self.blocks.put(Row.VELOCITY, self.bodies.velocity)
            self.server.teleport(self.blocks.get(0, 13).reshape(-1, 13), hit.any(axis=-1).ravel())

    def snapshot(self) -> dict[str, Float]:
        """All that is needed to go on from here; bodies are put where they were read."""
        self._stepper.push()
        return super().snapshot()

    def close(self) -> None:
        """Disconnect from the server."""
        self._stepper.close()


class MixedPhysics(Physics):
    """The twin, with the teams in which something is about to touch moved by PyBullet."""

    def __init__(
        self, model: Model, n_envs: int, n_robots: int, half_width: float, contacts: bool
    ) -> None:
        """See `Physics`."""
        super().__init__(model, n_envs, n_robots, half_width, contacts)

        def serve(teams: int) -> BulletServer:
            return bullet_server(True, model, teams, n_robots, half_width, True, gravity=False)

        self._teams = ContactTeams(self.blocks, serve, open_loop=False, half_width=half_width)

    def _after_reset(self, chosen: Bool) -> None:
        self._teams.posts = self._posts
        self._teams.push(chosen)

    def _move(self, steps: int) -> None:
        if self._contacts:
            self._teams.advance(steps)
        else:
            super()._move(steps)

    def _resolve(self, anchored: Bool) -> None:
        if not self._contacts:
            super()._resolve(anchored)
            return
        self._teams.find_contacts(self.touched)
        self.touched &= self._present

    def snapshot(self) -> dict[str, Float]:
        """All that is needed to go on from here; bodies are put where they were read."""
        return {**super().snapshot(), **self._teams.snapshot()}

    def restore(self, saved: dict[str, Float]) -> None:
        """Go back to a snapshot."""
        super().restore(saved)
        self._teams.restore(saved)

    def close(self) -> None:
        """Disconnect from the servers."""
        self._teams.close()
