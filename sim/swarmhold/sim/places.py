"""Where episodes start: places of robots, landmarks and posts of E teams, padded."""

from __future__ import annotations

import numpy as np

from swarmhold.hardware.surroundings import Landmarks
from swarmhold.sim.scenarios.base import EVERYBODY, Layout


class Places:
    """Layouts of E teams of up to N robots as arrays.

    Attributes:
        position: (E, N, 2) m, where robots start.
        yaw: (E, N) rad.
        landmarks: (E, L); scenarios move and change them.
        owners: (E, L) robot that alone sees the landmark, or `EVERYBODY`.
        posts: (E, K, 3) m, x, y and radius of upright cylinders; radius 0 for none.
    """

    def __init__(self, n_envs: int, n_robots: int, slots: int) -> None:
        """Args: E, N and L."""
        self.position, self.yaw = np.zeros((n_envs, n_robots, 2)), np.zeros((n_envs, n_robots))
        self.landmarks = Landmarks(
            np.zeros((n_envs, slots, 2)), np.zeros((n_envs, slots)), np.zeros((n_envs, slots), bool)
        )
        self.owners = np.full((n_envs, slots), EVERYBODY)
        self.posts = np.zeros((n_envs, 0, 3))

    def lay(self, layouts: dict[int, Layout]) -> None:
        """Replace what the environments with these numbers have."""
        posts = max((len(layout.posts) for layout in layouts.values()), default=0)
        more = max(posts - self.posts.shape[1], 0)
        self.posts = np.pad(self.posts, [(0, 0), (0, more), (0, 0)])
        marks = self.landmarks
        for env, layout in layouts.items():
            size, count = len(layout.yaw), len(layout.values)
            self.position[env], self.yaw[env] = 0.0, 0.0
            self.position[env, :size], self.yaw[env, :size] = layout.position, layout.yaw
            marks.mask[env], self.owners[env], self.posts[env] = False, EVERYBODY, 0.0
            marks.position[env, :count], marks.value[env, :count] = layout.landmarks, layout.values
            marks.mask[env, :count] = True if layout.shown is None else layout.shown
            if layout.owners is not None:
                self.owners[env, :count] = layout.owners
            self.posts[env, : len(layout.posts)] = layout.posts
