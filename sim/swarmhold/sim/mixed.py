"""Mixed mode: the twin moves everybody, PyBullet the teams in which something is about to touch.

Before each decision the teams are found in which a body could meet another, the ground, a wall or
a post before the next one. They enter slots of PyBullet servers, are moved there with all that
contact does, and stay until they have been clear for a while, so that resting contacts keep their
state. Servers are made when they are needed and stepped only while somebody is inside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swarmhold.hardware.types import Bool, Float, Int
from swarmhold.sim.blocks import ROWS, STATE, Blocks, Row
from swarmhold.sim.bullet import BulletServer
from swarmhold.sim.bullet_step import BulletStepper
from swarmhold.sim.robots import PHYSICS_HZ, DriveModel

SLOTS = 16  # teams of one server
MARGIN = 0.02  # m, beyond what bodies can close in one advance
CALM = 12  # advances without anything near, until a team goes back to the twin
PARKED = 1000.0  # m, height of empty slots
NOBODY = -1

MakeServer = Callable[[int], BulletServer]  # teams -> server


class _Pool:
    """One server with its own blocks."""

    def __init__(self, like: Blocks, server: BulletServer, open_loop: bool) -> None:
        self.blocks = Blocks(
            like.model, SLOTS, like.n_robots, np.float64, like.rotors, like.compiled
        )
        if like.rotors:
            self.blocks.put(Row.COMMAND, self.blocks.get(Row.MOTOR, 4))  # hover
        place = np.zeros((SLOTS, like.n_robots, 3))
        place[..., 0], place[..., 2] = 2.0 * np.arange(like.n_robots), PARKED
        self.blocks.put(Row.POSITION, place)
        self.empty = self.blocks.take(np.arange(SLOTS))
        self.stepper = BulletStepper(server, self.blocks, open_loop)
        self.stepper.push()
        self.guests = np.full(SLOTS, NOBODY)
        self.touching = np.zeros((SLOTS, like.n_robots), bool)


class ContactTeams:
    """Moves blocks as the twin does, and teams in contact as PyBullet does.

    Attributes:
        inside: (E) teams that PyBullet moves now.
        touching: (E, N) bodies that PyBullet found in contact after the last advance.
    """

    def __init__(
        self, blocks: Blocks, make_server: MakeServer, open_loop: bool, half_width: float = np.inf
    ) -> None:
        """Args: blocks to move, server factory, see `BulletStepper`, and m where walls stand."""
        self.blocks, self._make, self._open_loop = blocks, make_server, open_loop
        self._half = half_width
        self._pools: list[_Pool] = []
        self._ground = isinstance(blocks.model, DriveModel)
        self.inside = np.zeros(blocks.n_envs, bool)
        self.touching = np.zeros((blocks.n_envs, blocks.n_robots), bool)
        self.posts = np.zeros((blocks.n_envs, 0, 3))
        self._calm = np.zeros(blocks.n_envs, int)
        self._pairs = np.triu_indices(blocks.n_robots, 1)

    def advance(self, steps: int) -> None:
        """Move on by physics steps, the command held."""
        near = self._near(steps / PHYSICS_HZ)
        self._calm = np.where(near, 0, self._calm + 1)
        self._dismiss(self.inside & (self._calm > CALM))
        self._admit(np.flatnonzero(near & ~self.inside))
        self.blocks.advance(steps)
        self.touching[:] = False
        for pool in self._pools:
            slots = np.flatnonzero(pool.guests != NOBODY)
            if not slots.size:
                continue
            guests = pool.guests[slots]
            # Commands and factors are left alone by the twin's advance; its states do not count.
            twin, rows = self.blocks.take(guests), pool.blocks.take(slots)
            rows[..., STATE:] = twin[..., STATE:]
            pool.blocks.give(slots, rows)
            pool.stepper.advance(steps)
            twin[..., :STATE] = pool.blocks.take(slots)[..., :STATE]
            self.blocks.give(guests, twin)
            hit = pool.stepper.server.touching().reshape(SLOTS, -1)
            self.touching[guests] = hit[slots]

    def _near(self, seconds: float) -> Bool:
        """(E) whether any two things of a team could touch within the time."""
        place, speed = self.blocks.get(Row.POSITION, 3), self.blocks.get(Row.VELOCITY, 3)
        i, j = self._pairs
        radius, gap = self.blocks.model.radius, MARGIN + seconds * (9.81 * seconds)
        apart = np.sqrt(np.sum((place[:, i] - place[:, j]) ** 2, axis=-1))
        closing = seconds * np.sqrt(np.sum((speed[:, i] - speed[:, j]) ** 2, axis=-1))
        near = np.asarray((apart < 2 * radius + gap + closing).any(axis=1))
        step = seconds * np.sqrt(np.sum(speed[..., :2] ** 2, axis=-1))
        if self._ground:
            edge = np.abs(place[..., :2]).max(axis=-1) + step
            near |= ((edge > self._half - radius - gap) & (edge < self._half + radius)).any(axis=1)
        else:
            low = place[..., 2] - seconds * np.maximum(-speed[..., 2], 0.0)
            near |= (low < radius + gap).any(axis=1)
        if self.posts.shape[1]:
            offset = place[:, :, None, :2] - self.posts[:, None, :, :2]
            apart = np.sqrt(np.sum(offset**2, axis=-1)) - self.posts[:, None, :, 2]
            real = self.posts[:, None, :, 2] > 0
            near |= (real & (apart < radius + gap + step[..., None])).any(axis=(1, 2))
        return near

    def _admit(self, teams: Int) -> None:
        if not teams.size:
            return
        for pool in self._free_pools(len(teams)):
            slots = np.flatnonzero(pool.guests == NOBODY)[: len(teams)]
            now, teams = teams[: len(slots)], teams[len(slots) :]
            self._seat(pool, slots, now, self.blocks.take(now))

    def _seat(self, pool: _Pool, slots: Int, teams: Int, rows: Float) -> None:
        pool.guests[slots] = teams
        pool.blocks.give(slots, rows)
        for slot, team in zip(slots, teams, strict=True) if self.posts.shape[1] else ():
            posts = self.posts[team]
            pool.stepper.server.place_obstacles(int(slot), posts[posts[:, 2] > 0])
        self._push(pool, slots)
        self.inside[teams] = True

    def _free_pools(self, wanted: int) -> list[_Pool]:
        """The fullest pools first, so that the others can rest; new ones where all are full."""
        room = sum(int((pool.guests == NOBODY).sum()) for pool in self._pools)
        for _ in range(-(-(wanted - room) // SLOTS)):
            self._pools.append(_Pool(self.blocks, self._make(SLOTS), self._open_loop))
        free = [pool for pool in self._pools if (pool.guests == NOBODY).any()]
        return sorted(free, key=lambda pool: int((pool.guests == NOBODY).sum()))

    def _dismiss(self, teams: Bool) -> None:
        if not teams.any():
            return
        self.inside &= ~teams
        for pool in self._pools:
            slots = np.flatnonzero((pool.guests != NOBODY) & teams[pool.guests])
            if slots.size:
                pool.guests[slots] = NOBODY
                pool.blocks.give(slots, pool.empty[slots])
                self._push(pool, slots)

    @staticmethod
    def _push(pool: _Pool, slots: Int) -> None:
        chosen = np.zeros(SLOTS, bool)
        chosen[slots] = True
        pool.blocks.varied |= bool((pool.blocks.take(slots)[..., Row.MASS : Row.DRAG] != 1.0).any())
        pool.stepper.push(chosen)

    def find_contacts(self, out: Bool) -> None:
        """Fill (E, N) with who touched something in the last step."""
        out[:] = self.touching

    def push(self, chosen: Bool | None = None) -> None:
        """Teams (E) have been moved by hand: whoever was inside is taken out."""
        self._dismiss(self.inside if chosen is None else self.inside & chosen)

    def snapshot(self) -> dict[str, Float]:
        """Who sits where, and their states in double precision; see `FlightSim.snapshot`."""
        for pool in self._pools:
            self._push(pool, np.flatnonzero(pool.guests != NOBODY))
        rows = [pool.blocks.take(np.arange(SLOTS)) for pool in self._pools]
        shape = (0, SLOTS, self.blocks.n_robots, ROWS)
        return {
            "guests": np.array([pool.guests for pool in self._pools], int).reshape(-1, SLOTS),
            "rows": np.array(rows) if rows else np.zeros(shape),
            "calm": self._calm.copy(),
        }

    def restore(self, saved: dict[str, Float]) -> None:
        """Go back to a snapshot; the blocks must have been restored before."""
        self._dismiss(self.inside)
        while len(self._pools) < len(saved["guests"]):
            self._pools.append(_Pool(self.blocks, self._make(SLOTS), self._open_loop))
        for pool, guests, rows in zip(self._pools, saved["guests"], saved["rows"], strict=False):
            slots = np.flatnonzero(guests != NOBODY)
            self._seat(pool, slots, guests[slots], rows[slots])
        self._calm = saved["calm"].copy()

    def close(self) -> None:
        """Disconnect from the servers."""
        for pool in self._pools:
            pool.stepper.close()
