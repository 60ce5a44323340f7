"""Shared localisation: where the robots of one frame of reference are, as their drivers know it.

What a simulated robot senses of its teammates a real one knows from motion capture, base stations
or satellites, which place all of them in one frame. Who was not heard for a moment is no longer
sighted, but stays where it was as an unidentified body: it may still be there.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from swarmhold.hardware.observe import to_body
from swarmhold.hardware.surroundings import sideways
from swarmhold.hardware.types import Float

FRESH_S = 0.25  # after which a position is no sighting any more
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Around:
    """What one robot senses of the others, all in its yaw frame.

    Attributes:
        sighted: roster indices.
        sightings: m, relative position of each.
        bodies: m, relative position of unidentified bodies nearby.
    """

    sighted: tuple[int, ...]
    sightings: tuple[Point, ...]
    bodies: tuple[Point, ...]


class Localisation:
    """Of a team; safe to use from several threads."""

    def __init__(self, peer_range: float, near_range: float) -> None:
        """Nobody is known yet.

        Args:
            peer_range: m, within which teammates count as sighted.
            near_range: m, within which bodies count as sensed.
        """
        self._peer_range, self._near_range = peer_range, near_range
        self._known: dict[int, tuple[Point, float]] = {}
        self._lock = threading.Lock()

    def report(self, robot: int, position: Point, now: float) -> None:
        """A robot is at a place (m, shared frame) at `now` (s, monotonic)."""
        if np.isfinite(position).all():
            with self._lock:
                self._known[robot] = (position, now)

    def around(self, robot: int, position: Point, yaw: float, now: float) -> Around:
        """What a robot senses of the others.

        Args:
            robot: roster index, left out itself.
            position: m, its own, shared frame.
            yaw: rad, its own.
            now: s, monotonic.
        """
        with self._lock:
            others = {who: known for who, known in self._known.items() if who != robot}
        sighted, sightings, bodies = [], [], []
        for who, (place, at) in sorted(others.items()):
            offset = to_body(np.subtract(place, position), np.asarray(yaw))
            distance, point = float(np.linalg.norm(offset)), _point(offset)
            if now - at <= FRESH_S and distance < self._peer_range:
                sighted.append(who)
                sightings.append(point)
            if sideways(offset) < self._near_range:
                bodies.append(point)
        return Around(tuple(sighted), tuple(sightings), tuple(bodies))


def _point(values: Float) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
