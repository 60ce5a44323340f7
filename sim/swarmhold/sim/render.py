"""Pictures of a team from above, and clips of episodes; needs the extra `plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from swarmhold.hardware.errors import ConfigError
from swarmhold.hardware.types import Float
from swarmhold.sim.env import SwarmEnv
from swarmhold.sim.step import Step

SIZE = 360  # px
SPEED = 3  # times as fast as it was
SCALE = 2  # drawn larger, then reduced: smooth edges
PAPER, INK = (250, 250, 247), (40, 44, 52)
HEALTHY, FAULTY, MARK, POST, TOUCH = (
    *((36, 110, 185), (200, 60, 50), (235, 170, 40)),
    *((130, 130, 130), (220, 30, 30)),
)


def picture(env: SwarmEnv, team: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: arena, landmarks, posts, robots with their heading; north is up.

    Healthy robots are blue, faulty ones red; a landmark's size is its value.

    Args:
        env: environment, after a reset.
        team: which of the teams.
    """
    half, side = env.half_width * 1.05, SIZE * SCALE
    image = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x / half + 1) * side / 2, (1 - y / half) * side / 2

    def disc(place: Float, radius: float, **style: Any) -> None:
        x, y = at(float(place[0]), float(place[1]))
        r = max(radius / half * side / 2, 3.5 * SCALE)
        draw.ellipse((x - r, y - r, x + r, y + r), **style)

    wide, high = env.arena
    draw.rectangle((*at(-wide, high), *at(wide, -high)), outline=INK, width=SCALE)
    marks = env.landmarks
    for k in np.flatnonzero(marks.mask[team]):
        size = env.model.radius * (0.5 + 0.7 * marks.value[team, k])
        disc(marks.position[team, k], size, fill=MARK)
        owner = int(env.owners[team, k])
        if owner >= 0:
            body = env.physics.bodies.position[team, owner]
            ends = (*at(*body[:2]), *at(*marks.position[team, k]))
            draw.line(ends, fill=(225, 215, 190), width=SCALE)
    for post in env.posts[team]:
        if post[2] > 0:
            disc(post[:2], float(post[2]), fill=POST)
    healthy, bodies = env.healthy[team], env.physics.bodies
    yaw, touched = bodies.yaw()[team], env.physics.touched[team]
    for k in np.flatnonzero(env.present[team]):
        place, radius = bodies.position[team, k, :2], env.model.radius
        edge = TOUCH if touched[k] else PAPER
        colour = HEALTHY if healthy[k] else FAULTY
        disc(place, radius, fill=colour, outline=edge, width=SCALE)
        nose = place + 1.3 * radius * np.array([np.cos(yaw[k]), np.sin(yaw[k])])
        draw.line((*at(*place), *at(*nose)), fill=INK, width=SCALE)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def clip(
    env: SwarmEnv,
    policy: Callable[[Step], Float],
    path: Path,
    every: int = 3,
    **options: Any,
) -> Step:
    """Play one episode into an animated GIF (or WebP, by the ending).

    Args:
        env: environment.
        policy: step to set-points (E, N, Da).
        path: file.
        every: decisions per frame.
        options: of `SwarmEnv.reset`.

    Returns:
        The last step.

    Raises:
        ConfigError: the file cannot be written, or its ending is unknown.
    """
    if path.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(f"cannot write the clip {path}: unknown ending; use .gif or .webp")
    step = env.reset(**options)
    frames = [picture(env)]
    for number in range(1, env.limit + 1):
        step = env.step(policy(step))
        if number % every == 0 or number == env.limit:
            frames.append(picture(env))
    images = [Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames]
    try:
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=round(1000 * every * env.tick / SPEED),
            loop=0,
            quality=50,  # of WebP; GIF knows none
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the clip {path}: {error}") from error
    return step
